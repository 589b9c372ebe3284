"""Infer the definition of a task from its data: splits, labels, columns, and limits for the length of texts."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import datasets

from s3_hf.authoring.lengths import measure_lengths
from s3_hf.authoring.notes import notes_on
from s3_hf.errors import ConfigError, TaskError, did_you_mean
from s3_hf.records import OWN_COLUMNS, Columns
from s3_hf.rows.reading import shorten
from s3_hf.rows.sources import divide_source, open_split, split_names
from s3_hf.rows.splitting import count_shared
from s3_hf.task import checking
from s3_hf.task.languages import recognise
from s3_hf.task.recipe import TaskConfig, same_words
from s3_hf.texts import row_text

_INDEX = re.compile(r"(__index_level_\d+__|Unnamed: \d+|)")
"""Names that pandas gives to a column of row numbers."""

VALIDATION_NAMES = ("validation", "valid", "val", "dev", "development")


@dataclass(frozen=True, slots=True)
class InferredTask:
    """The definition of a task inferred from its data, without prompts.

    Attributes:
        config: the definition.
        counts: for validation and test, the number of rows of each label (for answers: of None).
        typical_length: median length of a text, such as "12 words".
        notes: sentences on the data that the user should read.
    """

    config: TaskConfig
    counts: Mapping[str, Mapping[str | None, int]]
    typical_length: str
    notes: tuple[str, ...]


def infer_task(
    name: str, source: str, source_config: str | None, columns: Columns, test_share: float | None = None
) -> InferredTask:
    """Return the task that `columns` of the data define, after a check of every row in the splits it uses.

    Validation and test splits are used if the data has both. If it has train and one of them, train is the gold
    validation data, as in the paper. Otherwise one split is divided, and `test_share` of it becomes the test.

    Raises:
        ConfigError: a column does not exist, or `test_share` is set for data with two splits.
        TaskError: the data cannot be read, has a fault, or does not define a task.
    """
    source, own = divide_source(source)
    source_config = own or source_config
    splits = [
        _scan(source, source_config, split, columns)
        for split in split_names(source, source_config, kind=checking.GOLD)
    ]
    usable = {split.name: split for split in splits if split.rows and not split.hidden}
    if not usable:
        raise TaskError(f"gold data {source!r} must have rows with labels or answers, found none; give such data")
    roles = _roles(list(usable))
    if test_share is not None and roles["validation"] != roles["test"]:
        raise ConfigError(
            f"--test-share needs gold data with one split to divide, found {roles['validation']!r} and "
            f"{roles['test']!r} in {source!r}; leave it out"
        )
    used = [usable[split] for split in dict.fromkeys(roles.values())]
    labels = sorted(set().union(*(split.labels for split in used)))
    definition = TaskConfig(
        name=name,
        source=source,
        source_config=source_config,
        splits=roles,
        text=columns.text,
        label=columns.label,
        context=columns.context,
        answers=columns.answers,
        test_share=TaskConfig.test_share if test_share is None else test_share,
        labels={label: readable_label(label) for _, label in labels},
    )
    config = _with_all_columns(definition, used)
    for split in used:  # the fault of a single row is reported before a fault of the whole data
        for _ in checking.read_split(config, split.name):
            pass
    if columns.label:
        _check_labels(config, used)
    hidden = "labels" if columns.label else "answers"
    notes = [f"split {split.name!r} is not used: its {hidden} are hidden" for split in splits if split.hidden]
    notes += [f"split {split!r} is not used" for split in usable if split not in roles.values()]
    notes += [
        f"{split.unanswered:,} of {split.rows:,} rows of split {split.name!r} have no answer: they are left out"
        for split in used
        if split.unanswered
    ]
    return _measured(config, notes, placed=all(split.placed for split in used))


def readable_label(name: str) -> str:
    """Return the word for a label in prompts: "not entailment" for `not_entailment`."""
    return " ".join(name.replace("_", " ").split()) or name


@dataclass(slots=True)
class _Scan:
    """The facts that a first pass gathers about a split, whose rows may have faults.

    Attributes:
        names: label names that the data declares.
        labels: sort key and name of each label.
        ids: distinct texts in a column `id`.
        hidden: whether all labels or answers are hidden.
        unanswered: number of rows with an empty list of answers.
        placed: whether each answer has a start.
        titled: whether each row has a text in a column `title`.
    """

    name: str
    columns: Columns
    features: datasets.Features | None
    names: list[str] | None
    rows: int = 0
    labels: set[tuple[float, str]] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    hidden: bool = True
    unanswered: int = 0
    placed: bool = True
    titled: bool = True

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row into account."""
        self.rows += 1
        self.titled = self.titled and isinstance(row.get("title"), str)
        if isinstance(row.get("id"), str):
            self.ids.add(row["id"])
        if self.columns.answers:
            answers = checking.answer_pairs(row.get(self.columns.answers))
            self.hidden = self.hidden and answers == []
            self.unanswered += answers == []
            self.placed = self.placed and all(start is not None for _, start in answers or ())
            return
        value = row.get(self.columns.label or "")
        self.hidden = self.hidden and (value is None or value in (-1, "-1"))
        label = checking.label_name(value, self.names)
        if label is not None and label.strip():
            self.labels.add((_sort_key(checking.as_integer(value)), label))


