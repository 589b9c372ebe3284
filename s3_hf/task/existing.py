"""Rows that somebody else made: an existing synthetic dataset to start from, read and checked as gold data is."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from s3_hf.errors import TaskError
from s3_hf.records import Context, Example
from s3_hf.rows.formats import Source
from s3_hf.rows.sources import SPLIT, opened, splits_of
from s3_hf.task.checking import columns_missing, given_rows

if TYPE_CHECKING:
    from s3_hf.task.loaded import Task
    from s3_hf.task.recipe import TaskConfig

GIVEN = "given data"


def given_examples(task: Task, *sources: str, round: int = 0) -> Iterator[Example]:  # noqa: A002 - the field's word
    """Yield the rows of existing datasets as examples of the task, in order: `seed` in round 0, else `given`.

    Args:
        task: names the columns that the datasets must have.
        sources: what gold data may be, too (`sources.opened`); their `train` split, or their only one. A label is
            given by its name, or by its number in the task unless the names are numbers.
        round: the round that they belong to.

    Raises:
        TaskError: it cannot be read, lacks a column, has a label that the task does not know, or a test row.
    """
    origin, numbers = "given" if round else "seed", itertools.count()
    test = task.row_digests(task.all_test)
    for source in sources:
        for values in given_rows(task.config, _opened(source), test):
            yield Example(f"s3-r{round}/given/{next(numbers):05d}", values, origin, round)


def given_contexts(config: TaskConfig, source: str) -> Iterator[Context]:
    """Yield the contexts of an existing dataset that need no labels or answers, in order.

    Raises:
        TaskError: it cannot be read, or lacks the column of the context.
    """
    assert config.context is not None
    opening = _opened(source)
    with contextlib.closing(opening.rows):
        for place, row in opening.rows:
            if config.context not in row:
                raise columns_missing(place, config.context, row)
            if isinstance(row[config.context], str) and row[config.context].strip():
                yield Context(row[config.context], carried={name: row.get(name) for name in config.carried})


def _opened(source: str) -> Source:
    splits = splits_of(source, None, GIVEN)
    if SPLIT not in splits and len(splits) != 1:
        raise TaskError(f"{GIVEN} {source!r} must have a split {SPLIT!r}, found {splits}; rename one")
    return opened(source, None, SPLIT if SPLIT in splits else splits[0], GIVEN)
