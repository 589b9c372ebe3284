"""The LLM as a judge of labels: calibrated once per run on gold rows that it is asked about, then asked about rows."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from s3_hf.errors import SynthesisError
from s3_hf.files import write_json
from s3_hf.journal import Journal
from s3_hf.judging import (
    GoldJudge,
    JudgeCalibration,
    LLMJudge,
    Reliability,
    Row,
    assign_folds,
    calibrated,
    cross_fitted,
    gold_rows,
    label_scores,
    log_probabilities,
    question,
    reliability,
    sample_by_label,
    without_tokens,
)
from s3_hf.loop.asking import client_of
from s3_hf.loop.asynchronous import run_coroutine
from s3_hf.loop.context import RunContext
from s3_hf.loop.judging import loaded_judge, trained_judge
from s3_hf.records import Completion, Usage
from s3_hf.store import Stage, read_facts
from s3_hf.synthesis import Asker, Tally, gather_answered
from s3_hf.task import Task

if TYPE_CHECKING:
    from datasets import Dataset

MOST_ASKED = 200
"""Most gold rows that the LLM is asked about."""


@dataclass(frozen=True, slots=True)
class LLMJudgeFacts:
    """The LLM as a judge; the content of `judging/llm.json`.

    Attributes:
        gold: how reliable it is on gold rows, in `both` with the students, once calibrated on other gold rows.
        named: what turns the labels that its answers name into probabilities.
        tokens: what turns the log-probabilities of its answers into probabilities; None where too few have them.
        logprobs: gold rows whose answers have log-probabilities.
        round: the round whose requests those about gold rows are counted with.
        usage: requests about gold rows, and what they cost.
    """

    gold: Reliability
    named: JudgeCalibration
    tokens: JudgeCalibration | None
    logprobs: int
    round: int
    usage: Usage


def asked_judge(context: RunContext, number: int) -> LLMJudgeFacts:
    """Ask the LLM about gold rows, if that is not done yet, and return how reliable it is.

    All processes of a launch call it together; with `judge: both` they train the students first.

    Raises:
        S3Error: the LLM cannot be asked, answers about too few gold rows, or a student cannot be trained.
    """
    path = context.run.judging.llm
    if context.config.judge == "both":
        trained_judge(context, number)
    if not path.exists():
        context.launch.alone(lambda: write_json(path, asdict(_calibrated(context, number))), path)
    return read_facts(path, LLMJudgeFacts)


def llm_judge(context: RunContext, asked: LLMJudgeFacts) -> LLMJudge:
    """Return the judge of the run, the LLM alone or with the students, from what `asked_judge` returned."""
    return LLMJudge(context.task.label_words, asked.named, asked.tokens, _students(context))


def asked_before(context: RunContext, number: int) -> Usage:
    """Return the usage of the requests about gold rows that are counted with a round."""
    path = context.run.judging.llm
    facts = read_facts(path, LLMJudgeFacts) if path.exists() else None
    return facts.usage if facts and facts.round == number else Usage()


def answers_by(context: RunContext, asker: Asker) -> Callable[[Row, str], Awaitable[Completion]]:
    """Return a function that asks the LLM which label a row of a slot has, and returns its answer."""
    return functools.partial(_ask, context, asker)


async def _ask(context: RunContext, asker: Asker, row: Row, slot: str) -> Completion:
    return await asker.ask(question(context.task, row, f"judge/{slot}", context.config.synthesis.thinking_tokens))


def _students(context: RunContext) -> GoldJudge:
    if context.config.judge == "both":
        return loaded_judge(context)
    return GoldJudge((), {}, context.task.columns.label, context.config.judge_action)


def _calibrated(context: RunContext, number: int) -> LLMJudgeFacts:
    """Ask about gold rows, and calibrate the answers; each row is judged by students that did not learn it."""
    task, seed = context.task, context.config.seed
    gold, label = gold_rows(task), task.columns.label
    assert label is not None
    places = sample_by_label(range(len(gold)), gold, label, MOST_ASKED, seed)
    context.observer.stage(number, Stage.JUDGE)
    answers, usage = run_coroutine(_answers(context, gold.select(places)))
    asked: list[Row] = [row for row in gold.select(places) if row["s3_id"] in answers]
    fold_of = assign_folds(gold, task.columns, seed)
    folds = np.array([fold_of[row["s3_id"]] for row in asked])
    if 2 * len(asked) < len(places) or len({*folds}) < 2:
        raise SynthesisError(
            f"judge: {context.config.judge} needs answers about gold rows in 2 folds of them, found {len(asked)} of "
            f"{len(places)} answered, in {len({*folds})} folds; see the log for the reasons, or use judge gold"
        )
    told, labels = [answers[row["s3_id"]] for row in asked], np.array([int(row[label]) for row in asked])
    students = _values_of_students(context, asked)
    named = _scores(task, map(without_tokens, told), students)
    found, with_tokens = cross_fitted(named, labels, folds), np.array([bool(each.tokens) for each in told])
    tokens = None
    if 2 * with_tokens.sum() >= len(asked) and len({*folds[with_tokens]}) > 1:
        scores, known = _scores(task, told, students)[with_tokens], labels[with_tokens]
        found[with_tokens] = cross_fitted(scores, known, folds[with_tokens])
        tokens = calibrated(scores, known)
    return LLMJudgeFacts(
        gold=reliability(asked, found.tolist(), label),
        named=calibrated(named, labels),
        tokens=tokens,
        logprobs=int(with_tokens.sum()),
        round=number,
        usage=usage,
    )


def _values_of_students(context: RunContext, rows: list[Row]) -> list[np.ndarray]:
    """Return the students' log-probabilities, rows x labels, with `judge: both`; else there are none."""
    if context.config.judge != "both":
        return []
    return [log_probabilities(np.stack(_students(context).values(rows, [row["s3_id"] for row in rows])))]


def _scores(task: Task, answers: Iterable[Completion], students: list[np.ndarray]) -> np.ndarray:
    """Return the log-probabilities of labels by the students, if any, and by the LLM: rows x judges x labels."""
    return np.stack([*students, np.stack([label_scores(each, task.label_words) for each in answers])], axis=1)


async def _answers(context: RunContext, rows: Dataset) -> tuple[dict[str, Completion], Usage]:
    """Return the answers about gold rows by `s3_id`, those that are refused left out, and their usage."""
    config, observer, tally = context.config, context.observer, Tally()
    with Journal(context.run.journal, config.written_by()) as journal:
        show = functools.partial(observer.asking, "the labels of gold rows")
        async with client_of(config, context.addresses, journal, show) as client:
            asker = Asker(client.generate, tally)
            asked = (_ask(context, asker, row, f"gold/{row['s3_id']}") for row in rows)
            found: Sequence[Completion] = await gather_answered(asked, required=True)
    tally.log_refusals()
    return {each.slot.removeprefix("judge/gold/"): each for each in found}, tally.usage
