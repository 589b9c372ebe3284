"""Commands of a run: run, synthesize, status."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from s3_hf.cli import options

if TYPE_CHECKING:
    from s3_hf.config import RunConfig

ENDPOINT = "LLM endpoint"


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(run)
    app.command()(synthesize)
    app.command()(status)


def run(
    task: str = options.TASK,
    config: Path = options.CONFIG,
    strategy: str = typer.Option(None, help="s3, zerogen, progen, goldgen or gold. [default: s3]"),
    llm: list[str] = options.LLM_OR_LOCAL,
    api_key_env: str = options.API_KEY_ENV,
    student: str = typer.Option(None, help="Encoder: `local`, Hub id or folder. [default: local]"),
    seed_size: int = typer.Option(None, help="Rows of the seed dataset. [default: 400]"),
    rounds: int = typer.Option(None, help="Rounds of error extrapolation. [default: 2]"),
    round_size: int = typer.Option(None, help="Maximum number of rows that a round adds. [default: one per mistake]"),
    patience: int = typer.Option(None, help="Stop after this many rounds without gain on the selection rows."),
    seed: int = typer.Option(None, help="Seed of every random choice. [default: 0]"),
    seed_data: str = typer.Option(
        None, help="Start from this dataset (file, folder or Hub id), or the seed of a run."
    ),
    add_data: list[str] = typer.Option(
        None, help="Add this dataset, or the rows a run added, as round 1 (repeatable)."
    ),
    gold: list[str] = options.GOLD,
    prompts: str = options.PROMPTS,
    holdout: float = typer.Option(
        None,
        help="Share of gold validation rows that only choose the epoch; errors are mined from the rest. [default: 0]",
    ),
    no_rationales: bool = options.NO_RATIONALES,
    judge: str = typer.Option(None, help="Who judges the labels: none, gold, llm, both or auto. [default: auto]"),
    gold_stage: str = typer.Option(
        None, help="Training on gold rows at the end: auto, after, mixed or none. [default: auto]"
    ),
    no_verdict: bool = typer.Option(
        False, "--no-verdict", help="Do not train on the gold rows alone to see what the synthetic rows add."
    ),
    concurrency: int = typer.Option(
        None, help="Requests in progress at once. [default: 16]", rich_help_panel=ENDPOINT
    ),
    max_requests: int = typer.Option(None, help="Stop after this many requests.", rich_help_panel=ENDPOINT),
    max_tokens: int = typer.Option(None, help="Stop after this many tokens.", rich_help_panel=ENDPOINT),
    max_cost: float = typer.Option(None, help="Stop at this cost (set the prices too).", rich_help_panel=ENDPOINT),
    assignments: list[str] = options.SET,
    run_dir: Path = options.RUN_DIR,
    push_to: str = typer.Option(None, help="Publish each finished round under this namespace (HF_ENDPOINT)."),
    name: str = options.PUSH_NAME,
    replace: bool = options.REPLACE,
    print_config: bool = typer.Option(
        False, "--print-config", help="Print the settings as commented YAML and run nothing."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Run S3 on a task: seed data, student, errors, more data. The same command resumes a stopped run."""
    from s3_hf.cli import display
    from s3_hf.schema import commented
    from s3_hf.strategies import strategy_named

    flags = {
        "task": task,
        "strategy": strategy,
        "llm": options.one_or_many(llm),
        "student": student,
        "seed_size": seed_size,
        "rounds": rounds,
        "round_size": round_size,
        "patience": patience,
        "seed": seed,
        "seed_data": seed_data,
        "add_data": options.one_or_many(add_data),
        "gold": options.joined(gold),
        "prompts": prompts,
        "holdout": holdout,
        "judge": judge,
        "gold_stage": gold_stage,
        "verdict": False if no_verdict else None,
        "synthesis.rationales": False if no_rationales else None,
        "endpoint.api_key_env": api_key_env,
        "endpoint.concurrency": concurrency,
        "endpoint.max_requests": max_requests,
        "endpoint.max_tokens": max_tokens,
        "endpoint.max_cost": max_cost,
    }
    settings = options.settings(config, flags, assignments)
    if print_config:
        strategy_named(settings.strategy)  # a name that is unknown is told
        display.show_text(commented(settings))
        return
    run_and_show(settings, run_dir, as_json=as_json, push_to=push_to, push_as=(name, replace))


