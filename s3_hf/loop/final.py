"""The final stage of a run: the student that gold rows and synthetic rows together give, and the verdict.

The best round's rows and the gold rows are learned in the way that `choosing` takes. The student is calibrated and
scored. Last, a student of the gold rows alone shows what the synthetic rows were worth.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from s3_hf.config import RunConfig
from s3_hf.files import storage_errors, write_json
from s3_hf.judging import gold_rows
from s3_hf.loop.arms import TITLES, Material, fit_into, job_of, total_steps
from s3_hf.loop.choosing import CrossFit, choose
from s3_hf.loop.context import RunContext
from s3_hf.loop.scoring import write_predictions
from s3_hf.records import Prediction, Scores
from s3_hf.store import (
    AFTER,
    CROSS_FITTED,
    GOLD,
    SYNTHETIC,
    TEST,
    Calibration,
    ChoiceFacts,
    FinalFacts,
    RoundResult,
    best_round,
)
from s3_hf.strategies import strategy_named

if TYPE_CHECKING:
    from s3_hf.training import TrainingJob


FEWEST = 30
"""Fewest gold rows that a temperature is fitted on; with fewer the probabilities stay as they are."""


def has_gold_stage(config: RunConfig) -> bool:
    """Return whether a final student is trained; not by the strategy whose rows are gold rows already."""
    return config.gold_stage != "none" and strategy_named(config.strategy).asks_llm


def train_final(context: RunContext, results: Sequence[RoundResult]) -> None:
    """Leave the final student, its predictions and scores in `final/`.

    What was made of another round than the one that is the best now is made again.

    Raises:
        StudentError: a student cannot be loaded, or the GPU has too little memory.
        StorageError: the disk is full.
    """
    best, final = best_round(results), context.run.final
    if final.choice.exists() and final.chosen().round != best.number:
        context.launch.discard(final.path)
    if final.complete:
        return
    choice, crossfit = choose(context, best), CrossFit(context, best)
    _train(context, best, choice, crossfit)
    _score(context, best, choice, crossfit)


@dataclass(frozen=True)
class FullJobs:
    """The trainings of arms on all their rows: those of the best round, and the gold rows."""

    context: RunContext
    best: RoundResult

    @cached_property
    def material(self) -> Material:
        """The rows and the student of the best round, and the gold rows; counted once, where they are needed."""
        union, gold = self.context.run.union(self.best.number), gold_rows(self.context.task)
        return Material.of(self.context, union, gold, self.best.model_dir)

    def of(self, arm: str, steps: int | None = None) -> TrainingJob:
        """Return the training of an arm; gold rows alone and mixed rows take `steps`."""
        steps = total_steps(self.context, self.material) if steps is None else steps
        return job_of(self.context, arm, self.material, steps)


def predict_test(context: RunContext, model: Path, target: Path) -> list[Prediction]:
    """Return a student's predictions of the test rows, and write them to `target`."""
    from s3_hf.training import predict

    task, work = context.task, context.run.final.path / "checkpoints"
    with storage_errors(target):
        found = predict(model, task.test, task.columns, context.config.training, work)
    context.launch.alone(lambda: write_predictions(target, task, {TEST: task.test}, {TEST: found}), target)
    return found


def steps_of_arm(arm: str, best: RoundResult, steps: int | None) -> int | None:
    """Return the optimisation steps of all trainings of an arm, whose last one took `steps`; None if unknown."""
    if arm == SYNTHETIC:
        return best.training.steps
    if arm == AFTER:
        return None if best.training.steps is None or steps is None else best.training.steps + steps
    return steps


def _train(context: RunContext, best: RoundResult, choice: ChoiceFacts, crossfit: CrossFit) -> None:
    model, arm = context.run.final.model, choice.arm
    if model.exists():
        return
    if context.task.label_names and not choice.scores and crossfit.possible:
        crossfit.run([arm], 0)
    with context.launch.replacing(model) as target:
        if arm != SYNTHETIC:
            fit_into(context, FullJobs(context, best).of(arm), target, TITLES[arm])
        elif context.launch.first:
            shutil.copytree(best.model_dir, target)
        if context.launch.first and (temperature := _temperature(choice, crossfit)[0]) != 1:
            from s3_hf.training import calibrate

            calibrate(target, temperature)


def _held_out(choice: ChoiceFacts, crossfit: CrossFit) -> list[list[Prediction]]:
    """Return the cross-fitted predictions of the chosen arm, for each fold that has them."""
    folds = range(len(crossfit.folds)) if choice.scores else range(int(crossfit.possible))
    return [crossfit.predictions(choice.arm, fold) for fold in folds]


def _temperature(choice: ChoiceFacts, crossfit: CrossFit) -> tuple[float, int]:
    """Return the temperature that cross-fitted gold rows give, and their number; 1 and 0 for answers."""
    from s3_hf.training import temperature_of

    task = crossfit.context.task
    if not task.label_names or not (found := _held_out(choice, crossfit)):
        return 1.0, 0
    references = [label for places in crossfit.folds[: len(found)]
                  for label in crossfit.gold.select(places)[task.columns.label][:]]  # fmt: skip
    if len(references) < FEWEST:
        return 1.0, 0
    scores = np.array([each.scores for fold in found for each in fold], dtype=np.float64)
    return temperature_of(scores, references), len(references)


def _score(context: RunContext, best: RoundResult, choice: ChoiceFacts, crossfit: CrossFit) -> None:
    """Predict the test rows, and write predictions, cross-fitted ones too, and `FinalFacts`."""
    from s3_hf.scoring import score
    from s3_hf.training import predict

    task, final, arm = context.task, context.run.final, choice.arm
    with storage_errors(final.path):
        found = predict(final.model, task.test, task.columns, context.config.training, final.path / "checkpoints")
    rows, predictions = {TEST: task.test}, {TEST: found}
    if choice.scores:
        rows[CROSS_FITTED] = crossfit.gold.select([place for places in crossfit.folds for place in places])
        predictions[CROSS_FITTED] = [each for fold in _held_out(choice, crossfit) for each in fold]

    def write() -> None:
        write_predictions(final.predictions, task, rows, predictions)
        scores: dict[str, Scores] = {
            role: score(task.columns, [each.value for each in predictions[role]], rows[role][task.columns.target][:])
            for role in rows
        }
        facts = FinalFacts(
            rows=0 if arm == GOLD else best.rows,
            gold_rows=0 if arm == SYNTHETIC else len(crossfit.gold),
            steps=steps_of_arm(arm, best, final.training().steps),
            scores=scores,
            calibration=_calibration(context, choice, crossfit, found),
        )
        write_json(final.metrics, asdict(facts))

    context.launch.alone(write, final.metrics)


def _calibration(
    context: RunContext, choice: ChoiceFacts, crossfit: CrossFit, found: Sequence[Prediction]
) -> Calibration | None:
    """Return how well the final student's probabilities fit the test rows, and did before they were calibrated."""
    from s3_hf.scoring import calibration_error
    from s3_hf.training import scaled

    temperature, n = _temperature(choice, crossfit)
    if not n:
        return None
    after = np.array([each.scores for each in found], dtype=np.float64)
    before = scaled(after, 1 / temperature)
    labels = context.task.test[context.task.columns.label][:]
    return Calibration(temperature, n, calibration_error(before, labels), calibration_error(after, labels))
