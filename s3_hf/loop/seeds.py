"""Train a student several times with different seeds, and keep the best of them or the average of their weights."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.files import read_json, read_rows, storage_errors, write_json
from s3_hf.loop.context import RunContext
from s3_hf.loop.scoring import write_predictions
from s3_hf.store import SELECTION, TEST, RoundDir, SeedScore, StudentDir

if TYPE_CHECKING:
    from datasets import Dataset

    from s3_hf.training import TrainingJob

APART = 1_000
"""Distance of two seeds."""
AVERAGE = "average"
"""Folder of the student whose weights are the average of those of all seeds."""


def seeded(context: RunContext, job: TrainingJob, folder: Path, number: int, rows: dict[str, Dataset]) -> StudentDir:
    """Return the student that is trained with seed `number`, from 0, once it is trained and has predicted the rows.

    Args:
        context: the run.
        job: the training with seed 0.
        folder: the student is in `folder/seeds/SEED`.
        number: number of the seed.
        rows: gold rows to predict, by role.

    Raises:
        StudentError: the student cannot be loaded, or the GPU has too little memory.
        StorageError: the disk is full.
    """
    from s3_hf.training import fit

    seed, work = (job.seed + APART * number) % 2**32, folder / "checkpoints"
    student = StudentDir(folder / "seeds" / str(seed))
    if not (student.model.exists() or student.predictions.exists()):
        context.launch.remove(work)  # of a run that was killed
        with context.launch.replacing(student.model) as target:
            fit(dataclasses.replace(job, seed=seed), target, work, context.observer.step)
        context.launch.remove(work)
    _predict(context, student, rows, work)
    return student


def train_seeds(context: RunContext, job: TrainingJob, folder: RoundDir) -> None:
    """Leave the best student of all seeds by the selection rows in `folder.model`; the test rows are only scored.

    With `training.average` the average of their weights is kept where it is better on the selection rows.

    Raises:
        StudentError: a student cannot be loaded, or the GPU has too little memory.
        StorageError: the disk is full.
    """
    from s3_hf.training import average

    rows = {SELECTION: context.task.selection, TEST: context.task.test}
    numbers = range(context.config.training.seeds)
    students = [seeded(context, job, folder.path, number, rows) for number in numbers]
    if not all(each.model.exists() for each in students):  # the round's model was deleted to be trained again
        context.launch.remove(folder.path / "seeds")
        students = [seeded(context, job, folder.path, number, rows) for number in numbers]
    if context.config.training.average:
        mean = StudentDir(folder.path / "seeds" / AVERAGE)
        if not mean.model.exists():
            with context.launch.replacing(mean.model) as target:
                if context.launch.first:
                    average([each.model for each in students], target)
        _predict(context, mean, rows, folder.path / "checkpoints")
        students.append(mean)
    scores = [_score(context, each) for each in students]
    best = max(range(len(scores)), key=lambda place: scores[place].selection)
    with context.launch.replacing(folder.model) as target:
        if context.launch.first:
            shutil.copytree(students[best].model, target)
            facts = read_json(target / "training.json")
            seeds = [dataclasses.asdict(each) for each in scores]
            write_json(target / "training.json", {**facts, "seeds": seeds, "kept": scores[best].seed})
    context.launch.remove(*(each.model for each in students))


def seed_predictions(folder: Path) -> list[Path]:
    """Return the predictions of all seeds below a folder, the average of their weights left out."""
    found = [path for path in (folder / "seeds").glob("*/predictions.parquet") if path.parent.name != AVERAGE]
    return sorted(found, key=lambda path: int(path.parent.name))


def _predict(context: RunContext, student: StudentDir, rows: dict[str, Dataset], work: Path) -> None:
    from s3_hf.training import predict

    if student.predictions.exists():
        return
    columns = context.task.columns
    with storage_errors(student.path):
        found = {role: predict(student.model, each, columns, context.config.training, work)
                 for role, each in rows.items()}  # fmt: skip
    context.launch.alone(
        lambda: write_predictions(student.predictions, context.task, rows, found), student.predictions
    )


def _score(context: RunContext, student: StudentDir) -> SeedScore:
    from s3_hf.scoring import score

    rows, task = read_rows(student.predictions), context.task
    values: dict[str, list[int | str]] = {SELECTION: [], TEST: []}
    for role, value in zip(rows["role"], rows["value"], strict=True):
        values[role].append(value)
    selection, test = (
        score(task.columns, values[role], gold[task.columns.target][:]).metrics[context.metric]
        for role, gold in ((SELECTION, task.selection), (TEST, task.test))
    )
    name = student.path.name
    return SeedScore(None if name == AVERAGE else int(name), selection, test)
