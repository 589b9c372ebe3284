"""A loaded task: its definition, and which of its gold rows are used for what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from s3_hf.errors import S3Error, TaskError
from s3_hf.records import Answer, Columns, Context
from s3_hf.rows.splitting import divided
from s3_hf.task.builder import TaskBuilder
from s3_hf.task.existing import given_contexts
from s3_hf.task.recipe import Prompts, TaskConfig
from s3_hf.texts import digest_of, digests, row_texts

PROVENANCE_FEATURES = {
    "s3_id": datasets.Value("string"),
    "s3_round": datasets.Value("int32"),
    "s3_origin": datasets.Value("string"),
    "s3_parent": datasets.Value("string"),
    "s3_rationales": datasets.List(datasets.Value("string")),
    "s3_model": datasets.Value("string"),
    "s3_prompt": datasets.Value("string"),
}


@dataclass(frozen=True, slots=True)
class GoldOptions:
    """Which gold rows are used for what.

    `size` and `test_size` are rows of seeded, stratified samples, None takes all; `splits` maps `validation` and
    `test` to the source's names for them; `holdout` is the share of the validation rows that chooses the epoch and
    that no errors are found on. With `exclude_test_contexts` a validation row whose context is in the test split is
    left out. Contexts of seed rows come from the dataset `contexts` in place of the gold rows, and with `phrases`
    the answers in them are phrases in place of gold answers.
    """

    splits: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    test_size: int | None = None
    holdout: float = 0.0
    exclude_test_contexts: bool = False
    contexts: str | None = None
    phrases: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Task:
    """A loaded task: its definition, and its gold data, prepared on first use."""

    name: str
    builder: TaskBuilder
    prompts: Prompts
    options: GoldOptions = field(default_factory=GoldOptions)

    @property
    def config(self) -> TaskConfig:
        """The recipe's definition."""
        return self.builder.config

    @property
    def columns(self) -> Columns:
        """Which gold column holds what."""
        return self.config.columns

    @property
    def label_names(self) -> tuple[str, ...]:
        """Gold label names; a label id is an index into them. Empty where answers are to be found."""
        return tuple(self.config.labels) if self.config.label else ()

    @property
    def label_words(self) -> tuple[str, ...]:
        """The words that prompts use, in the order of `label_names`."""
        return tuple(self.config.labels.values()) if self.config.label else ()

    @property
    def features(self) -> datasets.Features:
        """The gold columns, then the provenance columns."""
        return datasets.Features({**self.builder.info.features, **PROVENANCE_FEATURES})

    @property
    def gold(self) -> datasets.Dataset:
        """The gold validation rows that errors are found on, with their `s3_id`."""
        return self._parts[0]

    @property
    def selection(self) -> datasets.Dataset:
        """The gold validation rows that choose the epoch: the same, or with `holdout` others."""
        return self._parts[1]

    @cached_property
    def test(self) -> datasets.Dataset:
        """The test rows with their `s3_id`, which are only scored on."""
        return self._sample(self.all_test, self.options.test_size)

    @cached_property
    def all_test(self) -> datasets.Dataset:
        """The whole test split, of which `test` may be a sample; kept out of the synthetic data."""
        return self._split("test", "test")

    @cached_property
    def all_validation(self) -> datasets.Dataset:
        """The whole gold validation split, of which `gold` may be a part."""
        return self._split("validation", "val")

    @cached_property
    def contexts(self) -> tuple[Context, ...]:
        """What seed rows are written about: each context once, or with gold answers each context and answer once.

        Raises:
            TaskError: a dataset of contexts cannot be read, or no phrase is found in any context.
        """
        column, answers = self.config.context, self.config.answers
        if column is None:
            return ()
        bare = self.options.phrases or answers is None
        if self.options.contexts:
            found = list(given_contexts(self.config, self.options.contexts))
            if not found:
                raise TaskError(
                    f"contexts {self.options.contexts!r} must have a row with text in the column {column!r}, found "
                    "none; give others"
                )
        else:
            found = [context for row in self.gold if (context := self.context_of(row)) is not None]
        unique = {(each.text, None if bare else each.answer): each for each in reversed(found)}
        kept = tuple(reversed(unique.values()))
        if not answers or not (self.options.phrases or self.options.contexts):
            return kept
        from s3_hf.task.phrases import with_phrases

        return with_phrases(kept, self.name)

    @cached_property
    def shared_contexts(self) -> int:
        """How many distinct contexts of the gold validation rows are in the test split too."""
        column = self.config.context
        if column is None:
            return 0
        return len(digests(self._validation[column][:]) & digests(self.test[column][:]))

    def context_of(self, row: Mapping[str, Any]) -> Context | None:
        """What a gold row is about; None in a task of single texts."""
        config = self.config
        if config.context is None:
            return None
        answer = None
        if config.answers:
            answers = row[config.answers]
            answer = Answer(answers["text"][0], answers["answer_start"][0])
        carried = {name: row[name] for name in config.carried}
        return Context(row[config.context], row["s3_id"], answer, carried)

    def columns_of(self, id: str, text: str, label: int | None, context: Context | None) -> dict[str, Any]:  # noqa: A002
        """All gold columns of a synthetic row; those that only a gold row can have are None."""
        config = self.config
        values: dict[str, Any] = dict.fromkeys(self.builder.info.features)
        values[config.text] = text
        if config.id:
            values[config.id] = id
        if config.label:
            values[config.label] = label
        if context is not None and config.context:
            values |= {config.context: context.text, **context.carried}
            if config.answers and context.answer is not None:
                values[config.answers] = {"text": [context.answer.text], "answer_start": [context.answer.start]}
        return values

    def facts(self) -> dict[str, Any]:
        """What cards and `tasks show` say of the task, as plain JSON values."""
        config, info = self.config, self.builder.info
        held_out = len(self.selection) if self.options.holdout else 0
        return {
            "name": self.name,
            "pretty_name": config.pretty_name or self.name,
            "description": info.description,
            "source": config.source,
            "splits": {"validation": len(self.gold), "test": len(self.test)},
            "held_out": held_out,
            "shared_contexts": self.shared_contexts,
            "columns": asdict(self.columns),
            "metrics": list(self.columns.metrics),
            "labels": dict(config.labels),
            "prompts": asdict(self.prompts),
            "license": config.license,
            "language": config.language,
            "homepage": config.homepage,
            "citation": config.citation,
            "task_category": "question-answering" if config.answers else "text-classification",
            "task_ids": list(config.task_ids),
        }

    def row_digests(self, rows: datasets.Dataset) -> frozenset[int]:
        """Digests of what makes each row the same as another one (`texts.row_text`)."""
        return digests(row_texts(rows, self.config.text, self.config.context))

    def content_digests(self) -> dict[str, str]:
        """Digests of what a run is made of besides its settings: the gold rows that it uses, labels, and prompts."""
        config = self.config
        known = (config.context, config.text, config.label, config.answers)
        names = ["s3_id", *(name for name in known if name), *config.carried]
        parts = [self.gold, self.test, *([self.selection] if self.options.holdout else [])]
        return {
            "gold data": _digest(rows[name][:] for rows in parts for name in names),
            "labels": _digest(config.labels.items()),
            "prompts": _digest(item for item in asdict(self.prompts).items() if item[1]),
        }

    @cached_property
    def _validation(self) -> datasets.Dataset:
        return self._sample(self.all_validation, self.options.size)

    @cached_property
    def _parts(self) -> tuple[datasets.Dataset, datasets.Dataset]:
        """The gold validation rows: those for errors, and those for choosing the epoch."""
        rows, options, config = self._validation, self.options, self.config
        if options.exclude_test_contexts and config.context:
            forbidden = digests(self.test[config.context][:])
            kept = [place for place, text in enumerate(rows[config.context][:]) if digest_of(text) not in forbidden]
            rows = rows.select(kept)
        if options.holdout:
            rows, selection = divided(
                rows, options.holdout, label=config.label, group=config.context, text=config.text, seed=options.seed
            )
            self._check(selection)
        self._check(rows)
        return rows, selection if options.holdout else rows

    def _check(self, rows: datasets.Dataset) -> None:
        if not len(rows):
            raise TaskError(
                f"gold validation data of task {self.name!r} must have rows, found none left; use more gold rows, or "
                "change holdout and exclude_test_contexts"
            )
        found = set(rows[self.config.label][:]) if self.config.label else set()
        for number, name in enumerate(self.label_names):
            if number not in found:
                raise TaskError(
                    f"every label of task {self.name!r} must occur in its gold validation data, found none of "
                    f"{name!r} in {len(rows)} rows; use more gold rows, or drop the label from the recipe"
                )

    def _split(self, split: str, prefix: str) -> datasets.Dataset:
        rows = _prepared(self.builder).as_dataset(split=split)
        if not len(rows):
            raise TaskError(
                f"gold split {split!r} of task {self.name!r} must have rows, found none in "
                f"{self.config.source or self.name!r}; give data with that split by --gold"
            )
        return rows.add_column("s3_id", [f"{prefix}-{number:05d}" for number in range(len(rows))])

    def _sample(self, rows: datasets.Dataset, size: int | None) -> datasets.Dataset:
        if size is None or size >= len(rows):
            return rows
        if size < len(self.label_names):
            raise TaskError(f"a sample of gold rows needs a row for each of {self.label_names}, found size {size}")
        try:
            sample = rows.train_test_split(
                train_size=size, stratify_by_column=self.config.label, seed=self.options.seed
            )
        except ValueError as error:
            raise TaskError(
                f"a sample of {size} of {len(rows)} gold rows must hold each label in proportion, found that it "
                f"cannot ({error}); give none, or a size that leaves a row of each label, or drop labels of one row"
            ) from error
        kept = sample["train"]
        return kept.select(sorted(range(len(kept)), key=kept["s3_id"][:].__getitem__))


def _digest(values: Iterable[Any]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for value in values:
        found.update(json.dumps(value, default=str).encode())
    return found.hexdigest()


def _prepared(builder: TaskBuilder) -> TaskBuilder:
    source = builder.config.source or builder.config.name
    try:
        builder.download_and_prepare()
    except (DatasetGenerationError, DatasetNotFoundError, OSError, ValueError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, S3Error):
            raise cause from error
        detail = " ".join(str(cause).split())[:300]
        raise TaskError(
            f"gold data {source!r} cannot be read ({type(cause).__name__}: {detail}); check the name and "
            "HF_ENDPOINT, or name a Hub id or folder by --gold"
        ) from error
    return builder
