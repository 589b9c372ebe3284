"""Gold rows shown before a request, as earlier turns of the chat: few-shot prompts for a weak LLM.

An LLM of 135M parameters continues a chat whose answers are all texts of the task, where it answers a description of
the task, or a list of examples in one message, with talk about them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from s3_hf.synthesis.plan import Plan, Planner

SPARE = 4
"""Rows drawn in place of those that a slot must not show."""


@dataclass(frozen=True, slots=True)
class Shots:
    """Draws the gold rows that each slot shows; `rows` are plans with the text of a gold row each, by label."""

    planner: Planner
    rows: Mapping[int | None, Sequence[Plan]]

    @classmethod
    def of(cls, planner: Planner) -> Shots:
        """Return the shots of a round, drawn from the mined rows."""
        rows: dict[int | None, list[Plan]] = {}
        if planner.settings.shots:
            for plan in planner.extrapolations(((row, 0) for row in planner.task.mined), "shown"):
                rows.setdefault(plan.label, []).append(plan)
        return cls(planner, rows)

    def added(self, plans: Iterable[Plan]) -> Iterator[Plan]:
        """Yield the plans with up to `synthesis.shots` rows of their label, none of which has their row or context."""
        count = self.planner.settings.shots
        for plan in plans:
            rows = self.rows.get(plan.label, ())
            drawn = self.planner.random(f"shots/{plan.slot}").sample(rows, min(count + SPARE, len(rows)))
            fit = (row for row in drawn if row.parent != plan.parent and not _same_context(row, plan))
            yield replace(plan, shots=tuple(itertools.islice(fit, count)))


def _same_context(row: Plan, plan: Plan) -> bool:
    return row.context is not None and plan.context is not None and row.context.text == plan.context.text
