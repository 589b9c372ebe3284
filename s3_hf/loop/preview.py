"""What a run would ask the LLM, and what becomes of its answers, before a run is paid for."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from s3_hf.config import RunConfig
from s3_hf.journal import Journal
from s3_hf.loop.making import checks_of, client_of
from s3_hf.loop.results import Services
from s3_hf.records import Completion, Request
from s3_hf.synthesis import RATIONALE_TOKENS, Generate, Plan, Synthesizer
from s3_hf.task import Task, task_of

PENDING = "<reasons that the LLM names>"
"""What stands for rationales where no LLM is asked."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One request as it is sent, and if the LLM was asked, its answer and what the checks make of it."""

    slot: str
    messages: tuple[Mapping[str, str], ...]
    answer: str | None = None
    verdict: str | None = None


def preview(config: RunConfig, n: int, services: Services | None = None, *, ask: bool = False) -> list[Shown]:
    """Return what is asked for rationales, for `n` seed rows and to extrapolate `n` gold rows.

    Args:
        config: settings of a run; nothing is written to its run directory.
        n: rows of each kind.
        services: addresses of what the settings call `local`.
        ask: ask the LLM, one attempt for each row.

    Raises:
        S3Error: the recipe or its gold data cannot be used, or the LLM cannot be asked.
    """
    task = task_of(config)
    if not ask:
        return _unasked(config, task, n)
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        return asyncio.run(_asked(config, task, n, services or Services(), journal))


def _unasked(config: RunConfig, task: Task, n: int) -> list[Shown]:
    synthesizer = _synthesizer(config, task, _nobody)
    shown = []
    if task.prompts.rationales:
        shown = [Shown(request.slot, request.messages) for request in _rationale_requests(synthesizer)]
        synthesizer.tally.rationales = dict.fromkeys(task.label_names, (PENDING,))
    return shown + [Shown(plan.slot, request.messages) for plan, _, request in _rows(synthesizer, n)]


async def _asked(config: RunConfig, task: Task, n: int, services: Services, journal: Journal) -> list[Shown]:
    async with client_of(config, services, journal) as client:
        synthesizer = _synthesizer(config, task, client.generate)
        shown = []
        if task.prompts.rationales:
            kept = await synthesizer.rationales()
            for request, names in zip(_rationale_requests(synthesizer), kept.values(), strict=True):
                answer = (await client.generate(request)).text
                shown.append(Shown(request.slot, request.messages, answer, f"kept of all lists: {', '.join(names)}"))
        rows = list(_rows(synthesizer, n))
        answers = await asyncio.gather(*(client.generate(request) for _, _, request in rows))
        for (plan, template, request), completion in zip(rows, answers, strict=True):
            made = synthesizer.checks.text_of(completion, template, plan)
            verdict = f"accepted: {made}" if isinstance(made, str) else f"rejected: {made.reason}"
            shown.append(Shown(plan.slot, request.messages, completion.text, verdict))
        return shown


def _synthesizer(config: RunConfig, task: Task, generate: Generate) -> Synthesizer:
    return Synthesizer(task, config.synthesis, config.seed, 0, generate, checks_of(task, set()))


def _rationale_requests(synthesizer: Synthesizer) -> Iterator[Request]:
    task, count = synthesizer.task, synthesizer.settings.rationales_per_label
    for name, word in zip(task.label_names, task.label_words, strict=True):
        content = task.prompts.rationales.format(count=count, label=word)
        yield synthesizer.request(f"rationales/{name}/0", content, RATIONALE_TOKENS, ())


def _rows(synthesizer: Synthesizer, n: int) -> Iterator[tuple[Plan, str, Request]]:
    """The first `n` seed rows, and extrapolations of `n` gold rows spread over all."""
    task, planner = synthesizer.task, synthesizer.planner
    gold = task.gold
    spread = [gold[place * (len(gold) - 1) // max(n - 1, 1)] for place in range(min(n, len(gold)))]
    for template, plans in (
        (task.prompts.seed, planner.seeds(planner.labels(n), 0)),
        (task.prompts.extrapolate, planner.extrapolations(spread, "gold", range(1))),
    ):
        for plan in plans:
            yield plan, template, synthesizer.compose(plan, template, plan.slot)[0]


async def _nobody(request: Request) -> Completion:
    raise AssertionError(f"{request.slot} is not to be asked")
