"""What a strategy asks of the LLM: rationales, names, and examples of three kinds (paper sections 2.2 and 2.3)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from s3_hf.config import SynthesisConfig
from s3_hf.records import Example, Request
from s3_hf.synthesis.asking import Asker, Generate, Tally, gather_answered
from s3_hf.synthesis.calibration import gold_sample
from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.choosing import Chooser, Embed, Judge
from s3_hf.synthesis.composing import Composer, prompt_id
from s3_hf.synthesis.filling import SlotFiller
from s3_hf.synthesis.membership import membership_of, talk_requests, try_requests
from s3_hf.synthesis.names import collect_names
from s3_hf.synthesis.parsing import without_thoughts
from s3_hf.synthesis.plan import Plan, Planner, Pool, Rationales, Turn
from s3_hf.synthesis.rationales import Means, RationaleSearch
from s3_hf.synthesis.shots import Shots
from s3_hf.task import Task

logger = logging.getLogger(__name__)

REPLACEMENTS = 3
"""Times that slots which were given up are replaced by fresh ones."""


@dataclass
class Synthesizer:
    """Writes the examples of one round.

    Attributes:
        task: labels, columns and contexts.
        settings: sampling, and how many rationales, labels and attempts.
        seed: the run's seed; the seed of each request derives from it and the slot.
        round: number of the round, which slots and examples carry.
        generate: sends one request to the LLM; usually `Client.generate`.
        checks: checks of the task, which know the texts of earlier rounds.
        window: slots asked for at once, a few times the concurrency; `AHEAD` times as many may wait for an early one.
        once: returns the value first stored under a name in the round and stores it if there is none, so that a
            resumed round composes the prompts that are already paid for; `rationales` and `names` are stored.
        known_rationales: rationales of an earlier round, and those that `rationales` found in this one.
        prompts: templates sent in this round, by `prompt_id`.
        tally: counts of this round, which are up to date at any time.
        judge: judges the label or answer of a text that passed the checks; None judges none.
        embed: returns the vector of a text, by which the best of several texts is chosen.
        means: tells which phrases can be rationales of a label; None keeps all that are named.
    """

    task: Task
    settings: SynthesisConfig
    seed: int
    round: int
    generate: Generate
    checks: Checks
    window: int = 64
    once: Callable[[str, Any], Any] = lambda _, value: value
    known_rationales: Rationales = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict, init=False)
    tally: Tally = field(default_factory=Tally)
    judge: Judge | None = None
    embed: Embed | None = None
    means: Means | None = None

    @cached_property
    def planner(self) -> Planner:
        """Plans the slots."""
        return Planner(self.task, self.settings, self.seed, self.round)

    @cached_property
    def composer(self) -> Composer:
        """Composes the requests."""
        return Composer(self.planner)

    async def rationales(self, template: str) -> Rationales:
        """Return the rationales of an earlier round, or ask for up to K for each label (Algorithm 1, lines 1, 2).

        Args:
            template: prompt template that asks for a list of rationales.

        Raises:
            SynthesisError: a label has fewer distinct rationales than one example draws.
        """
        if not self.known_rationales:
            with self.tally.asking_for("rationales"):
                found = await RationaleSearch(self.composer, template, self._asker.ask, self.means).run()
            kept = self.once("rationales", found)
            self.known_rationales = {label: tuple(phrases) for label, phrases in kept.items()}
        return self.known_rationales

    async def learn_talk(self, *, counted: bool = True) -> None:
        """Ask the LLM for talk about the task, and have the checks reject what reads like it (`membership`).

        The requests are the same in every round, so that the journal answers those of later rounds. Nothing is
        rejected where there are too few gold rows or answers, or where the LLM's talk cannot be told from its answers
        to prompts that show gold rows.

        Args:
            counted: count the requests in `tally`; False in a round after the one that asked them first.
        """
        asker = self._asker if counted else Asker(self.generate, Tally())
        with self.tally.asking_for("talk"):
            talk = await _answers(asker, talk_requests(self.task, self.settings, self.seed))
            tried = await _answers(asker, try_requests(self.task, self.settings, self.seed))
        gold = [row[self.task.columns.text] for row in gold_sample(self.task)]
        membership = membership_of(gold, talk, self.seed)
        if membership is None:
            return
        off = sum(map(membership.off_task, tried))
        if off > len(tried) / 2:
            logger.warning(
                "the check 'off the task' is left out, since it rejects %d of %d answers to prompts with gold rows: "
                "the LLM talks like it writes; read some of its answers by `s3-hf tasks preview`",
                off,
                len(tried),
            )
            return
        logger.info("%s", membership.summary())
        self.checks = replace(self.checks, membership=membership)

    async def names(self, prompt: str, wanted: int) -> tuple[str, ...]:
        """Return up to `wanted` distinct names to write about, or `("",)` if the prompt is empty (ZeroGen).

        Raises:
            SynthesisError: no answer holds a name.
        """
        if not prompt:
            return ("",)
        self.prompts[prompt_id(prompt)] = prompt
        with self.tally.asking_for("names"):
            names = await collect_names(
                prompt, wanted, lambda number: self._asker.ask(self.composer.name(number, prompt))
            )
        return tuple(self.once("names", names))

    async def examples(self, n: int, template: str, rationales: Rationales) -> AsyncIterator[Example]:
        """Yield up to `n` seed examples in slot order (Algorithm 1, lines 4 to 8; section 2.4 with contexts).

        Args:
            n: examples wanted; there are fewer if slots and their replacements are given up.
            template: prompt template.
            rationales: rationales to draw from, by label name; may be empty if the template has no field for them.
        """
        async for example in self._replaced(n, template, rationales, self.planner.seeds):
            yield example

    async def zero_shot(
        self, n: int, template: str, names: Sequence[str], rows_per_name: int, pool: Pool | None = None
    ) -> AsyncIterator[Example]:
        """Yield up to `n` examples about names, or with a pool, examples that follow rows of earlier rounds.

        Args:
            n: examples wanted, as in `examples`.
            template: prompt template.
            names: names to write about, or `("",)`; see `names`.
            rows_per_name: consecutive slots about one name.
            pool: rows to show before the prompts (ProGen).
        """

        def plans(labels: Iterable[int | None], start: int) -> Iterator[Plan]:
            return self.planner.zero_shot(labels, start, names, rows_per_name, pool)

        async for example in self._replaced(n, template, {}, plans):
            yield example

    async def extrapolate(
        self, turns: Iterable[Turn], origin: str, template: str, rationales: Rationales
    ) -> AsyncIterator[Example]:
        """Yield an example for each turn of a gold row, in slot order (Algorithm 2, lines 8 to 10; Algorithm 3).

        Args:
            turns: gold rows with the number of the example, which has the label, context and answer of its row.
            origin: `error` for mistakes, `gold` for any gold row (GoldGen).
            template: prompt template.
            rationales: rationales to draw from, as in `examples`.
        """
        plans = self.planner.extrapolations(turns, origin)
        async for _, example in self._filled(plans, template, rationales):
            if example is not None:
                yield example

    @cached_property
    def _chooser(self) -> Chooser:
        return Chooser(self.judge, self.embed, self.settings.candidates)

    @cached_property
    def _asker(self) -> Asker:
        return Asker(self.generate, self.tally)

    def with_shots(self, plans: Iterable[Plan]) -> Iterable[Plan]:
        """Return the plans with the gold rows that stand before their prompts (`synthesis.shots`)."""
        return self._shots.added(plans) if self.settings.shots else plans

    @cached_property
    def _shots(self) -> Shots:
        return Shots.of(self.planner)

    async def _replaced(
        self,
        n: int,
        template: str,
        rationales: Rationales,
        plans: Callable[[Iterable[int | None], int], Iterator[Plan]],
    ) -> AsyncIterator[Example]:
        """Yield up to `n` examples; slots that are given up are replaced by slots with the same labels.

        `plans` returns a plan for each label, numbered from its second argument.
        """
        start, labels = 0, self.planner.labels(n)
        for _ in range(1 + REPLACEMENTS):
            lost: list[int | None] = []
            async for plan, example in self._filled(plans(labels, start), template, rationales):
                if example is None:
                    lost.append(plan.label)
                else:
                    yield example
            start, labels = start + len(labels), lost
            if not labels:
                return

    def _filled(
        self, plans: Iterable[Plan], template: str, rationales: Rationales
    ) -> AsyncIterator[tuple[Plan, Example | None]]:
        self.prompts[prompt_id(template)] = template
        filler = SlotFiller(self.composer, self.checks, self._asker, self._chooser, self.window, template, rationales)
        return filler.fill(self.with_shots(plans))


async def _answers(asker: Asker, requests: Iterable[Request]) -> list[str]:
    """Return the texts of the answers that are given."""
    answers = await gather_answered(map(asker.ask, requests), required=False)
    return [without_thoughts(answer.text) or "" for answer in answers]
