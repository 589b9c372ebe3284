"""Runs of words that texts share with gold texts, found by hashes without comparing every pair.

All texts are normalised (`texts.normalise`), their words are those of `texts.split_words`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

from s3_hf.texts import split_words

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

SHARED_RUN = 8
"""Fewest consecutive words that count as shared with another text."""
CONTAINED = 90.0
"""Least `rapidfuzz` partial ratio, from 0 to 100, of a text that contains another one."""
CONTAINED_WORDS = 6
"""Fewest words of the shorter text for which a partial ratio says anything."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class SharedRuns:
    """An index of all runs of `SHARED_RUN` words in many texts; it takes 8 bytes for each word."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._numbers: dict[str, int] = {}
        split = [split_words(text) for text in texts]
        sizes = np.fromiter((len(words) for words in split), np.int64, len(split))
        numbers = (self._numbers.setdefault(word, len(self._numbers)) for word in chain.from_iterable(split))
        hashes, _ = run_hashes(np.fromiter(numbers, np.uint64, int(sizes.sum())), sizes, SHARED_RUN)
        self._hashes = np.unique(hashes)

    def longest(self, text: str) -> int:
        """Return the number of words of `longest_run`."""
        return len(self.longest_run(text))

    def longest_run(self, text: str) -> list[str]:
        """Return the words of the longest run that the text shares with texts of the index; none without one.

        A run that continues in another text counts as one.
        """
        words = split_words(text)
        numbers = [self._numbers.get(word, -1) for word in words]
        if len(numbers) < SHARED_RUN or not len(self._hashes):
            return []
        known = np.asarray(numbers, np.int64).astype(np.uint64)  # an unknown word is a number that no text has
        hashes, _ = run_hashes(known, np.asarray([len(numbers)], np.int64), SHARED_RUN)
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        longest = streak = end = 0
        for place, shared in enumerate((self._hashes[places] == hashes).tolist()):
            streak = streak + 1 if shared else 0
            if streak > longest:
                longest, end = streak, place
        return words[end - longest + 1 : end + SHARED_RUN] if longest else []


def run_hashes(words: Hashes, sizes: Ints, run: int) -> tuple[Hashes, Ints]:
    """Return a hash of each run of `run` words within a text, and the index of its text.

    Args:
        words: numbers of the words of all texts, one text after the other.
        sizes: number of words of each text.
        run: words in a run.
    """
    owners = np.repeat(np.arange(len(sizes)), sizes)
    last = max(len(words) - run + 1, 0)
    hashes = np.zeros(last, dtype=np.uint64)
    for place in range(run):
        hashes = hashes * _FACTOR + words[place : place + last] + np.uint64(1)
    whole = owners[:last] == owners[run - 1 :]
    return hashes[whole], owners[:last][whole]


def contains(text: str, other: str) -> bool:
    """Return whether one of the texts contains the other one, or nearly so (`CONTAINED`)."""
    words = min(len(split_words(text)), len(split_words(other)))
    return words >= CONTAINED_WORDS and fuzz.partial_ratio(text, other, score_cutoff=CONTAINED) > 0
