"""Python expressions in a recipe: texts, mappings, sequences and features."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from typing import Any

import datasets

WIDTH = 119


def filled(text: str) -> str:
    """Return the text as lines of a docstring, without characters that could end it."""
    safe = text.replace("\\", "/").replace('"', "'")
    return textwrap.fill(safe, WIDTH, break_long_words=False, break_on_hyphens=False)


def literal(text: str, indent: int | None = None) -> str:
    """Return the text as a Python literal; with an `indent`, a long one is broken into several lines."""
    whole = _quoted(text)
    if indent is None or len(whole) + indent + 20 <= WIDTH:
        return whole
    parts = [""]
    for word in re.findall(r"\S*\s*", text):
        if parts[-1] and len(_quoted(parts[-1] + word)) + indent + (20 if len(parts) == 1 else 1) > WIDTH:
            parts.append("")
        parts[-1] += word
    return f"\n{' ' * indent}".join(_quoted(part) for part in parts)


def mapping(values: Mapping[str, str], indent: int = 0) -> str:
    """Return a mapping as a Python literal, with a line for each item where one line is too short."""
    items = [f"{_quoted(key)}: {_quoted(value)}" for key, value in values.items()]
    line = f"{{{', '.join(items)}}}"
    if len(line) + indent + 10 <= WIDTH:
        return line
    inner = " " * (indent + 4)
    return "{\n" + "".join(f"{inner}{item},\n" for item in items) + " " * indent + "}"


def sequence(values: tuple[str, ...]) -> str:
    """Return texts as a Python tuple."""
    return f"({', '.join(map(_quoted, values))}{',' if len(values) == 1 else ''})"


def feature(value: Any, is_label: bool = False) -> str:
    """Return the Python expression of a feature."""
    if is_label:
        return "ClassLabel(names=list(LABELS))"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quoted(name)}: {feature(each)}' for name, each in value.items())}}}"
    if isinstance(value, datasets.List):
        return f"List({feature(value.feature)})"
    if isinstance(value, datasets.ClassLabel):
        return f"ClassLabel(names=[{', '.join(map(_quoted, value.names))}])"
    return f"Value({_quoted(value.dtype)})"


def _quoted(text: str) -> str:
    double = json.dumps(text, ensure_ascii=False)
    if '"' in text and "'" not in text:
        return "'" + double[1:-1].replace('\\"', '"') + "'"
    return double
