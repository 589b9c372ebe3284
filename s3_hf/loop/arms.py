"""One training of the final stage: a student learns gold rows, synthetic rows or both, and nothing chooses its epoch.

Arms are compared at equal optimisation steps: gold rows alone and the mixed rows are learned in as many steps as the
synthetic rows and then the gold rows take together.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.config import TrainingConfig
from s3_hf.files import read_json
from s3_hf.loop.context import RunContext, training_job
from s3_hf.loop.training import enough_steps, loss_weights, steps_of
from s3_hf.store import AFTER, GOLD, MIXED, SYNTHETIC

if TYPE_CHECKING:
    from datasets import Dataset

    from s3_hf.training import TrainingJob

MOST_PASSES = 20
"""Most passes of gold rows alone, where these are enough steps, however many steps the synthetic rows take: further
ones bring nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """What the arms learn: synthetic rows, gold rows, and the `start` of the gold stage, a student of the former.

    `inputs` and `gold_inputs` count what the model sees of them: windows of long contexts, else rows.
    """

    synthetic: Dataset
    gold: Dataset
    start: Path
    inputs: int
    gold_inputs: int

    @classmethod
    def of(cls, context: RunContext, synthetic: Dataset, gold: Dataset, start: Path) -> Material:
        """Return the material of these rows.

        Raises:
            StudentError: the student cannot be loaded.
        """
        from s3_hf.training import count_inputs

        counts = (
            count_inputs(training_job(context.config, context.task, context.addresses, rows))
            for rows in (synthetic, gold)
        )
        return cls(synthetic, gold, start, *counts)


def settings_of(context: RunContext) -> TrainingConfig:
    """Return the training settings, with those that a search in round 0 chose."""
    settings, tuned = context.config.training, context.run.round(0).tuned
    return settings.model_copy(update=read_json(tuned)) if settings.trials and tuned.exists() else settings


def total_steps(context: RunContext, material: Material) -> int:
    """Return the steps on the synthetic rows and then on the gold rows together."""
    settings, processes = settings_of(context), context.launch.processes
    stage = _gold_stage(settings)
    return steps_of(settings, material.inputs, processes) + steps_of(stage, material.gold_inputs, processes)


def job_of(context: RunContext, arm: str, material: Material, steps: int) -> TrainingJob:
    """Return the training of an arm.

    Args:
        context: the run.
        arm: one of `ARMS`; `synthetic` is trained as a round is, and the gold rows of the material choose its epoch.
        material: what it learns.
        steps: optimisation steps of the arms that learn gold rows alone or mixed rows.
    """
    settings, processes = settings_of(context), context.launch.processes
    base = training_job(context.config, context.task, context.addresses, material.synthetic)
    if arm == SYNTHETIC:
        weights = loss_weights(context, material.synthetic)
        return dataclasses.replace(base, selection=material.gold, settings=settings, weights=weights)
    base = dataclasses.replace(base, selection=None)
    inputs = material.gold_inputs
    if arm == AFTER:
        rows, settings = material.gold, _gold_stage(settings)
        base = dataclasses.replace(base, student=str(material.start))
    elif arm == GOLD:
        rows = material.gold
        most = MOST_PASSES * settings.steps_per_epoch(inputs, processes)
        settings = settings.model_copy(update={"epochs": 1, "min_steps": min(steps, enough_steps(most))})
    else:
        rows, weights = _mixed(context, material), loss_weights(context, material.synthetic)
        inputs += material.inputs
        settings = settings.model_copy(update={"epochs": 1, "min_steps": steps})
        base = dataclasses.replace(base, weights=weights and [*weights, *([1.0] * len(material.gold))])
    epochs = settings.epochs_for(inputs, processes)
    return dataclasses.replace(base, rows=rows, settings=settings.model_copy(update={"epochs": epochs}))


def train(context: RunContext, job: TrainingJob, model: Path, what: str) -> None:
    """Leave the trained student at `model`, which must not exist.

    Raises:
        StudentError: the student cannot be loaded, or the GPU has too little memory.
        StorageError: the disk is full.
    """
    with context.launch.replacing(model) as target:
        fit_into(context, job, target, what)


def fit_into(context: RunContext, job: TrainingJob, target: Path, what: str) -> None:
    """Train a student in all processes; the first one writes it to `target`, whose parent is there."""
    from s3_hf.training import fit

    work = context.run.final.path / "checkpoints"
    context.observer.final(what)
    context.launch.remove(work)  # of a run that was killed
    fit(job, target, work, context.observer.step)
    context.launch.remove(work)


def _gold_stage(settings: TrainingConfig) -> TrainingConfig:
    return settings.model_copy(update={"min_steps": enough_steps(settings.min_steps)})


def _mixed(context: RunContext, material: Material) -> Dataset:
    """Return all rows of the material, with the columns that a student reads."""
    from datasets import concatenate_datasets

    columns = context.task.columns
    names = [name for name in (columns.context, columns.text, columns.target) if name]
    return concatenate_datasets([rows.select_columns(names) for rows in (material.synthetic, material.gold)])


TITLES = {
    GOLD: "gold rows alone",
    SYNTHETIC: "synthetic rows",
    AFTER: "gold rows after the synthetic ones",
    MIXED: "synthetic and gold rows together",
}
"""What each arm learns, for progress."""
