"""Markdown for cards: numbers, lists, tables, and text from elsewhere that must not act as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

HUB = "https://huggingface.co"
LONGEST = 200
"""Most characters of a name in a card."""
NONE = "–"
"""Cell of a figure that there is not."""

_RULES = {"l": ":--", "c": ":-:", "r": "--:"}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_ADDRESS = re.compile(r"https?://[^\s()<>\[\]\"'`\\]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def is_hub_id(name: str) -> bool:
    """Return True for `namespace/name`."""
    return bool(_HUB_ID.fullmatch(name))


def code(value: object) -> str:
    """Return inline code that stays in its line and its table cell."""
    text = cut(" ".join(_CONTROL.sub(" ", str(value)).replace("`", "'").split()))
    return f"`{text or ' '}`".replace("|", "\\|")


def plain(text: object) -> str:
    """Return a text from elsewhere on one line, with no part that acts as Markdown or HTML."""
    return re.sub(r"([\\`*_~\[\]<>|#$])", r"\\\1", " ".join(_CONTROL.sub(" ", str(text)).split()))


def fenced(text: str, language: str = "text") -> str:
    """Return the text in a fence longer than any run of backticks in it."""
    text = _CONTROL.sub("", text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


def count(number: int) -> str:
    """Return the number with thousands separators."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return the number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float) -> str:
    """Return a share in [0, 1] as a percentage with one decimal."""
    return f"{share:.1%}"


def duration(seconds: float) -> str:
    """Return seconds as hours and minutes, minutes and seconds, or seconds."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def codes(names: Iterable[str], separator: str = " and ") -> str:
    """Return the names as inline code, joined by the separator."""
    return separator.join(map(code, names))


def linked(name: str, kind: str = "") -> str:
    """Return a link to the Hub where the name is an id there, else inline code; `kind` is `datasets/` or empty."""
    return f"[{name}]({HUB}/{kind}{name})" if is_hub_id(name) else code(name)


def address(title: str, url: str) -> str:
    """Return a link to a web address, or as inline code what is none."""
    return f"[{title}]({url})" if _ADDRESS.fullmatch(url) else f"{title} {code(url)}"


def cut(name: str) -> str:
    """Return the name with at most `LONGEST` characters."""
    return name if len(name) <= LONGEST else name[:LONGEST] + "…"


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; each column has a head and its alignment, `l`, `c` or `r`."""
    lines = [[head for head, _ in columns], *rows]
    texts = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([texts[0], f"|{'|'.join(_RULES[side] for _, side in columns)}|", *texts[1:]])
