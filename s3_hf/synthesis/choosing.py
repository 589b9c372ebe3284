"""Texts that passed the checks: their labels are judged, and the best of several for a slot is chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from s3_hf.records import Judgement
from s3_hf.synthesis.plan import Plan

Judge = Callable[[Mapping[str, Any], str, str | None, Sequence[str]], Awaitable[Judgement]]
"""Judges a row: its columns, its slot, the id of the gold row that it was written like, if any, and those of the gold
rows shown in its prompt."""
Embed = Callable[[str], Awaitable[np.ndarray]]
"""Returns the vector of a text, of length 1."""
WRONG_LABEL = "label judged wrong"
"""Reason for the rejection of a row by the judge."""
DIGITS = 3
"""Decimals of what candidates are compared by, so that the order of computation changes no choice."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that passed the checks of one text.

    Attributes:
        text: the text.
        attempt: number of its attempt.
        rationales: what its prompt holds.
        model: LLM that wrote it.
        judgement: what the judge says; None where nothing is judged.
        vector: vector of the text, where several are asked for.
        closeness: cosine to the vector of the gold row that the text extrapolates; 0 without one.
    """

    text: str
    attempt: int
    rationales: tuple[str, ...]
    model: str
    judgement: Judgement | None = None
    vector: np.ndarray | None = None
    closeness: float = 0.0


@dataclass
class _Accepted:
    """The vectors of the rows accepted so far, in one matrix that is doubled when it is full."""

    matrix: np.ndarray | None = None
    rows: int = 0

    def add(self, vector: np.ndarray) -> None:
        if self.matrix is None:
            self.matrix = np.empty((64, len(vector)), vector.dtype)
        elif self.rows == len(self.matrix):
            full, self.matrix = self.matrix, np.empty((2 * self.rows, len(vector)), vector.dtype)
            self.matrix[: self.rows] = full
        self.matrix[self.rows] = vector
        self.rows += 1

    def nearest(self, vector: np.ndarray) -> float:
        """Return the largest cosine of a vector to those of the rows; 0 without rows."""
        return 0.0 if self.matrix is None else float((self.matrix[: self.rows] @ vector).max())


@dataclass
class Chooser:
    """Judges the candidates of one round, and chooses among those of a slot.

    Attributes:
        judge: judges a row; None judges none.
        embed: returns the vector of a text; None compares candidates by the judge alone.
        candidates: texts asked for in each slot.
    """

    judge: Judge | None = None
    embed: Embed | None = None
    candidates: int = 1
    _accepted: _Accepted = field(default_factory=_Accepted, init=False)

    async def judged(
        self, plan: Plan, candidate: Candidate, columns: Mapping[str, Any], slot: str
    ) -> Candidate | None:
        """Return the candidate with its judgement and vector; None if its label is judged wrong.

        Args:
            plan: the plan of its slot.
            candidate: a text that passed the checks.
            columns: the row that it would be.
            slot: slot of its request.
        """
        shown = [shot.parent for shot in plan.shots if shot.parent]
        judgement = None if self.judge is None else await self.judge(columns, slot, plan.parent, shown)
        if judgement is not None and not judgement.accepted:
            return None
        if self.embed is None or self.candidates == 1:
            return replace(candidate, judgement=judgement)
        return replace(candidate, judgement=judgement, vector=await self.embed(candidate.text))

    async def compared(self, plan: Plan, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the judged candidates of a slot with their closeness to the gold row that it extrapolates, if any."""
        if self.embed is None or self.candidates == 1 or plan.source is None:
            return [*candidates]
        source = await self.embed(plan.source)
        return [
            each if each.vector is None else replace(each, closeness=float(each.vector @ source))
            for each in candidates
        ]

    def best(self, plan: Plan, candidates: Sequence[Candidate]) -> Candidate:
        """Return the candidate that is likeliest to have its label, and closest to its gold row, or else newest.

        It has the highest sum of P(label) and its cosine to the gold row that it extrapolates; where it extrapolates
        none, the highest P(label) minus its largest cosine to the rows accepted before. Called in slot order.
        """
        if len(candidates) == 1:
            best = candidates[0]
        else:
            best = max(candidates, key=lambda each: round(self._value(plan, each), DIGITS))
        if best.vector is not None and plan.source is None:
            self._accepted.add(best.vector)
        return best

    def _value(self, plan: Plan, candidate: Candidate) -> float:
        value = candidate.judgement.p if candidate.judgement else 0.0
        if candidate.vector is None:
            return value
        if plan.source is not None:
            return value + candidate.closeness
        return value - self._accepted.nearest(candidate.vector)
