"""Try a task's prompts on a handful of slots, with and without gold rows and rationales, and recommend one kind."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace

from s3_hf.config import RunConfig
from s3_hf.files import temporary_folder
from s3_hf.journal import Journal
from s3_hf.loop.asking import client_of
from s3_hf.loop.asynchronous import run_coroutine
from s3_hf.loop.checking import checks_of
from s3_hf.loop.context import Addresses, Services
from s3_hf.strategies import strategy_named
from s3_hf.synthesis import Generate, Synthesizer
from s3_hf.synthesis.asking import gather_answered
from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.parsing import parse_list
from s3_hf.synthesis.plan import Rationales
from s3_hf.task import Task, task_of

logger = logging.getLogger(__name__)

SLOTS = 8
"""Texts asked for by each kind of prompt."""
SHOTS = 4
"""Gold rows shown by some kinds of prompts, unless the settings show another number."""
LEAD = 3
"""Fewest texts by which another kind of prompt must be ahead of the first; of eight, fewer are chance."""


@dataclass(frozen=True, slots=True)
class PromptKind:
    """What seed prompts show, and how many distinct texts of the first `SLOTS` answers passed the checks.

    Attributes:
        shots: gold rows shown before a prompt (`synthesis.shots`).
        rationales: True if a prompt names rationales.
        accepted: distinct texts.
    """

    shots: int
    rationales: bool
    accepted: int

    def __str__(self) -> str:
        return f"{self.accepted} {_shown(self.shots, self.rationales)}"


def _shown(shots: int, rationales: bool) -> str:
    if not shots:
        return "with rationales" if rationales else "without gold rows"
    return "with both" if rationales else f"with {shots} gold rows"


@dataclass(frozen=True, slots=True)
class PromptTrial:
    """The kinds of prompts that were tried: the paper's, gold rows alone, and gold rows and rationales."""

    kinds: tuple[PromptKind, ...]

    @property
    def best(self) -> PromptKind:
        """The first kind, unless another one gives `LEAD` texts more; of two that do, the one with more texts."""
        first, *others = self.kinds
        other = max(others, key=lambda kind: kind.accepted)
        return other if other.accepted >= first.accepted + LEAD else first

    @property
    def options(self) -> str:
        """The options of `s3-hf run` that take the best kind; empty where the first one is the best."""
        first, best = self.kinds[0], self.best
        plain = "--no-rationales" if first.rationales and not best.rationales else ""
        shots = f"--set synthesis.shots={best.shots}" if best.shots else ""
        return " ".join(filter(None, (plain, shots)))

    def advice(self) -> str:
        """Return how many texts of each kind pass, and which kind of prompt to use."""
        found = (
            f"Of {SLOTS} texts per kind of prompt, these pass the checks: {', '.join(map(str, self.kinds))}. No check "
            "knows what a text means, so read some."
        )
        if self.options:
            return f"{found} Use {self.options}"
        few = self.best.accepted < SLOTS / 2
        return f"{found} {'Edit the prompts, or use another LLM.' if few else 'The prompts need no examples.'}"


def try_prompts(config: RunConfig, services: Services | None = None) -> PromptTrial:
    """Return how many texts by the first seed prompts of S3 pass the checks, for each kind of prompt.

    The kinds are the prompts of the settings without gold rows, which name rationales unless `synthesis.rationales` is
    off; prompts with gold rows shown before them; and those with rationales too. About 80 requests are sent, and
    nothing is written. Answers that read like the LLM's talk about the task are rejected in all kinds.

    Raises:
        S3Error: the recipe or its gold data cannot be used, or the LLM cannot be asked.
    """
    task = task_of(config)
    with temporary_folder() as folder, Journal(folder / "journal.sqlite") as journal:
        return run_coroutine(_tried(config, task, services or Services(), journal))


async def _tried(config: RunConfig, task: Task, services: Services, journal: Journal) -> PromptTrial:
    shots = config.synthesis.shots or SHOTS
    possible = bool(strategy_named("s3").prompts(task.prompts, config.synthesis).rationales)
    kinds = [(0, possible), (shots, False), *([(shots, True)] if possible else [])]
    async with client_of(config, Addresses.of(config, services), journal, kept=False) as client:
        learning = _synthesizer(config, task, client.generate, shots, rationales=False)
        logger.info("asking the LLM about the task, to recognise talk about it")
        await learning.learn_talk()
        tried: list[PromptKind] = []
        for shown, named in kinds:
            logger.info("asking the LLM for %d texts, by prompts %s", SLOTS, _shown(shown, named))
            synthesizer = _synthesizer(config, task, client.generate, shown, rationales=named, checks=learning.checks)
            tried.append(PromptKind(shown, named, await _accepted(synthesizer)))
        return PromptTrial(tuple(tried))


def _synthesizer(
    config: RunConfig, task: Task, generate: Generate, shots: int, *, rationales: bool, checks: Checks | None = None
) -> Synthesizer:
    settings = config.synthesis.model_copy(update={"shots": shots, "rationales": rationales})
    return Synthesizer(task, settings, config.seed, 0, generate, checks or checks_of(config, task, set()))


async def _accepted(synthesizer: Synthesizer) -> int:
    """Return how many distinct texts of the first answers to the seed prompts pass the checks."""
    planner, task = synthesizer.planner, synthesizer.task
    prompts = strategy_named("s3").prompts(task.prompts, synthesizer.settings)
    plans = {plan.slot: plan for plan in synthesizer.with_shots(planner.seeds(planner.labels(SLOTS), 0))}
    rationales: Rationales = {}
    if prompts.rationales:
        asked = {plan.label for plan in plans.values() if plan.label is not None}
        rationales = await _first_rationales(synthesizer, prompts.rationales, asked)
        plans = {slot: plan for slot, plan in plans.items() if rationales[task.label_names[plan.label or 0]]}
    requests = [synthesizer.composer.example(plan, prompts.seed, plan.slot, rationales)[0] for plan in plans.values()]
    answers = await gather_answered(map(synthesizer.generate, requests), required=bool(requests))
    checks = replace(synthesizer.checks, seen=set())
    texts = {answer.slot: checks.text_of(answer, prompts.seed, plans[answer.slot]) for answer in answers}
    return sum(isinstance(text, str) and not checks.duplicate(text, plans[slot]) for slot, text in texts.items())


async def _first_rationales(synthesizer: Synthesizer, template: str, labels: Collection[int]) -> Rationales:
    """Return the rationales that `SLOTS` lists hold; none for a label with fewer than one prompt names."""
    names, fewest = synthesizer.task.label_names, synthesizer.settings.rationales_per_example
    found: dict[str, tuple[str, ...]] = {}
    for label in sorted(labels):
        numbers = range(max(1, SLOTS // len(labels)))
        requests = (synthesizer.composer.rationales(label, number, template) for number in numbers)
        lists = await gather_answered(map(synthesizer.generate, requests), required=True)
        phrases = tuple(dict.fromkeys(phrase for each in lists for phrase in parse_list(each.text)))
        found[names[label]] = phrases if len(phrases) >= fewest else ()
    return found
