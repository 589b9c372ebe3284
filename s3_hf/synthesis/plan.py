"""Plans of slots: the label, context, gold row, name and shown rows of each example that is asked for."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from s3_hf.config import SynthesisConfig
from s3_hf.records import Context
from s3_hf.task import Task

Rationales = Mapping[str, tuple[str, ...]]
"""Rationales by label name: short reasons for the label, which prompts draw from."""
Turn = tuple[Mapping[str, Any], int]
"""A gold row with its `s3_id`, and the number of the example that is written like it."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A synthetic row that stands before a prompt (ProGen); `name` is the name that its text is about, if any."""

    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows that prompts may show, as in ProGen (Ye et al., Findings of EMNLP 2022).

    Attributes:
        rows: rows by label id.
        size: rows shown before one prompt; all rows of a label that has fewer.
        ratio: probability, from 0 to 1, that a prompt shows rows.
    """

    rows: Mapping[int, Sequence[ShownRow]]
    size: int
    ratio: float

    def draw(self, label: int | None, source: random.Random) -> tuple[ShownRow, ...]:
        """Return distinct rows of the label, or an empty tuple with probability 1 - `ratio`."""
        rows = self.rows.get(label, ()) if label is not None else ()
        if source.random() >= self.ratio:
            return ()
        return tuple(source.sample(rows, min(self.size, len(rows))))


@dataclass(frozen=True, slots=True)
class Plan:
    """What one slot is filled with.

    Attributes:
        slot: name of the place in the run, such as `r1/error/val-00017/0`; it seeds every draw for this example.
        origin: `s3_origin` of the row; see `Example.origin`.
        label: label id; None where the task is to find answers.
        context: text that the example is about (c in section 2.4), in tasks with contexts.
        parent: id of the gold row that is extrapolated or that the context comes from.
        source: text of the gold row that is extrapolated.
        name: name to write about (ZeroGen).
        shown: rows that stand before the prompt (ProGen).
        shots: gold rows that stand before it as turns of the chat (`shots`), each with its text as `source`.
    """

    slot: str
    origin: str
    label: int | None = None
    context: Context | None = None
    parent: str | None = None
    source: str | None = None
    name: str = ""
    shown: tuple[ShownRow, ...] = ()
    shots: tuple[Plan, ...] = ()

    def fields(self, label_words: Sequence[str], rationales: Sequence[str]) -> dict[str, str]:
        """Return the value of each field that a prompt template may hold; fields without a value are empty."""
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
    """Plans the slots of one round.

    The same task, settings, `seed` and `round` give the same plans: each draw has a source of random numbers of its
    own, seeded by the run's seed and the slot.
    """

    task: Task
    settings: SynthesisConfig
    seed: int
    round: int

    def labels(self, n: int) -> list[int | None]:
        """Return the label ids of `n` seed slots, as `synthesis.labels` says (Algorithm 1, line 5: drawn uniformly).

        They are all None where the task is to find answers.
        """
        count = len(self.task.label_names)
        if not count:
            return [None] * n
        if self.settings.labels == "uniform":
            return [self.random(f"label/{number}").randrange(count) for number in range(n)]
        if self.settings.labels == "gold":
            return list(itertools.islice(in_proportion(self.task.label_counts), n))
        return [number % count for number in range(n)]

    def seeds(self, labels: Iterable[int | None], start: int, origin: str = "seed") -> Iterator[Plan]:
        """Yield a plan for each label, numbered from `start`; contexts are drawn uniformly (section 2.4)."""
        contexts = self.task.contexts
        for number, label in enumerate(labels, start):
            slot = f"r{self.round}/{origin}/{number:05d}"
            context = self.random(f"context/{slot}").choice(contexts) if contexts else None
            yield Plan(slot, origin, label, context, context.parent if context else None)

    def zero_shot(
        self,
        labels: Iterable[int | None],
        start: int,
        names: Sequence[str],
        rows_per_name: int,
        pool: Pool | None = None,
    ) -> Iterator[Plan]:
        """Yield the plans of `seeds` with a name for each run of `rows_per_name` slots, and rows drawn from the pool.

        Names are used again when there are too few. With a pool the origin is `feedback` instead of `seed`.
        """
        for number, plan in enumerate(self.seeds(labels, start, "feedback" if pool else "seed"), start):
            shown = pool.draw(plan.label, self.random(f"shown/{plan.slot}")) if pool else ()
            yield replace(plan, name=names[number // rows_per_name % len(names)], shown=shown)

    def extrapolations(self, turns: Iterable[Turn], origin: str) -> Iterator[Plan]:
        """Yield a plan for each gold row and number of an example, with its label and context (Algorithms 2, 3).

        Args:
            turns: gold rows and numbers; the same row and number are the same slot.
            origin: `error` for mistakes, `gold` for any gold row (GoldGen).
        """
        columns = self.task.columns
        for row, number in turns:
            label = int(row[columns.label]) if columns.label else None
            slot = f"r{self.round}/{origin}/{row['s3_id']}/{number}"
            context = self.task.context_of(row)
            yield Plan(slot, origin, label, context, str(row["s3_id"]), str(row[columns.text]))

    def random(self, place: str) -> random.Random:
        """Return a source of random numbers seeded by the run's seed and `place`."""
        return random.Random(f"{self.seed}/{place}")


def in_proportion(weights: Sequence[float]) -> Iterator[int]:
    """Yield places of `weights` without end, each as often as its weight is large, in every beginning of the sequence.

    Places without a weight do not occur; one of the weights must be positive.
    """
    total, taken = sum(weights), [0] * len(weights)
    for number in itertools.count(1):
        place = max(range(len(weights)), key=lambda each: weights[each] * number / total - taken[each])
        taken[place] += 1
        yield place
