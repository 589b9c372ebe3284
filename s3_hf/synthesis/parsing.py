"""Reading an LLM's answer: what comes after a reasoning model's thoughts, and a numbered list."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ITEM = re.compile(r"^\s*(?:\d{1,3}\s*[.):]|[-*•])\s*(.+?)\s*$")
_HEADING = re.compile(r"^\W*\*\*(.+?)\*\*")
_TITLED = re.compile(r"^([^:]{3,60}?)\s*[:–—]\s+\S")
_LONGEST = 15


def said(text: str) -> str | None:
    """Return what follows the thoughts that a reasoning model puts before its answer, or None if they have no end."""
    answer = text.rpartition("</think>")[2].strip()
    return None if "<think>" in answer else answer


def parse_list(text: str) -> list[str]:
    """Return the items of a numbered or bulleted list as short phrases, in order, without repetition.

    `**Great acting**: the cast…` and `Great acting: the cast…` give `great acting`. Items of more than 15
    words are left out: they are explanations, not reasons to be named in a prompt.
    """
    phrases = (_phrase(item) for item in _items(said(text) or ""))
    return list(dict.fromkeys(phrase for phrase in phrases if phrase and len(phrase.split()) <= _LONGEST))


def _items(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if found := _ITEM.match(line):
            yield found.group(1)


def _phrase(item: str) -> str:
    if found := _HEADING.match(item) or _TITLED.match(item):
        item = found.group(1)
    phrase = " ".join(item.split()).strip(" *_\"'“”‘’.,;:")
    first, _, rest = phrase.partition(" ")
    return phrase if first.isupper() and len(first) > 1 else f"{first.lower()}{' ' if rest else ''}{rest}"
