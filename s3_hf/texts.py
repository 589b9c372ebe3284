"""Compare texts: equal once normalised, copies of each other, or covered by one another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from rapidfuzz import fuzz

if TYPE_CHECKING:
    from datasets import Dataset

COPY_RATIO = 90.0
"""Least `rapidfuzz` ratio, from 0 to 100, of two normalised texts that are copies of each other."""

BATCH = 1_000
"""Rows read at once, since contexts are long."""

COVERED = 0.9
"""Share of the distinct words of a row in the prompt from which a new row covers that row."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?%?")


_SCRIPTS = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17DF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF),
            (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x3FFFF))  # fmt: skip
"""Code points of Thai and Lao, Burmese, Khmer, kana and Chinese characters, which are written without spaces."""
_LETTERS = "".join(f"{chr(first)}-{chr(last)}" for first, last in _SCRIPTS)
_MARKS = "".join(chr(code) for code in range(0xE00, 0x17E0) if unicodedata.category(chr(code))[0] == "M")
_UNSPACED = re.compile(f"[{_LETTERS}]")
_PARTS = re.compile(rf"[{_LETTERS}][{_MARKS}]*|[^\s{_LETTERS}]+")


class _Kept(dict[int, str]):
    """For `str.translate`: keeps letters, marks and digits, makes symbols single words, and the rest spaces."""

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
    """Return the text case-folded, without punctuation, its words and symbols separated by single spaces.

    Letters with accents are composed (NFC).
    """
    return " ".join(unicodedata.normalize("NFC", text).casefold().translate(_KEPT).split())


def split_words(text: str) -> list[str]:
    """Return the words of a normalised text; where a script has no spaces, each letter with its marks is one."""
    return _PARTS.findall(text) if _UNSPACED.search(text) else text.split()


def digests(texts: Iterable[str]) -> frozenset[int]:
    """Return 64-bit digests of the normalised texts, small enough to hold those of millions."""
    return frozenset(digest_of(text) for text in texts)


def digest_of(text: str) -> int:
    """Return the 64-bit digest of the normalised text."""
    return int.from_bytes(blake2b(normalise(text).encode(), digest_size=8).digest(), "big")


def row_text(text: str, context: str | None) -> str:
    """Return the text that identifies a row: its context, if it has one, and its text."""
    return text if context is None else f"{context} {text}"


def row_texts(rows: Dataset, text: str, context: str | None) -> Iterator[str]:
    """Yield the `row_text` of each row; `text` and `context` are names of columns."""
    for batch in rows.select_columns([name for name in (text, context) if name]).iter(BATCH):
        contexts = batch[context] if context else [None] * len(batch[text])
        yield from map(row_text, batch[text], contexts)


def covers(text: str, source: str) -> bool:
    """Return whether the text has at least 90 % of the distinct words of the source (ProGen's rejection rule)."""
    words = set(normalise(source).split())
    return bool(words) and len(words & set(normalise(text).split())) >= COVERED * len(words)


def copies(text: str, source: str) -> bool:
    """Return whether the normalised texts are equal or nearly equal."""
    return fuzz.ratio(normalise(text), normalise(source), score_cutoff=COPY_RATIO) > 0


def without_formula(value: Any) -> Any:
    """Return the value of a CSV cell, with `'` before a text that a spreadsheet would run as a formula.

    Numbers as text stay as they are.
    """
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value
