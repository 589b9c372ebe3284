"""Prompt -> completion -> Example or Rejected, for many slots at once, with rows in slot order.

Whatever order the completions arrive in, the same completions give the same rows: every random draw is
seeded by the slot, and duplicates are decided in slot order.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from rapidfuzz import fuzz, process

from s3_hf.config import SynthesisConfig
from s3_hf.errors import BudgetReached, RequestError, SynthesisError
from s3_hf.records import Completion, Example, Request, Usage
from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.parsing import parse_list
from s3_hf.task import Task
from s3_hf.texts import COPY_RATIO

logger = logging.getLogger(__name__)

Generate = Callable[[Request], Awaitable[Completion]]

RATIONALE_LISTS = 4
"""Lists of rationales asked for at once; the rationales named most often are kept."""
RATIONALE_BATCHES = 6
"""How often lists are asked for until there are enough rationales; a small LLM gives few at a time."""
RATIONALE_TOKENS = 200
SPARE = 1.5
"""So many times the wanted rationales are looked for, since some will go to another label."""
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
class Plan:
    """What one slot is for: a label, and the gold row to extrapolate if there is one."""

    slot: str
    label: int
    origin: str
    parent: str | None = None
    source: str | None = None


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
    """

    task: Task
    settings: SynthesisConfig
    seed: int
    round: int
    generate: Generate
    checks: Checks
    window: int = 64
    tally: Tally = field(default_factory=Tally)

    async def rationales(self) -> Mapping[str, tuple[str, ...]]:
        """Return up to K rationales for each label name (Algorithm 1, lines 1 and 2); asked once in a run.

        Those that the LLM names most often are kept. One that it names for several labels belongs to the
        label that it names it for most; in a draw it tells nothing and is left out.

        Raises:
            SynthesisError: the answers hold fewer distinct rationales than one example draws.
        """
        if not self.tally.rationales:
            numbers = range(len(self.task.label_names))
            votes = await asyncio.gather(*(self._votes_for(number) for number in numbers))
            self.tally.rationales = {self.task.label_names[number]: self._elected(number, votes) for number in numbers}
        return self.tally.rationales

    async def examples(self, n: int, *, rationales: bool) -> AsyncIterator[Example]:
        """Yield up to `n` seed examples in slot order (Algorithm 1, lines 4 to 8).

        Args:
            n: examples wanted; fewer come if slots are given up and their replacements too.
            rationales: draw k rationales into each prompt; False leaves them out (Table 4).
        """
        if rationales:
            await self.rationales()
        template = "seed" if rationales else "seed_plain"
        wanted = [self._draw_label(number) for number in range(n)]
        start = 0
        for _ in range(1 + REPLACEMENTS):
            plans = (
                Plan(f"r{self.round}/seed/{start + place:05d}", label, "seed") for place, label in enumerate(wanted)
            )
            lost: list[int] = []
            async for example in self._in_order(plans, template, lost):
                yield example
            start, wanted = start + len(wanted), lost
            if not wanted:
                return

    async def extrapolate(
        self, rows: Iterable[Mapping[str, Any]], origin: str, copies: int = 1, first: int = 0
    ) -> AsyncIterator[Example]:
        """Yield `copies` examples like each gold row, with its label, in slot order (Algorithm 2, lines 8 to 10).

        Args:
            rows: gold rows with their `s3_id`.
            origin: `error` for mistakes, `gold` for GoldGen.
            copies: examples asked for each row.
            first: number of the first copy; the same number is the same slot.
        """
        if "{rationales}" in self.task.prompts.extrapolate:
            await self.rationales()
        plans = self._extrapolations(rows, origin, range(first, first + copies))
        async for example in self._in_order(plans, "extrapolate", []):
            yield example

    def _extrapolations(self, rows: Iterable[Mapping[str, Any]], origin: str, copies: range) -> Iterator[Plan]:
        config = self.task.config
        for row in rows:
            for copy in copies:
                slot = f"r{self.round}/{origin}/{row['s3_id']}/{copy}"
                yield Plan(slot, int(row[config.label]), origin, str(row["s3_id"]), str(row[config.text]))

    async def _votes_for(self, label: int) -> Counter[str]:
        """Ask for lists of rationales until there are K distinct ones, and count how often each is named."""
        name, word = self.task.label_names[label], self.task.label_words[label]
        wanted = self.settings.rationales_per_label
        content = self.task.prompts.rationales.format(count=wanted, label=word)
        votes: Counter[str] = Counter()
        for batch in range(RATIONALE_BATCHES):
            numbers = range(batch * RATIONALE_LISTS, (batch + 1) * RATIONALE_LISTS)
            asked = (self._ask(f"rationales/{name}/{number}", content, RATIONALE_TOKENS, ()) for number in numbers)
            for completion in await asyncio.gather(*asked):
                for phrase in parse_list(completion.text):
                    if any(word in phrase.split() for word in self.task.label_words):
                        continue  # talk about the task, such as "a positive impression"
                    votes[_same(phrase, votes) or phrase] += 1
            if len(votes) >= wanted * SPARE:
                break
        return votes

    def _elected(self, label: int, votes: Sequence[Counter[str]]) -> tuple[str, ...]:
        others = [one for number, one in enumerate(votes) if number != label]

        def contested(phrase: str, count: int) -> bool:
            return any(other[_same(phrase, other) or phrase] >= count for other in others)

        kept = [phrase for phrase, count in votes[label].most_common() if not contested(phrase, count)]
        if len(kept) < self.settings.rationales_per_example:
            raise SynthesisError(
                f"the LLM was asked for {self.settings.rationales_per_label} rationales for "
                f"{self.task.label_words[label]!r} as a numbered list, found {len(kept)} that tell it from the other "
                "labels; use an LLM that follows instructions, edit the recipe's prompt 'rationales', or switch "
                "rationales off"
            )
        return tuple(kept[: self.settings.rationales_per_label])

    async def _in_order(self, plans: Iterable[Plan], name: str, lost: list[int]) -> AsyncIterator[Example]:
        """Yield examples in the order of `plans`; labels of slots given up are added to `lost`.

        When a limit is reached no new slot is begun, what is under way is still used, and then the
        limit is reported: an answer that was paid for is never cancelled.
        """
        template = getattr(self.task.prompts, name)
        self.tally.prompts[_hash(template)] = template
        waiting: deque[tuple[Plan, asyncio.Task[_Candidate | None]]] = deque()
        stop: BudgetReached | None = None
        remaining = iter(plans)
        try:
            while True:
                while stop is None and len(waiting) < self.window and (plan := next(remaining, None)) is not None:
                    waiting.append((plan, asyncio.ensure_future(self._attempt(plan, template, 0))))
                if not waiting:
                    break
                plan, task = waiting.popleft()
                try:
                    candidate = await self._unlike_any(plan, template, await task)
                except BudgetReached as error:
                    stop = stop or error
                    continue
                if candidate is None:
                    self._give_up(plan, lost)
                else:
                    self.tally.accepted += 1
                    yield self._example(plan, template, candidate)
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)
        if stop:
            raise stop

    async def _unlike_any(self, plan: Plan, template: str, candidate: _Candidate | None) -> _Candidate | None:
        """Return the first candidate from here on that repeats no accepted text, or None."""
        while candidate is not None and self.checks.duplicate(candidate.text):
            self.tally.rejected["duplicate"] += 1
            candidate = await self._attempt(plan, template, candidate.attempt + 1)
        return candidate

    async def _attempt(self, plan: Plan, template: str, first: int) -> _Candidate | None:
        """Ask from attempt `first` on until the answer passes the checks of one text; None when out of attempts."""
        for attempt in range(first, self.settings.attempts):
            slot = plan.slot if attempt == 0 else f"{plan.slot}~{attempt}"
            drawn = self._draw_rationales(plan, slot, template)
            config = self.task.config
            fields = {"label": self.task.label_words[plan.label], "text": plan.source, "rationales": ", ".join(drawn)}
            limit = self.settings.max_tokens or config.max_tokens
            try:
                completion = await self._ask(slot, template.format(**fields), limit, config.stop)
            except RequestError as error:
                logger.warning("%s is given up: %s", slot, error)
                self.tally.rejected["refused by the endpoint"] += 1
                return None
            text = self.checks.text_of(completion, template, plan.source)
            if isinstance(text, str):
                return _Candidate(text, attempt, drawn, completion.model)
            self.tally.rejected[text.reason] += 1
        return None

    async def _ask(self, slot: str, content: str, max_tokens: int, stop: tuple[str, ...]) -> Completion:
        system = self.task.prompts.system
        messages = ({"role": "system", "content": system},) if system else ()
        completion = await self.generate(
            Request(
                slot=slot,
                messages=(*messages, {"role": "user", "content": content}),
                max_tokens=max_tokens,
                temperature=self.settings.temperature,
                top_p=self.settings.top_p,
                stop=stop,
                seed=int.from_bytes(sha256(f"{self.seed}/{slot}".encode()).digest()[:4], "big") >> 1,
            )
        )
        self.tally.usage += completion.usage
        return completion

    def _draw_label(self, number: int) -> int:
        labels = len(self.task.label_names)
        if self.settings.labels == "balanced":
            return number % labels
        return self._random(f"label/{number}").randrange(labels)

    def _draw_rationales(self, plan: Plan, slot: str, template: str) -> tuple[str, ...]:
        if "{rationales}" not in template:
            return ()
        pool = self.tally.rationales.get(self.task.label_names[plan.label], ())
        return tuple(self._random(slot).sample(pool, min(self.settings.rationales_per_example, len(pool))))

    def _random(self, place: str) -> random.Random:
        return random.Random(f"{self.seed}/{place}")

    def _give_up(self, plan: Plan, lost: list[int]) -> None:
        lost.append(plan.label)
        self.tally.given_up += 1
        if not self.tally.accepted and self.tally.given_up >= HOPELESS:
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.tally.rejected.most_common())
            raise SynthesisError(
                f"usable examples were wanted from the LLM, found none in {self.tally.rejected.total()} answers "
                f"({reasons}); try the prompts on a few rows, or use another LLM"
            )

    def _example(self, plan: Plan, template: str, candidate: _Candidate) -> Example:
        config = self.task.config
        return Example(
            id=f"s3-{plan.slot}",
            columns={config.text: candidate.text, config.label: plan.label},
            origin=plan.origin,
            round=self.round,
            parent=plan.parent,
            rationales=candidate.rationales,
            model=candidate.model,
            prompt=_hash(template),
        )


def _same(phrase: str, known: Iterable[str]) -> str | None:
    """The known phrase that is the same but for a letter or two, if there is one."""
    found = process.extractOne(phrase, list(known), scorer=fuzz.ratio, score_cutoff=COPY_RATIO)
    return str(found[0]) if found else None


def _hash(template: str) -> str:
    return sha256(template.encode()).hexdigest()[:12]
