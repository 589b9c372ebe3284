"""Paths of this machine are cut to their last component in facts, records and rows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_LOCAL_PATH = re.compile(r"^(/|~|\.{1,2}[/\\]|[A-Za-z]:[/\\])")
_PATH_KEYS = ("task", "gold", "seed_data", "add_data", "contexts", "student", "source")
"""Settings and facts that may be a path or several, also a relative one or one with spaces."""
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?|\w+://.*|")
_FILE = re.compile(r"\.(py|csv|jsonl?|parquet)$", re.IGNORECASE)


def public_name(place: str) -> str:
    """Return a Hub id or name unchanged, and a path cut to its last component."""
    if _LOCAL_PATH.match(place) or os.path.exists(place):  # noqa: PTH110 - Path.exists raises for a long name
        return last_component(place)
    return place


def last_component(place: str) -> str:
    """Return the part of a path or id after its last separator; of several joined by `|`, those parts."""
    return " and ".join(re.split(r"[/\\]", part.rstrip("/\\"))[-1] for part in place.split("|"))


def without_paths(value: Any) -> Any:
    """Return a copy of a plain value in which every path is cut to its last component."""
    if isinstance(value, Mapping):
        return {
            key: _without_folders(item) if key in _PATH_KEYS else without_paths(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, str) and _LOCAL_PATH.match(value) and len(value.split()) == 1:
        return public_name(value)
    return value


def public_names(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of LLM names in which every path is cut to its last component."""
    import pyarrow.compute as pc

    for name in pc.unique(names).to_pylist():
        if public_name(name) != name:
            names = pc.if_else(pc.equal(names, name), public_name(name), names)
    return names


def _without_folders(value: Any) -> Any:
    """Return what `without_paths` does, for a value that is a name, a Hub id or any path."""
    if isinstance(value, list | tuple):
        return [_without_folders(item) for item in value]
    if not isinstance(value, str):
        return without_paths(value)
    is_name = _NAME.fullmatch(value) and not _FILE.search(value)
    return public_name(value) if is_name else last_component(value)
