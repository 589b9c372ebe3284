"""Open a split of a file, a folder or a dataset on the Hub."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import datasets

from s3_hf.errors import TaskError
from s3_hf.rows.formats import READERS, OpenSplit, PlacedRow, as_task_error

SPLIT = "train"
"""Name of the only split of a single file, as in `datasets`."""


def open_split(source: str, name: str | None, split: str, *, kind: str) -> OpenSplit:
    """Open a split of a Hub dataset, of a folder, or of a CSV, JSON lines, JSON or Parquet file (split `train`).

    Rows are read one by one. CSV is comma-separated with a header, and its cells are text. JSON is a list of rows,
    an object with that list under `data`, or SQuAD's articles. CSV and JSON files in a folder without a dataset card
    are read in the same way. Places number CSV and JSON lines from 1, and rows of other formats from 0.

    Args:
        source: Hub id or path.
        name: configuration of a Hub dataset or folder that has several.
        split: name of the split in the source.
        kind: noun for the data in messages, such as "gold data".

    Raises:
        TaskError: the data cannot be read, now or while `rows` is iterated.
    """
    path = Path(source)
    reader = READERS.get(path.suffix.lower())
    if path.is_file() and not reader:
        raise TaskError(
            f"{kind} must be a file that ends in {', '.join(READERS)}, a folder or a Hub id, found the file "
            f"{source!r}; rename or convert it"
        )
    if reader and not path.is_dir():
        if not path.is_file():
            raise TaskError(f"{kind} must be there, found no file {source!r}; check the path")
        if split != SPLIT:
            raise TaskError(f"file {source!r} has one split, {SPLIT!r}, found {split!r}; name {SPLIT!r}")
        return reader(path, f"{kind} {source!r}")
    files = _plain_files(path, kind).get(split) if path.is_dir() else None
    if files:
        parts = [READERS[file.suffix](file, f"{kind} {str(file)!r}, split {split!r}") for file in files]
        return OpenSplit(f"{kind} {source!r}, split {split!r}", _joined(parts))
    return _dataset(source, name, split, kind)


def split_names(source: str, name: str | None, *, kind: str) -> list[str]:
    """Return the names of the splits that `open_split` can open; takes the same arguments."""
    path = Path(source)
    if path.is_file() or (path.suffix.lower() in READERS and not path.is_dir()):
        return [SPLIT]
    with as_task_error(source, kind):
        return [str(split) for split in datasets.get_dataset_split_names(source, name)]


def _joined(parts: list[OpenSplit]) -> Generator[PlacedRow]:
    for part in parts:
        yield from part.rows


def _dataset(source: str, name: str | None, split: str, kind: str) -> OpenSplit:
    with as_task_error(source, kind):
        try:
            rows = datasets.load_dataset(source, name, split=split)
        except ValueError:
            if name is None or len(datasets.get_dataset_config_names(source)) != 1:
                raise
            name = None  # data that replaces a recipe's own need not have its configuration
            rows = datasets.load_dataset(source, split=split)
    where = f"{kind} {source!r}{f' ({name})' if name else ''}, split {split!r}"
    return OpenSplit(where, ((f"{where}, row {number}", row) for number, row in enumerate(rows)), rows.features)


def _plain_files(folder: Path, kind: str) -> dict[str, list[Path]]:
    """Return the CSV and JSON files of each split of a folder; none if a dataset card says how to read them."""
    if (folder / "README.md").exists():
        return {}
    with as_task_error(str(folder), kind):
        found = datasets.load_dataset_builder(str(folder)).config.data_files or {}
    splits = {str(split): [Path(file) for file in files] for split, files in found.items()}
    plain = {path.suffix for paths in splits.values() for path in paths} <= {".csv", ".json", ".jsonl"}
    return splits if plain else {}
