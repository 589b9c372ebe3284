"""Rows that somebody else made: an existing synthetic dataset to start from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets

from s3_hf.errors import TaskError
from s3_hf.records import Context, Example
from s3_hf.task.gold import Task
from s3_hf.task.recipe import TaskConfig

FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json"}


def given_examples(task: Task, *sources: str, round: int = 0) -> Iterator[Example]:  # noqa: A002 - the field's word
    """Yield the rows of existing datasets as examples of the task, in order: `seed` in round 0, else `given`.

    Args:
        task: names the columns that the datasets must have.
        sources: Parquet, CSV or JSON lines files, folders, or Hub ids (their `train` split, or their only one).
        round: the round that they belong to.

    Raises:
        TaskError: it cannot be read, lacks a column, or has a label that the task does not know.
    """
    origin, numbers = "given" if round else "seed", itertools.count()
    for source in sources:
        for values in _given_rows(task, source):
            yield Example(f"s3-r{round}/given/{next(numbers):05d}", values, origin, round)


def _given_rows(task: Task, source: str) -> Iterator[dict[str, Any]]:
    rows = _load(source)
    columns = task.columns
    wanted = [name for name in (columns.context, columns.text, columns.label, columns.answers) if name]
    _check_columns(rows, wanted, source)
    names = getattr(rows.features[columns.label], "names", None) if columns.label else None
    features = task.builder.info.features
    for number, row in enumerate(rows):
        where = f"given data {source!r}, row {number}"
        values = {name: row.get(name) for name in features}
        for name in (columns.context, columns.text):
            if name and not (isinstance(row[name], str) and row[name].strip()):
                raise TaskError(f"{where}, must have text in {name!r}, found {row[name]!r}; correct the row")
        if columns.label:
            value = row[columns.label]
            values[columns.label] = _label_id(task, names[value] if names and value is not None else value, where)
        if columns.answers:
            _check_answers(row[columns.answers], row[columns.context], where)
        yield values


def given_contexts(config: TaskConfig, source: str) -> Iterator[Context]:
    """Yield the contexts of an existing dataset that need no labels or answers, in order.

    Raises:
        TaskError: it cannot be read, or lacks the column of the context.
    """
    assert config.context is not None
    rows = _load(source)
    _check_columns(rows, [config.context], source)
    for row in rows:
        if isinstance(row[config.context], str) and row[config.context].strip():
            yield Context(row[config.context], carried={name: row.get(name) for name in config.carried})


def _check_columns(rows: datasets.Dataset, wanted: list[str], source: str) -> None:
    for column in wanted:
        if column not in rows.column_names:
            raise TaskError(
                f"given data {source!r} must have the column {column!r}, found {rows.column_names}; rename its columns"
            )


def _check_answers(answers: Any, context: str, where: str) -> None:
    texts, starts = (answers or {}).get("text") or [], (answers or {}).get("answer_start") or []
    if not texts or any(context[start : start + len(text)] != text for text, start in zip(texts, starts, strict=True)):
        raise TaskError(f"{where}, must have answers that stand in its context, found {answers!r}; correct the row")


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
            f"given data must be a Parquet, CSV or JSON lines file, a folder or a Hub id, found {source!r} "
            f"({detail}); check the name"
        ) from error
    if "train" in loaded:
        return loaded["train"]
    if len(loaded) == 1:
        return next(iter(loaded.values()))
    raise TaskError(f"given data {source!r} must have a split 'train', found {list(loaded)}; rename one")
