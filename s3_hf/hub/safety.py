"""What must not leave the machine: pickles, tokens, home paths."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.errors import HubError

if TYPE_CHECKING:
    import pyarrow as pa

_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".h5"})
_PICKLE_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_ZIP_START = b"PK\x03\x04"
_TEXT = frozenset({".md", ".json", ".jsonl", ".txt", ".yaml", ".yml", ".csv", ".jinja"})
_TOKEN = "hf_[A-Za-z0-9]{20,}"  # noqa: S105 - the shape of a token, not one


def check_folder(folder: Path) -> None:
    """Return if every file in the folder may be published.

    Raises:
        HubError: a file is or may be a pickle, or holds a token or a home path; it is named.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            _check_kind(path)
            if path.suffix in _TEXT:
                _check_text(path.name, path.read_text(encoding="utf-8"))


def check_rows(table: pa.Table) -> None:
    """Return if no text in the rows holds a token or a home path.

    Raises:
        HubError: one does; its column is named.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, column in zip(table.column_names, table.columns, strict=True):
        texts = pc.list_flatten(column) if pa.types.is_list(column.type) else column
        if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
            hits = texts.filter(pc.fill_null(pc.match_substring_regex(texts, _forbidden().pattern), False))
            if len(hits):
                _check_text(f"column {name!r} of the rows", hits[0].as_py())


def _forbidden() -> re.Pattern[str]:
    own = str(Path.home())
    homes = r"/home/[A-Za-z0-9._-]+/|/Users/[A-Za-z0-9._-]+/|/root/|[A-Za-z]:\\Users\\"
    return re.compile(f"{_TOKEN}|{homes}" + (f"|{re.escape(own)}/" if len(own) > 1 else ""))


def _check_kind(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix in _PICKLES or start.startswith(_PICKLE_STARTS) or start == _ZIP_START:
        raise HubError(
            f"only safetensors, Parquet and text files are published, found {path.name!r}, which can hold a pickle; "
            "remove it from the run's model folder, or save the model as safetensors"
        )


def _check_text(where: str, text: str) -> None:
    found = _forbidden().search(text)
    if found is None:
        return
    what = "something like a Hub token" if found.group().startswith("hf_") else f"the home path {found.group()!r}"
    raise HubError(
        f"nothing private may be published, found {what} in {where}; remove it from the run, then push again"
    )
