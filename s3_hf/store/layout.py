"""Paths and contents of a run directory and of its rounds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.config import RunConfig
from s3_hf.files import read_json, read_rows, write_json
from s3_hf.records import Prediction
from s3_hf.store.earlier import current_scoring, roles_of
from s3_hf.store.facts import (
    MINED,
    SELECTION,
    TEST,
    RoundResult,
    ScoringFacts,
    SynthesisFacts,
    TrainingFacts,
    damaged,
    parse_facts,
    read_facts,
)
from s3_hf.store.final import FinalDir
from s3_hf.store.html import results_html
from s3_hf.store.judging import JudgingDir

if TYPE_CHECKING:
    from datasets import Dataset

JOURNAL = "journal.sqlite"
NO_WEIGHTS = (
    "a bench deletes those of a finished cell: set keep_models: true in its file, remove the cell's folder and run "
    "the bench again, which keeps the answers that were paid for"
)
"""Why a trained model may have no weights, and what to do."""

ONNX_FILES = ("onnx/model.onnx", "onnx/model_quantized.onnx")
"""A student in 32 and in 8 bits, by the names within its folder that transformers.js looks for."""


def has_onnx(model: Path) -> bool:
    """Return whether a student was exported into its model folder; see `ONNX_FILES`."""
    return all((model / name).is_file() for name in ONNX_FILES)


def has_weights(model: Path) -> bool:
    """Return whether a model folder exists and has its weights; see `NO_WEIGHTS`."""
    return any(model.glob("*.safetensors"))


class Stage(Enum):
    """A stage of a round; `JUDGE`, which trains the students that judge labels, is a part of `SYNTHESIZE`."""

    SYNTHESIZE = "synthesize"
    JUDGE = "judge labels"
    TRAIN = "train"
    SCORE = "score"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class RoundDir:
    """The files of one round. `data` holds the rows that this round added, not the union."""

    path: Path
    number: int

    @property
    def data(self) -> Path:
        """Parquet file of the rows that this round added."""
        return self.path / "data.parquet"

    @property
    def partial(self) -> Path:
        """Parquet file of the rows made before a stop; deleted when the round is complete."""
        return self.path / "partial.parquet"

    @property
    def helpful(self) -> Path:
        """Ids of earlier rounds' rows that this round's prompts may show, for each label (ProGen)."""
        return self.path / "helpful.json"

    @property
    def facts(self) -> Path:
        """JSON file of `SynthesisFacts`. Proof that `data` is complete."""
        return self.path / "round.json"

    @property
    def rejected(self) -> Path:
        """JSON file with the first answers that were rejected for each reason; they may hold gold text."""
        return self.path / "rejected.json"

    @property
    def empty(self) -> Path:
        """JSON file of `SynthesisFacts` of a round whose rows were all rejected. Proof that the run ends before it."""
        return self.path / "empty.json"

    @property
    def tuned(self) -> Path:
        """Training settings that the search in this round chose, which later rounds use too."""
        return self.path / "tuned.json"

    @property
    def model(self) -> Path:
        """Folder of the student trained on the union of rounds 0 to this one; renamed into place when complete."""
        return self.path / "model"

    @property
    def predictions(self) -> Path:
        """Parquet file with `role`, `id`, `label`, `value` and `scores` for each gold row that was predicted."""
        return self.path / "predictions.parquet"

    @property
    def metrics(self) -> Path:
        """JSON file of `ScoringFacts`. Proof that `predictions` is complete."""
        return self.path / "metrics.json"

    @property
    def published(self) -> Path:
        """Repository ids and commits of this round on the Hub."""
        return self.path / "published.json"

    def stage(self) -> Stage:
        """Return the first stage whose proof is missing."""
        if not self.facts.exists():
            return Stage.SYNTHESIZE
        if not self.model.exists():
            return Stage.TRAIN
        return Stage.DONE if self.metrics.exists() else Stage.SCORE

    def once(self, name: str, value: Any) -> Any:
        """Return the value first stored under this name in the round, so that a resumed run builds the same prompts.

        Args:
            name: stem of the JSON file that keeps the value.
            value: stored if there is no such file yet.
        """
        path = self.path / f"{name}.json"
        if not path.exists():
            write_json(path, value)
        return read_json(path)

    def rows(self) -> Dataset:
        """Return the rows that this round added, memory-mapped by `datasets`."""
        return read_rows(self.data)

    def synthesis(self) -> SynthesisFacts:
        """Return how the rows of this round were made.

        Raises:
            RunDirError: the file is missing or damaged.
        """
        made = read_facts(self.facts, SynthesisFacts)
        if made.round != self.number:
            raise damaged(self.facts, f"it is of round {made.round}")
        return made

    def training(self) -> TrainingFacts:
        """Return how the student of this round was trained.

        Raises:
            RunDirError: the file is missing or damaged.
        """
        return read_facts(self.model / "training.json", TrainingFacts)

    def mined_predictions(self) -> tuple[Prediction, ...]:
        """Return the student's predictions of the mined rows, in their order.

        Raises:
            RunDirError: the file is missing or damaged.
        """
        rows = read_rows(self.predictions)
        if missing := {"id", "value", "scores"} - {*rows.column_names}:
            raise damaged(self.predictions, f"it has no column {min(missing)!r}")
        mined = rows.select([place for place, role in enumerate(roles_of(rows)) if role == MINED])
        return tuple(Prediction(row["id"], row["value"], tuple(row["scores"])) for row in mined)


@dataclass(frozen=True, slots=True)
class RunDir:
    """An open run directory and the content of `run.yaml`."""

    path: Path
    config: RunConfig
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of its folder, also where the path is relative, such as `.`."""
        return self.path.resolve().name

    @property
    def located(self) -> RunConfig:
        """The settings, whose relative paths lead from the folder in which the run was created."""
        return self.config.located(Path(str(self.facts.get("folder", "."))))

    @property
    def journal(self) -> Path:
        """The durable record of completions; may be a link to one that several runs share."""
        return (self.path / JOURNAL).resolve()

    @property
    def judging(self) -> JudgingDir:
        """The folder of the students that judge labels; it need not exist yet."""
        return JudgingDir(self.path / "judging")

    def round(self, number: int) -> RoundDir:
        """Return the folder of round `number`; it need not exist yet."""
        return RoundDir(self.path / f"round-{number}", number)

    @property
    def final(self) -> FinalDir:
        """The folder of the final student and of the verdict; it need not exist."""
        return FinalDir(self.path / "final")

    def rounds(self) -> list[RoundDir]:
        """Return the rounds whose data is complete, in order."""
        complete: list[RoundDir] = []
        while (candidate := self.round(len(complete))).facts.exists():
            complete.append(candidate)
        return complete

    def union(self, last: int) -> Dataset:
        """Return D_seed and D_add(1) to D_add(`last`): the training rows of round `last` (Algorithm 2)."""
        from datasets import concatenate_datasets

        parts = [self.round(number).rows() for number in range(last + 1)]
        try:
            return concatenate_datasets(parts)
        except ValueError as error:
            raise damaged(
                self.round(last).data, f"its columns differ from those of earlier rounds: {error}"
            ) from error

    def result(self, number: int) -> RoundResult:
        """Return everything measured in a finished round.

        Raises:
            RunDirError: a file of the round is missing or damaged, or the round is not finished.
        """
        made = [self.round(each).synthesis() for each in range(number + 1)]
        folder, scored = self.round(number), self._scoring(number)
        return RoundResult(
            number=number,
            rows=sum(each.rows for each in made),
            added=made[-1].rows,
            scores=scored.scores,
            mistakes=scored.mistakes,
            holdout=bool(self.config.holdout),
            synthesis=made[-1],
            training=folder.training(),
            model_dir=folder.model,
        )

    def results(self) -> tuple[RoundResult, ...]:
        """Return everything measured in the finished rounds, in order."""
        return tuple(self.result(each.number) for each in self.rounds() if each.stage() is Stage.DONE)

    def _repr_html_(self) -> str:
        return results_html(str(self.path), self.results(), self.final.result(), self.final.outcome())

    def _scoring(self, number: int) -> ScoringFacts:
        path = self.round(number).metrics
        values = read_json(path)
        try:
            if "validation" in values:
                values = current_scoring(values, holdout=bool(self.config.holdout))
            scored = parse_facts(values, path, ScoringFacts)
            if not scored.scores[TEST].metrics:
                raise ValueError("it has no scores")
            if self.config.holdout:
                return scored
            return ScoringFacts(
                {MINED: scored.scores[MINED], SELECTION: scored.scores[MINED], **scored.scores}, scored.mistakes
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise damaged(path, repr(error)) from error


def names_of(runs: Sequence[RunDir], *taken: str) -> list[str]:
    """Return the names of the runs, with a number where `taken` or an earlier run has the same."""
    names: list[str] = []
    for place, run in enumerate(runs, 1):
        numbered = (f"{run.name}-{number}" for number in itertools.count(place))
        names.append(next(name for name in itertools.chain([run.name], numbered) if name not in (*taken, *names)))
    return names
