"""What data tells of a task: its labels, its splits, and how long its texts are."""

from __future__ import annotations

import contextlib
import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import datasets

from s3_hf.authoring.lengths import set_lengths
from s3_hf.errors import ConfigError, TaskError
from s3_hf.records import PROVENANCE, Columns
from s3_hf.rows.formats import brief
from s3_hf.rows.sources import opened, splits_of
from s3_hf.rows.splitting import shared_rows
from s3_hf.task.checking import answers_of, checked_rows, gold_rows, is_number, label_name, whole
from s3_hf.task.recipe import TaskConfig, alike
from s3_hf.texts import row_text

VALIDATION_NAMES = ("validation", "valid", "val", "dev", "development")


@dataclass(frozen=True, slots=True)
class Found:
    """A task as its data tells it, without prompts.

    `counts` has for validation and test the rows of each label (of the answers: of None), `size` is how long half of
    the texts are at most, as in "12 words", and `notes` what the user should know.
    """

    config: TaskConfig
    counts: Mapping[str, Mapping[str | None, int]]
    size: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Split:
    """What a first look at a split tells.

    `labels` are sort keys and names; `hidden` says that labels or answers are, `placed` that each answer has its
    start, `ids` that each row has its own text in `id`, and `titles` that each has one in `title`.
    """

    name: str
    features: datasets.Features | None
    labels: frozenset[tuple[float, str]]
    rows: int
    hidden: bool
    placed: bool
    ids: bool
    titles: bool


def inferred(
    name: str, source: str, source_config: str | None, columns: Columns, test_share: float | None = None
) -> Found:
    """Return the task that `columns` of the data make; every row of the splits that it uses is checked.

    Validation and test splits are used where there are some; with train and one of them, train is the gold validation
    data, as in the paper; else one split is divided, and `test_share` of it is the test.

    Raises:
        ConfigError: a column is not there, or there are two splits and a share.
        TaskError: the data cannot be read, has a fault, or cannot be made a task of.
    """
    splits = [_look(source, source_config, split, columns) for split in splits_of(source, source_config)]
    notes = [
        f"split {split.name!r} is not used: its {'labels' if columns.label else 'answers'} are hidden"
        for split in splits
        if split.hidden
    ]
    usable = {split.name: split for split in splits if not split.hidden and split.rows}
    if not usable:
        raise TaskError(f"gold data {source!r} must have rows with labels or answers, found none; give such data")
    roles = _roles(list(usable))
    if test_share is not None and roles["validation"] != roles["test"]:
        raise ConfigError(
            f"--test-share needs gold data with one split to divide, found {roles['validation']!r} and "
            f"{roles['test']!r} in {source!r}; leave it out"
        )
    used = [usable[of] for of in dict.fromkeys(roles.values())]
    notes += [f"split {split!r} is not used" for split in usable if split not in roles.values()]
    config = TaskConfig(
        name=name,
        source=source,
        source_config=source_config,
        splits=roles,
        text=columns.text,
        label=columns.label,
        context=columns.context,
        answers=columns.answers,
        test_share=TaskConfig.test_share if test_share is None else test_share,
        labels={label: readable_label(label) for _, label in sorted(set().union(*(each.labels for each in used)))},
    )
    _features(config, used)
    for split in used:  # a fault of a row is told before what is wrong with all of them
        for _ in checked_rows(config, split.name):
            pass
    if columns.label:
        _check_labels(config, used)
    return _measured(config, notes, placed=all(split.placed for split in used))


def readable_label(name: str) -> str:
    """The name of a label as prompts say it: `not_entailment` is "not entailment"."""
    return " ".join(name.replace("_", " ").split()) or name


def _look(source: str, config: str | None, split: str, columns: Columns) -> _Split:
    opening = opened(source, config, split)
    look = _Look(columns, getattr((opening.features or {}).get(columns.label), "names", None))
    with contextlib.closing(opening.rows):
        for place, row in opening.rows:
            if not look.rows:
                _check_columns(place, row, columns)
            look.at(row)
    return _Split(
        name=split,
        features=opening.features,
        labels=frozenset(look.labels),
        rows=look.rows,
        hidden=look.hidden and look.rows > 0,
        placed=look.placed,
        ids=len(look.ids) == look.rows > 0,
        titles=look.titles and look.rows > 0,
    )


@dataclass(slots=True)
class _Look:
    """What is gathered row by row for a `_Split`."""

    columns: Columns
    names: list[str] | None
    rows: int = 0
    labels: set[tuple[float, str]] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    hidden: bool = True
    placed: bool = True
    titles: bool = True

    def at(self, row: Mapping[str, Any]) -> None:
        """Take in a row, good or bad."""
        self.rows += 1
        self.titles = self.titles and isinstance(row.get("title"), str)
        if isinstance(row.get("id"), str):
            self.ids.add(row["id"])
        if self.columns.answers:
            answers = answers_of(row.get(self.columns.answers))
            self.hidden = self.hidden and answers == []
            self.placed = self.placed and all(start is not None for _, start in _pairs(answers))
            return
        value = row.get(self.columns.label or "")
        self.hidden = self.hidden and (value is None or value in (-1, "-1"))
        label = label_name(value, self.names)
        if label is not None and label.strip():
            self.labels.add((_place(whole(value)), label))


