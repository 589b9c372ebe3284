"""Measure the texts of a task and derive length limits for the LLM and the student."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

LENGTHS = (64, 128, 256, 512)
"""Input lengths of a student to choose from, in tokens."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""A character of a script without spaces between words: Thai, Lao, Burmese, Khmer, kana or Chinese."""

_HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7ff]")


@dataclass(frozen=True, slots=True)
class Lengths:
    """Length limits that suit the texts of a task (see `TaskConfig`).

    `typical` is the median length of a text for prompts, in words, or in characters for scripts without spaces.
    """

    typical: str
    max_tokens: int
    min_words: int
    max_length: int


def measure_lengths(texts: Sequence[str], inputs: Sequence[str], *, windows: bool) -> Lengths:
    """Return the length limits for the LLM's `texts` and the student's `inputs`.

    With `windows`, a longer input is divided into windows, so that `max_length` is at most 384 tokens.
    """
    longest = _tokens(inputs)
    max_length = next((length for length in LENGTHS if longest <= length), LENGTHS[-1])
    if windows:
        max_length = min(max_length, 384)
    max_tokens = max(32, min(1024, -(-2 * _tokens(texts) // 32) * 32))
    if 2 * sum(len(_UNSPACED.findall(text)) for text in texts) > sum(map(len, texts)):
        typical = f"{sorted(map(len, texts))[len(texts) // 2]} characters"
        return Lengths(typical, max_tokens, 1, max_length)
    words = sorted(len(text.split()) for text in texts)
    typical = f"{max(1, words[len(words) // 2])} words"
    return Lengths(typical, max_tokens, max(1, min(5, words[len(words) // 20])), max_length)


def _tokens(texts: Sequence[str]) -> int:
    """Return the estimated number of tokens that 95 % of the texts do not exceed."""
    sizes = sorted(map(_tokens_of, texts))
    return int(sizes[len(sizes) * 19 // 20]) + 4


def _tokens_of(text: str) -> float:
    wide = 0 if text.isascii() else len(_UNSPACED.findall(text)) + len(_HANGUL.findall(text))
    return max(1.5 * len(text.split()), wide + (len(text) - wide) / 4)
