"""What a student says of a text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Labelled:
    """The label of a text and its probability."""

    label: str
    score: float
