"""A loaded task, and the three roles of its gold rows.

- `mined` rows: the student's mistakes are searched on them and extrapolated (D_gold^(val) of the paper, section 2.3).
- `selection` rows: their scores choose the student's epoch. They are the mined rows, or with `holdout` other rows.
- `test` rows: they are only scored (D_gold^(test)), and no text of their split may occur in the synthetic data.

Mined and selection rows are both parts of the split named `validation`, as in the paper, whose experiments take the
training split of a dataset for it (section 3.2.2).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import datasets

from s3_hf.errors import TaskError
from s3_hf.records import Answer, Columns, Context
from s3_hf.rows.splitting import divide, text_key
from s3_hf.task.builder import TaskBuilder, prepared
from s3_hf.task.existing import existing_contexts
from s3_hf.task.recipe import PROVENANCE_FEATURES, Prompts, TaskConfig
from s3_hf.texts import digest_of, digests, row_texts


@dataclass(frozen=True, slots=True)
class GoldOptions:
    """How gold rows are sampled and divided into roles, and what seed rows are written about.

    Attributes:
        splits: the source's split names for `validation` and `test`, where they differ from the recipe's.
        size: number of validation rows in a seeded, stratified sample; None takes all.
        test_size: the same for test rows.
        holdout: share of the validation rows that are selection rows only; 0 uses all rows in both roles.
        exclude_test_contexts: leave out validation rows and `contexts` whose context is among the test rows.
        contexts: dataset whose contexts seed rows are written about, in place of those of the mined rows.
        phrases: ask for key phrases of the contexts in place of their gold answers.
        seed: seed of samples and of the division.
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
    """A task with its gold data, which is read on first use.

    Attributes:
        name: the registered name, or the stem of the recipe file.
        builder: the `datasets` builder of the gold data.
        prompts: the prompts in use, the recipe's own or other ones.
        gold_options: how gold rows are sampled and divided.
    """

    name: str
    builder: TaskBuilder
    prompts: Prompts
    gold_options: GoldOptions = field(default_factory=GoldOptions)

    @property
    def config(self) -> TaskConfig:
        """The definition of the task in its recipe."""
        return self.builder.config

    @property
    def columns(self) -> Columns:
        """The gold columns of the text, label, context and answers."""
        return self.config.columns

    @property
    def label_names(self) -> tuple[str, ...]:
        """Gold label names; a label id is an index into them. Empty if the task is to find answers."""
        return tuple(self.config.labels) if self.config.label else ()

    @property
    def label_words(self) -> tuple[str, ...]:
        """The words that prompts use for the labels, in the order of `label_names`."""
        return tuple(self.config.labels.values()) if self.config.label else ()

    @property
    def features(self) -> datasets.Features:
        """The features of a synthetic row: the gold columns, then the provenance columns."""
        return datasets.Features({**self.builder.info.features, **PROVENANCE_FEATURES})

    @property
    def mined(self) -> datasets.Dataset:
        """The validation rows on which mistakes are found, with their `s3_id`."""
        return self._parts[0]

    @property
    def selection(self) -> datasets.Dataset:
        """The validation rows that choose the epoch, with their `s3_id`; equal to `mined` without `holdout`."""
        return self._parts[1]

    @cached_property
    def label_counts(self) -> tuple[int, ...]:
        """The number of mined rows of each label; empty if the task is to find answers."""
        counts = Counter(self.mined[self.config.label][:] if self.config.label else ())
        return tuple(counts[label] for label in range(len(self.label_names)))

    @cached_property
    def test(self) -> datasets.Dataset:
        """The test rows, which are only scored, with their `s3_id`."""
        return self._sample(self.test_split, self.gold_options.test_size)

    @cached_property
    def test_split(self) -> datasets.Dataset:
        """The whole test split, of which `test` may be a sample; its texts are kept out of the synthetic data."""
        return self._split("test", "test")

    @cached_property
    def validation_split(self) -> datasets.Dataset:
        """The whole validation split, of which `mined` and `selection` are parts."""
        return self._split("validation", "val")

    @cached_property
    def contexts(self) -> tuple[Context, ...]:
        """The distinct contexts that seed rows are written about; with gold answers, the distinct pairs with them.

        Raises:
            TaskError: the dataset of contexts cannot be read or has none, or no context holds a key phrase.
        """
        column, answers, options = self.config.context, self.config.answers, self.gold_options
        if column is None:
            return ()
        bare = options.phrases or answers is None
        if options.contexts:
            gold = (pair for rows in self._parts for pair in zip(rows[column][:], rows["s3_id"][:], strict=True))
            parents = {text_key(text): name for text, name in gold}
            found = existing_contexts(self.config, options.contexts, parents, self._excluded)
        else:
            found = [context for row in self.mined if (context := self.context_of(row)) is not None]
        unique = {(each.text, None if bare else each.answer): each for each in reversed(found)}
        kept = tuple(reversed(unique.values()))
        if not answers or not (options.phrases or options.contexts):
            return kept
        from s3_hf.task.phrases import with_phrases

        return with_phrases(kept, self.name)

    @cached_property
    def shared_contexts(self) -> int:
        """The number of distinct contexts of the validation rows that are also in the test split."""
        if (column := self.config.context) is None:
            return 0
        return len(digests(self._validation[column][:]) & digests(self.test_split[column][:]))

    def context_of(self, row: Mapping[str, Any]) -> Context | None:
        """Return the context of a gold row with its answer; None in a task of single texts."""
        config = self.config
        if config.context is None:
            return None
        answers = row[config.answers] if config.answers else None
        answer = Answer(answers["text"][0], answers["answer_start"][0]) if answers else None
        carried = {name: row[name] for name in config.carried}
        return Context(row[config.context], row["s3_id"], answer, carried)

    def example_columns(self, id: str, text: str, label: int | None, context: Context | None) -> dict[str, Any]:  # noqa: A002
        """Return all gold columns of a synthetic row; a column that only gold rows have is None."""
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
        """Return what cards and `tasks show` state about the task, as JSON values."""
        config, info = self.config, self.builder.info
        return {
            "name": self.name,
            "pretty_name": config.pretty_name or self.name,
            "description": info.description,
            "source": config.source,
            "splits": {"validation": len(self.mined), "test": len(self.test)},
            "held_out": len(self.selection) if self.gold_options.holdout else 0,
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
        """Return a digest of each row by which equal rows are recognised (`texts.row_text`)."""
        return digests(row_texts(rows, self.config.text, self.config.context))

    def content_digests(self) -> dict[str, str]:
        """Return digests of the gold rows in use, the labels and the prompts: a run is resumed only with the same.

        That of the whole validation split tells whether an id of a gold row means the same row in two runs.
        """
        config = self.config
        known = ("s3_id", config.context, config.text, config.label, config.answers, *config.carried)
        names = [name for name in known if name]
        parts = [self.mined, self.test, *([self.selection] if self.gold_options.holdout else [])]
        whole = self.validation_split.select_columns(names).iter(batch_size=10_000)
        return {
            "gold data": _digest(rows[name][:] for rows in parts for name in names),
            "validation split": _digest(batch[name] for batch in whole for name in names),
            "labels": _digest(config.labels.items()),
            "prompts": _digest(item for item in asdict(self.prompts).items() if item[1]),
        }

    @cached_property
    def _validation(self) -> datasets.Dataset:
        return self._sample(self.validation_split, self.gold_options.size)

    @cached_property
    def _excluded(self) -> frozenset[int]:
        """The digests of the contexts that are left out, since test rows are about them."""
        column, wanted = self.config.context, self.gold_options.exclude_test_contexts
        return digests(self.test_split[column][:]) if column and wanted else frozenset()

    @cached_property
    def _parts(self) -> tuple[datasets.Dataset, datasets.Dataset]:
        """The mined rows and the selection rows."""
        rows, options, config = self._validation, self.gold_options, self.config
        if self._excluded:
            contexts = enumerate(rows[config.context][:])
            rows = rows.select([place for place, text in contexts if digest_of(text) not in self._excluded])
        if options.holdout:
            rows, selection = divide(
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
        rows = prepared(self.builder).as_dataset(split=split)
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
                train_size=size, stratify_by_column=self.config.label, seed=self.gold_options.seed
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
