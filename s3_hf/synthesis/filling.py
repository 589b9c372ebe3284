"""Prompt -> completion -> Example or rejection, for many slots at once, with examples in slot order.

Slots are completed in any order and yielded in slot order. The same completions give the same examples in whatever
order they arrive: every random draw is seeded by the slot, and duplicates are decided in slot order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from s3_hf.errors import RequestError, S3Error, SynthesisError
from s3_hf.records import Example
from s3_hf.synthesis.asking import Asker, Tally, gather_answered
from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.choosing import WRONG_LABEL, Candidate, Chooser
from s3_hf.synthesis.composing import Composer, prompt_id
from s3_hf.synthesis.plan import Plan, Rationales

HOPELESS = 40
"""Slots given up before the first accepted text after which the LLM counts as unable to do the task."""

AHEAD = 16
"""Slots that may be begun for each slot that is asked for at once, while an early one is asked again or answered late.

What waits is a text of each slot, so that memory stays bounded.
"""


Attempt = asyncio.Task[list[Candidate] | None]


@dataclass
class SlotFiller:
    """Fills slots with the answers to one prompt template, up to `window` slots at once.

    `stopped` is the error that ended the filling; nothing new is asked from then on.
    """

    composer: Composer
    checks: Checks
    asker: Asker
    chooser: Chooser
    window: int
    template: str
    rationales: Rationales
    stopped: S3Error | None = field(default=None, init=False)
    _running: set[Attempt] = field(default_factory=set, init=False)
    _ended: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def fill(self, plans: Iterable[Plan]) -> AsyncIterator[tuple[Plan, Example | None]]:
        """Yield each plan with its example, in order; None stands for a slot that was given up.

        Raises:
            SynthesisError: the first slots were all given up.
            S3Error: nothing more can be asked, be it for a limit or a dead endpoint. No new slot is begun then, and
                the error is raised after the examples of the slots under way: an answer that is paid for is used.
        """
        begun: deque[tuple[Plan, Attempt]] = deque()
        remaining = iter(plans)
        try:
            while True:
                while self._has_room(len(begun)) and (plan := next(remaining, None)) is not None:
                    begun.append((plan, self._start(plan, 0)))
                if not begun:
                    break
                plan, attempt = begun[0]
                if attempt in self._running:  # it may be done, but is not noted yet: `_end` sets `stopped`
                    self._ended.clear()
                    await self._ended.wait()
                    continue
                del begun[0]
                if isinstance(attempt.exception(), S3Error):
                    continue
                if (candidates := attempt.result()) is None:
                    yield plan, None
                elif (candidate := self._accepted(plan, candidates)) is not None:
                    yield plan, self._example(plan, candidate)
                else:
                    begun.appendleft((plan, self._start(plan, candidates[0].attempt + 1)))
        finally:
            for attempt in self._running:
                attempt.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
        if self.stopped:
            raise self.stopped

    def _has_room(self, begun: int) -> bool:
        """Return whether another slot may be begun where `begun` slots are not yielded yet."""
        return self.stopped is None and len(self._running) < self.window and begun < AHEAD * self.window

    def _start(self, plan: Plan, first: int) -> Attempt:
        """Begin the attempts at a slot from number `first` on."""
        attempt = asyncio.ensure_future(self._attempt(plan, first))
        self._running.add(attempt)
        attempt.add_done_callback(self._end)
        return attempt

    def _end(self, attempt: Attempt) -> None:
        """Note how the attempts at a slot ended, whichever slot that is."""
        tally = self.asker.tally
        self._running.discard(attempt)
        self._ended.set()
        if attempt.cancelled():
            return
        if (error := attempt.exception()) is not None:
            if isinstance(error, S3Error):
                self.stopped = self.stopped or error
        elif attempt.result() is not None:
            tally.waiting += 1
        else:
            tally.given_up += 1
            if not (tally.accepted or tally.waiting) and tally.given_up >= HOPELESS:
                self.stopped = self.stopped or _hopeless(tally)

    async def _attempt(self, plan: Plan, first: int) -> list[Candidate] | None:
        """Ask from attempt `first` on until texts pass the checks of one text; None when attempts run out.

        A text that was accepted in an earlier slot is a duplicate for certain; the others are decided in slot order.
        """
        settings = self.composer.planner.settings
        for attempt in range(first, settings.attempts):
            if self.stopped:
                raise self.stopped.with_traceback(None)
            asked = (self._candidate(plan, attempt, number) for number in range(settings.candidates))
            try:
                found = await gather_answered(asked, required=True)
            except RequestError:
                return None
            if candidates := [each for each in found if each is not None]:
                return await self.chooser.compared(plan, candidates)
        return None

    async def _candidate(self, plan: Plan, attempt: int, number: int) -> Candidate | None:
        """Ask for text `number` of an attempt, and return it if it passes the checks of one text and the judge.

        Raises:
            RequestError: the endpoint refuses the request.
        """
        tally, planner = self.asker.tally, self.composer.planner
        slot = plan.slot + (f"+{number}" if number else "") + (f"~{attempt}" if attempt else "")
        request, drawn = self.composer.example(plan, self.template, slot, self.rationales)
        completion = await self.asker.ask(request)
        if planner.settings.thinking_tokens and completion.finish_reason == "length":
            tally.reject("cut off", completion.text)  # maybe in its thoughts, which need not begin with a tag
            return None
        text = self.checks.text_of(completion, self.template, plan)
        if not isinstance(text, str) or self.checks.seen_before(text, plan):
            rejected = ("duplicate", text) if isinstance(text, str) else (text.reason, completion.text)
            tally.reject(*rejected)
            return None
        columns = planner.task.example_columns(f"s3-{plan.slot}", text, plan.label, plan.context)
        candidate = Candidate(text, attempt, drawn, completion.model)
        try:
            judged = await self.chooser.judged(plan, candidate, columns, slot)
        except RequestError:  # the endpoint refuses to judge this text, which is counted
            return None
        if judged is None:
            tally.reject(WRONG_LABEL, text)
        return judged

    def _accepted(self, plan: Plan, candidates: list[Candidate]) -> Candidate | None:
        """Count the candidates of the earliest slot, and return the best one; None if all are duplicates."""
        tally = self.asker.tally
        tally.waiting -= 1
        fresh: list[Candidate] = []
        for each in candidates:
            if self.checks.seen_before(each.text, plan):
                tally.reject("duplicate", each.text)
            else:
                fresh.append(each)
        if not fresh:
            return None
        best = self.chooser.best(plan, fresh)
        for each in fresh:
            if each is not best:
                tally.reject("not chosen", each.text)
        self.checks.duplicate(best.text, plan)  # records it
        tally.accepted += 1
        return best

    def _example(self, plan: Plan, candidate: Candidate) -> Example:
        planner, judgement = self.composer.planner, candidate.judgement
        name = f"s3-{plan.slot}"
        label = plan.label if judgement is None else judgement.label
        return Example(
            id=name,
            columns=planner.task.example_columns(name, candidate.text, label, plan.context),
            origin=plan.origin,
            round=planner.round,
            parent=plan.parent,
            rationales=candidate.rationales,
            model=candidate.model,
            prompt=prompt_id(self.template),
            label_p=None if judgement is None else judgement.p,
        )


def _hopeless(tally: Tally) -> SynthesisError:
    reasons = ", ".join(f"{reason} {count}" for reason, count in tally.rejected.most_common())
    return SynthesisError(
        f"usable examples were wanted from the LLM, found none in {tally.rejected.total()} answers "
        f"({reasons}); try the prompts on a few rows, or use another LLM"
    )
