"""Find copies of gold texts among many rows without comparing every row with every gold text.

A row is compared with its parent and with the gold texts that share its rarest runs of words; a short row, in which
one edit may break every run, is compared with all gold texts of about its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from s3_hf.overlaps import SHARED_RUN, Hashes, Ints, SharedRuns, contains, run_hashes
from s3_hf.texts import COPY_RATIO, split_words

Bools = NDArray[np.bool_]

RUN = 3
"""Words in a run."""
PROBES = 8
"""Most runs of a row that are looked up: those that the fewest gold texts share."""
SHARING = 64
"""Most gold texts that are compared because of one run."""
SHORT = 12
"""A row of fewer words is compared with all gold texts of about its length."""
SHORTEST = 4
"""Fewest words of a gold text that is searched for within other texts."""
BLOCK = 256
"""Short rows compared at once."""
_LEAST = COPY_RATIO / (200 - COPY_RATIO)
"""Least share of the longer text's length that the shorter one has if their ratio reaches COPY_RATIO."""


def near_copies(texts: Sequence[str], gold: Sequence[str], parents: Sequence[int]) -> Bools:
    """Return for each text whether it copies a gold text, exactly or nearly (`texts.COPY_RATIO`).

    Args:
        texts: normalised texts of the rows.
        gold: normalised gold texts.
        parents: for each row the index of the gold text that it was extrapolated from, -1 without one.
    """
    own = np.asarray(parents, dtype=np.int64).reshape(-1)
    rows = np.flatnonzero(own >= 0)
    known = set(gold) - {""}
    copied = np.fromiter((text in known for text in texts), bool, len(texts))
    copied[_verified(texts, gold, rows, own[rows])] = True
    words = np.fromiter((text.count(" ") + 1 for text in texts), np.int64, len(texts))
    copied[_short_copies(texts, gold, np.flatnonzero((words < SHORT) & ~copied))] = True
    rows, others = _candidates(texts, gold, np.flatnonzero((words >= SHORT) & ~copied))
    copied[_verified(texts, gold, rows, others)] = True
    return copied


class GoldTexts:
    """Gold texts, to tell which other texts hold one or a part of one."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Index normalised texts."""
        self._texts = list(dict.fromkeys(texts))
        self._runs = SharedRuns(self._texts)
        split = map(split_words, self._texts)
        self._short = {" ".join(words) for words in split if SHORTEST <= len(words) < SHARED_RUN}

    def held_by(self, texts: Sequence[str]) -> Bools:
        """Return for each normalised text whether it copies a gold text, shares a run of words with one or holds one.

        A gold text of fewer than `SHORTEST` words counts only where it is the whole text, or nearly.
        """
        found = near_copies(texts, self._texts, [-1] * len(texts))
        for place, text in enumerate(texts):
            found[place] |= self._runs.longest(text) > 0 or self._holds_short(text)
        return found

    def longest_run(self, text: str) -> list[str]:
        """Return the words of the longest run that the normalised text shares with a gold text; none without one."""
        return self._runs.longest_run(text)

    def _holds_short(self, text: str) -> bool:
        words = split_words(text)
        sizes = range(SHORTEST, SHARED_RUN)
        runs = (" ".join(words[start : start + size]) for size in sizes for start in range(len(words) - size + 1))
        return bool(self._short) and any(run in self._short for run in runs)


def copied_parts(texts: Sequence[str], gold: Sequence[str], parents: Sequence[int]) -> Bools:
    """Return for each text whether it shares a run of words with a gold text, or contains one or stands in one.

    Args:
        texts: normalised texts of the rows.
        gold: normalised gold texts.
        parents: as in `near_copies`; a row is searched for its parent whether they share a run or not.
    """
    index = SharedRuns(gold)
    return np.fromiter(
        (
            index.longest(text) > 0 or (parent >= 0 and contains(text, gold[parent]))
            for text, parent in zip(texts, parents, strict=True)
        ),
        bool,
        len(texts),
    )


def _verified(texts: Sequence[str], gold: Sequence[str], rows: Ints, others: Ints) -> Ints:
    """Return the rows that copy the gold text at the same place of `others`."""
    if not len(rows):
        return rows
    ratios = process.cpdist(
        [texts[row] for row in rows.tolist()],
        [gold[other] for other in others.tolist()],
        scorer=fuzz.ratio,
        score_cutoff=COPY_RATIO,
    )
    return rows[ratios >= COPY_RATIO]


def _short_copies(texts: Sequence[str], gold: Sequence[str], rows: Ints) -> Ints:
    """Return those of the rows that copy any gold text, after comparing them with all that are near in length."""
    by_length = sorted((text for text in gold if text), key=len)
    lengths = np.fromiter((len(text) for text in by_length), np.int64, len(by_length))
    rows = np.asarray(sorted((row for row in rows.tolist() if texts[row]), key=lambda row: len(texts[row])), np.int64)
    copies = [rows[:0]]
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        queries = [texts[row] for row in block.tolist()]
        first = np.searchsorted(lengths, len(queries[0]) * _LEAST, "left")
        last = np.searchsorted(lengths, len(queries[-1]) / _LEAST, "right")
        if first < last:
            ratios = process.cdist(
                queries, by_length[first:last], scorer=fuzz.ratio, score_cutoff=COPY_RATIO, dtype=np.uint8
            )
            copies.append(block[ratios.max(axis=1) > 0])
    return np.concatenate(copies)


def _candidates(texts: Sequence[str], gold: Sequence[str], rows: Ints) -> tuple[Ints, Ints]:
    """Return pairs of a row and a gold text that share one of the row's rarest runs and are near in length."""
    hashes, owners = _runs([*gold, *(texts[row] for row in rows.tolist())])
    of_gold = owners < len(gold)
    wanted, places = hashes[~of_gold], owners[~of_gold] - len(gold)
    hashes, owners = hashes[of_gold], owners[of_gold]
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    first = np.searchsorted(hashes, wanted, "left")
    sharing = np.searchsorted(hashes, wanted, "right") - first
    kept = np.flatnonzero(sharing)
    kept = kept[np.lexsort((wanted[kept], sharing[kept], places[kept]))]
    starts = np.searchsorted(places[kept], places[kept], "left")
    kept = kept[np.arange(len(kept)) - starts < PROBES]
    counts = np.minimum(sharing[kept], SHARING)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    others = owners[np.repeat(first[kept], counts) + within]
    pairs = np.unique(np.stack([rows[np.repeat(places[kept], counts)], others]), axis=1)
    sizes = np.fromiter((len(text) for text in texts), np.int64, len(texts))[pairs[0]]
    other_sizes = np.fromiter((len(text) for text in gold), np.int64, len(gold))[pairs[1]]
    near = np.minimum(sizes, other_sizes) >= _LEAST * np.maximum(sizes, other_sizes)
    return pairs[0][near], pairs[1][near]


def _runs(texts: Sequence[str]) -> tuple[Hashes, Ints]:
    """Return a hash of each run of words, and the index of its text."""
    vocabulary: dict[str, int] = {}
    split = [text.split() for text in texts]
    sizes = np.fromiter((len(words) for words in split), np.int64, len(split))
    numbers = (vocabulary.setdefault(word, len(vocabulary)) for words in split for word in words)
    return run_hashes(np.fromiter(numbers, np.uint64, int(sizes.sum())), sizes, RUN)
