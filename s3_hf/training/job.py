"""What is to be fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s3_hf.config import TrainingConfig
from s3_hf.records import Columns

if TYPE_CHECKING:
    from datasets import Dataset

OnStep = Callable[[int, int], None]
"""Told the steps done and the steps in all."""


@dataclass(frozen=True)
class TrainingJob:
    """What to fit: `rows` teach, `gold` chooses the epoch; labels are ids into `label_names`."""

    rows: Dataset
    gold: Dataset
    columns: Columns
    label_names: tuple[str, ...]
    student: str
    """Hub id or folder of the encoder."""
    student_name: str
    """How the student is called on cards; never a machine path."""
    max_length: int
    stride: int
    """Tokens that two windows of a context share, where answers are to be found."""
    metric: str
    seed: int
    settings: TrainingConfig
    watched: Mapping[str, Dataset] = field(default_factory=dict)
    """Rows by name that are scored after each epoch too, and that nothing is chosen by."""
