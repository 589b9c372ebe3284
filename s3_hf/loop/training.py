"""The training stage of a round: from the union of its rows to `model/`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from s3_hf.config import TrainingConfig
from s3_hf.files import read_json, storage_errors, write_json
from s3_hf.judging import loss_weight
from s3_hf.loop.context import RunContext, training_job
from s3_hf.loop.seeds import train_seeds
from s3_hf.records import LABEL_P
from s3_hf.store import RoundDir, Stage, damaged

if TYPE_CHECKING:
    from datasets import Dataset

    from s3_hf.training import TrainingJob


GOLD_STEPS = 100
"""Fewest optimisation steps of a student that judges or learns gold rows, which a few epochs undertrain."""


def enough_steps(steps: int) -> int:
    """Return the steps of a student that judges or learns gold rows: these, at least `GOLD_STEPS`."""
    return max(steps, GOLD_STEPS)


def steps_of(settings: TrainingConfig, inputs: int, processes: int) -> int:
    """Return the optimisation steps of a training on this many inputs: whole epochs, at least `min_steps`."""
    return settings.steps_per_epoch(inputs, processes) * settings.epochs_for(inputs, processes)


def train_student(context: RunContext, folder: RoundDir) -> None:
    """Leave the student trained on the rows of this and all earlier rounds in `folder.model`.

    Raises:
        StudentError: the student cannot be loaded, or the GPU has too little memory.
        StorageError: the disk is full.
    """
    if folder.model.exists():
        context.launch.remove(*folder.path.glob("seeds/*/model"))  # of a run that was killed before it did so
        return
    from s3_hf.training import fit

    rows = context.run.union(folder.number)
    if missing := {*context.task.features} - {*rows.column_names}:
        raise damaged(folder.data, f"it has no column {min(missing)!r}")
    job = training_job(context.config, context.task, context.addresses, rows)
    if context.config.training.watch:
        job = dataclasses.replace(job, watched={"train": rows, "test": context.task.test})
    job = _tuned(context, dataclasses.replace(job, weights=loss_weights(context, rows)))
    work = folder.path / "checkpoints"
    context.observer.stage(folder.number, Stage.TRAIN)
    if context.config.training.seeds > 1:
        train_seeds(context, job, folder)
        return
    context.launch.remove(work)  # of a run that was killed
    with context.launch.replacing(folder.model) as target:
        fit(job, target, work, context.observer.step)
    context.launch.remove(work)


def loss_weights(context: RunContext, rows: Dataset) -> list[float] | None:
    """Return the weight of each row in the loss where the run weighs rows by the probability of their labels."""
    if context.config.judge_action != "weight" or LABEL_P not in rows.column_names:
        return None
    return [loss_weight(p) for p in rows[LABEL_P][:]]


def _tuned(context: RunContext, job: TrainingJob) -> TrainingJob:
    """Return the job with the settings that the search in round 0 chose; the search runs now if it has not yet."""
    if not context.config.training.trials:
        return job
    from s3_hf.training import tune

    folder, observer = context.run.round(0), context.observer
    if not folder.tuned.exists():
        with storage_errors(folder.path):
            where = (folder.path / "checkpoints", folder.path / "study.sqlite")
            chosen = tune(job, *where, observer.trial, observer.step)
        context.launch.alone(lambda: write_json(folder.tuned, chosen), folder.tuned)
    return dataclasses.replace(job, settings=job.settings.model_copy(update=read_json(folder.tuned)))
