"""The order of the rounds and of their stages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from s3_hf.config import RunConfig
from s3_hf.errors import S3Error
from s3_hf.hub import PushOptions, check_access, check_push
from s3_hf.loop.context import Observer, RunContext, Services, opened
from s3_hf.loop.deciding import judge_of
from s3_hf.loop.final import has_gold_stage, train_final
from s3_hf.loop.results import RunResult, is_over
from s3_hf.loop.scoring import score_student
from s3_hf.loop.synthesis import synthesize_rows
from s3_hf.loop.training import train_student
from s3_hf.loop.verdict import give_verdict, has_verdict
from s3_hf.store import RoundDir, RoundResult

logger = logging.getLogger(__name__)


def run(
    config: RunConfig,
    run_dir: Path | str | None = None,
    services: Services | None = None,
    observer: Observer | None = None,
    push_to: str | None = None,
    push_options: PushOptions | None = None,
) -> RunResult:
    """Run all rounds, resuming from the content of the run directory, and return their results.

    Args:
        config: settings.
        run_dir: folder of the run; None takes `runs/TASK-STRATEGY-FINGERPRINT`.
        services: addresses of the embedded parts, which `s3_hf.run` starts.
        observer: receives progress.
        push_to: namespace at HF_ENDPOINT under which each round is published when it is finished. A failed push does
            not stop the run; `RunResult.push_error` has the error of the last one.
        push_options: how it is published. Before anything is asked of the LLM, repositories of another run are an
            error, unless they may be replaced.

    Raises:
        S3Error: see `s3_hf.errors`; everything made so far is kept, and the same call continues.
    """
    if push_to is not None:
        check_access(push_to)
    results: list[RoundResult] = []
    push_error: S3Error | None = None
    with opened(config, run_dir, services, observer, trains=True) as context:
        if push_to is not None:
            context.launch.alone(lambda: check_push(context.run, push_to, push_options))
        for number in range(config.rounds + 1):
            if is_over(config, results) or (result := _run_round(context, number)) is None:
                break
            results.append(result)
            context.observer.scored(result)
            if push_to is not None:
                push_error = _publish(context, push_to, push_options)
        if _finish(context, results) and push_to is not None:
            push_error = _publish(context, push_to, push_options)
        final = context.run.final
        return RunResult(context.run.path, tuple(results), push_error, final.result(), final.outcome())


def synthesize(
    config: RunConfig,
    run_dir: Path | str | None = None,
    services: Services | None = None,
    observer: Observer | None = None,
) -> RoundDir:
    """Make the rows of round 0, train no student, and return the round's folder; at most the LLM judges labels.

    Arguments and errors are those of `run`.
    """
    with opened(config, run_dir, services, observer, trains=False) as context:
        folder = context.run.round(0)
        synthesize_rows(context, folder, judge_of(context, folder) if config.judge == "llm" else None)
        return folder


def _run_round(context: RunContext, number: int) -> RoundResult | None:
    """Run the stages of a round that have no proof yet; return None if no row of it passed the checks."""
    folder = context.run.round(number)
    synthesize_rows(context, folder, judge_of(context, folder))
    if folder.empty.exists():
        return None
    train_student(context, folder)
    score_student(context, folder)
    return context.run.result(number)


def _finish(context: RunContext, results: Sequence[RoundResult]) -> bool:
    """Train the final student and give the verdict, as the settings say; return whether there is one of them."""
    trains, judges = has_gold_stage(context.config), has_verdict(context.config)
    if trains:
        train_final(context, results)
        if result := context.run.final.result():
            context.observer.final_scored(result)
    if judges:
        give_verdict(context, results)
    context.launch.remove(context.run.final.path / "checkpoints")
    return trains or judges


def _publish(context: RunContext, namespace: str, options: PushOptions | None) -> S3Error | None:
    """Publish all rounds so far, and return the error instead of raising it, so that the run continues."""
    from s3_hf.hub import PushOptions, push_run
    from s3_hf.report import card_figures

    how = replace(options or PushOptions(), figures=card_figures)
    try:
        context.launch.alone(lambda: push_run(context.run, namespace, how))
    except S3Error as error:
        logger.warning("not published: %s", error)
        return error
    return None
