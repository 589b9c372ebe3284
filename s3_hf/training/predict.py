"""Predictions of a trained student, with HF `Trainer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from s3_hf.config import TrainingConfig
from s3_hf.records import Columns, Prediction
from s3_hf.training.arguments import predicting_arguments
from s3_hf.training.heads import LongestFirst
from s3_hf.training.loading import head_of, load_student
from s3_hf.training.trainer import StudentTrainer, padding

if TYPE_CHECKING:
    from datasets import Dataset


def predict(
    folder: str | Path, rows: Dataset, columns: Columns, settings: TrainingConfig, work: Path
) -> list[Prediction]:
    """Return the student's prediction for each row, in the order of the rows.

    Args:
        folder: model folder or Hub id.
        rows: texts, and contexts where `columns` names them; `s3_id` is a row's id, or else its number.
        columns: names of the text and context columns; labels and answers are not read.
        settings: batch size and precision.
        work: folder that `Trainer` may write to.

    Raises:
        StudentError: the model does not exist, or was trained for another kind of task.
    """
    model, tokenizer = load_student(str(folder), columns)
    return predict_with(model, tokenizer, rows, columns, settings, work)


def predict_with(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    columns: Columns,
    settings: TrainingConfig,
    work: Path,
) -> list[Prediction]:
    """Return what `predict` returns, for a student that is loaded already."""
    if not len(rows):
        return []
    encoded = LongestFirst(head_of(model, tokenizer, columns).encode(rows, targets=False))
    args = predicting_arguments(settings, work)
    trainer = StudentTrainer(model=model, args=args, data_collator=padding(tokenizer))
    return encoded.decode(trainer.predict(encoded.inputs).predictions)
