"""What a student predicts for one text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ResultKind = Literal["label", "answer"]


@dataclass(frozen=True, slots=True)
class Result:
    """The most probable label of a text, or the answer to a question.

    `value` is the label's name, or the answer's text; `score` is its probability, from 0 to 1.
    """

    kind: ResultKind
    value: str
    score: float
