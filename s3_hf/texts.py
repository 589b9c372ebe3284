"""When two texts count as the same, or as copies of each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

from rapidfuzz import fuzz

if TYPE_CHECKING:
    from datasets import Dataset

COPY_RATIO = 90.0
"""rapidfuzz ratio (0 to 100) of normalised texts from which one is a copy of the other."""


BATCH = 1_000

COVERED = 0.9
"""Share of the words of a row shown in the prompt that a new row may not have."""


class _Kept(dict[int, str]):
    """For `str.translate`: letters, marks and digits stay, symbols are words of their own, the rest is a space."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        if kind[0] in "LMN" or kind == "Pc":
            kept = chr(code)
        else:
            kept = f" {chr(code)} " if kind[0] == "S" and kind != "Sk" else " "
        self[code] = kept
        return kept


_KEPT = _Kept()


def normalise(text: str) -> str:
    """The text without case, words and symbols separated by single spaces, without punctuation.

    A letter with an accent is the same in one code point and in two (NFC).
    """
    return " ".join(unicodedata.normalize("NFC", text).casefold().translate(_KEPT).split())


def digests(texts: Iterable[str]) -> frozenset[int]:
    """64-bit digests of the normalised texts: enough to find one again, small enough for a million."""
    return frozenset(digest_of(text) for text in texts)


def digest_of(text: str) -> int:
    """64-bit digest of the normalised text."""
    return int.from_bytes(blake2b(normalise(text).encode(), digest_size=8).digest(), "big")


def row_text(text: str, context: str | None) -> str:
    """What makes a row the same as another one: its text, and its context if it has one."""
    return text if context is None else f"{context} {text}"


def row_texts(rows: Dataset, text: str, context: str | None) -> Iterator[str]:
    """The `row_text` of each row, by its columns; contexts are long, so few are in memory at once."""
    for batch in rows.select_columns([name for name in (text, context) if name]).iter(BATCH):
        contexts = batch[context] if context else [None] * len(batch[text])
        yield from map(row_text, batch[text], contexts)


def covers(text: str, source: str) -> bool:
    """True if the text has at least nine tenths of the distinct words of the source (ProGen's rejection rule)."""
    words = set(normalise(source).split())
    return bool(words) and len(words & set(normalise(text).split())) >= COVERED * len(words)


def copies(text: str, source: str) -> bool:
    """True if the texts are equal or nearly so once they are normalised."""
    return fuzz.ratio(normalise(text), normalise(source), score_cutoff=COPY_RATIO) > 0
