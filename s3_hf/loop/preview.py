"""What a run would ask the LLM, and what becomes of its answers, before a run is paid for."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from s3_hf.config import RunConfig
from s3_hf.errors import ConfigError
from s3_hf.journal import Journal
from s3_hf.loop.asynchronous import run_coroutine
from s3_hf.loop.context import Addresses, Services
from s3_hf.loop.synthesis import checks_of, client_of
from s3_hf.records import Completion, Request
from s3_hf.strategies import Strategy, strategy_named
from s3_hf.synthesis import Generate, Plan, Synthesizer
from s3_hf.task import Task, task_of

REASONS, NAME = "<reasons that the LLM names>", "<name that the LLM gives>"
"""What stands for rationales and names where no LLM is asked."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One request as it is sent, and if the LLM was asked, its answer and what the checks make of it."""

    slot: str
    messages: tuple[Mapping[str, str], ...]
    answer: str | None = None
    verdict: str | None = None


def preview(config: RunConfig, n: int, services: Services | None = None, *, ask: bool = False) -> list[Shown]:
    """Return what the strategy asks for rationales or a name, for `n` seed rows and to extrapolate `n` gold rows.

    Rows that the student must have chosen first, as ProGen's prompts of later rounds show them, are not there yet.

    Args:
        config: settings of a run; nothing is written to its run directory.
        n: rows of each kind.
        services: addresses of what the settings call `local`.
        ask: ask the LLM, one attempt for each row.

    Raises:
        S3Error: the recipe or its gold data cannot be used, the strategy asks nothing, or the LLM cannot be asked.
    """
    strategy = strategy_named(config.strategy)
    if not strategy.asks_llm:
        raise ConfigError(f"strategy {strategy.name!r} asks the LLM nothing; preview another one")
    task = task_of(config)
    if not ask:
        return _Preview(config, strategy, task, _nobody).unasked(n)
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        return run_coroutine(_asked(config, strategy, task, n, services or Services(), journal))


async def _asked(
    config: RunConfig, strategy: Strategy, task: Task, n: int, services: Services, journal: Journal
) -> list[Shown]:
    async with client_of(config, Addresses.of(config, services), journal) as client:
        return await _Preview(config, strategy, task, client.generate).asked(n)


class _Preview:
    """The first requests of one strategy."""

    def __init__(self, config: RunConfig, strategy: Strategy, task: Task, generate: Generate) -> None:
        self.strategy, self.task, self.generate = strategy, task, generate
        self.settings = config.synthesis
        self.synthesizer = Synthesizer(task, config.synthesis, config.seed, 0, generate, checks_of(task, set()))
        self.extrapolates = strategy.grow is not None and not strategy.scores_rows
        guided = strategy.per_name is None and self.synthesizer.guided(rationales=self.settings.rationales)
        self.extrapolate = getattr(task.prompts, self.synthesizer.extrapolate_template())
        self.needs_rationales = guided or (self.extrapolates and "{rationales}" in self.extrapolate)
        self.needs_names = strategy.per_name is not None and bool(task.prompts.names)

    def unasked(self, n: int) -> list[Shown]:
        requests = []
        if self.needs_rationales:
            requests = list(self._rationale_requests())
            self.synthesizer.tally.rationales = dict.fromkeys(self.task.label_names, (REASONS,))
        if self.needs_names:
            requests = [self.synthesizer.composer.name(0)]
        requests += [request for _, _, request in self._rows(n, NAME if self.needs_names else "")]
        return [Shown(request.slot, request.messages) for request in requests]

    async def asked(self, n: int) -> list[Shown]:
        shown, name = [], ""
        if self.needs_rationales:
            kept = await self.synthesizer.rationales()
            for request, names in zip(self._rationale_requests(), kept.values(), strict=True):
                answer = (await self.generate(request)).text
                shown.append(Shown(request.slot, request.messages, answer, f"kept of all lists: {', '.join(names)}"))
        if self.needs_names:
            (name,) = await self.synthesizer.names(1)
            request = self.synthesizer.composer.name(0)
            shown = [Shown(request.slot, request.messages, (await self.generate(request)).text, f"name: {name}")]
        rows = list(self._rows(n, name))
        answers = await asyncio.gather(*(self.generate(request) for _, _, request in rows))
        for (plan, template, request), completion in zip(rows, answers, strict=True):
            made = self.synthesizer.checks.text_of(completion, template, plan)
            verdict = f"accepted: {made}" if isinstance(made, str) else f"rejected: {made.reason}"
            shown.append(Shown(plan.slot, request.messages, completion.text, verdict))
        return shown

    def _rationale_requests(self) -> Iterator[Request]:
        task, count = self.task, self.settings.rationales_per_label
        for name, word in zip(task.label_names, task.label_words, strict=True):
            content = task.prompts.rationales.format(count=count, label=word)
            yield self.synthesizer.composer.rationales(f"rationales/{name}/0", content)

    def _rows(self, n: int, name: str) -> Iterator[tuple[Plan, str, Request]]:
        """The first `n` seed rows, and extrapolations of `n` gold rows spread over all."""
        synthesizer, planner = self.synthesizer, self.synthesizer.planner
        if self.strategy.per_name is None:
            kind, plans = synthesizer.seed_slots(rationales=self.settings.rationales)
        else:
            kind, plans = synthesizer.zero_shot_slots((name,), self.strategy.per_name)
        rows = [(getattr(self.task.prompts, kind), plan) for plan in plans(planner.labels(n), 0)]
        if self.extrapolates:
            gold = self.task.gold
            spread = [gold[place * (len(gold) - 1) // max(n - 1, 1)] for place in range(min(n, len(gold)))]
            rows += [(self.extrapolate, plan) for plan in planner.extrapolations(spread, "gold", range(1))]
        for template, plan in rows:
            request, _ = synthesizer.composer.example(plan, template, plan.slot, synthesizer.tally.rationales)
            yield plan, template, request


async def _nobody(request: Request) -> Completion:
    raise AssertionError(f"{request.slot} is not to be asked")
