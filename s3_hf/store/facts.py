"""What the stages of a round record, typed: `round.json`, `training.json` and `metrics.json`, and all three together.

Gold rows have three roles, which name their scores and predictions: the student's errors on the `mined` rows are
extrapolated, the `selection` rows choose the epoch and decide on convergence, and the `test` rows are only scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from s3_hf.errors import RunDirError
from s3_hf.files import read_json
from s3_hf.records import Scores, Usage

MINED, SELECTION, TEST = "mined", "selection", "test"

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class SynthesisFacts:
    """How the rows of a round were made; the content of `round.json`.

    Attributes:
        round: number of the round.
        rows: rows that the round added.
        labels: label name to rows.
        origins: `s3_origin` to rows.
        rationales: label name to the rationales that the prompts draw from.
        prompts: hash in `s3_prompt` to prompt template.
        rejected: reason to the number of answers that a check rejected for it.
        checks_off: checks that were switched off or relaxed for the task, and the share of its gold rows that each
            rejects.
        given_up: slots that used up their attempts.
        usage: requests, tokens and cost of the answers, whichever start of the run paid for them.
        seconds: wall-clock time.
    """

    round: int
    rows: int
    labels: Mapping[str, int]
    origins: Mapping[str, int] = field(default_factory=dict)
    rationales: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    checks_off: Mapping[str, float] = field(default_factory=dict)
    given_up: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Input tokens of a training: `mean` of a row, and those `seen` in all epochs together."""

    mean: float
    seen: int


@dataclass(frozen=True, slots=True)
class SeedScore:
    """Scores of the student of one seed; `seed` is None for the average of the weights of all seeds."""

    seed: int | None
    selection: float
    test: float


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """How the student of a round was trained; the content of `model/training.json`.

    `epochs` has a mapping for each epoch: its number as `epoch`, `train_loss`, each metric on the selection rows and,
    with `training.watch`, on the training and test rows as `train_METRIC` and `test_METRIC`. `steps` is None where an
    earlier version of this package trained the student. With `training.seeds` above 1, `seeds` has the scores of each
    seed by the metric, and `kept` is the seed of this student, None for the average of all weights.
    """

    student: str
    rows: int
    metric: str
    best_epoch: int
    epochs: tuple[Mapping[str, int | float], ...]
    settings: Mapping[str, Any]
    max_length: int
    parameters: int
    tokens: Tokens
    seed: int
    precision: str
    processes: int
    seconds: float = field(compare=False)
    samples_per_second: float = field(compare=False)
    steps: int | None = None
    stride: int | None = None
    seeds: tuple[SeedScore, ...] = ()
    kept: int | None = None

    @property
    def test_spread(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the test scores over the seeds; None with one seed."""
        scores = [each.test for each in self.seeds if each.seed is not None]
        return (fmean(scores), stdev(scores)) if len(scores) > 1 else None


@dataclass(frozen=True, slots=True)
class ScoringFacts:
    """How the student of a round does on gold rows; the content of `metrics.json`.

    `scores` maps each role to its scores. Where the mined rows choose the epoch too, the file holds their scores once
    and both roles read them. `mistakes` counts the mined rows that the student predicts wrong.
    """

    scores: Mapping[str, Scores]
    mistakes: int


@dataclass(frozen=True, slots=True)
class RoundResult:
    """A finished round.

    Attributes:
        number: number of the round.
        rows: rows that the student was trained on: those of this round and of all earlier ones.
        added: rows that this round added.
        scores: role of gold rows to scores: `result.scores["test"].metrics["accuracy"]`. A round that an earlier
            version of this package scored with `holdout` has no scores on its `mined` rows.
        mistakes: mined rows that the student predicts wrong.
        holdout: True if the selection rows are others than the mined ones.
        synthesis: how the added rows were made: usage, rejected answers, slots given up, seconds.
        training: how the student was trained: best epoch, epochs, steps, parameters, seconds.
        model_dir: folder of the student, for `from_pretrained`.
    """

    number: int
    rows: int
    added: int
    scores: Mapping[str, Scores]
    mistakes: int
    holdout: bool
    synthesis: SynthesisFacts = field(repr=False)
    training: TrainingFacts = field(repr=False)
    model_dir: Path


def best_round(rounds: Sequence[RoundResult]) -> RoundResult:
    """Return the round with the best score on the selection rows, the earlier one of equals: the result of a run.

    The metric is the one that chose the epochs.
    """
    return max(rounds, key=lambda each: each.scores[SELECTION].metrics[each.training.metric])


def read_facts(path: Path, kind: type[Facts]) -> Facts:
    """Return the facts in a JSON file; keys that `kind` does not have are ignored.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    return parse_facts(read_json(path), path, kind)


def parse_facts(values: Any, path: Path, kind: type[Facts]) -> Facts:
    """Return the facts in the JSON value of the file at `path`.

    Raises:
        RunDirError: a value is missing or of another type.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise damaged(path, f"{where}: {fault['msg'].lower()}") from error


def damaged(path: Path, detail: str) -> RunDirError:
    """Return the error for a file of a run that does not hold what the run wrote."""
    detail = " ".join(detail.split())[:300]
    return RunDirError(f"{str(path)!r} cannot be read ({detail}); restore it, or delete it to redo the stage")
