"""Classifiers of a text, or of a pair of context and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from datasets import concatenate_datasets
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from s3_hf.records import Columns, Prediction
from s3_hf.training.heads import model_inputs, pieces, row_ids

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class EncodedTexts:
    """One input for each row."""

    inputs: Dataset
    ids: list[str]

    def decode(self, outputs: Any) -> list[Prediction]:
        """Return the most probable label id of each row, and the probability of each label."""
        logits = outputs[0] if isinstance(outputs, tuple) else outputs
        scores = torch.softmax(torch.from_numpy(np.asarray(logits, dtype=np.float32)), dim=-1).numpy()
        return [
            Prediction(name, int(row.argmax()), tuple(float(value) for value in row))
            for name, row in zip(self.ids, scores, strict=True)
        ]


@dataclass(frozen=True)
class LabelHead:
    """A classifier of texts, or of pairs, whose input is the context followed by the text.

    A pair that is too long loses tokens of its longer part, so that a long context leaves the text whole. Cutting
    only the context would fail on a text that fills the input by itself.
    """

    auto_model: ClassVar[Any] = AutoModelForSequenceClassification
    architecture: ClassVar[str] = "ForSequenceClassification"

    columns: Columns
    tokenizer: PreTrainedTokenizerBase

    def encode(self, rows: Dataset, *, targets: bool) -> EncodedTexts:
        """Return one input for each row."""
        return EncodedTexts(
            concatenate_datasets([self._inputs(piece, targets) for piece in pieces(rows)]), row_ids(rows)
        )

    def _inputs(self, rows: Dataset, targets: bool) -> Dataset:
        context, text = self.columns.context, self.columns.text
        texts = [rows[context][:], rows[text][:]] if context else [rows[text][:]]
        encoded = self.tokenizer(*texts, truncation="longest_first", max_length=self.tokenizer.model_max_length)
        columns = model_inputs(encoded, self.tokenizer.model_input_names)
        if targets:
            columns["labels"] = rows[self.columns.label][:]
        return type(rows).from_dict(columns)
