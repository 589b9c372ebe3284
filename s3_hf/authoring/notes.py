"""Sentences on a new task's data that its user should read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from s3_hf.rows.reading import shorten
from s3_hf.task.checking import is_number
from s3_hf.task.languages import NAMES
from s3_hf.task.recipe import TaskConfig

_BETWEEN_LABELS = re.compile(r"[|;,/+]")
_LIST = re.compile(r"\[.*\]", re.DOTALL)


def notes_on(config: TaskConfig, test: Mapping[str | None, int], shared: int, *, placed: bool) -> Iterator[str]:
    """Yield sentences on the labels, the split, the answers and the language of the data.

    Args:
        config: the inferred definition.
        test: number of test rows of each label.
        shared: number of test rows that are validation rows too.
        placed: whether each answer has a start.
    """
    yield from (f"label {name!r} is not in the test rows" for name in config.labels if not test[name])
    if shared:
        unit = "rows" if config.context else "texts"
        yield (
            f"{shared:,} of {sum(test.values()):,} test {unit} are validation {unit} too: scores on them say nothing "
            "about new ones; drop them from one of the splits"
        )
    if config.labels and all(map(is_number, config.labels)):
        yield "labels are numbers, which tell an LLM nothing: write what they mean in LABELS"
    if several := [name for name in config.labels if _several(name, config.labels)]:
        yield (
            f"{len(several)} of {len(config.labels)} labels look like several in one cell, such as "
            f"{shorten(several[0])}, and are classes of their own: keep one label in each row, or make a task of each"
        )
    if not placed:
        yield "answers without a start are located where their text first occurs in the context"
    if config.language is None:
        yield "the language of the texts is not clear: write its code as `language` in the recipe"
    elif config.language != "en":
        yield (
            f"the texts seem to be in {NAMES[config.language]}: name an LLM and a student that know it by --llm and "
            "--student, since the embedded ones are English"
        )


def _several(name: str, labels: Mapping[str, str]) -> bool:
    """Return whether a label is a list, or made of other labels, as in `a|b`."""
    parts = [part.strip() for part in _BETWEEN_LABELS.split(name)]
    return bool(_LIST.fullmatch(name)) or (len(parts) > 1 and all(part in labels for part in parts))
