"""What differs between kinds of student."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from s3_hf.records import Prediction

if TYPE_CHECKING:
    from datasets import Dataset


PIECE = 2_000
"""Rows that are encoded at once: what a tokenizer returns takes 300 bytes a token, the inputs made of it 6."""


class Encoded(Protocol):
    """Rows as a model reads them."""

    @property
    def inputs(self) -> Dataset:
        """What goes into the model; `length` counts the tokens of each input."""

    def decode(self, outputs: Any) -> list[Prediction]:
        """Return what the model's outputs, in the order of `inputs`, say of each row, in the order of the rows."""


class Head(Protocol):
    """A kind of student: how rows become its inputs, and its outputs predictions."""

    auto_model: ClassVar[Any]
    architecture: ClassVar[str]
    """What the name of its model class ends in."""

    def encode(self, rows: Dataset, *, learned: bool) -> Encoded:
        """Return the rows as inputs, with what is to be said of them if they are `learned` from."""


class ByLength:
    """Encoded rows with the longest inputs first: batches of one length need little padding."""

    def __init__(self, encoded: Encoded) -> None:
        self._encoded = encoded
        order = np.argsort(encoded.inputs["length"][:], kind="stable")[::-1]
        self._back = np.argsort(order)
        self.inputs = encoded.inputs.select(order)

    def decode(self, outputs: Any) -> list[Prediction]:
        """What the outputs, in the order of `inputs`, say of each row."""
        in_order = tuple(each[self._back] for each in outputs) if isinstance(outputs, tuple) else outputs[self._back]
        return self._encoded.decode(in_order)


def pieces(rows: Dataset) -> Iterator[Dataset]:
    """Yield the rows, `PIECE` at a time."""
    for start in range(0, len(rows), PIECE):
        yield rows.select(range(start, min(start + PIECE, len(rows))))


def row_ids(rows: Dataset) -> list[str]:
    """The `s3_id` of each row, or its number."""
    return rows["s3_id"][:] if "s3_id" in rows.column_names else [str(number) for number in range(len(rows))]


def model_inputs(encoded: Any, names: list[str]) -> dict[str, Any]:
    """What a tokenizer made, in the columns that its model reads, and the `length` of each input."""
    columns = {name: encoded[name] for name in names if name in encoded}
    return columns | {"length": [len(ids) for ids in encoded["input_ids"]]}
