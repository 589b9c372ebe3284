"""What is in `final/`: the student that the gold stage chose, how it was chosen, and the verdict.

final/  choosing/round-2/fold-0/ARM.parquet … choice.json | model/ | predictions.parquet metrics.json
gold/ …  verdict.json | published.json
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from s3_hf.records import Scores
from s3_hf.store.facts import TrainingFacts, read_facts

GOLD, SYNTHETIC, AFTER, MIXED = "gold", "synthetic", "after", "mixed"
ARMS = (GOLD, SYNTHETIC, AFTER, MIXED)
"""Ways to train the final student, the simpler first: gold rows alone, the best round's student as it is, that student
trained further on the gold rows, and a new student of all rows together."""
CROSS_FITTED = "cross-fitted"
"""Role of the gold rows in the final scores: each row is predicted by a student that did not learn it."""


@dataclass(frozen=True, slots=True)
class ChoiceFacts:
    """Which way of training the final student was taken, and why; the content of `choice.json`.

    Attributes:
        arm: one of `ARMS`.
        round: the round with the best score on the selection rows.
        by: `setting`, or `cross-fitting` where `scores` decided.
        metric: metric of the scores.
        scores: for each arm, its score on each fold of the gold rows.
        errors: for each arm but the one with the highest mean, the standard error of its difference to that one.
        n: gold rows in all folds.
    """

    arm: str
    round: int
    by: str
    metric: str
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    n: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The temperature that the logits were divided by, fitted on `rows` gold rows that the student did not learn.

    `before` and `after` are the expected calibration errors on the test rows, from 0 to 1, in 15 bins of equal mass.
    """

    temperature: float
    rows: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class FinalFacts:
    """What the final student learned and how it does; the content of `final/metrics.json`.

    Attributes:
        rows: synthetic rows that it learned, in all its trainings.
        gold_rows: gold rows that it learned.
        steps: optimisation steps of all its trainings; None where an earlier version trained the round's student.
        scores: scores on the `test` rows, and where arms were compared, on the `cross-fitted` gold rows.
        calibration: None for answers.
    """

    rows: int
    gold_rows: int
    steps: int | None
    scores: Mapping[str, Scores]
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class FinalResult:
    """The final student: how it was chosen and trained, what it learned, how it does, and the folder of its model."""

    choice: ChoiceFacts
    facts: FinalFacts
    training: TrainingFacts = field(repr=False)
    model_dir: Path

    @property
    def scores(self) -> Mapping[str, Scores]:
        """Scores by role: `result.final.scores["test"].metrics["accuracy"]`."""
        return self.facts.scores


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference of two scores, with its 95 % interval, all as shares."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class VerdictArm:
    """One way to train a student, scored on the test rows.

    Attributes:
        name: `gold`, `round-N`, or one of `synthetic`, `after` and `mixed`.
        rows: synthetic rows that it learned.
        gold_rows: gold rows that it learned.
        steps: optimisation steps of all its trainings; None where they are not known.
        requests: LLM requests that its rows took.
        cost: their cost.
        score: mean of the metric over the test rows, and over the seeds of training.
        low: lower end of its 95 % interval.
        high: upper end.
        difference: to gold alone; None for gold alone itself.
    """

    name: str
    rows: int
    gold_rows: int
    steps: int | None
    requests: int
    cost: float
    score: float
    low: float
    high: float
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the synthetic rows were worth it; the content of `verdict.json`.

    Attributes:
        sentence: the verdict in one sentence.
        metric: metric of all scores.
        n: test rows.
        judged: name of the arm that the sentence compares with gold alone.
        arms: gold alone, each round, and those that learned synthetic and gold rows.
        seeds: trainings of each arm.
        equal_steps: False if gold alone was trained for fewer steps, since it had made its most passes.
    """

    sentence: str
    metric: str
    n: int
    judged: str
    arms: tuple[VerdictArm, ...]
    seeds: int = 1
    equal_steps: bool = True


@dataclass(frozen=True, slots=True)
class StudentDir:
    """A student and its predictions on gold rows."""

    path: Path

    @property
    def model(self) -> Path:
        """Folder of the student; renamed into place when complete."""
        return self.path / "model"

    @property
    def predictions(self) -> Path:
        """Parquet file with `role`, `id`, `label`, `value` and `scores` for each gold row that was predicted."""
        return self.path / "predictions.parquet"

    def training(self) -> TrainingFacts:
        """Return how the student was trained.

        Raises:
            RunDirError: the file is missing or damaged.
        """
        return read_facts(self.model / "training.json", TrainingFacts)


@dataclass(frozen=True, slots=True)
class FinalDir(StudentDir):
    """The files of the final student and of the verdict."""

    @property
    def choosing(self) -> Path:
        """Folder of the students that were cross-fitted to choose an arm: `round-N/fold-K/ARM.parquet` is a proof."""
        return self.path / "choosing"

    @property
    def choice(self) -> Path:
        """JSON file of `ChoiceFacts`. Proof that an arm is chosen."""
        return self.path / "choice.json"

    @property
    def metrics(self) -> Path:
        """JSON file of `FinalFacts`. Proof that `predictions` is complete."""
        return self.path / "metrics.json"

    @property
    def verdict(self) -> Path:
        """JSON file of `Verdict`."""
        return self.path / "verdict.json"

    @property
    def published(self) -> Path:
        """Repository id and commit of the last push."""
        return self.path / "published.json"

    @property
    def complete(self) -> bool:
        """True if the final student is trained and scored."""
        return self.choice.exists() and self.model.exists() and self.metrics.exists()

    def arm(self, name: str) -> StudentDir:
        """Return the folder of a student that only the verdict needs; its weights are deleted once it is scored."""
        return StudentDir(self.path / name)

    def chosen(self) -> ChoiceFacts:
        """Return the choice.

        Raises:
            RunDirError: the file is missing or damaged.
        """
        return read_facts(self.choice, ChoiceFacts)

    def result(self) -> FinalResult | None:
        """Return everything measured of the final student; None before it is scored.

        Raises:
            RunDirError: a file is missing or damaged.
        """
        if not self.complete:
            return None
        return FinalResult(self.chosen(), read_facts(self.metrics, FinalFacts), self.training(), self.model)

    def outcome(self) -> Verdict | None:
        """Return the verdict; None where there is none.

        Raises:
            RunDirError: the file is damaged.
        """
        return read_facts(self.verdict, Verdict) if self.verdict.exists() else None
