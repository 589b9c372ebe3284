"""Prompt -> completion -> Example or Rejected, for many slots at once, with rows in slot order.

Whatever order the completions arrive in, the same completions give the same rows: every random draw is
seeded by the slot, and duplicates are decided in slot order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

from s3_hf.config import SynthesisConfig
from s3_hf.errors import RequestError, S3Error, SynthesisError
from s3_hf.records import Completion, Example, Request, Usage
from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.composing import Composer
from s3_hf.synthesis.plan import Plan, Planner
from s3_hf.synthesis.rationales import RationaleSearch
from s3_hf.synthesis.zerogen import Pool, found_names
from s3_hf.task import Task

logger = logging.getLogger(__name__)

Generate = Callable[[Request], Awaitable[Completion]]
Slots = tuple[str, Callable[[Iterable[int | None], int], Iterator[Plan]]]
"""The name of a prompt, and what makes slots for it: one for each label, numbered from a number on."""

REPLACEMENTS = 3
"""How often slots that were given up are replaced by fresh ones."""
HOPELESS = 40
"""Slots given up before anything was accepted after which the LLM counts as unable to do the task."""


@dataclass
class Tally:
    """What a round asked, got and rejected."""

    rejected: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    usage: Usage = field(default_factory=Usage)
    rationales: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class _Candidate:
    text: str
    attempt: int
    rationales: tuple[str, ...]
    model: str


@dataclass
class Synthesizer:
    """Writes the examples of one round.

    Attributes:
        task: label words, prompts and columns.
        settings: sampling and how many rationales, labels and attempts.
        seed: the run's seed; a request's seed derives from it and the slot.
        round: number that slots and examples carry.
        generate: asks the LLM; usually `Client.generate`.
        checks: carries the texts seen so far, in earlier rounds too.
        window: slots under way at once; a few times the concurrency, so that one slow slot holds up nothing.
        once: gives what was first found under a name, `rationales` or `names`, in all starts of the round: prompts
            that were paid for name it, and a list that was refused may be answered when it is asked again.
    """

    task: Task
    settings: SynthesisConfig
    seed: int
    round: int
    generate: Generate
    checks: Checks
    window: int = 64
    once: Callable[[str, Any], Any] = lambda _, found: found
    tally: Tally = field(default_factory=Tally)
    stopped: S3Error | None = field(default=None, init=False)
    """What ended the run; from then on nothing new is asked."""

    @cached_property
    def planner(self) -> Planner:
        """Draws what the slots are for."""
        return Planner(self.task, self.settings, self.seed, self.round)

    @cached_property
    def composer(self) -> Composer:
        """Makes the requests for the slots."""
        return Composer(self.planner)

    async def rationales(self) -> Mapping[str, tuple[str, ...]]:
        """Return up to K rationales for each label name (Algorithm 1, lines 1 and 2); asked once in a run.

        Raises:
            SynthesisError: the answers hold fewer distinct rationales than one example draws.
        """
        if not self.tally.rationales:

            def ask(slot: str, content: str) -> Awaitable[Completion]:
                return self._ask(self.composer.rationales(slot, content))

            found = self.once("rationales", await RationaleSearch(self.task, self.settings, ask).found())
            self.tally.rationales = {label: tuple(kept) for label, kept in found.items()}
        return self.tally.rationales

    async def examples(self, n: int, *, rationales: bool) -> AsyncIterator[Example]:
        """Yield up to `n` seed examples in slot order (Algorithm 1, lines 4 to 8; section 2.4 with contexts).

        Args:
            n: examples wanted; fewer come if slots are given up and their replacements too.
            rationales: draw k rationales into each prompt; False leaves them out (Table 4). Tasks with contexts
                have none.
        """
        if self.guided(rationales=rationales):
            await self.rationales()
        async for example in self._replaced(n, self.seed_slots(rationales=rationales)):
            yield example

    def guided(self, *, rationales: bool) -> bool:
        """Whether seed prompts hold rationales; those of tasks with contexts never do."""
        return rationales and bool(self.task.prompts.rationales)

    def seed_slots(self, *, rationales: bool) -> Slots:
        """What `examples` asks."""
        template = "seed" if self.guided(rationales=rationales) or self.task.columns.context else "seed_plain"
        return template, self.planner.seeds

    async def zero_shot(self, n: int, per_name: int, pool: Pool | None = None) -> AsyncIterator[Example]:
        """Yield up to `n` examples by ZeroGen's prompts, or where the recipe has none, by the plain seed prompt.

        Args:
            n: examples wanted, as above.
            per_name: examples of each label about one name, where the recipe asks for names.
            pool: rows to show before the prompts (ProGen).
        """
        each = per_name * max(1, len(self.task.label_names))
        names = await self.names(-(-n // each))
        async for example in self._replaced(n, self.zero_shot_slots(names, per_name, pool)):
            yield example

    def zero_shot_slots(self, names: Sequence[str], per_name: int, pool: Pool | None = None) -> Slots:
        """What `zero_shot` asks once it has names, or `("",)` for none."""
        origin = "seed" if pool is None else "feedback"
        template = "zerogen" if self.task.prompts.zerogen else self.seed_slots(rationales=False)[0]
        each = per_name * max(1, len(self.task.label_names))

        def plans(labels: Iterable[int | None], start: int) -> Iterator[Plan]:
            for number, plan in enumerate(self.planner.seeds(labels, start, origin), start):
                shown = pool.drawn(plan.label, self.planner.random(f"shown/{plan.slot}")) if pool else ()
                yield replace(plan, name=names[number // each % len(names)], shown=shown)

        return template, plans

    async def names(self, wanted: int) -> tuple[str, ...]:
        """Return up to `wanted` names to write about, or `("",)` where the recipe asks for none.

        Raises:
            SynthesisError: no answer holds a name.
        """
        prompt = self.task.prompts.names
        if not prompt:
            return ("",)
        self.tally.prompts[_hash(prompt)] = prompt
        found = await found_names(prompt, wanted, lambda number: self._ask(self.composer.name(number)))
        return tuple(self.once("names", found))

    async def _replaced(self, n: int, slots: Slots) -> AsyncIterator[Example]:
        """Yield up to `n` examples, from replacements too of slots that are given up."""
        template, plans = slots
        wanted = self.planner.labels(n)
        start = 0
        for _ in range(1 + REPLACEMENTS):
            lost: list[int | None] = []
            async for example in self._in_order(plans(wanted, start), template, lost):
                yield example
            start, wanted = start + len(wanted), lost
            if not wanted:
                return

    async def extrapolate(
        self, rows: Iterable[Mapping[str, Any]], origin: str, copies: int = 1, first: int = 0
    ) -> AsyncIterator[Example]:
        """Yield `copies` examples like each gold row, in slot order (Algorithm 2, lines 8 to 10; Algorithm 3).

        Args:
            rows: gold rows with their `s3_id`; their label, context and answer are kept.
            origin: `error` for mistakes, `gold` for GoldGen.
            copies: examples asked for each row.
            first: number of the first copy; the same number is the same slot.
        """
        template = self.extrapolate_template()
        if "{rationales}" in getattr(self.task.prompts, template):
            await self.rationales()
        plans = self.planner.extrapolations(rows, origin, range(first, first + copies))
        async for example in self._in_order(plans, template, []):
            yield example

    def extrapolate_template(self) -> str:
        """The name of the prompt that `extrapolate` uses."""
        plain = bool(self.task.prompts.extrapolate_plain) and not self.settings.rationales
        return "extrapolate_plain" if plain else "extrapolate"

    async def _in_order(self, plans: Iterable[Plan], name: str, lost: list[int | None]) -> AsyncIterator[Example]:
        """Yield examples in the order of `plans`; labels of slots given up are added to `lost`.

        When the run cannot go on, be it for a limit or a dead endpoint, no new slot is begun, what is under way is
        still used, and then the error is raised: an answer that is paid for is never cancelled.
        """
        template = getattr(self.task.prompts, name)
        self.tally.prompts[_hash(template)] = template
        waiting: deque[tuple[Plan, asyncio.Task[_Candidate | None]]] = deque()
        remaining = iter(plans)
        try:
            while True:
                while (
                    self.stopped is None and len(waiting) < self.window and (plan := next(remaining, None)) is not None
                ):
                    waiting.append((plan, asyncio.ensure_future(self._attempt(plan, template, 0))))
                if not waiting:
                    break
                plan, task = waiting.popleft()
                try:
                    candidate = await self._unlike_any(plan, template, await task)
                    if candidate is None:
                        self._give_up(plan, lost)
                except S3Error as error:
                    self.stopped = self.stopped or error
                    continue
                if candidate is not None:
                    self.tally.accepted += 1
                    yield self._example(plan, template, candidate)
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        if self.stopped:
            raise self.stopped

    async def _unlike_any(self, plan: Plan, template: str, candidate: _Candidate | None) -> _Candidate | None:
        """Return the first candidate from here on that repeats no accepted text, or None."""
        while candidate is not None and self.checks.duplicate(candidate.text, plan):
            self.tally.rejected["duplicate"] += 1
            candidate = await self._attempt(plan, template, candidate.attempt + 1)
        return candidate

    async def _attempt(self, plan: Plan, template: str, first: int) -> _Candidate | None:
        """Ask from attempt `first` on until the answer passes the checks of one text; None when out of attempts."""
        for attempt in range(first, self.settings.attempts):
            if self.stopped:
                raise self.stopped.with_traceback(None)
            slot = plan.slot if attempt == 0 else f"{plan.slot}~{attempt}"
            request, drawn = self.composer.example(plan, template, slot, self.tally.rationales)
            try:
                completion = await self._ask(request)
            except RequestError:
                return None
            if self.settings.thinking_tokens and completion.finish_reason == "length":
                self.tally.rejected["cut off"] += 1  # maybe in its thoughts, which need not begin with a tag
                continue
            text = self.checks.text_of(completion, template, plan)
            if isinstance(text, str):
                return _Candidate(text, attempt, drawn, completion.model)
            self.tally.rejected[text.reason] += 1
        return None

    async def _ask(self, request: Request) -> Completion:
        try:
            completion = await self.generate(request)
        except RequestError as error:
            logger.warning("%s is given up: %s", request.slot, error)
            self.tally.rejected["refused by the endpoint"] += 1
            raise
        self.tally.usage += completion.usage
        return completion

    def _give_up(self, plan: Plan, lost: list[int | None]) -> None:
        lost.append(plan.label)
        self.tally.given_up += 1
        if not self.tally.accepted and self.tally.given_up >= HOPELESS:
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.tally.rejected.most_common())
            raise SynthesisError(
                f"usable examples were wanted from the LLM, found none in {self.tally.rejected.total()} answers "
                f"({reasons}); try the prompts on a few rows, or use another LLM"
            )

    def _example(self, plan: Plan, template: str, candidate: _Candidate) -> Example:
        name = f"s3-{plan.slot}"
        return Example(
            id=name,
            columns=self.task.example_columns(name, candidate.text, plan.label, plan.context),
            origin=plan.origin,
            round=self.round,
            parent=plan.parent,
            rationales=candidate.rationales,
            model=candidate.model,
            prompt=_hash(template),
        )


def _hash(template: str) -> str:
    return sha256(template.encode()).hexdigest()[:12]
