"""How long the texts of a task are, in what the LLM and the student count."""

from __future__ import annotations

import re
from collections.abc import Sequence

from s3_hf.task.recipe import TaskConfig

LENGTHS = (64, 128, 256, 512)
"""Tokens of input that a student is given room for."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
"""A character of a script without spaces between words: Thai, Lao, Burmese, Khmer, kana, and Chinese ones."""

_HANGUL = re.compile("[\u1100-\u11ff\uac00-\ud7ff]")


def set_lengths(config: TaskConfig, texts: Sequence[str], inputs: Sequence[str]) -> str:
    """Set what depends on the length of texts and of inputs, and return how long half of the texts are at most.

    That is in words, or in characters where the texts have few spaces.
    """
    longest = _tokens(inputs)
    room = next((length for length in LENGTHS if longest <= length), LENGTHS[-1])
    config.max_length = min(room, 384) if config.answers else room
    config.stride = config.max_length // 4
    config.max_tokens = max(32, min(1024, -(-2 * _tokens(texts) // 32) * 32))
    if 2 * sum(len(_UNSPACED.findall(text)) for text in texts) > sum(map(len, texts)):
        config.min_words = 1
        return f"{sorted(map(len, texts))[len(texts) // 2]} characters"
    words = sorted(len(text.split()) for text in texts)
    config.min_words = max(1, min(5, words[len(words) // 20]))
    return f"{max(1, words[len(words) // 2])} words"


def _tokens(texts: Sequence[str]) -> int:
    """About how many tokens all but one in twenty of the texts have at most."""
    sizes = sorted(map(_tokens_of, texts))
    return int(sizes[len(sizes) * 19 // 20]) + 4


def _tokens_of(text: str) -> float:
    wide = 0 if text.isascii() else len(_UNSPACED.findall(text)) + len(_HANGUL.findall(text))
    return max(1.5 * len(text.split()), wide + (len(text) - wide) / 4)
