"""What a student says of a text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """A label, or an answer, and its probability."""

    value: str
    score: float
