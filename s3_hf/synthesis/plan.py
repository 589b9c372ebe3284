"""What the slots of a round are for: labels and contexts drawn, gold rows to extrapolate."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from s3_hf.config import SynthesisConfig
from s3_hf.records import Context
from s3_hf.task import Task


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the same label that is shown before a prompt, and the name that it is about if there is one."""

    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one slot is for: a label, a context where the task has them, and the gold text to extrapolate if any.

    With ZeroGen's prompts it may be about a `name`, with ProGen's there may be rows `shown` before it.
    """

    slot: str
    origin: str
    label: int | None = None
    context: Context | None = None
    parent: str | None = None
    source: str | None = None
    name: str = ""
    shown: tuple[Shown, ...] = ()

    def fields(self, label_words: tuple[str, ...], rationales: tuple[str, ...]) -> dict[str, str]:
        """What the fields of a prompt template stand for."""
        context = self.context or Context("")
        return {
            "label": "" if self.label is None else label_words[self.label],
            "text": self.source or "",
            "rationales": ", ".join(rationales),
            "context": context.text,
            "answer": context.answer.text if context.answer else "",
            "name": self.name,
        }


@dataclass(frozen=True, slots=True)
class Planner:
    """Draws what slots are for; every draw is seeded by the slot."""

    task: Task
    settings: SynthesisConfig
    seed: int
    round: int

    def labels(self, n: int) -> list[int | None]:
        """The labels of `n` seed slots: in turn, or drawn (Algorithm 1, line 5); None where answers are learned."""
        count = len(self.task.label_names)
        if not count:
            return [None] * n
        if self.settings.labels == "balanced":
            return [number % count for number in range(n)]
        return [self.random(f"label/{number}").randrange(count) for number in range(n)]

    def seeds(self, labels: Iterable[int | None], start: int, origin: str = "seed") -> Iterator[Plan]:
        """Slots for examples like no gold row, about contexts drawn uniformly where there are some (section 2.4)."""
        contexts = self.task.contexts
        for number, label in enumerate(labels, start):
            slot = f"r{self.round}/{origin}/{number:05d}"
            context = self.random(f"context/{slot}").choice(contexts) if contexts else None
            yield Plan(slot, origin, label, context, context.parent if context else None)

    def extrapolations(self, rows: Iterable[Mapping[str, Any]], origin: str, copies: range) -> Iterator[Plan]:
        """Slots for examples like gold rows, with their label and context (Algorithms 2 and 3)."""
        columns = self.task.columns
        for row in rows:
            label = int(row[columns.label]) if columns.label else None
            context = self.task.context_of(row)
            for copy in copies:
                slot = f"r{self.round}/{origin}/{row['s3_id']}/{copy}"
                yield Plan(slot, origin, label, context, str(row["s3_id"]), str(row[columns.text]))

    def random(self, place: str) -> random.Random:
        """A source of random numbers that belongs to this place of this run."""
        return random.Random(f"{self.seed}/{place}")
