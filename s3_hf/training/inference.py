"""A student in memory that predicts a few rows at once, without `Trainer`: what judges labels while rows arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from s3_hf.records import Columns, Prediction
from s3_hf.training.heads import Head
from s3_hf.training.job import TrainingJob
from s3_hf.training.loading import fresh_student, head_of, load_student

AT_ONCE = 32
"""Inputs on the device at once."""


@dataclass(frozen=True)
class LoadedStudent:
    """A student on its device, in fp32: the same rows give the same predictions, call by call."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    head: Head

    @classmethod
    def trained(cls, folder: str, columns: Columns) -> LoadedStudent:
        """Return the trained student in a folder.

        Raises:
            StudentError: it cannot be loaded, or was trained for another kind of task.
        """
        return cls._placed(*load_student(folder, columns), columns)

    @classmethod
    def pretrained(cls, job: TrainingJob) -> LoadedStudent:
        """Return the encoder of a job as it was published; its head is new and predicts nothing.

        Raises:
            StudentError: it cannot be loaded.
        """
        return cls._placed(*fresh_student(job), job.columns)

    @classmethod
    def _placed(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, columns: Columns) -> LoadedStudent:
        model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        return cls(model, tokenizer, head_of(model, tokenizer, columns))

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Prediction]:
        """Return the prediction for each row, in order; labels and answers of the rows are not read."""
        from datasets import Dataset

        if not rows:
            return []
        names = [name for name in (self.head.columns.context, self.head.columns.text) if name]
        encoded = self.head.encode(
            Dataset.from_dict({name: [row[name] for row in rows] for name in names}), targets=False
        )
        names = [name for name in encoded.inputs.column_names if name != "length"]
        found = []
        for start in range(0, len(encoded.inputs), AT_ONCE):
            batch = self.tokenizer.pad(
                {name: encoded.inputs[name][start : start + AT_ONCE] for name in names}, return_tensors="pt"
            )
            with torch.no_grad():
                outputs = self.model(**batch.to(self.model.device), return_dict=False)
            found.append(outputs)
        return encoded.decode(_joined(found, 2 if self.head.columns.answers else 1))

    def vector(self, text: str) -> np.ndarray:
        """Return the mean of the encoder's vectors of the text's tokens, scaled to length 1."""
        inputs = self.tokenizer(text, truncation=True, max_length=self.tokenizer.model_max_length, return_tensors="pt")
        with torch.no_grad():
            hidden = self.model.base_model(**inputs.to(self.model.device), return_dict=True).last_hidden_state
        mean: np.ndarray = hidden[0].mean(dim=0).float().cpu().numpy()
        return mean / max(float(np.linalg.norm(mean)), 1e-12)


def _joined(outputs: list[Any], parts: int) -> Any:
    """Return the outputs of several batches as those of one, each sequence padded to the longest of all."""
    joined = []
    for part in range(parts):
        arrays = [each[part].float().cpu().numpy() for each in outputs]
        width = max(array.shape[1] for array in arrays)
        padded = [np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=-np.inf) for each in arrays]
        joined.append(np.concatenate(padded))
    return tuple(joined) if parts > 1 else joined[0]
