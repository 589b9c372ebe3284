"""The students that judge labels: trained once per run on the folds of the gold rows, and asked while rows arrive."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from s3_hf.errors import RequestError
from s3_hf.files import read_json, write_json
from s3_hf.judging import (
    LEAST_AUC,
    GoldJudge,
    Judged,
    LLMJudge,
    Reliability,
    Row,
    assign_folds,
    gold_rows,
    inside_fold,
    outside_fold,
    reliability,
    sample_by_label,
)
from s3_hf.loop.context import RunContext, training_job
from s3_hf.loop.training import enough_steps
from s3_hf.records import Columns, Completion, Example, Judgement
from s3_hf.store import Stage
from s3_hf.synthesis import WRONG_LABEL, Means, Tally, gather_all

if TYPE_CHECKING:
    from datasets import Dataset

    from s3_hf.training import LoadedStudent, TrainingJob

Result = TypeVar("Result")
Judge = GoldJudge | LLMJudge

GOLD_ROWS = 2_000
"""Most gold rows that such a student is trained on, and most of its fold that it is measured on."""
SURE = 0.9
"""Least probability of another label from which a phrase is no rationale of its own."""
AT_ONCE = 64
"""Fewest existing rows judged at once; four for each request in progress, since the slowest answer is waited for."""


@dataclass(frozen=True)
class Judging:
    """Judges rows and embeds texts in a thread of its own, so that requests to the LLM go on meanwhile.

    Attributes:
        judge: judges labels; None judges none.
        encoder: the pretrained student, whose vectors compare several texts; None where one is asked for.
        thread: one thread.
        at_once: existing rows judged at once.
        ask: asks the LLM which label the row of a slot has, and returns its answer; None where it does not judge.
    """

    judge: Judge | None
    encoder: LoadedStudent | None
    thread: ThreadPoolExecutor
    at_once: int
    ask: Callable[[Row, str], Awaitable[Completion]] | None = None

    @classmethod
    @contextlib.contextmanager
    def opened(cls, context: RunContext, judge: Judge | None) -> Iterator[Judging]:
        """Yield the judging of a round."""
        encoder = None
        if context.config.synthesis.candidates > 1 and context.strategy.asks_llm:
            from s3_hf.training import LoadedStudent

            encoder = LoadedStudent.pretrained(
                training_job(context.config, context.task, context.addresses, context.task.mined)
            )
        with ThreadPoolExecutor(1, "s3-hf judge") as thread:
            yield cls(judge, encoder, thread, max(AT_ONCE, 4 * context.config.endpoint.concurrency))

    async def judgement(
        self, row: Mapping[str, Any], slot: str, parent: str | None, shown: Sequence[str] = ()
    ) -> Judgement:
        """Return the judgement of one row, computed by itself, so that it does not depend on the order of arrival.

        Raises:
            RequestError: the endpoint refuses the request about this row.
            S3Error: the LLM cannot be asked.
        """
        assert self.judge is not None
        if isinstance(self.judge, GoldJudge):
            (judgement,) = await self._in_thread(self.judge.judge, [row], [parent], [shown])
            return judgement
        assert self.ask is not None
        answer, students = await self.ask(row, slot), self.judge.students
        values = await self._in_thread(students.values, [row], [parent], [shown]) if students.students else ()
        return self.judge.judgement(row, answer, values)

    def means(self, context: RunContext) -> Means | None:
        """Return a function that tells which phrases can be rationales of a label: those of another are left out.

        They are judged like sentences, by the mean of the students that judge. None where there are no such students,
        where they know too little of the gold rows, and in tasks with contexts, where a phrase alone has no label.
        """
        columns, measured = context.task.columns, context.run.judging.gold
        if columns.label is None or columns.context or not measured.exists():
            return None
        if Reliability(**read_json(measured)).separates < LEAST_AUC:
            return None
        students = self.judge if isinstance(self.judge, GoldJudge) else loaded_judge(context)

        async def means(label: int, phrases: Sequence[str]) -> list[bool]:
            rows = [{columns.text: phrase, columns.label: label} for phrase in phrases]
            found = await self._in_thread(students.values, rows, [None] * len(rows))
            return [values.argmax() == label or values.max() < SURE for values in found]

        return means

    async def vector(self, text: str) -> np.ndarray:
        """Return the vector of a text."""
        assert self.encoder is not None
        return await self._in_thread(self.encoder.vector, text)

    async def existing(self, examples: Iterable[Example], tally: Tally) -> AsyncIterator[Example]:
        """Yield the examples with their judgements; rows whose label is judged wrong are dropped and counted.

        So are rows about which the endpoint refuses to answer.
        """
        remaining = iter(examples)
        while part := list(islice(remaining, self.at_once)):
            if self.judge is None:
                for example in part:
                    yield example
                continue
            label = (self.judge if isinstance(self.judge, GoldJudge) else self.judge.students).label
            for example, judgement in zip(part, await self._judgements(self.judge, part), strict=True):
                if judgement and judgement.accepted:
                    yield _judged(example, judgement, label)
                elif judgement:
                    tally.rejected[WRONG_LABEL] += 1

    async def _judgements(self, judge: Judge, examples: Sequence[Example]) -> Sequence[Judgement | None]:
        """Return the judgement of each example; None where the endpoint refuses to answer."""
        if isinstance(judge, GoldJudge):
            rows, parents = [each.columns for each in examples], [each.parent for each in examples]
            return await self._in_thread(judge.judge, rows, parents)

        async def judgement(example: Example) -> Judgement | None:
            try:
                return await self.judgement(example.columns, example.id.removeprefix("s3-"), example.parent)
            except RequestError:  # it is counted
                return None

        return await gather_all(map(judgement, examples))

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work, *arguments)


def _judged(example: Example, judgement: Judgement, label: str | None) -> Example:
    columns = {**example.columns, label: judgement.label} if label else example.columns
    return dataclasses.replace(example, columns=columns, label_p=judgement.p)


def trained_judge(context: RunContext, number: int) -> Reliability:
    """Train the students that judge, where they are not trained yet, and return how reliable they are on gold rows.

    All processes of a launch call it together. Each student has the last epoch of a training on the other folds.

    Args:
        context: the run.
        number: round that the observer is told of.

    Raises:
        StudentError: the student cannot be trained.
        StorageError: the disk is full.
    """
    judging, task = context.run.judging, context.task
    rows = gold_rows(task)
    if not judging.folds.exists():
        folds = assign_folds(rows, task.columns, context.config.seed) if context.launch.first else {}
        context.launch.alone(lambda: write_json(judging.folds, folds), judging.folds)
    folds = read_json(judging.folds)
    for fold in range(count_folds(folds)):
        places = sample_by_label(
            outside_fold(rows, folds, fold), rows, task.columns.label, GOLD_ROWS, context.config.seed
        )
        if not judging.model(fold).exists():
            _train(context, number, rows.select(places), judging.model(fold))
    if not judging.gold.exists():
        context.launch.alone(lambda: _measure(context, rows, folds), judging.gold)
    return Reliability(**read_json(judging.gold))


def without_selection(
    context: RunContext, rows: Dataset, weights: Sequence[float] | None = None, steps: int | None = None
) -> TrainingJob:
    """Return a training that keeps its last epoch.

    Args:
        context: the run.
        rows: rows to learn.
        weights: weight of each row in the loss.
        steps: optimisation steps; None takes those of the settings, see `enough_steps`.
    """
    settings = context.config.training
    args = dict(settings.args) if steps is None else {**settings.args, "max_steps": steps}
    changes = {"min_steps": enough_steps(settings.min_steps), "early_stopping": None, "args": args}
    return dataclasses.replace(
        training_job(context.config, context.task, context.addresses, rows),
        selection=None,
        settings=settings.model_copy(update=changes),
        weights=weights,
    )


def fitted(context: RunContext, job: TrainingJob) -> Path:
    """Train a student for the first process of a launch alone, and return its folder, which the next one replaces."""
    from s3_hf.training import fit

    work = context.run.judging.work
    context.launch.alone(lambda: shutil.rmtree(work, ignore_errors=True))
    fit(job, work / "model", work / "checkpoints", context.observer.step)
    return work / "model"


def loaded_judge(context: RunContext) -> GoldJudge:
    """Return the judge of the run, whose students are trained."""
    folds = read_json(context.run.judging.folds)
    students = tuple(
        student_of(context.run.judging.model(fold), context.task.columns) for fold in range(count_folds(folds))
    )
    return GoldJudge(students, folds, context.task.columns.label, context.config.judge_action)


def student_of(folder: Path, columns: Columns) -> Judged:
    """Return the student in a folder as a judge sees it.

    Raises:
        StudentError: it cannot be loaded.
    """
    from s3_hf.scoring import word_f1
    from s3_hf.training import LoadedStudent

    student = LoadedStudent.trained(str(folder), columns)

    def values(rows: Sequence[Row]) -> list[tuple[float, ...]]:
        predictions = student.predict(rows)
        if not columns.answers:
            return [each.scores for each in predictions]
        answers = [row[columns.answers]["text"] for row in rows]
        return [(word_f1(str(each.value), true),) for each, true in zip(predictions, answers, strict=True)]

    return values


def fold_rows(context: RunContext, rows: Dataset, fold: int) -> list[Row]:
    """Return the gold rows of a fold, at most `GOLD_ROWS`."""
    places = inside_fold(rows, read_json(context.run.judging.folds), fold)
    places = sample_by_label(places, rows, context.task.columns.label, GOLD_ROWS, context.config.seed)
    found: list[Row] = rows.select(places).to_list()
    return found


def _train(context: RunContext, number: int, rows: Dataset, out: Path) -> None:
    from s3_hf.training import fit

    work = context.run.judging.work
    context.observer.stage(number, Stage.JUDGE)
    context.launch.alone(lambda: shutil.rmtree(work, ignore_errors=True))  # of a run that was killed
    with context.launch.replacing(out) as target:
        fit(without_selection(context, rows), target, work, context.observer.step)
    context.launch.alone(lambda: shutil.rmtree(work, ignore_errors=True))


def _measure(context: RunContext, rows: Dataset, folds: Mapping[str, int]) -> None:
    """Write how reliable the students are on the gold rows that each has not learned."""
    columns = context.task.columns
    measured: list[Row] = []
    values: list[Sequence[float]] = []
    for fold in range(count_folds(folds)):
        part = fold_rows(context, rows, fold)
        measured += part
        values += student_of(context.run.judging.model(fold), columns)(part)
    write_json(context.run.judging.gold, dataclasses.asdict(reliability(measured, values, columns.label)))


def count_folds(folds: Mapping[str, int]) -> int:
    """Return the number of folds among which gold rows are divided."""
    return 1 + max(folds.values())
