"""The synthesis stage of a round: from strategy and LLM to `data.parquet` and `round.json`."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.errors import S3Error, SynthesisError
from s3_hf.files import RowWriter, write_json
from s3_hf.journal import Journal
from s3_hf.llm import ClientStatus
from s3_hf.loop.asking import client_of
from s3_hf.loop.asynchronous import run_coroutine
from s3_hf.loop.checking import checks_of
from s3_hf.loop.context import RunContext
from s3_hf.loop.given import given_rows, is_given
from s3_hf.loop.judging import Judge, Judging
from s3_hf.loop.llm_judging import answers_by, asked_before
from s3_hf.loop.progen import rows_to_show
from s3_hf.records import LABEL_P, Example, Feedback
from s3_hf.store import RoundDir, Stage, SynthesisFacts
from s3_hf.synthesis import Asker, Generate, Synthesizer, Tally
from s3_hf.task import Task

if TYPE_CHECKING:
    from datasets import Features

logger = logging.getLogger(__name__)

WINDOW = 4
"""Slots that are asked for at once, for each request in progress: some of them wait to be asked again.

`AHEAD` times as many may be begun before the earliest of them is written.
"""


def synthesize_rows(context: RunContext, folder: RoundDir, judge: Judge | None = None) -> None:
    """Leave the round's rows in `folder.data`; `folder.partial` has those made before a stop.

    A round after the seed whose rows were all rejected leaves `folder.empty` only. Labels are judged by `judge`; None
    judges none.

    Raises:
        SynthesisError: no row of the seed passed the checks.
        S3Error: the LLM cannot be asked, a limit is reached, or a dataset to start from cannot be used.
    """
    if folder.stage() is not Stage.SYNTHESIZE or folder.empty.exists():
        return
    context.observer.stage(folder.number, Stage.SYNTHESIZE)
    context.launch.alone(lambda: _make(context, folder, judge), folder.facts, folder.empty)


def write_trial(context: RunContext, folder: RoundDir, path: Path) -> None:
    """Write the rows that the round would have without a judge to the Parquet file `path`; there may be none.

    Raises:
        S3Error: as `synthesize_rows`.
    """
    rows = _Rows(context.task, folder, path, judged=False)
    _collected(context, folder, rows, None)
    rows.commit(empty=True)


class _Rows:
    """Writes the rows of one round as they arrive and counts their labels and origins."""

    def __init__(self, task: Task, folder: RoundDir, path: Path, *, judged: bool) -> None:
        self._task, self._folder = task, folder
        self._writer = RowWriter(path, _features(task, judged=judged))
        self.labels: Counter[str] = Counter(dict.fromkeys(task.label_names, 0))
        self.origins: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return self._writer.count

    def add(self, example: Example) -> None:
        self._writer.write(example.row())
        if self._task.config.label:
            self.labels[self._task.label_names[example.columns[self._task.config.label]]] += 1
        self.origins[example.origin] += 1

    def stop(self, error: BaseException) -> None:
        """Keep the rows so far in `partial.parquet`, and note their place on the error."""
        if self.count:
            self._writer.commit(self._folder.partial)
            error.add_note(f"{self.count} rows so far: {self._folder.partial}")
        else:
            self._writer.discard()

    def commit(self, *, empty: bool = False) -> None:
        if self.count or empty:
            self._writer.commit()
            self._folder.partial.unlink(missing_ok=True)
        else:
            self._writer.discard()


def _features(task: Task, *, judged: bool) -> Features:
    from datasets import Features, Value

    return Features({**task.features, LABEL_P: Value("float32")}) if judged else task.features


def _make(context: RunContext, folder: RoundDir, judge: Judge | None) -> None:
    began = time.monotonic()
    rows = _Rows(context.task, folder, folder.data, judged=judge is not None)
    synthesizer = _collected(context, folder, rows, judge)
    rows.commit()
    if not rows.count and not folder.number:
        raise SynthesisError("round 0 must add rows, found none that passed the checks; try another LLM")
    if not rows.count:
        logger.warning("round %d adds no rows, since none passed the checks: the run ends here", folder.number)
    facts = _facts(synthesizer, folder.number, rows, time.monotonic() - began)
    write_json(folder.rejected, synthesizer.tally.examples)
    write_json(folder.facts if rows.count else folder.empty, asdict(facts))


def _facts(synthesizer: Synthesizer, number: int, rows: _Rows, seconds: float) -> SynthesisFacts:
    tally = synthesizer.tally
    return SynthesisFacts(
        round=number,
        rows=rows.count,
        labels=dict(rows.labels),
        origins=dict(rows.origins),
        rationales=dict(synthesizer.known_rationales),
        prompts=dict(synthesizer.prompts),
        rejected=dict(tally.rejected.most_common()),
        checks_off=dict(synthesizer.checks.changes),
        given_up=tally.given_up,
        usage=tally.usage,
        seconds=round(seconds, 1),
    )


def _collected(context: RunContext, folder: RoundDir, rows: _Rows, judge: Judge | None) -> Synthesizer:
    """Add each example of the round to `rows`; a stop keeps those so far in `folder.partial`."""
    if not folder.number and context.config.add_data:
        for _ in _existing_rows(context, 1):  # to the end: a fault in them is found before the seed is paid for
            pass
    try:
        with Judging.opened(context, judge) as judging:
            return run_coroutine(_collect(context, folder.number, rows, judging))
    except (S3Error, KeyboardInterrupt) as error:
        rows.stop(error)
        raise


async def _collect(context: RunContext, number: int, rows: _Rows, judging: Judging) -> Synthesizer:
    """Add each example of the round to `rows`; the journal is open for this time."""
    config, observer = context.config, context.observer
    tally, wanted = Tally(), None

    def show(status: ClientStatus) -> None:
        if tally.asking:
            observer.asking(tally.asking, status)
        else:
            observer.rows(min(rows.count + tally.waiting, wanted or sys.maxsize), wanted, status)

    with Journal(context.run.journal, config.written_by() if context.strategy.asks_llm else None) as journal:
        async with client_of(config, context.addresses, journal, show) as client:
            synthesizer = _synthesizer(context, number, client.generate, tally)
            if judging.judge:
                tally.usage += asked_before(context, number)
                judging = replace(judging, ask=answers_by(context, Asker(client.generate, tally)))
                synthesizer.judge = judging.judgement
            synthesizer.embed = judging.vector if judging.encoder else None
            prompts = context.strategy.prompts(context.task.prompts, config.synthesis)
            if prompts.rationales and not synthesizer.known_rationales:
                synthesizer.means = judging.means(context)
            if config.synthesis.shots and context.strategy.asks_llm and not is_given(config, number):
                await synthesizer.learn_talk(counted=all(is_given(config, each) for each in range(number)))
            examples, wanted = _examples(context, synthesizer, number, judging)
            try:
                async for example in examples:
                    rows.add(example)
                    show(client.status)
            finally:
                tally.log_refusals()
    _warn_if_short(number, rows.count, wanted, tally)
    return synthesizer


def _warn_if_short(number: int, count: int, wanted: int | None, tally: Tally) -> None:
    if wanted is None or count >= wanted:
        return
    reasons = ", ".join(f"{reason} {times:,}" for reason, times in tally.rejected.most_common(3))
    slots = "1 slot was" if tally.given_up == 1 else f"{tally.given_up:,} slots were"
    why = f": {slots} given up ({reasons})" if tally.given_up else ""
    logger.warning("round %d has %s of %s rows%s", number, f"{count:,}", f"{wanted:,}", why)


def _synthesizer(context: RunContext, number: int, generate: Generate, tally: Tally) -> Synthesizer:
    """Return the synthesizer of a round, with the rationales of the round before."""
    return Synthesizer(
        task=context.task,
        settings=context.config.synthesis,
        seed=context.config.seed,
        round=number,
        generate=generate,
        checks=checks_of(context.config, context.task, _seen(context, number), announce=not number),
        window=WINDOW * context.config.endpoint.concurrency,
        once=context.run.round(number).once,
        known_rationales=dict(context.run.round(number - 1).synthesis().rationales) if number else {},
        tally=tally,
    )


def _seen(context: RunContext, number: int) -> set[int]:
    """Return the digests of the rows of earlier rounds."""
    earlier = (context.run.round(each).rows() for each in range(number))
    return set().union(*(context.task.row_digests(rows) for rows in earlier))


def _examples(
    context: RunContext, synthesizer: Synthesizer, number: int, judging: Judging
) -> tuple[AsyncIterator[Example], int | None]:
    """Return the examples of a round as they come, and how many are wanted, None if the method decides."""
    config, strategy = context.config, context.strategy
    if is_given(config, number):
        return judging.existing(_existing_rows(context, number), synthesizer.tally), None
    if number == 0:
        return strategy.seed(synthesizer, config.seed_size), config.seed_size if strategy.asks_llm else None
    feedback = _feedback(context, number)
    source = len(feedback.mistakes) * config.synthesis.per_error
    size = config.size_of_round(number)
    limited = strategy.from_mistakes and not config.synthesis.top_up
    assert strategy.grow is not None
    return strategy.grow(synthesizer, feedback, size), min(source, size or source) if limited else size


def _existing_rows(context: RunContext, number: int) -> Iterator[Example]:
    """Yield the rows of a round that are those of existing datasets."""
    return given_rows(context.config, context.task, context.run, number)


def _feedback(context: RunContext, number: int) -> Feedback:
    """Return what the student of the round before teaches about the data."""
    from s3_hf.scoring import mistakes

    task, run, last = context.task, context.run, context.run.round(number - 1)
    wrong = mistakes(task.mined, last.mined_predictions(), task.columns, context.config.mistake_f1)
    shown = rows_to_show(run, task, number) if context.strategy.scores_rows else {}
    return Feedback(run.union(number - 1), task.mined, wrong, shown)
