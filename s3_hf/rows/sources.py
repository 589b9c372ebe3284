"""Splits of gold or given data: a file, a folder, or a dataset on a Hub."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import datasets

from s3_hf.errors import TaskError
from s3_hf.rows.formats import READERS, Row, Source, readable

GOLD = "gold data"
SPLIT = "train"
"""What `datasets`, and so we, call the one split of a single file."""


def opened(source: str, name: str | None, split: str, kind: str = GOLD) -> Source:
    """Return a split of a Hub dataset, a folder, or a CSV, JSON lines, JSON or Parquet file (split `train`).

    Rows are read as they are asked for. CSV is comma-separated with a header, and its cells are text; JSON is a list
    of rows, that list as `data`, or SQuAD's articles. Files of these kinds in a folder without a card are read
    likewise. A row's number is its line in CSV and JSON lines, and counts from 0 elsewhere.

    Args:
        source: Hub id or path.
        name: configuration of a Hub dataset or folder that has several.
        split: its own name of a split.
        kind: what errors call the data.

    Raises:
        TaskError: it cannot be read, here or while its rows are.
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
            raise TaskError(
                f"file {source!r} has one split, {SPLIT!r}, found {split!r} in 'splits'; correct the recipe"
            )
        return reader(path, f"{kind} {source!r}")
    files = _plain_files(path, kind).get(split) if path.is_dir() else None
    if files:
        parts = [READERS[file.suffix](file, f"{kind} {str(file)!r}, split {split!r}") for file in files]
        return Source(f"{kind} {source!r}, split {split!r}", _joined(parts))
    return _dataset(source, name, split, kind)


def splits_of(source: str, name: str | None, kind: str = GOLD) -> list[str]:
    """The names of the splits that `opened` can open."""
    path = Path(source)
    if path.is_file() or (path.suffix.lower() in READERS and not path.is_dir()):
        return [SPLIT]
    with readable(source, kind):
        return [str(split) for split in datasets.get_dataset_split_names(source, name)]


def _joined(parts: list[Source]) -> Generator[Row]:
    for part in parts:
        yield from part.rows


def _dataset(source: str, name: str | None, split: str, kind: str) -> Source:
    with readable(source, kind):
        try:
            rows = datasets.load_dataset(source, name, split=split)
        except ValueError:
            if name is None or len(datasets.get_dataset_config_names(source)) != 1:
                raise
            name = None  # data given in place of a recipe's own need not have its configuration
            rows = datasets.load_dataset(source, split=split)
    where = f"{kind} {source!r}{f' ({name})' if name else ''}, split {split!r}"
    return Source(where, ((f"{where}, row {number}", row) for number, row in enumerate(rows)), rows.features)


def _plain_files(folder: Path, kind: str) -> dict[str, list[Path]]:
    """The CSV and JSON files of each split of a folder that has no card to say how they are to be read."""
    if (folder / "README.md").exists():
        return {}
    with readable(str(folder), kind):
        found = datasets.load_dataset_builder(str(folder)).config.data_files or {}
    splits = {str(split): [Path(file) for file in files] for split, files in found.items()}
    plain = {path.suffix for paths in splits.values() for path in paths} <= {".csv", ".json", ".jsonl"}
    return splits if plain else {}
