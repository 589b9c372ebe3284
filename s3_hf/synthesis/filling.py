"""Prompt -> completion -> Example or rejection, for many slots at once, with examples in slot order.

The same completions give the same examples in whatever order they arrive: every random draw is seeded by the slot,
and duplicates are decided in slot order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from s3_hf.errors import RequestError, S3Error, SynthesisError
from s3_hf.records import Example
from s3_hf.synthesis.asking import Asker
from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.composing import Composer, prompt_id
from s3_hf.synthesis.plan import Plan, Rationales

HOPELESS = 40
"""Slots given up before the first accepted text after which the LLM counts as unable to do the task."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A text that passed the checks of one text, and the number of its attempt."""

    text: str
    attempt: int
    rationales: tuple[str, ...]
    model: str


@dataclass
class SlotFiller:
    """Fills slots with the answers to one prompt template, up to `window` slots at once.

    `stopped` is the error that ended the filling; nothing new is asked from then on.
    """

    composer: Composer
    checks: Checks
    asker: Asker
    window: int
    template: str
    rationales: Rationales
    stopped: S3Error | None = field(default=None, init=False)

    async def fill(self, plans: Iterable[Plan]) -> AsyncIterator[tuple[Plan, Example | None]]:
        """Yield each plan with its example, in order; None stands for a slot that was given up.

        Raises:
            SynthesisError: the first slots were all given up.
            S3Error: nothing more can be asked, be it for a limit or a dead endpoint. No new slot is begun then, and
                the error is raised after the examples of the slots under way: an answer that is paid for is used.
        """
        waiting: deque[tuple[Plan, asyncio.Task[_Candidate | None]]] = deque()
        remaining = iter(plans)
        try:
            while True:
                while (
                    self.stopped is None and len(waiting) < self.window and (plan := next(remaining, None)) is not None
                ):
                    waiting.append((plan, asyncio.ensure_future(self._attempt(plan, 0))))
                if not waiting:
                    break
                plan, task = waiting.popleft()
                try:
                    example = self._decided(plan, await self._unlike_any(plan, await task))
                except S3Error as error:
                    self.stopped = self.stopped or error
                    continue
                yield plan, example
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        if self.stopped:
            raise self.stopped

    async def _attempt(self, plan: Plan, first: int) -> _Candidate | None:
        """Ask from attempt `first` on until a text passes the checks of one text; None when attempts run out."""
        tally, settings = self.asker.tally, self.composer.planner.settings
        for attempt in range(first, settings.attempts):
            if self.stopped:
                raise self.stopped.with_traceback(None)
            slot = plan.slot if attempt == 0 else f"{plan.slot}~{attempt}"
            request, drawn = self.composer.example(plan, self.template, slot, self.rationales)
            try:
                completion = await self.asker.ask(request)
            except RequestError:
                return None
            if settings.thinking_tokens and completion.finish_reason == "length":
                tally.rejected["cut off"] += 1  # maybe in its thoughts, which need not begin with a tag
                continue
            text = self.checks.text_of(completion, self.template, plan)
            if isinstance(text, str):
                return _Candidate(text, attempt, drawn, completion.model)
            tally.rejected[text.reason] += 1
        return None

    async def _unlike_any(self, plan: Plan, candidate: _Candidate | None) -> _Candidate | None:
        """Return the candidate, or one of a later attempt, whose text repeats no accepted text; else None."""
        while candidate is not None and self.checks.duplicate(candidate.text, plan):
            self.asker.tally.rejected["duplicate"] += 1
            candidate = await self._attempt(plan, candidate.attempt + 1)
        return candidate

    def _decided(self, plan: Plan, candidate: _Candidate | None) -> Example | None:
        """Count the slot as accepted or given up; return its example if it has one."""
        tally = self.asker.tally
        if candidate is not None:
            tally.accepted += 1
            return self._example(plan, candidate)
        tally.given_up += 1
        if not tally.accepted and tally.given_up >= HOPELESS:
            reasons = ", ".join(f"{reason} {count}" for reason, count in tally.rejected.most_common())
            raise SynthesisError(
                f"usable examples were wanted from the LLM, found none in {tally.rejected.total()} answers "
                f"({reasons}); try the prompts on a few rows, or use another LLM"
            )
        return None

    def _example(self, plan: Plan, candidate: _Candidate) -> Example:
        planner = self.composer.planner
        name = f"s3-{plan.slot}"
        return Example(
            id=name,
            columns=planner.task.example_columns(name, candidate.text, plan.label, plan.context),
            origin=plan.origin,
            round=planner.round,
            parent=plan.parent,
            rationales=candidate.rationales,
            model=candidate.model,
            prompt=prompt_id(self.template),
        )
