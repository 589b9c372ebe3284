"""Preview of a run: the first requests to the LLM, and its answers with the decisions of the checks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from s3_hf.config import RunConfig
from s3_hf.errors import ConfigError
from s3_hf.files import temporary_folder
from s3_hf.journal import Journal
from s3_hf.loop.asking import client_of
from s3_hf.loop.asynchronous import run_coroutine
from s3_hf.loop.checking import checks_of
from s3_hf.loop.context import Addresses, Services
from s3_hf.records import Completion, Request
from s3_hf.strategies import Strategy, strategy_named
from s3_hf.synthesis import Generate, Plan, Rationales, Synthesizer
from s3_hf.task import Task, task_of

REASONS, NAME = "<reasons that the LLM names>", "<name that the LLM gives>"
"""Placeholders for rationales and names if no LLM is asked."""


@dataclass(frozen=True, slots=True)
class PromptPreview:
    """One request, and if the LLM is asked, its answer.

    Attributes:
        slot: the place in the run that the answer is for.
        messages: the chat messages as a run sends them.
        answer: the LLM's answer.
        verdict: the text that is accepted or the reason for its rejection; the rationales or the name that are kept.
    """

    slot: str
    messages: tuple[Mapping[str, str], ...]
    answer: str | None = None
    verdict: str | None = None


def preview(config: RunConfig, n: int, services: Services | None = None, *, ask: bool = False) -> list[PromptPreview]:
    """Return the requests for rationales or a name, for the first `n` seed rows and to extrapolate `n` gold rows.

    ProGen's prompts that show rows are not among them, since a student chooses these rows.

    Args:
        config: settings of a run; nothing is written to its run directory.
        n: rows of each kind.
        services: addresses of what the settings call `local`.
        ask: ask the LLM, once for each row.

    Raises:
        S3Error: the recipe or its gold data cannot be used, the strategy asks nothing, or the LLM cannot be asked.
    """
    strategy = strategy_named(config.strategy)
    if not strategy.asks_llm:
        raise ConfigError(f"strategy {strategy.name!r} asks the LLM nothing; preview another one")
    task = task_of(config)
    if not ask:
        return _Preview(config, strategy, task, _refuse).without_answers(n)
    with temporary_folder() as folder, Journal(folder / "journal.sqlite") as journal:
        return run_coroutine(_with_answers(config, strategy, task, n, services or Services(), journal))


async def _with_answers(
    config: RunConfig, strategy: Strategy, task: Task, n: int, services: Services, journal: Journal
) -> list[PromptPreview]:
    async with client_of(config, Addresses.of(config, services), journal, kept=False) as client:
        return await _Preview(config, strategy, task, client.generate).with_answers(n)


class _Preview:
    """The first requests of one strategy."""

    def __init__(self, config: RunConfig, strategy: Strategy, task: Task, generate: Generate) -> None:
        self.task, self.generate = task, generate
        self.prompts = strategy.prompts(task.prompts, config.synthesis)
        self.synthesizer = Synthesizer(
            task, config.synthesis, config.seed, 0, generate, checks_of(config, task, set())
        )

    def without_answers(self, n: int) -> list[PromptPreview]:
        rationales = dict.fromkeys(self.task.label_names, (REASONS,))
        requests = self._source_requests() + [
            self._request(plan, template, rationales)
            for plan, template in self._plans(n, NAME if self.prompts.names else "")
        ]
        return [PromptPreview(request.slot, request.messages) for request in requests]

    async def with_answers(self, n: int) -> list[PromptPreview]:
        rationales: Rationales = {}
        name, verdicts = "", list[str]()
        if self.prompts.rationales:
            rationales = await self.synthesizer.rationales(self.prompts.rationales)
            verdicts = [f"kept of all lists: {', '.join(kept)}" for kept in rationales.values()]
        if self.prompts.names:
            (name,) = await self.synthesizer.names(self.prompts.names, 1)
            verdicts = [f"name: {name}"]
        previews = [
            PromptPreview(request.slot, request.messages, (await self.generate(request)).text, verdict)
            for request, verdict in zip(self._source_requests(), verdicts, strict=True)
        ]
        if self.synthesizer.settings.shots:
            await self.synthesizer.learn_talk()
        rows = list(self._plans(n, name))
        requests = [self._request(plan, template, rationales) for plan, template in rows]
        completions = await asyncio.gather(*(self.generate(request) for request in requests))
        for (plan, template), request, completion in zip(rows, requests, completions, strict=True):
            text = self.synthesizer.checks.text_of(completion, template, plan)
            verdict = f"accepted: {text}" if isinstance(text, str) else f"rejected: {text.reason}"
            previews.append(PromptPreview(plan.slot, request.messages, completion.text, verdict))
        return previews

    def _source_requests(self) -> list[Request]:
        """Return the first request for each label's rationales, or for a name."""
        composer, prompts = self.synthesizer.composer, self.prompts
        labels = range(len(self.task.label_names)) if prompts.rationales else ()
        names = [composer.name(0, prompts.names)] if prompts.names else []
        return [composer.rationales(label, 0, prompts.rationales) for label in labels] + names

    def _plans(self, n: int, name: str) -> Iterator[tuple[Plan, str]]:
        """Yield plan and template of the first `n` seed rows, and of `n` extrapolations spread over the gold rows."""
        planner = self.synthesizer.planner
        for plan in self.synthesizer.with_shots(planner.zero_shot(planner.labels(n), 0, (name,), 1)):
            yield plan, self.prompts.seed
        if self.prompts.extrapolate:
            gold = self.task.mined
            spread = [gold[place * (len(gold) - 1) // max(n - 1, 1)] for place in range(min(n, len(gold)))]
            for plan in self.synthesizer.with_shots(planner.extrapolations(((row, 0) for row in spread), "gold")):
                yield plan, self.prompts.extrapolate

    def _request(self, plan: Plan, template: str, rationales: Rationales) -> Request:
        return self.synthesizer.composer.example(plan, template, plan.slot, rationales)[0]


async def _refuse(request: Request) -> Completion:
    raise AssertionError(f"{request.slot} must not be asked")
