"""What must not leave the machine: paths, tokens, pickles.

Paths are cut to their last component in facts, records and rows (`public_name`, `without_paths`, `public_names`);
files and rows that hold a token or a home path, or may be a pickle, are refused (`check_folder`, `check_rows`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.errors import HubError

if TYPE_CHECKING:
    import pyarrow as pa

_LOCAL_PATH = re.compile(r"^(/|~|\.{1,2}[/\\]|[A-Za-z]:[/\\])")
_PATH_KEYS = ("task", "gold", "seed_data", "add_data", "contexts", "student", "source")
"""Settings and facts that may be a path or several, also a relative one or one with spaces."""
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?|\w+://.*|")
_FILE = re.compile(r"\.(py|csv|jsonl?|parquet)$", re.IGNORECASE)
_TOKEN = "hf_[A-Za-z0-9]{20,}"  # noqa: S105 - the shape of a token, not one
_HOMES = r"/home/[A-Za-z0-9._-]+/|/Users/[A-Za-z0-9._-]+/|/root/|[A-Za-z]:\\Users\\"
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".h5"})
_PICKLE_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_ZIP_START = b"PK\x03\x04"
_TEXT = frozenset({".md", ".json", ".jsonl", ".txt", ".yaml", ".yml", ".csv", ".jinja"})


def public_name(place: str) -> str:
    """Return a Hub id or name unchanged, and a path cut to its last component."""
    if _LOCAL_PATH.match(place) or (place and Path(place).exists()):
        return last_component(place)
    return place


def last_component(place: str) -> str:
    """Return the part of a path or id after its last separator."""
    return re.split(r"[/\\]", place.rstrip("/\\"))[-1]


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


def check_folder(folder: Path) -> None:
    """Return if every file in the folder may be published.

    Raises:
        HubError: a file is or may be a pickle, or holds a token or a home path; the message names the file.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            _check_format(path)
            if path.suffix in _TEXT:
                _check_text(path.name, path.read_text(encoding="utf-8"))


def check_rows(table: pa.Table) -> None:
    """Return if no text in the rows holds a token or a home path.

    Raises:
        HubError: a text holds one; the message names its column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(table.column_names, table.columns, strict=True):
        texts = pc.list_flatten(column) if pa.types.is_list(column.type) else column
        if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
            hits = texts.filter(pc.fill_null(pc.match_substring_regex(texts, _secrets().pattern), False))
            if len(hits):
                _check_text(f"column {name!r} of the rows", hits[0].as_py())


def _without_folders(value: Any) -> Any:
    """Return what `without_paths` does, for a value that is a name, a Hub id or any path."""
    if isinstance(value, list | tuple):
        return [_without_folders(item) for item in value]
    if not isinstance(value, str):
        return without_paths(value)
    is_name = _NAME.fullmatch(value) and not _FILE.search(value)
    return public_name(value) if is_name else last_component(value)


def _secrets() -> re.Pattern[str]:
    """Return the pattern of tokens and home paths, the user's own home included."""
    own = str(Path.home())
    return re.compile(f"{_TOKEN}|{_HOMES}" + (f"|{re.escape(own)}/" if len(own) > 1 else ""))


def _check_format(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix in _PICKLES or start.startswith(_PICKLE_STARTS) or start == _ZIP_START:
        raise HubError(
            f"only safetensors, Parquet and text files are published, found {path.name!r}, which can hold a pickle; "
            "remove it from the run's model folder, or save the model as safetensors"
        )


def _check_text(where: str, text: str) -> None:
    found = _secrets().search(text)
    if found is None:
        return
    what = "a text shaped like a Hub token" if found.group().startswith("hf_") else f"the home path {found.group()!r}"
    raise HubError(
        f"nothing private may be published, found {what} in {where}; remove it from the run, then push again"
    )
