"""Read existing datasets in place of generated rows: examples to start from or to add, and contexts to write about."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from s3_hf.errors import TaskError
from s3_hf.records import Context, Example
from s3_hf.rows.nested import lifted
from s3_hf.rows.reading import OpenSplit, PlacedRow
from s3_hf.rows.sources import SPLIT, open_split, split_names
from s3_hf.rows.splitting import text_key
from s3_hf.task.checking import missing_column, read_existing
from s3_hf.task.recipe import TaskConfig
from s3_hf.texts import digest_of

EXISTING = "existing data"


def existing_examples(
    config: TaskConfig,
    sources: Sequence[str],
    test_rows: frozenset[int],
    round: int = 0,  # noqa: A002 - the field's word
    same_gold: Collection[str] = (),
) -> Iterator[Example]:
    """Yield the rows of existing datasets as examples, in order; their origin is `given`.

    Args:
        config: definition of the task; the datasets must have its columns. Labels are names or, unless the names
            are numbers, label ids.
        sources: files, folders or Hub ids (`rows.sources.open_split`); the split `train` or the only one is read.
        test_rows: digests of the rows of the test split (`Task.row_digests`), none of which may occur.
        round: the round that the examples belong to.
        same_gold: sources that were written like the task's own gold rows; their rows keep their `s3_parent`, so that
            they are judged by no student that learned it. Elsewhere the same ids are those of other gold rows.

    Raises:
        TaskError: a source cannot be read, lacks a column, or has an unknown label or a row of the test split.
    """
    rows = (
        (columns, parent if source in same_gold and isinstance(parent, str) else None)
        for source in sources
        for columns, parent in _with_parents(config, _open(source), test_rows)
    )
    for number, (columns, parent) in enumerate(rows):
        yield Example(f"s3-r{round}/given/{number:05d}", columns, "given", round, parent)


def check_existing(source: str) -> None:
    """Raise TaskError if an existing dataset cannot be opened; its rows are not read."""
    with contextlib.closing(_open(source).rows):
        pass


def existing_contexts(
    config: TaskConfig, source: str, parents: Mapping[int, str], excluded: frozenset[int]
) -> list[Context]:
    """Return the contexts of an existing dataset, which needs neither labels nor answers, in order.

    Args:
        config: definition of the task.
        source: file, folder or Hub id (`rows.sources.open_split`); the split `train` or the only one is read.
        parents: key of the context of each gold row (`text_key`) to the id of the row, which is the parent of rows
            about the same context: they are judged by no student that learned it.
        excluded: digests of contexts that are left out.

    Raises:
        TaskError: the dataset cannot be read, lacks the column of the context, or has no context that can be used.
    """
    assert config.context is not None
    found = [
        replace(context, parent=parents.get(text_key(context.text)))
        for context in _contexts(config, _open(source))
        if digest_of(context.text) not in excluded
    ]
    if not found:
        but = " but those of test rows" if excluded else ""
        raise TaskError(
            f"contexts {source!r} must have a row with text in the column {config.context!r}, found none{but}; give "
            "others"
        )
    return found


def _contexts(config: TaskConfig, opened: OpenSplit) -> Iterator[Context]:
    """Yield the contexts of the rows that have one."""
    assert config.context is not None
    with contextlib.closing(opened.rows):
        for place, cells in opened.rows:
            row = lifted(cells, [config.context])
            if config.context not in row:
                raise missing_column(place, config.context, row)
            if isinstance(row[config.context], str) and row[config.context].strip():
                yield Context(row[config.context], carried={name: row.get(name) for name in config.carried})


def _with_parents(
    config: TaskConfig, opened: OpenSplit, test_rows: frozenset[int]
) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the gold columns of each checked row, and the content of its column `s3_parent`."""
    last: Mapping[str, Any] = {}

    def noted() -> Generator[PlacedRow]:
        nonlocal last
        with contextlib.closing(opened.rows):
            for placed in opened.rows:
                last = placed[1]
                yield placed

    for columns in read_existing(config, replace(opened, rows=noted()), test_rows):
        yield columns, last.get("s3_parent")


def _open(source: str) -> OpenSplit:
    splits = split_names(source, None, kind=EXISTING)
    if SPLIT not in splits and len(splits) != 1:
        raise TaskError(f"{EXISTING} {source!r} must have a split {SPLIT!r}, found {splits}; rename one")
    return open_split(source, None, SPLIT if SPLIT in splits else splits[0], kind=EXISTING)
