"""Infer the definition of a task from its data: splits, labels, columns, and limits for the length of texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import datasets

from s3_hf.authoring.asked import NewTask
from s3_hf.authoring.lengths import measure_lengths
from s3_hf.authoring.naming import read_words
from s3_hf.authoring.notes import notes_on
from s3_hf.authoring.scanning import Scan, scan_split
from s3_hf.errors import ConfigError, TaskError, did_you_mean
from s3_hf.records import OWN_COLUMNS
from s3_hf.rows.reading import shorten
from s3_hf.rows.several import is_several
from s3_hf.rows.sources import divide_source, split_names
from s3_hf.rows.splitting import count_shared
from s3_hf.task import checking
from s3_hf.task.labels import is_number, several_labels
from s3_hf.task.languages import recognise
from s3_hf.task.recipe import TaskConfig, is_divided, same_words, split_faults
from s3_hf.texts import row_text

_INDEX = re.compile(r"(__index_level_\d+__|Unnamed: \d+|)")
"""Names that pandas gives to a column of row numbers."""

SHORT = {"neg": "negative", "neu": "neutral", "pos": "positive"}
"""Usual short names of labels, which a small LLM does not know as words."""
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


def infer_task(task: NewTask) -> InferredTask:
    """Return the task that the columns of the data define, after a check of every row in the splits it uses.

    Validation and test splits are used if the data has both. If it has train and one of them, train is the gold
    validation data, as in the paper. Otherwise one split is divided, and `test_share` of it becomes the test.

    Raises:
        ConfigError: a column or split does not exist, `test_share` is set for data with two splits, or the file of
            label names does not fit.
        TaskError: the data cannot be read, has a fault, or does not define a task.
    """
    columns, test_share = task.columns, task.test_share
    source, own = divide_source(task.data)
    source_config = own or task.config
    if source_config and (Path(source).is_file() or is_several(source)):
        raise ConfigError(
            f"--config must name a configuration of a Hub dataset or a folder, found {source_config!r} for files; "
            "leave it out"
        )
    splits = [
        scan_split(source, source_config, split, columns)
        for split in split_names(source, source_config, kind=checking.GOLD)
    ]
    usable = {split.name: split for split in splits if split.rows and not split.hidden}
    if not usable:
        raise TaskError(f"gold data {source!r} must have rows with labels or answers, found none; give such data")
    roles = _given_roles(task.splits, usable, source) if task.splits else _roles(list(usable))
    if test_share is not None and not is_divided(roles):
        raise ConfigError(
            f"--test-share needs gold data with one split to divide, found {roles['validation']!r} and "
            f"{roles['test']!r} in {source!r}; leave it out"
        )
    taken = dict.fromkeys(split for role in roles.values() for split in role.split("+"))
    used = [usable[split] for split in taken]
    labels = [label for _, label in sorted(set().union(*(split.labels for split in used)))]
    words = read_words(task.label_names, labels) if task.label_names else {}
    definition = TaskConfig(
        name=task.name,
        source=source,
        source_config=source_config,
        splits=roles,
        text=columns.text,
        label=columns.label,
        context=columns.context,
        answers=columns.answers,
        test_share=TaskConfig.test_share if test_share is None else test_share,
        labels={label: words.get(label) or readable_label(label) for label in labels},
    )
    config = _with_all_columns(definition, used)
    for split in used:  # the fault of a single row is reported before a fault of the whole data
        for _ in checking.read_split(config, split.name):
            pass
    if columns.label:
        _check_labels(config, used)
    hidden = "labels" if columns.label else "answers"
    notes = [f"split {split.name!r} is not used: its {hidden} are hidden" for split in splits if split.hidden]
    notes += [f"split {split!r} is not used" for split in usable if split not in taken]
    notes += [
        f"{split.unanswered:,} of {split.rows:,} rows of split {split.name!r} have no answer: they are left out"
        for split in used
        if split.unanswered
    ]
    if config.labels and all(map(is_number, config.labels.values())) and (naming := _naming_column(config, used)):
        notes += [f"column {naming!r} names the labels: --label {naming} takes its words"]
    return _measured(config, notes, placed=all(split.placed for split in used))


def readable_label(name: str) -> str:
    """Return the word for a label in prompts: "not entailment" for `not_entailment`, and "negative" for `neg`."""
    words = " ".join(name.replace("_", " ").split()) or name
    return SHORT.get(words.lower(), words)


def _given_roles(splits: Mapping[str, str], usable: Mapping[str, Scan], source: str) -> dict[str, str]:
    for role, names in splits.items():
        for name in names.split("+"):
            if name not in usable:
                hint = did_you_mean(name, usable, "name some of them")
                raise ConfigError(
                    f"--{role} must name splits of {source!r} with labels or answers, {', '.join(usable)}, joined by "
                    f"'+', found {name!r}; {hint}"
                )
    if fault := next(split_faults(splits), None):
        raise ConfigError(f"--validation and --test cannot be used together: {fault}")
    return {"validation": splits["validation"], "test": splits["test"]}


def _naming_column(config: TaskConfig, used: Sequence[Scan]) -> str | None:
    """Return the column that has a text of its own for each label, None if there is none."""
    for name in used[0].named:
        texts = {label: text for split in used for label, text in split.named.get(name, {}).items()}
        whole = all(name in split.named for split in used) and texts.keys() == config.labels.keys()
        if whole and len(set(texts.values())) == len(texts) and not any(map(is_number, texts.values())):
            return name
    return None


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


def _with_all_columns(config: TaskConfig, used: Sequence[Scan]) -> TaskConfig:
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
        outer = {name.split(".")[0] for name in features if name not in declared}
        own = {name: feature for name, feature in declared.items() if name not in OWN_COLUMNS}
        features = {
            name: features.get(name, feature)
            for name, feature in own.items()
            if name in features or (_plain(feature) and not _INDEX.fullmatch(name) and name not in outer)
        } | {name: feature for name, feature in features.items() if name not in own}
    more = list(features) != list(required)
    return replace(config, id=id_column, carried=carried, features=features if more else None)


def _plain(feature: Any) -> bool:
    """Return whether a recipe can express the feature."""
    if isinstance(feature, dict):
        return all(_plain(each) for each in feature.values())
    if isinstance(feature, datasets.List):
        return _plain(feature.feature)
    return isinstance(feature, datasets.Value | datasets.ClassLabel)


def _check_labels(config: TaskConfig, used: Sequence[Scan]) -> None:
    rows = sum(split.rows for split in used)
    count, labels = len(config.labels), ", ".join(list(config.labels)[:5])
    if several := several_labels(config.labels):
        raise TaskError(
            f"--label must name a column with one label in each row, found {len(several)} of {count} values that look "
            f"like several, such as {shorten(several[0])}, in {config.label!r}; keep one in each row, make a task of "
            "each label (yes or no), or rename a value that is one label"
        )
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
    notes = (*notes, *notes_on(measured, counts, shared, placed=placed))
    return InferredTask(measured, counts, lengths.typical, notes)
