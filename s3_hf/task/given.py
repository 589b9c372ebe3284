"""Rows that somebody else made: an existing synthetic dataset to start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets

from s3_hf.errors import TaskError
from s3_hf.records import Example
from s3_hf.task.loading import Task

FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json"}


def given_examples(task: Task, source: str) -> Iterator[Example]:
    """Yield the rows of an existing dataset as seed examples of the task, in order.

    Args:
        task: names the text and label columns that the dataset must have.
        source: Parquet, CSV or JSON lines file, folder, or Hub id (its `train` split, or its only one).

    Raises:
        TaskError: it cannot be read, lacks a column, or has a label that the task does not know.
    """
    rows = _load(source)
    text, label = task.config.text, task.config.label
    for column in (text, label):
        if column not in rows.column_names:
            raise TaskError(
                f"seed data {source!r} must have the column {column!r}, found {rows.column_names}; rename its columns"
            )
    names = getattr(rows.features[label], "names", None)
    for number, row in enumerate(rows):
        value = names[row[label]] if names and row[label] is not None else row[label]
        if not (isinstance(row[text], str) and row[text].strip()):
            raise TaskError(f"seed data {source!r}, row {number}, must have text in {text!r}, found {row[text]!r}")
        columns = {text: row[text], label: _label_id(task, value, f"seed data {source!r}, row {number}")}
        yield Example(id=f"s3-r0/given/{number:05d}", columns=columns, origin="seed", round=0)


def _label_id(task: Task, value: Any, where: str) -> int:
    if isinstance(value, str) and value in task.label_names:
        return task.label_names.index(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(task.label_names):
        return value
    raise TaskError(
        f"{where}, must have one of the labels {', '.join(task.label_names)} (or its number), found {value!r}; "
        "correct the row"
    )


def _load(source: str) -> datasets.Dataset:
    path = Path(source)
    try:
        if path.is_file() and path.suffix in FORMATS:
            loaded: Any = datasets.load_dataset(FORMATS[path.suffix], data_files=str(path))
        else:
            loaded = datasets.load_dataset(source)
    except (OSError, ValueError, datasets.exceptions.DatasetGenerationError) as error:
        detail = " ".join(str(error.__cause__ or error).split())[:200]
        raise TaskError(
            f"seed data must be a Parquet, CSV or JSON lines file, a folder or a Hub id, found {source!r} ({detail}); "
            "check the name"
        ) from error
    if "train" in loaded:
        return loaded["train"]
    if len(loaded) == 1:
        return next(iter(loaded.values()))
    raise TaskError(f"seed data {source!r} must have a split 'train', found {list(loaded)}; rename one")
