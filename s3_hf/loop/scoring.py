"""The scoring stage of a round: from its student to `predictions.parquet` and `metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.errors import StudentError
from s3_hf.files import RowWriter, storage_errors, write_json
from s3_hf.loop.context import RunContext
from s3_hf.records import Prediction
from s3_hf.store import MINED, SELECTION, TEST, RoundDir, ScoringFacts, Stage
from s3_hf.task import Task

if TYPE_CHECKING:
    from datasets import Dataset


def score_student(context: RunContext, folder: RoundDir) -> None:
    """Predict the gold rows of each role with the round's student, and leave predictions and scores in the folder.

    Raises:
        StudentError: the student cannot be loaded.
        StorageError: the disk is full.
    """
    if folder.stage() is not Stage.SCORE:
        return
    from s3_hf.training import predict

    context.observer.stage(folder.number, Stage.SCORE)
    task, work = context.task, folder.path / "checkpoints"
    with storage_errors(folder.path):
        try:
            predictions = {
                role: predict(folder.model, rows, task.columns, context.config.training, work)
                for role, rows in scored_rows(task).items()
            }
        except StudentError as error:
            error.add_note(f"delete {folder.model} to train the student of this round again")
            raise
    context.launch.alone(lambda: _write(context, folder, predictions), folder.metrics)


def scored_rows(task: Task) -> dict[str, Dataset]:
    """Return the gold rows by role; the selection rows are left out where they are the mined ones."""
    held_out = {SELECTION: task.selection} if task.gold_options.holdout else {}
    return {MINED: task.mined, **held_out, TEST: task.test}


def _write(context: RunContext, folder: RoundDir, predictions: Mapping[str, Sequence[Prediction]]) -> None:
    from s3_hf.scoring import mistakes, score

    columns, rows = context.task.columns, scored_rows(context.task)
    write_predictions(folder.predictions, context.task, rows, predictions)
    scores = {
        role: score(columns, [each.value for each in predictions[role]], rows[role][columns.target][:])
        for role in rows
    }
    wrong = mistakes(context.task.mined, predictions[MINED], columns, context.config.mistake_f1)
    write_json(folder.metrics, asdict(ScoringFacts(scores, len(wrong))))


def write_predictions(
    path: Path, task: Task, rows: Mapping[str, Dataset], predictions: Mapping[str, Sequence[Prediction]]
) -> None:
    """Write a Parquet file with `role`, `id`, `label`, `value` and `scores` of each prediction.

    Args:
        path: where it appears when it is complete.
        task: the task.
        rows: gold rows by role.
        predictions: a prediction for each row, in the same order.

    Raises:
        StorageError: the disk is full.
    """
    columns, writer = task.columns, RowWriter(path, _features(task))
    for role, each in rows.items():
        for prediction, reference in zip(predictions[role], each[columns.target][:], strict=True):
            label = reference if columns.label else reference["text"]
            writer.write({"role": role, "label": label, **asdict(prediction)})
    writer.commit()


def _features(task: Task) -> Any:
    from datasets import ClassLabel, Features, List, Value

    text = Value("string")
    label, value = List(text), text
    if task.columns.label:
        label = value = ClassLabel(names=list(task.label_names))
    return Features({"role": text, "id": text, "label": label, "value": value, "scores": List(Value("float32"))})
