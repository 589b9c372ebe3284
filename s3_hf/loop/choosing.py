"""Choose by cross-fitting on the gold rows how the final student is trained.

For each fold of the gold rows, students are trained without the rows of the fold and without the synthetic rows that
were extrapolated from them, and scored on the fold. The test rows take no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from s3_hf.files import read_rows, storage_errors, write_json
from s3_hf.judging import assign_folds, fold_count, gold_rows, inside_fold, sample_by_label
from s3_hf.loop.arms import TITLES, Material, job_of, total_steps, train
from s3_hf.loop.context import RunContext
from s3_hf.loop.metric import row_metric
from s3_hf.loop.scoring import write_predictions
from s3_hf.records import Prediction
from s3_hf.store import AFTER, ARMS, CROSS_FITTED, SYNTHETIC, ChoiceFacts, RoundResult, StudentDir, damaged

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

MOST_ROWS = 1_000
"""Most rows of each kind in one of these trainings, so that choosing stays cheap."""
TIE = 0.5
"""Standard errors within which the simpler arm is taken."""


@dataclass(frozen=True)
class CrossFit:
    """Students of the final stage's arms that are trained without one fold of the gold rows.

    Attributes:
        context: the run.
        best: the round whose rows are used.
    """

    context: RunContext
    best: RoundResult

    @cached_property
    def gold(self) -> Dataset:
        """The gold rows."""
        return gold_rows(self.context.task)

    @cached_property
    def written(self) -> Dataset:
        """The synthetic rows: those of the best round and of all before it."""
        return self.context.run.union(self.best.number)

    @cached_property
    def folds(self) -> list[list[int]]:
        """The places of the gold rows of each fold; there is one fold if there are too few rows to cross-fit.

        That is also so where all synthetic rows are written like the gold rows of one fold.
        """
        columns, whole = self.context.task.columns, [list(range(len(self.gold)))]
        count = fold_count(self.gold, columns)
        if count < 2:
            return whole
        fold_of = assign_folds(self.gold, columns, self.context.config.seed)
        of_rows = {fold_of.get(parent) for parent in self.written["s3_parent"][:]}
        if len(of_rows) == 1 and None not in of_rows:
            return whole
        return [inside_fold(self.gold, fold_of, fold) for fold in range(count)]

    @property
    def possible(self) -> bool:
        """True if there are two folds or more."""
        return len(self.folds) > 1

    def predictions(self, arm: str, fold: int) -> list[Prediction]:
        """Return an arm's predictions of a fold that `run` scored, in the order of its rows.

        Raises:
            RunDirError: the file is missing or damaged.
        """
        proof = self._folder(fold) / f"{arm}.parquet"
        rows = read_rows(proof)
        if rows["id"][:] != self.gold.select(self.folds[fold])["s3_id"][:]:
            raise damaged(proof, "it is of other gold rows")
        return [Prediction(row["id"], row["value"], tuple(row["scores"])) for row in rows]

    def run(self, arms: Sequence[str], fold: int) -> None:
        """Train and score each arm without a fold, and leave its predictions; what is there already stays.

        Args:
            arms: some of `ARMS`.
            fold: number of the fold.

        Raises:
            StudentError: a student cannot be loaded, or the GPU has too little memory.
            StorageError: the disk is full.
        """
        folder = self._folder(fold)
        missing = [arm for arm in arms if not (folder / f"{arm}.parquet").exists()]
        if not missing:
            return
        held = {self.gold[place]["s3_id"] for place in self.folds[fold]}
        material = self._material(held, folder / SYNTHETIC / "model")
        for arm in missing:
            if arm == AFTER:  # which goes on from it
                self._train(SYNTHETIC, fold, material)
            self._train(arm, fold, material)
            self._score(arm, fold)
        self.context.launch.remove(*(folder / arm for arm in ARMS))

    def _folder(self, fold: int) -> Path:
        return self.context.run.final.choosing / f"round-{self.best.number}" / f"fold-{fold}"

    def _train(self, arm: str, fold: int, material: Material) -> None:
        model = self._folder(fold) / arm / "model"
        if not model.exists():
            job = job_of(self.context, arm, material, total_steps(self.context, material))
            train(self.context, job, model, f"{TITLES[arm]}, fold {fold + 1} of {len(self.folds)}")

    def _score(self, arm: str, fold: int) -> None:
        from s3_hf.training import predict

        context, folder = self.context, self._folder(fold)
        rows, model = self.gold.select(self.folds[fold]), StudentDir(folder / arm).model
        work = context.run.final.path / "checkpoints"
        with storage_errors(folder):
            found = predict(model, rows, context.task.columns, context.config.training, work)
        proof = folder / f"{arm}.parquet"
        context.launch.alone(
            lambda: write_predictions(proof, context.task, {CROSS_FITTED: rows}, {CROSS_FITTED: found}), proof
        )

    def _material(self, held: set[str], start: Path) -> Material:
        kept = [place for place, parent in enumerate(self.written["s3_parent"][:]) if parent not in held]
        gold = [place for place, name in enumerate(self.gold["s3_id"][:]) if name not in held]
        synthetic, learned = self._sample(self.written, kept), self._sample(self.gold, gold)
        return Material.of(self.context, synthetic, learned, start)

    def _sample(self, rows: Dataset, places: list[int]) -> Dataset:
        label, seed = self.context.task.columns.label, self.context.config.seed
        return rows.select(sample_by_label(places, rows, label, MOST_ROWS, seed))


def choose(context: RunContext, best: RoundResult) -> ChoiceFacts:
    """Return how the final student is trained, as set, or with `auto` by cross-fitting; `final/choice.json` keeps it.

    Raises:
        StudentError: a student cannot be loaded, or the GPU has too little memory.
        StorageError: the disk is full.
    """
    final, setting = context.run.final, context.config.gold_stage
    if not final.choice.exists():
        crossfit = CrossFit(context, best)
        if setting != "auto":
            choice = ChoiceFacts(setting, best.number, "setting", row_metric(context.metric))
        elif not crossfit.possible:
            choice = ChoiceFacts(AFTER, best.number, "too few rows to cross-fit", row_metric(context.metric))
        else:
            for fold in range(len(crossfit.folds)):
                crossfit.run(ARMS, fold)
            choice = _chosen(context, crossfit)
        context.launch.alone(lambda: write_json(final.choice, asdict(choice)), final.choice)
    return final.chosen()


def _chosen(context: RunContext, crossfit: CrossFit) -> ChoiceFacts:
    from s3_hf.scoring import row_values

    metric = row_metric(context.metric)
    scores: dict[str, tuple[float, ...]] = {}
    values: dict[str, NDArray[np.float64]] = {}
    references = [crossfit.gold.select(places)[context.task.columns.target][:] for places in crossfit.folds]
    for arm in ARMS:
        found = [[each.value for each in crossfit.predictions(arm, fold)] for fold in range(len(crossfit.folds))]
        folds = [row_values(metric, *pair) for pair in zip(found, references, strict=True)]
        scores[arm] = tuple(float(each.mean()) for each in folds)
        values[arm] = np.concatenate(folds)
    arm, errors = best_arm(scores, values)
    return ChoiceFacts(arm, crossfit.best.number, "cross-fitting", metric, scores, errors, len(crossfit.gold))


def best_arm(
    scores: Mapping[str, Sequence[float]], values: Mapping[str, NDArray[np.float64]]
) -> tuple[str, dict[str, float]]:
    """Return the simplest arm within `TIE` standard errors of the highest mean score, and all standard errors.

    Args:
        scores: for each arm, the simpler first, its score on each fold.
        values: for each arm, the share of each gold row that it got right, all in the same order.
    """
    means = {arm: float(np.mean(each)) for arm, each in scores.items()}
    top = max(means, key=lambda arm: means[arm])
    errors = {
        arm: float(np.std(values[top] - values[arm], ddof=1) / np.sqrt(len(values[top])))
        for arm in scores
        if arm != top
    }
    return next(arm for arm in scores if means[top] - means[arm] <= TIE * errors.get(arm, 0.0)), errors