def synthesize(
    task: str = options.TASK,
    config: Path = options.CONFIG,
    strategy: str = options.STRATEGY,
    n: int = typer.Option(None, "--n", help="Rows to write. [default: 400]"),
    llm: list[str] = options.LLM_OR_LOCAL,
    api_key_env: str = options.API_KEY_ENV,
    seed: int = typer.Option(None, help="Seed of every random choice. [default: 0]"),
    gold: list[str] = options.GOLD,
    prompts: str = options.PROMPTS,
    no_rationales: bool = options.NO_RATIONALES,
    concurrency: int = typer.Option(
        None, help="Requests in progress at once. [default: 16]", rich_help_panel=ENDPOINT
    ),
    max_requests: int = typer.Option(None, help="Stop after this many requests.", rich_help_panel=ENDPOINT),
    max_tokens: int = typer.Option(None, help="Stop after this many tokens.", rich_help_panel=ENDPOINT),
    max_cost: float = typer.Option(None, help="Stop at this cost (set the prices too).", rich_help_panel=ENDPOINT),
    assignments: list[str] = options.SET,
    run_dir: Path = options.RUN_DIR,
    as_json: bool = options.JSON,
) -> None:
    """Write a seed dataset and train no student."""
    from s3_hf import starting
    from s3_hf.cli import display
    from s3_hf.loop import synthesize as synthesize_seed

    flags = {
        "task": task,
        "strategy": strategy,
        "seed_size": n,
        "llm": options.one_or_many(llm),
        "seed": seed,
        "gold": options.joined(gold),
        "prompts": prompts,
        "synthesis.rationales": False if no_rationales else None,
        "endpoint.api_key_env": api_key_env,
        "endpoint.concurrency": concurrency,
        "endpoint.max_requests": max_requests,
        "endpoint.max_tokens": max_tokens,
        "endpoint.max_cost": max_cost,
    }
    settings = options.settings(config, flags, assignments)
    with starting.services(settings, trains=False) as services, starting.Progress.of(settings) as progress:
        folder = synthesize_seed(settings, run_dir, services, progress)
    facts = folder.synthesis()
    if as_json:
        from s3_hf.cli import outputs

        display.show_json(outputs.SynthesizeOutput(folder.data, facts))
        return
    display.show_text(
        f"{facts.rows:,} rows {facts.labels} in {folder.data}\n"
        f"rejected and asked again: {display.counts(facts.rejected) or 'none'}; requests {facts.usage.requests:,}, "
        f"tokens {facts.usage.tokens:,}, {facts.seconds} s"
    )


def status(
    run_dir: Path = typer.Argument(help="Folder of a run.", show_default=False),
    as_json: bool = options.JSON,
) -> None:
    """Show how far a run is, its scores and its costs."""
    from s3_hf.cli import display
    from s3_hf.loop import status_of
    from s3_hf.store import open_run

    run = open_run(run_dir)
    state = status_of(run)
    if as_json:
        from s3_hf.cli import outputs

        step = outputs.NextStage(None, "final") if state.finishing else None
        if state.next:
            step = outputs.NextStage(state.next.number, state.next.stage().value)
        known = (state.rounds, state.judging, state.final, state.verdict, step, state.usage)
        display.show_json(outputs.StatusOutput(run_dir, run.config.task, run.config.strategy, *known))
        return
    if state.rounds:
        display.show_results(state.rounds, f"{run.config.strategy} on {run.config.task}")
        display.show_seeds(state.rounds)
    for each in state.synthesized:
        rejected = display.counts(each.rejected) or "nothing"
        display.show_text(f"round {each.round}: rejected {rejected}; {each.given_up} slots given up")
    if state.judging:
        display.show_text(state.judging.sentence)
    usage = state.usage
    cost = f", cost {usage.cost:.4f}" if usage.cost else ""
    shared = " by all runs that share its journal" if state.shared else ""
    display.show_text(
        f"spent{shared}: {usage.requests:,} requests, {usage.prompt_tokens:,} prompt and "
        f"{usage.completion_tokens:,} completion tokens{cost}"
    )
    display.show_verdict(state.final, state.verdict, run.config.strategy)
    if state.next or state.finishing:
        what = f"round {state.next.number}, {state.next.stage().value}" if state.next else "the final student"
        display.show_text(
            f"next: {what}: s3-hf run {shlex.quote(run.config.task)} "
            f"--config {shlex.quote(str(run_dir / 'run.yaml'))} --run-dir {shlex.quote(str(run_dir))}"
        )


def run_and_show(
    settings: RunConfig,
    run_dir: Path | None,
    *,
    as_json: bool = False,
    push_to: str | None = None,
    push_as: tuple[str | None, bool] = (None, False),
) -> None:
    """Run with the embedded parts that the settings need, and print the results.

    `push_as` has the beginning of the repositories' names, and whether another run's are written over.

    Raises:
        S3Error: the run stopped, or it is complete and the last push to the namespace `push_to` failed.
    """
    from s3_hf import starting
    from s3_hf.cli import display
    from s3_hf.hub import PushOptions
    from s3_hf.locking import first_process

    how = PushOptions(name=push_as[0], replace=push_as[1])
    result = starting.run(settings, run_dir=run_dir, push_to=push_to, push_options=how)
    if not first_process():  # of a launch, where the others train along and print nothing
        return
    if as_json:
        from s3_hf.cli import outputs

        known = (result.best.number, result.final, result.verdict)
        display.show_json(outputs.RunOutput(result.path, tuple(result.rounds), *known))
    else:
        display.show_results(result.rounds, f"{result.path}")
        display.show_seeds(result.rounds)
        display.show_verdict(result.final, result.verdict, settings.strategy)
        published, path = push_to is not None and result.push_error is None, shlex.quote(str(result.path))
        display.show_text(f"look at it: s3-hf report {path}")
        display.show_text(f"published under {push_to}" if published else f"publish it: s3-hf push {path}")
    if result.push_error is not None:
        result.push_error.add_note(
            f"the run is complete, only its push failed: s3-hf push {shlex.quote(str(result.path))}"
        )
        raise result.push_error
