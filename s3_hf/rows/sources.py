"""Open a split of a file, a folder or a dataset on the Hub."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Generator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import datasets
from datasets.features.features import require_decoding

from s3_hf.errors import TaskError
from s3_hf.rows.formats import READERS, reader_of
from s3_hf.rows.reading import COMPRESSED, OpenSplit, PlacedRow, as_task_error
from s3_hf.rows.several import is_several, several_files, split_of_files

SPLIT = "train"
"""Name of the only split of a single file, as in `datasets`."""

_CONFIGURATION = re.compile(r"(.+):([^:/\\]+)", re.DOTALL)
"""A source with the name of one of its configurations: `nyu-mll/glue:rte`."""


def divide_source(source: str) -> tuple[str, str | None]:
    """Return the Hub id or path of a source, and the configuration named after its last colon, None if none is."""
    found = None if Path(source).exists() else _CONFIGURATION.fullmatch(source)
    return (found[1], found[2]) if found and not Path(found[1]).is_file() else (source, None)


def open_split(source: str, name: str | None, split: str, *, kind: str) -> OpenSplit:
    """Open a split of a Hub dataset, of a folder, of a single file (split `train`), or of several files.

    Several files are a pattern, or paths joined by `|`; their splits are those that their names tell. Splits joined
    by `+`, such as `train+validation`, are read one after the other.

    Rows are read one by one. Files are CSV, TSV, JSON, JSON lines (`.jsonl`, `.ndjson`), all of them also compressed
    (`.gz`, `.bz2`, `.xz`), and Parquet. CSV and TSV have a header, and their cells are text. JSON is a list of rows,
    an object with that list under `data`, or SQuAD's articles. Such files in a folder without a dataset card are read
    in the same way. A folder may be written by `save_to_disk`. Places number CSV and JSON lines from 1, and rows of
    other formats from 0.

    Args:
        source: Hub id, which may name a configuration (`nyu-mll/glue:rte`), or path or paths.
        name: configuration of a Hub dataset or folder that has several, where `source` names none.
        split: name of the split in the source, or names joined by `+`.
        kind: noun for the data in messages, such as "gold data".

    Raises:
        TaskError: the data cannot be read, now or while `rows` is iterated.
    """
    source, own = divide_source(source)
    name = own or name
    parts = [_open_one(source, name, each, kind) for each in split.split("+")]
    return parts[0] if len(parts) == 1 else _chained(f"{kind} {source!r}, split {split!r}", parts)


def _open_one(source: str, name: str | None, split: str, kind: str) -> OpenSplit:
    path = Path(source)
    if is_several(source):
        splits = split_of_files(several_files(source, kind), kind)
        if split not in splits:
            known = ", ".join(splits)
            raise TaskError(f"{kind} {source!r} must have a split {split!r}, found {known}; name one of them")
        return _open_files(source, split, splits[split], kind)
    reader = reader_of(path)
    if _is_no_folder(path, kind) and not reader:
        raise TaskError(
            f"{kind} must be a file that ends in {', '.join(READERS)} (also with {', '.join(COMPRESSED)}), a folder "
            f"or a Hub id, found the file {source!r}; rename or convert it"
        )
    if reader and not path.is_dir():
        if not path.is_file():
            what = "a device or pipe" if path.exists() else "no file"
            raise TaskError(f"{kind} must be there, found {what} {source!r}; check the path")
        if split != SPLIT:
            raise TaskError(f"file {source!r} has one split, {SPLIT!r}, found {split!r}; name {SPLIT!r}")
        return reader(path, f"{kind} {source!r}")
    files = _plain_files(path, kind).get(split) if path.is_dir() else None
    return _open_files(source, split, files, kind) if files else _dataset(source, name, split, kind)


def split_names(source: str, name: str | None, *, kind: str) -> list[str]:
    """Return the names of the splits that `open_split` can open; takes the same arguments."""
    source, own = divide_source(source)
    name, path = own or name, Path(source)
    if is_several(source):
        return [*split_of_files(several_files(source, kind), kind)]
    if _is_no_folder(path, kind) or (reader_of(path) and not path.is_dir()) or _is_saved(path):
        return [SPLIT]
    if path.is_dir() and (plain := _plain_files(path, kind)):
        return [*plain]
    with as_task_error(source, kind):
        return [str(split) for split in datasets.get_dataset_split_names(_without_patterns(source), name)]


def _is_no_folder(path: Path, kind: str) -> bool:
    with as_task_error(str(path), kind):
        return path.exists() and not path.is_dir()


def _is_saved(path: Path) -> bool:
    """Return whether `Dataset.save_to_disk` wrote the folder."""
    return (path / str(datasets.config.DATASET_STATE_JSON_FILENAME)).is_file()


def _open_files(source: str, split: str, files: list[Path], kind: str) -> OpenSplit:
    parts = []
    for file in files:
        if (read := reader_of(file)) is None:
            raise TaskError(
                f"{kind} of several files must be of files that end in {', '.join(READERS)}, found {str(file)!r}; "
                "leave it out or convert it"
            )
        parts.append(read(file, f"{kind} {str(file)!r}" + (f", split {split!r}" if Path(source).is_dir() else "")))
    return _chained(f"{kind} {source!r}, split {split!r}", parts)


def _chained(where: str, parts: list[OpenSplit]) -> OpenSplit:
    """Return the parts as one.

    Raises:
        TaskError: two of them declare other names for the numbers of a column.
    """
    first = parts[0]
    for part in parts[1:]:
        for column in {**(first.features or {}), **(part.features or {})}:
            names, others = (_label_names((each.features or {}).get(column)) for each in (first, part))
            if names != others:
                raise TaskError(
                    f"{where} must declare one list of names for the column {column!r}, found {names} in "
                    f"{first.where} and {others} in {part.where}; write them alike"
                )
    return OpenSplit(where, _joined(parts), first.features)


def _label_names(feature: Any) -> Any:
    """Return the label names that a feature declares, by the name of each column inside of it; None for no names."""
    if isinstance(feature, Mapping):
        return {name: found for name, each in feature.items() if (found := _label_names(each))} or None
    if hasattr(feature, "feature"):
        return _label_names(feature.feature)
    return getattr(feature, "names", None)


def source_files(source: str) -> list[Path]:
    """Return the files of a local source, sorted; empty for a Hub id."""
    if is_several(source):
        return sorted(several_files(source, "gold data"))
    root = Path(source)
    return sorted(path for path in (root, *root.rglob("*")) if path.is_file()) if source and root.exists() else []


def _joined(parts: list[OpenSplit]) -> Generator[PlacedRow]:
    for part in parts:
        yield from part.rows


def _dataset(source: str, name: str | None, split: str, kind: str) -> OpenSplit:
    with as_task_error(source, kind):
        rows = _loaded(source, name, split)
        features = rows.features
        if media := [column for column, feature in features.items() if require_decoding(feature)]:
            rows = rows.remove_columns(media)  # images and sound, whose packages need not be installed
    where = f"{kind} {source!r}{f' ({name})' if name else ''}, split {split!r}"
    return OpenSplit(where, ((f"{where}, row {number}", row) for number, row in enumerate(rows)), features)


def _loaded(source: str, name: str | None, split: str) -> datasets.Dataset:
    if _is_saved(Path(source)):
        if split != SPLIT:
            raise ValueError(f"a saved dataset has one split, {SPLIT!r}, found {split!r}")
        rows = datasets.load_from_disk(source)
        rows.data.table.validate(full=True)  # a damaged file could end the process
        return rows
    path, cache = _without_patterns(source), _cache_of(source)
    try:
        return datasets.load_dataset(path, name, split=split, cache_dir=cache)
    except ValueError:
        if name is None or len(datasets.get_dataset_config_names(path)) != 1:
            raise
        # data in a recipe's place need not have its configuration
        return datasets.load_dataset(path, split=split, cache_dir=cache)


def _plain_files(folder: Path, kind: str) -> dict[str, list[Path]]:
    """Return the files of each split of a folder; none if they are not all of `READERS`, or a card says how to read.

    `datasets` decides what is a split's file.
    """
    if (folder / "README.md").exists() or _is_saved(folder):
        return {}
    with as_task_error(str(folder), kind):
        seen = _without_patterns(str(folder))
        found = datasets.load_dataset_builder(seen).config.data_files or {}
    root = Path(seen).resolve()
    splits = {str(split): [folder / Path(file).relative_to(root) for file in files] for split, files in found.items()}
    return splits if all(map(reader_of, (path for paths in splits.values() for path in paths))) else {}


def _without_patterns(source: str) -> str:
    """Return the source, or a folder of links to its files if `datasets` would take its path for a pattern."""
    folder = Path(source).resolve()
    cache = _cache_of(source) if glob.has_magic(str(folder)) else None
    if cache is None:
        return str(folder) if folder.is_dir() else source  # `datasets` takes no name from "."
    for path in folder.rglob("*"):
        if path.is_file():
            link = Path(cache) / "links" / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                link.symlink_to(path)
    return str(Path(cache) / "links")


def _cache_of(source: str) -> str | None:
    """Return a cache of its own for each state of a folder, None for a Hub id.

    `datasets` caches the data of a folder with a card under a key that neither its path nor its files change.
    """
    folder = Path(source).resolve()
    if not folder.is_dir():
        return None
    state = blake2b(os.fsencode(folder), digest_size=8)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            facts = path.stat()
            state.update(repr((str(path), facts.st_size, facts.st_mtime_ns)).encode("utf-8", "surrogateescape"))
    return str(Path(datasets.config.HF_DATASETS_CACHE) / "s3_hf_folders" / state.hexdigest())
