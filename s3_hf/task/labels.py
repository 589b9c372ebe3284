"""What a cell of the label column says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any

from s3_hf.rows.nested import feature_of
from s3_hf.rows.reading import OpenSplit

_MOST_DIGITS = 10
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_BETWEEN_LABELS = re.compile(r"[|;,/+]")
_LIST_OF_ONE = re.compile(r"""\[\s*(['"])([^'"]*)\1\s*\]""")
_LIST = re.compile(r"\[(.*)\]", re.DOTALL)


def class_names(opened: OpenSplit, label: str | None) -> list[str] | None:
    """Return the label names that the data declares for the column `label`, None if it declares none."""
    feature = feature_of(opened.features, label) if label else None
    return getattr(getattr(feature, "feature", feature), "names", None)  # of the items of a list


def single(value: Any) -> Any:
    """Return the item of a list of one, also of one that is written as text, else the value."""
    if isinstance(value, str) and (found := _LIST_OF_ONE.fullmatch(value)):
        return found[2]
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def several_labels(names: Iterable[str]) -> list[str]:
    """Return the names that stand for several labels: lists, and those that join at least two others.

    `[a, b]` always is one, and `a|b` beside `a` and `b`. Where no name is a single label, `a|b` is one beside `a|c`
    and `b|c`. `arts, crafts` is one label beside `music`, as are `A+` beside `A` and `1/5` beside `5/5`.
    """
    known = set(names)
    parts = {name: _parts_of(name) for name in known}
    counts = Counter(chain(*parts.values()))
    combined = all(len(each) > 1 and all(counts[part] > 1 for part in each) for each in parts.values())
    return [
        name
        for name, each in sorted(parts.items())
        if combined or (len(each) > 1 and _LIST.fullmatch(name)) or joins(name, known)
    ]


def joins(name: str, labels: Collection[str]) -> bool:
    """Return whether a name joins at least two of the labels, such as `a|b`."""
    return len(_parts_of(name).intersection(labels) - {name}) > 1


def _parts_of(name: str) -> set[str]:
    """Return the labels that a name would hold if it were a list of them, the name alone if it is no list."""
    inner = _LIST.fullmatch(name)
    parts = _BETWEEN_LABELS.split(inner[1] if inner else name)
    return {part.strip().strip("'\"") for part in parts} - {""}


def as_integer(value: Any) -> Any:
    """Return a whole float as an integer, since pandas turns integers beside empty cells into floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_number(name: str) -> bool:
    """Return whether a label name is a number, such as `-1` or `2.0`."""
    return _NUMBER.fullmatch(name) is not None


def label_name(value: Any, names: list[str] | None) -> str | None:
    """Return the name of a label in a row, None if it has none; `names` are those of the column's `ClassLabel`."""
    value = as_integer(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and names and value not in names and value.isdecimal() and len(value) < _MOST_DIGITS:
        value = int(value)  # cells of CSV are text
    if isinstance(value, int):
        if names is None:
            return str(value)
        return names[value] if 0 <= value < len(names) else None
    return value if isinstance(value, str) else None