def _place(label: Any) -> float:
    """Where a label is among others: numbers, also written ones, in their order; text after its letters."""
    if isinstance(label, int):
        return label
    return float(label) if is_number(label) else 0


def _pairs(answers: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(answers, list):
        yield from (each for each in answers if isinstance(each, tuple))


def _check_columns(place: str, row: Mapping[str, Any], columns: Columns) -> None:
    for flag in ("text", "context", "label", "answers"):
        column = getattr(columns, flag)
        if column and column not in row:
            close = difflib.get_close_matches(column, row, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "name one of them"
            raise ConfigError(f"--{flag} must name a column of {place}, {brief(list(row))}, found {column!r}; {hint}")


def _roles(names: Sequence[str]) -> dict[str, str]:
    """Which split is gold validation data and which is the test; the same one where it is to be divided."""
    validation = next((name for name in names if name.lower() in VALIDATION_NAMES), None)
    test = next((name for name in names if name.lower() == "test"), None)
    train = next((name for name in names if name.lower() in ("train", "training")), None)
    if validation and test:
        return {"validation": validation, "test": test}
    one = validation or test
    if train and one:
        return {"validation": train, "test": one}
    single = train or one or names[0]
    return {"validation": single, "test": single}


def _features(config: TaskConfig, used: Sequence[_Split]) -> None:
    """Set the gold columns: all that a dataset declares, and of a file those asked for, its ids and titles.

    Columns that this product adds are left out: a row that is made of the data has its own.
    """
    asked = dict(config.gold_features())
    declared = used[0].features
    config.id = "id" if all(split.ids for split in used) and "id" not in asked else None
    titled = config.context is not None and all(split.titles for split in used) and "title" not in asked
    config.carried = ("title",) if titled else ()
    kept = {name: datasets.Value("string") for name in (config.id, *config.carried) if name} | asked
    if declared is not None:
        own = {name: feature for name, feature in declared.items() if name not in PROVENANCE}
        kept = {name: kept.get(name, feature) for name, feature in own.items() if name in kept or _plain(feature)}
    if list(kept) != list(asked):
        config.features = kept


def _plain(feature: Any) -> bool:
    """True for a feature that a recipe can spell out."""
    if isinstance(feature, dict):
        return all(_plain(each) for each in feature.values())
    if isinstance(feature, datasets.List):
        return _plain(feature.feature)
    return isinstance(feature, datasets.Value | datasets.ClassLabel)


def _check_labels(config: TaskConfig, used: Sequence[_Split]) -> None:
    rows = sum(split.rows for split in used)
    count, labels = len(config.labels), ", ".join(list(config.labels)[:5])
    if count < 2 or count > rows / 2:
        raise TaskError(
            f"--label must name a column with at least two labels, each in several rows, found {count} different "
            f"values in {rows} rows of {config.label!r} ({labels}); name another column"
        )
    for other, name in alike(config.labels):
        raise TaskError(f"labels {other!r} and {name!r} of column {config.label!r} read the same; make them one")


def _measured(config: TaskConfig, notes: list[str], *, placed: bool) -> Found:
    """Set what depends on the texts, and count the rows."""
    counts: dict[str, Mapping[str | None, int]] = {}
    texts: list[str] = []
    inputs: dict[str, list[str]] = {"validation": [], "test": []}
    for split in inputs:
        labels: Counter[str | None] = Counter()
        for row in gold_rows(config, split):
            labels[row[config.label] if config.label else None] += 1
            texts.append(row[config.text])
            inputs[split].append(row_text(row[config.text], row[config.context] if config.context else None))
        counts[split] = {name: labels[name] for name in (config.labels if config.label else (None,))}
    lacking = [name for name in config.labels if not counts["validation"][name]]
    if lacking:
        raise TaskError(
            f"every label must occur in the gold validation data, found none of {lacking[0]!r} in split "
            f"{config.splits['validation']!r}; give data in one split, to be divided"
        )
    notes += _notes(config, counts["test"], shared_rows(*inputs.values()), placed=placed)
    config.one_line = not any("\n" in text.strip() for text in texts)
    asked = sum(text.rstrip().endswith("?") for text in texts)
    config.question = bool(config.answers) and asked >= 0.9 * len(texts)
    return Found(config, counts, set_lengths(config, texts, [*chain(*inputs.values())]), tuple(notes))


def _notes(config: TaskConfig, test: Mapping[str | None, int], shared: int, *, placed: bool) -> Iterator[str]:
    yield from (f"label {name!r} is not in the test rows" for name in config.labels if not test[name])
    if shared:
        of = "rows" if config.context else "texts"
        yield (
            f"{shared:,} of {sum(test.values()):,} test {of} are validation {of} too: scores on them tell nothing of "
            "new ones; drop them from one of the splits"
        )
    if config.labels and all(map(is_number, config.labels)):
        yield "labels are numbers, which tell an LLM nothing: write what they mean in LABELS"
    if not placed:
        yield "answers without a start are taken to stand where their text stands first in the context"
