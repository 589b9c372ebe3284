"""Finding copies of gold texts among many rows, without comparing each with each.

A row is compared with its own parent, and with the gold texts that share its rarest runs of words; a short
row, in which an edit may leave no run whole, is compared with every gold text of about its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from s3_hf.texts import COPY_RATIO

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

RUN = 3
"""Words in a run."""
PROBES = 8
"""Runs of a row that are looked up: those that fewest gold texts share."""
SHARING = 64
"""Most gold texts that one run leads to."""
SHORT = 12
"""A row of fewer words is compared with every gold text of about its length."""
BLOCK = 256
_LEAST = COPY_RATIO / (200 - COPY_RATIO)
"""The ratio of two texts is lower than COPY_RATIO if one is shorter than so much of the other."""


def near_copies(texts: Sequence[str], gold: Sequence[str], parents: Sequence[int]) -> Bools:
    """Tell of each text whether it copies a gold text, exactly or nearly (`texts.COPY_RATIO`).

    Args:
        texts: normalised texts of the rows.
        gold: normalised gold texts.
        parents: for each row the index of the gold text that it was extrapolated from, -1 without one.
    """
    found = np.zeros(len(texts), dtype=bool)
    own = np.asarray(parents, dtype=np.int64).reshape(-1)
    rows = np.flatnonzero(own >= 0)
    _verify(found, texts, gold, rows, own[rows])
    known = set(gold) - {""}
    found |= np.fromiter((text in known for text in texts), bool, len(texts))
    words = np.fromiter((text.count(" ") + 1 for text in texts), np.int64, len(texts))
    _compare_short(found, texts, gold, np.flatnonzero((words < SHORT) & ~found))
    rows, others = _candidates(texts, gold, np.flatnonzero((words >= SHORT) & ~found))
    _verify(found, texts, gold, rows, others)
    return found


def _verify(found: Bools, texts: Sequence[str], gold: Sequence[str], rows: Ints, others: Ints) -> None:
    """Mark the rows whose pair is a copy."""
    if len(rows):
        ratios = process.cpdist(
            [texts[row] for row in rows.tolist()],
            [gold[other] for other in others.tolist()],
            scorer=fuzz.ratio,
            score_cutoff=COPY_RATIO,
        )
        found[rows[ratios >= COPY_RATIO]] = True


def _compare_short(found: Bools, texts: Sequence[str], gold: Sequence[str], rows: Ints) -> None:
    """Mark the rows that copy any gold text, by comparing all that are near in length."""
    by_length = sorted((text for text in gold if text), key=len)
    lengths = np.fromiter((len(text) for text in by_length), np.int64, len(by_length))
    rows = np.asarray(sorted((row for row in rows.tolist() if texts[row]), key=lambda row: len(texts[row])), np.int64)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        queries = [texts[row] for row in block.tolist()]
        first = np.searchsorted(lengths, len(queries[0]) * _LEAST, "left")
        last = np.searchsorted(lengths, len(queries[-1]) / _LEAST, "right")
        if first < last:
            ratios = process.cdist(
                queries, by_length[first:last], scorer=fuzz.ratio, score_cutoff=COPY_RATIO, dtype=np.uint8
            )
            found[block[ratios.max(axis=1) > 0]] = True


def _candidates(texts: Sequence[str], gold: Sequence[str], rows: Ints) -> tuple[Ints, Ints]:
    """Pairs of a row and a gold text that share one of the row's rarest runs and are near in length."""
    vocabulary: dict[str, int] = {}
    hashes, owners = _runs(gold, vocabulary)
    order = np.argsort(hashes, kind="stable")
    hashes, owners = hashes[order], owners[order]
    wanted, places = _runs([texts[row] for row in rows.tolist()], vocabulary)
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


def _runs(texts: Sequence[str], vocabulary: dict[str, int]) -> tuple[Hashes, Ints]:
    """A hash of each run of words, and the text that it stands in."""
    split = [text.split() for text in texts]
    sizes = np.fromiter((len(words) for words in split), np.int64, len(split))
    numbers = (vocabulary.setdefault(word, len(vocabulary)) for word in chain.from_iterable(split))
    words = np.fromiter(numbers, np.uint64, int(sizes.sum()))
    owners = np.repeat(np.arange(len(split)), sizes)
    last = max(len(words) - RUN + 1, 0)
    hashes = np.zeros(last, dtype=np.uint64)
    for place in range(RUN):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + words[place : place + last] + np.uint64(1)
    whole = owners[:last] == owners[RUN - 1 :]
    return hashes[whole], owners[:last][whole]
