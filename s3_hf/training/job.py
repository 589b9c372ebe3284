"""The description of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s3_hf.config import TrainingConfig
from s3_hf.records import Columns

if TYPE_CHECKING:
    from datasets import Dataset

OnStep = Callable[[int, int], None]
"""Called with the number of steps done and of all steps."""


@dataclass(frozen=True)
class TrainingJob:
    """One training: the student learns `rows`, `selection` chooses its epoch; labels are ids into `label_names`."""

    rows: Dataset
    selection: Dataset | None
    """Gold rows whose scores choose the epoch; None keeps the last epoch and scores nothing."""
    columns: Columns
    label_names: tuple[str, ...]
    student: str
    """Hub id or folder of the encoder; a folder of a trained student with the same labels keeps its head."""
    student_name: str
    """Name of the student on cards; never a path."""
    max_length: int
    stride: int
    """Tokens that two neighbouring windows of a long context share; used by tasks with answers."""
    metric: str
    seed: int
    settings: TrainingConfig
    watched: Mapping[str, Dataset] = field(default_factory=dict)
    """Further rows by name, scored after each epoch for the record; nothing is chosen by them."""
    weights: Sequence[float] | None = None
    """Weight of each row in the loss, for tasks with labels; None weighs all rows alike."""
