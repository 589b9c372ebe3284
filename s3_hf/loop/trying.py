"""Try a task's prompts on a handful of slots, with and without gold rows shown, and recommend one of the two."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from s3_hf.config import RunConfig
from s3_hf.journal import Journal
from s3_hf.loop.asking import client_of
from s3_hf.loop.asynchronous import run_coroutine
from s3_hf.loop.checking import checks_of
from s3_hf.loop.context import Addresses, Services
from s3_hf.synthesis import Generate, Synthesizer
from s3_hf.synthesis.asking import gather_answered
from s3_hf.task import Task, task_of

SLOTS = 8
"""Texts asked for by each kind of prompt."""
SHOTS = 4
"""Gold rows shown by one kind of prompt, unless the settings show another number."""


@dataclass(frozen=True, slots=True)
class PromptTrial:
    """How many of `slots` answers pass the checks, without gold rows in the prompt and with `shots` of them."""

    slots: int
    shots: int
    without: int
    shown: int

    @property
    def better(self) -> int:
        """The number of shots to use: 0 where showing gold rows gives no more texts of the task."""
        return self.shots if self.shown > self.without else 0

    def advice(self) -> str:
        """Return a sentence that recommends one kind of prompt."""
        found = (
            f"{self.without} of {self.slots} answers pass the checks where no gold rows are shown, and {self.shown} "
            f"where {self.shots} are (read them: no check knows what a text means)"
        )
        if self.better:
            return f"{found}: use --set synthesis.shots={self.shots}"
        few = self.without < self.slots / 2
        return f"{found}: {'edit the prompts, or use another LLM' if few else 'the prompts need no examples'}"


def try_prompts(config: RunConfig, services: Services | None = None) -> PromptTrial:
    """Return the outcome of the first seed prompts without rationales, with and without gold rows shown.

    Nothing is written. With both kinds of prompts, answers that read like the LLM's talk about the task are rejected.

    Raises:
        S3Error: the recipe or its gold data cannot be used, or the LLM cannot be asked.
    """
    task = task_of(config)
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        return run_coroutine(_tried(config, task, services or Services(), journal))


async def _tried(config: RunConfig, task: Task, services: Services, journal: Journal) -> PromptTrial:
    shots = config.synthesis.shots or SHOTS
    async with client_of(config, Addresses.of(config, services), journal) as client:
        few_shot = _synthesizer(config, task, client.generate, shots)
        await few_shot.learn_talk()
        zero_shot = replace(_synthesizer(config, task, client.generate, 0), checks=few_shot.checks)
        return PromptTrial(SLOTS, shots, await _accepted(zero_shot), await _accepted(few_shot))


def _synthesizer(config: RunConfig, task: Task, generate: Generate, shots: int) -> Synthesizer:
    settings = config.synthesis.model_copy(update={"shots": shots})
    return Synthesizer(task, settings, config.seed, 0, generate, checks_of(config, task, set()))


async def _accepted(synthesizer: Synthesizer) -> int:
    """Return how many of the first answers to the seed prompt without rationales pass the checks."""
    planner, prompts = synthesizer.planner, synthesizer.task.prompts
    template = prompts.seed_plain or prompts.seed
    plans = {plan.slot: plan for plan in synthesizer.with_shots(planner.seeds(planner.labels(SLOTS), 0))}
    requests = (synthesizer.composer.example(plan, template, plan.slot, {})[0] for plan in plans.values())
    answers = await gather_answered(map(synthesizer.generate, requests), required=True)
    texts = [synthesizer.checks.text_of(answer, template, plans[answer.slot]) for answer in answers]
    return sum(isinstance(text, str) for text in texts)
