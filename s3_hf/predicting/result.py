"""What a student predicts for one text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

ResultKind = Literal["label", "answer"]


@dataclass(frozen=True, slots=True)
class Result:
    """The most probable label of a text, or the answer to a question.

    `value` is the label's name, or the answer's text; `score` is its probability, from 0 to 1. An empty label, or an
    empty answer, is none: see `abstaining`.
    """

    kind: ResultKind
    value: str
    score: float


def abstaining(results: Iterable[Result], least: float) -> list[Result]:
    """Return the results, with an empty value where the score is below `least`."""
    return [one if one.score >= least else replace(one, value="") for one in results]
