"""Protocols of what differs between kinds of student: how rows are encoded and outputs decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from s3_hf.records import Columns, Prediction

if TYPE_CHECKING:
    from datasets import Dataset


PIECE = 2_000
"""Rows tokenized at once, to bound memory: a tokenizer's output takes 300 bytes a token, a model's input 6."""


class EncodedRows(Protocol):
    """Rows as the inputs of a model."""

    @property
    def inputs(self) -> Dataset:
        """The model's inputs; the column `length` counts the tokens of each."""

    def decode(self, outputs: Any) -> list[Prediction]:
        """Return a prediction for each row, in row order, from outputs in the order of `inputs`."""


class Head(Protocol):
    """A kind of student: encodes rows as inputs, and decodes outputs to predictions."""

    auto_model: ClassVar[Any]
    architecture: ClassVar[str]
    """Ending of the name of its model class."""

    @property
    def columns(self) -> Columns:
        """Names of the columns that it reads."""

    def encode(self, rows: Dataset, *, targets: bool) -> EncodedRows:
        """Return the rows as inputs, with `targets` also with the labels or answers to learn."""


class LongestFirst:
    """Encoded rows with the longest inputs first, so that batches need little padding."""

    def __init__(self, encoded: EncodedRows) -> None:
        self._encoded = encoded
        order = np.argsort(encoded.inputs["length"][:], kind="stable")[::-1]
        self._row_order = np.argsort(order)
        self.inputs = encoded.inputs.select(order)

    def decode(self, outputs: Any) -> list[Prediction]:
        """Return a prediction for each row, in row order, from outputs in the order of `inputs`."""
        in_order = (
            tuple(each[self._row_order] for each in outputs)
            if isinstance(outputs, tuple)
            else outputs[self._row_order]
        )
        return self._encoded.decode(in_order)


def pieces(rows: Dataset) -> Iterator[Dataset]:
    """Yield the rows, `PIECE` at a time."""
    for start in range(0, len(rows), PIECE):
        yield rows.select(range(start, min(start + PIECE, len(rows))))


def row_ids(rows: Dataset) -> list[str]:
    """Return the `s3_id` of each row, or its number from 0 where there is no such column."""
    return rows["s3_id"][:] if "s3_id" in rows.column_names else [str(number) for number in range(len(rows))]


def model_inputs(encoded: Any, names: list[str]) -> dict[str, Any]:
    """Return the columns `names` of a tokenizer's output, and the `length` of each input in tokens."""
    columns = {name: encoded[name] for name in names if name in encoded}
    return columns | {"length": [len(ids) for ids in encoded["input_ids"]]}
