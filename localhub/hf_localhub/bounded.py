"""JSON and YAML of clients, read within bounds of size, depth and digits."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

MIB = 1 << 20
_DEEPEST = 64
_MOST_ITEMS = 500_000
_MOST_DIGITS = 400
_LARGEST_YAML = MIB
_LARGEST_TREE = 8 * MIB
_NODE = 64
"""What a node of a tree weighs besides its characters."""
# An unclosed string matches to the end, so that each character is read once.
_TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[][{},]', re.DOTALL)
_DIGITS = re.compile(r"[-+0-9a-fA-Fox_.:]+")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BoundError(ValueError):
    """The text is beyond a bound: too long, too deep, or a number or a character that JSON cannot hold."""


def read_json(data: bytes | str, largest: int = 4 * MIB) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raises:
        BoundError: the text is longer than `largest`, nested deeper than 64, has more than 500,000 items, or has a
            number or half a surrogate pair that cannot be written as JSON again.
        ValueError: the text is not JSON.
    """
    if len(data) > largest:
        raise BoundError(f"it is longer than {largest} bytes")
    text = data.decode() if isinstance(data, bytes) else data
    depth = items = 0
    for match in _TOKENS.finditer(text):
        char = text[match.start()]
        items += char in "[{,"
        depth += (char in "[{") - (char in "]}")
        if depth > _DEEPEST or items > _MOST_ITEMS:
            raise BoundError(f"it is nested deeper than {_DEEPEST} or has more than {_MOST_ITEMS} items")
    try:
        value = json.loads(text, parse_int=_integer, parse_float=_decimal, parse_constant=_constant)
    except RecursionError as error:  # brackets outside JSON's grammar
        raise BoundError(f"it is nested deeper than {_DEEPEST}") from error
    if "\\u" in text:
        _check_characters(json.dumps(value, ensure_ascii=False))
    return value


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise BoundError(f"a number has more than {_MOST_DIGITS} digits")
    return int(text)


def _decimal(text: str) -> float:
    value = float(text)
    return value if value - value == 0 else _constant(text)


def _constant(text: str) -> Any:
    raise BoundError(f"{text[:20]} is not a number of JSON")


def _check_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BoundError("it holds half of a surrogate pair") from error


def read_yaml(text: str) -> Any:
    """Return the value of a YAML text. Its numbers and characters can be written as JSON.

    Raises:
        BoundError: the text is longer than 1 MiB, nested deeper than 64, becomes larger than 8 MiB when aliases are
            expanded, or has a number or a character that cannot be written as JSON.
        yaml.YAMLError: the text is not YAML.
        ValueError: a value is not what its tag says.
    """
    if len(text) > _LARGEST_YAML:
        raise BoundError(f"it is longer than {_LARGEST_YAML} characters")
    _check_characters(text)
    _check_tree(text)
    value = yaml.load(text, _LOADER)  # noqa: S506 - a safe loader
    _check_values(value)
    return value


def _check_tree(text: str) -> None:
    """Add up the nodes without building them; an alias weighs as much as what it names."""
    tree = _Tree()
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.AliasEvent):
            tree.repeat(str(event.anchor))
        elif isinstance(event, yaml.ScalarEvent):
            tree.add(event.value, event.anchor)
        elif isinstance(event, yaml.CollectionStartEvent):
            tree.open(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            tree.close()


class _Tree:
    def __init__(self) -> None:
        self._weights: dict[str, int] = {}
        self._opened: list[tuple[str | None, int]] = []
        self._total = 0

    def _grow(self, weight: int) -> None:
        self._total += weight + _NODE
        if self._total > _LARGEST_TREE:
            raise BoundError(f"its values take more than {_LARGEST_TREE} bytes")

    def add(self, scalar: str, anchor: str | None) -> None:
        if len(scalar) > _MOST_DIGITS and _DIGITS.fullmatch(scalar):
            raise BoundError(f"a number has more than {_MOST_DIGITS} digits")
        self._grow(len(scalar))
        if anchor:
            self._weights[anchor] = len(scalar)

    def repeat(self, anchor: str) -> None:
        if any(anchor == other for other, _ in self._opened):
            raise BoundError(f"the alias {anchor!r} contains itself")
        self._grow(self._weights.get(anchor, 0))

    def open(self, anchor: str | None) -> None:
        self._opened.append((anchor, self._total))
        self._grow(0)
        if len(self._opened) > _DEEPEST:
            raise BoundError(f"it is nested deeper than {_DEEPEST}")

    def close(self) -> None:
        anchor, before = self._opened.pop()
        if anchor:
            self._weights[anchor] = self._total - before


def _check_values(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check_values(key)
            _check_values(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            _check_values(item)
    elif isinstance(value, int) and value.bit_length() > _MOST_DIGITS * 3:
        raise BoundError(f"a number has more than {_MOST_DIGITS} digits")
    elif isinstance(value, str):
        _check_characters(value)
