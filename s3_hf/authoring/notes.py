"""Sentences on a new task's data that its user should read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from s3_hf.task.labels import is_number
from s3_hf.task.languages import NAMES
from s3_hf.task.recipe import TaskConfig, is_skewed

MULTILINGUAL = "intfloat/multilingual-e5-small"
"""A small student that was pretrained on all languages of `languages.NAMES`."""


def notes_on(
    config: TaskConfig, rows: Mapping[str, Mapping[str | None, int]], shared: int, *, placed: bool
) -> Iterator[str]:
    """Yield sentences on the labels, the split, the answers and the language of the data.

    Args:
        config: the inferred definition.
        rows: for validation and test, the number of rows of each label.
        shared: number of test rows that are validation rows too.
        placed: whether each answer has a start.
    """
    counts, test = {name: rows["validation"][name] for name in config.labels}, rows["test"]
    yield from (f"label {name!r} is not in the test rows" for name in config.labels if not test[name])
    if shared:
        unit = "rows" if config.context else "texts"
        yield (
            f"{shared:,} of {sum(test.values()):,} test {unit} are validation {unit} too: scores on them say nothing "
            "about new ones; drop them from one of the splits"
        )
    if config.labels and all(map(is_number, config.labels.values())):
        yield "labels are numbers, which tell an LLM nothing: write what they mean in LABELS, or give --label-names"
    if is_skewed(counts.values()):
        most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
        yield (
            f"label {most!r} has {counts[most] / counts[least]:.0f} times the gold rows of {least!r}: the epoch is "
            "chosen by macro F1; --set synthesis.labels=missing writes more of what the student gets wrong, and "
            "--set training.class_weights=balanced weighs rare labels more"
        )
    if not placed:
        yield "answers without a start are located where their text first occurs in the context"
    if config.language is None:
        yield "the language of the texts is not clear: write its code as `language` in the recipe"
    elif config.language != "en":
        yield (
            f"the texts seem to be in {NAMES[config.language]}: name an LLM and a student that know it by --llm and "
            f"--student, such as {MULTILINGUAL} (118 million parameters), since the embedded ones are English"
        )
