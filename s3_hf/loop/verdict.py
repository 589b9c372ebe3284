"""The last stage of a run: train what the verdict compares and the run has not trained, and write the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from s3_hf.analysis import Measured, verdict_of
from s3_hf.config import RunConfig
from s3_hf.files import read_rows, write_json
from s3_hf.judging import gold_rows
from s3_hf.loop.arms import TITLES, train
from s3_hf.loop.context import RunContext
from s3_hf.loop.final import FullJobs, predict_test, steps_of_arm
from s3_hf.loop.metric import row_metric
from s3_hf.loop.seeds import seed_predictions, seeded
from s3_hf.records import Usage
from s3_hf.store import GOLD, SYNTHETIC, TEST, RoundResult, StudentDir, Verdict, best_round, damaged
from s3_hf.store.earlier import roles_of
from s3_hf.strategies import strategy_named

if TYPE_CHECKING:
    from numpy.typing import NDArray


def has_verdict(config: RunConfig) -> bool:
    """Return whether a run gives a verdict; not by the strategy whose rows are gold rows themselves."""
    return config.verdict and strategy_named(config.strategy).asks_llm


def give_verdict(context: RunContext, results: Sequence[RoundResult]) -> None:
    """Leave `final/verdict.json`, with a student of the gold rows alone trained for it if there is none.

    Raises:
        StudentError: a student cannot be loaded, or the GPU has too little memory.
        StorageError: the disk is full.
    """
    final = context.run.final
    if (known := final.outcome()) and is_about(known, results):
        return
    best = best_round(results)
    rounds = [_round(context, results, each) for each in results]
    jobs = FullJobs(context, best)
    others = [arm] if (arm := _with_both(jobs)) else []
    judged = others[0] if others else rounds[best.number]
    gold = _arm(jobs, GOLD, judged.steps)
    told = verdict_of(
        [gold, *rounds, *others],
        judged.name,
        row_metric(context.metric),
        equal_steps=judged.steps is None or (gold.steps or 0) >= judged.steps,
    )
    context.launch.alone(lambda: write_json(final.verdict, asdict(told)), final.verdict)


def is_about(verdict: Verdict, results: Sequence[RoundResult]) -> bool:
    """Return whether a verdict is about all these rounds."""
    return {f"round-{each.number}" for each in results} <= {arm.name for arm in verdict.arms}


def _with_both(jobs: FullJobs) -> Measured | None:
    """Return the final student, or where it learned gold rows alone, the best arm with synthetic rows by the choice.

    None without a gold stage, and where that arm is the best round's student.
    """
    result = jobs.context.run.final.result()
    if result is None:
        return None
    scores, arm = result.choice.scores, result.choice.arm
    if arm == GOLD:
        arm = max((each for each in scores if each != GOLD), key=lambda each: sum(scores[each]))
    return None if arm == SYNTHETIC else _arm(jobs, arm)


def _arm(jobs: FullJobs, arm: str, steps: int | None = None) -> Measured:
    """Return an arm with its values on test; the final student if it is this arm, else one that is trained now."""
    context, best = jobs.context, jobs.best
    final, n = context.run.final, len(gold_rows(context.task))
    result = final.result()
    if result is not None and result.choice.arm == arm:
        usage = Usage() if arm == GOLD else _usage(context, best.number)
        facts = result.facts
        values = _of_seeds(jobs, arm, final, None)
        return Measured(arm, facts.rows, facts.gold_rows, facts.steps, usage, values)
    folder, job = final.arm(arm), jobs.of(arm, steps)
    if folder.model.exists() and folder.training().settings.get("epochs") != job.settings.epochs:
        context.launch.discard(folder.path)  # of fewer rounds, with other steps
    if not folder.predictions.exists():
        if not folder.model.exists():
            train(context, job, folder.model, f"{TITLES[arm]}, for the verdict")
        predict_test(context, folder.model, folder.predictions)
    for file in folder.model.glob("*.safetensors") if context.launch.first else ():
        file.unlink()
    rows, usage = (0, Usage()) if arm == GOLD else (best.rows, _usage(context, best.number))
    taken = steps_of_arm(arm, best, folder.training().steps)
    return Measured(arm, rows, n, taken, usage, _of_seeds(jobs, arm, folder, steps))


def _of_seeds(jobs: FullJobs, arm: str, folder: StudentDir, steps: int | None) -> NDArray[np.float64]:
    """Return the values of an arm on test: seeds x rows; the student in the folder has the first seed."""
    context = jobs.context
    values = [_values(context, folder.predictions)]
    for number in range(1, context.config.training.seeds):
        job = jobs.of(arm, steps)
        context.observer.final(f"{TITLES[arm]}, seed {number + 1} of {context.config.training.seeds}")
        student = seeded(context, job, folder.path, number, {TEST: context.task.test})
        context.launch.remove(student.model)
        values.append(_values(context, student.predictions))
    return np.stack(values)


def _round(context: RunContext, results: Sequence[RoundResult], result: RoundResult) -> Measured:
    usage = sum((each.synthesis.usage for each in results[: result.number + 1]), Usage())
    folder = context.run.round(result.number)
    paths = seed_predictions(folder.path) or [folder.predictions]
    values = np.stack([_values(context, path) for path in paths])
    return Measured(f"round-{result.number}", result.rows, 0, result.training.steps, usage, values)


def _usage(context: RunContext, number: int) -> Usage:
    """Return the requests of the rounds up to this one, and what they cost."""
    return sum((context.run.round(each).synthesis().usage for each in range(number + 1)), Usage())


def _values(context: RunContext, path: Path) -> NDArray[np.float64]:
    """Return the share of each test row that the predictions in a file got right."""
    from s3_hf.scoring import row_values

    test, rows = context.task.test, read_rows(path)
    places = [place for place, role in enumerate(roles_of(rows)) if role == TEST]
    found = rows.select(places)
    if found["id"][:] != test["s3_id"][:]:
        raise damaged(path, "it is of other test rows")
    return row_values(row_metric(context.metric), found["value"][:], test[context.task.columns.target][:])
