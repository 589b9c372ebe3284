"""Parts of an LLM's answer: the text after a reasoning model's thoughts, and the items of a list."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

_ITEM = re.compile(r"(?:\d{1,3} ?[.):]|[-*•]) ?(.+)")
_HEADING = re.compile(r"[^\w*]*+\*\*([^*]++)\*\*")
_TITLED = re.compile(r"([^:]{3,60}?)(?: ?[:–—]| -) \S")
_COUNT = re.compile(r"(?:,\s?\d{1,3}|\s\(\d{1,3}\))$")
_MARKS = " *_\"'“”‘’.,;:"
_MAX_WORDS, _MAX_ITEMS = 15, 200


def without_thoughts(text: str) -> str | None:
    """Return the answer that follows a reasoning model's `<think>` part, or None if that part does not end."""
    answer = text.rpartition("</think>")[2].strip()
    return None if "<think>" in answer else answer


def parse_list(text: str) -> list[str]:
    """Return the distinct items of a numbered or bulleted list as short phrases, in order.

    `**Great acting**: the cast…`, `Great acting - the cast…` and `Great acting, 2` all become `great acting`. Items of
    more than 15 words are left out: they are explanations, which a prompt cannot name. Of a longer list the first 200
    items count.
    """
    phrases = (_phrase(item) for item in itertools.islice(_items(without_thoughts(text) or ""), _MAX_ITEMS))
    return list(dict.fromkeys(phrase for phrase in phrases if phrase and len(phrase.split()) <= _MAX_WORDS))


def _items(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if match := _ITEM.match(" ".join(line.split())):
            yield match.group(1)


def _phrase(item: str) -> str:
    if match := _HEADING.match(item) or _TITLED.match(item):
        item = match.group(1)
    phrase = _COUNT.sub("", item.strip(_MARKS)).strip(_MARKS)
    first, _, rest = phrase.partition(" ")
    return phrase if first.isupper() and len(first) > 1 else f"{first.lower()}{' ' if rest else ''}{rest}"