def _scan(source: str, config: str | None, split: str, columns: Columns) -> _Scan:
    opened = open_split(source, config, split, kind=checking.GOLD)
    scan = _Scan(split, columns, opened.features, checking.class_names(opened, columns.label))
    with contextlib.closing(opened.rows):
        for place, row in opened.rows:
            if not scan.rows:
                _check_columns(place, row, columns)
            scan.add(row)
    scan.hidden = scan.hidden and scan.rows > 0
    return scan


def _sort_key(label: Any) -> float:
    """Return the sort key of a label: the number of a numeric one, 0 for text, which its name then orders."""
    if isinstance(label, int):
        return label
    return float(label) if checking.is_number(label) else 0


def _check_columns(place: str, row: Mapping[str, Any], columns: Columns) -> None:
    for flag in ("text", "context", "label", "answers"):
        column = getattr(columns, flag)
        if column and column not in row:
            hint = did_you_mean(column, row, "name one of them")
            if isinstance(row.get(outer := column.split(".")[0]), dict):
                hint = f"what is inside {outer!r} cannot be named: write it as a column"
            raise ConfigError(
                f"--{flag} must name a column of {place}, {shorten(list(row))}, found {column!r}; {hint}"
            )


def _roles(names: Sequence[str]) -> dict[str, str]:
    """Return the split names for validation and test; the same name means that the split is divided."""
    validation = next((name for name in names if name.lower() in VALIDATION_NAMES), None)
    test = next((name for name in names if name.lower() == "test"), None)
    train = next((name for name in names if name.lower() in ("train", "training")), None)
    if validation and test:
        return {"validation": validation, "test": test}
    other = validation or test
    if train and other:
        return {"validation": train, "test": other}
    single = train or other or names[0]
    return {"validation": single, "test": single}


def _with_all_columns(config: TaskConfig, used: Sequence[_Scan]) -> TaskConfig:
    """Return the definition with all columns that a dataset declares; for a file, with its ids and titles.

    Columns that this product adds are left out, since a synthetic row has its own, and so are the row numbers of
    pandas.
    """
    required = dict(config.gold_features())
    has_ids = all(len(split.ids) == split.rows for split in used) and "id" not in required
    titled = config.context is not None and all(split.titled for split in used) and "title" not in required
    id_column, carried = "id" if has_ids else None, ("title",) if titled else ()
    features = {name: datasets.Value("string") for name in (id_column, *carried) if name} | required
    declared = used[0].features
    if declared is not None:
        own = {name: feature for name, feature in declared.items() if name not in OWN_COLUMNS}
        features = {
            name: features.get(name, feature)
            for name, feature in own.items()
            if name in features or (_plain(feature) and not _INDEX.fullmatch(name))
        }
    more = list(features) != list(required)
    return replace(config, id=id_column, carried=carried, features=features if more else None)


def _plain(feature: Any) -> bool:
    """Return whether a recipe can express the feature."""
    if isinstance(feature, dict):
        return all(_plain(each) for each in feature.values())
    if isinstance(feature, datasets.List):
        return _plain(feature.feature)
    return isinstance(feature, datasets.Value | datasets.ClassLabel)


def _check_labels(config: TaskConfig, used: Sequence[_Scan]) -> None:
    rows = sum(split.rows for split in used)
    count, labels = len(config.labels), ", ".join(list(config.labels)[:5])
    if count < 2 or count > rows / 2:
        raise TaskError(
            f"--label must name a column with at least two labels, each in several rows, found {count} different "
            f"values in {rows} rows of {config.label!r} ({labels}); name another column"
        )
    for other, name in same_words(config.labels):
        raise TaskError(f"labels {other!r} and {name!r} of column {config.label!r} read the same; make them one")


def _measured(config: TaskConfig, notes: Sequence[str], *, placed: bool) -> InferredTask:
    """Return the task with the row counts, and with the settings that depend on the texts."""
    counts: dict[str, Mapping[str | None, int]] = {}
    texts: list[str] = []
    inputs: dict[str, list[str]] = {"validation": [], "test": []}
    for split in inputs:
        labels: Counter[str | None] = Counter()
        for row in checking.read_gold(config, split):
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
    shared = count_shared(*inputs.values())
    lengths = measure_lengths(texts, [*chain(*inputs.values())], windows=bool(config.answers))
    questions = sum(text.rstrip().endswith("?") for text in texts)
    measured = replace(
        config,
        one_line=not any("\n" in text.strip() for text in texts),
        question=bool(config.answers) and questions >= 0.9 * len(texts),
        max_tokens=lengths.max_tokens,
        min_words=lengths.min_words,
        max_length=lengths.max_length,
        language=recognise(texts),
        stride=lengths.max_length // 4,
    )
    notes = (*notes, *notes_on(measured, counts["test"], shared, placed=placed))
    return InferredTask(measured, counts, lengths.typical, notes)
