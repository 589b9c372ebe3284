"""Commands that make data and models: run, synthesize, status."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
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
    round_size: int = typer.Option(None, help="Most rows that a round adds. [default: one per mistake]"),
    patience: int = typer.Option(None, help="Stop after so many rounds without gain on gold validation."),
    seed: int = typer.Option(None, help="Seed of every random choice. [default: 0]"),
    seed_data: str = typer.Option(None, help="Start from this dataset (file, folder or Hub id), or a run's seed."),
    add_data: list[str] = typer.Option(None, help="Add this dataset, or what a run added, as round 1 (repeatable)."),
    gold: str = options.GOLD,
    prompts: str = options.PROMPTS,
    holdout: float = typer.Option(
        None, help="Share of gold validation that chooses the epoch, with no errors found on it. [default: 0]"
    ),
    no_rationales: bool = typer.Option(
        False, "--no-rationales", help="No rationales in prompts, nor in those of extrapolations."
    ),
    concurrency: int = typer.Option(None, help="Requests under way at once. [default: 16]", rich_help_panel=ENDPOINT),
    max_requests: int = typer.Option(None, help="Stop after so many requests.", rich_help_panel=ENDPOINT),
    max_tokens: int = typer.Option(None, help="Stop after so many tokens.", rich_help_panel=ENDPOINT),
    max_cost: float = typer.Option(None, help="Stop at this cost (set the prices too).", rich_help_panel=ENDPOINT),
    assignments: list[str] = options.SET,
    run_dir: Path = options.RUN_DIR,
    push_to: str = typer.Option(None, help="Publish each round under this namespace (HF_ENDPOINT) as it finishes."),
    print_config: bool = typer.Option(
        False, "--print-config", help="Print the settings as YAML, with what they mean, and do nothing."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Run the S3 loop on a task: seed data, student, errors, more data; the same command goes on after a stop."""
    from s3_hf.cli import display
    from s3_hf.schema import commented

    given = {
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
        "gold": gold,
        "prompts": prompts,
        "holdout": holdout,
        "synthesis.rationales": False if no_rationales else None,
        "endpoint.api_key_env": api_key_env,
        "endpoint.concurrency": concurrency,
        "endpoint.max_requests": max_requests,
        "endpoint.max_tokens": max_tokens,
        "endpoint.max_cost": max_cost,
    }
    settings = options.settings(config, given, assignments)
    if print_config:
        display.show_text(commented(settings))
        return
    run_and_show(settings, run_dir, as_json=as_json, push_to=push_to)


def synthesize(
    task: str = options.TASK,
    config: Path = options.CONFIG,
    strategy: str = options.STRATEGY,
    n: int = typer.Option(None, "--n", help="Rows to make. [default: 400]"),
    llm: list[str] = options.LLM_OR_LOCAL,
    api_key_env: str = options.API_KEY_ENV,
    seed: int = typer.Option(None, help="Seed of every random choice. [default: 0]"),
    gold: str = options.GOLD,
    prompts: str = options.PROMPTS,
    concurrency: int = typer.Option(None, help="Requests under way at once. [default: 16]", rich_help_panel=ENDPOINT),
    max_requests: int = typer.Option(None, help="Stop after so many requests.", rich_help_panel=ENDPOINT),
    max_tokens: int = typer.Option(None, help="Stop after so many tokens.", rich_help_panel=ENDPOINT),
    max_cost: float = typer.Option(None, help="Stop at this cost (set the prices too).", rich_help_panel=ENDPOINT),
    assignments: list[str] = options.SET,
    run_dir: Path = options.RUN_DIR,
    as_json: bool = options.JSON,
) -> None:
    """Make a seed dataset and train nothing."""
    from s3_hf.cli import display
    from s3_hf.files import read_json
    from s3_hf.loop import synthesize as make

    given = {
        "task": task,
        "strategy": strategy,
        "seed_size": n,
        "llm": options.one_or_many(llm),
        "seed": seed,
        "gold": gold,
        "prompts": prompts,
        "endpoint.api_key_env": api_key_env,
        "endpoint.concurrency": concurrency,
        "endpoint.max_requests": max_requests,
        "endpoint.max_tokens": max_tokens,
        "endpoint.max_cost": max_cost,
    }
    settings = options.settings(config, given, assignments)
    with options.services(settings, trains=False) as services, display.Display(_priced(settings)) as observer:
        folder = make(settings, run_dir, services, observer)
    facts = read_json(folder.facts)
    if as_json:
        display.show_json({"data": folder.data, **facts})
        return
    rejected = ", ".join(f"{reason} {count}" for reason, count in facts["rejected"].items()) or "none"
    display.show_text(
        f"{facts['rows']:,} rows {facts['labels']} in {folder.data}\n"
        f"rejected and asked again: {rejected}; requests {facts['usage']['requests']:,}, tokens "
        f"{facts['usage']['prompt_tokens'] + facts['usage']['completion_tokens']:,}, {facts['seconds']} s"
    )


def status(
    run_dir: Path = typer.Argument(help="Folder of a run.", show_default=False),
    as_json: bool = options.JSON,
) -> None:
    """Show how far a run is, what it made and what it spent."""
    from s3_hf.cli import display
    from s3_hf.files import read_json
    from s3_hf.journal import read_usage
    from s3_hf.loop import results_of
    from s3_hf.records import Usage
    from s3_hf.store import JOURNAL, open_run

    opened = open_run(run_dir)
    results = results_of(opened)
    unfinished = opened.round(len(results))
    made = [read_json(folder.facts) for folder in opened.rounds()]
    needed = (Usage(**facts["usage"]) for facts in made)
    usage = read_usage(opened.journal) if opened.journal.exists() else sum(needed, Usage())
    more = len(results) <= opened.config.rounds and unfinished.path.exists() and not unfinished.empty.exists()
    if as_json:
        display.show_json(
            {
                "run_dir": run_dir,
                "task": opened.config.task,
                "strategy": opened.config.strategy,
                "rounds": [asdict(result) for result in results],
                "next": {"round": unfinished.number, "stage": unfinished.stage().value} if more else None,
                "usage": asdict(usage),
            }
        )
        return
    if results:
        display.show(display.results_table(results, f"{opened.config.strategy} on {opened.config.task}"))
    for facts in made:
        rejected = ", ".join(f"{reason} {count}" for reason, count in facts["rejected"].items()) or "nothing"
        display.show_text(f"round {facts['round']}: rejected {rejected}; {facts['given_up']} slots given up")
    cost = f", cost {usage.cost:.4f}" if usage.cost else ""
    shared = " by all runs that share its journal" if (opened.path / JOURNAL).is_symlink() else ""
    display.show_text(
        f"spent{shared}: {usage.requests:,} requests, {usage.prompt_tokens:,} prompt and "
        f"{usage.completion_tokens:,} completion tokens{cost}"
    )
    if more:
        display.show_text(
            f"next: round {unfinished.number}, {unfinished.stage().value}; the same `run` command goes on"
        )


def run_and_show(
    settings: RunConfig, run_dir: Path | None, *, as_json: bool = False, push_to: str | None = None
) -> None:
    """Run with the services that the settings ask for, and print the results.

    Raises:
        S3Error: the run stopped, or it is complete and the last push to the namespace `push_to` failed.
    """
    from s3_hf.cli import display
    from s3_hf.locking import first_process
    from s3_hf.loop import Observer
    from s3_hf.loop import run as run_loop

    shown = display.Display(_priced(settings)) if first_process() else contextlib.nullcontext(Observer())
    with options.services(settings) as services, shown as observer:
        result = run_loop(settings, run_dir, services, observer, push_to)
    if not first_process():  # of a launch: it has trained along, and says nothing
        return
    if as_json:
        display.show_json({"run_dir": result.path, "rounds": [asdict(one) for one in result.rounds]})
    else:
        display.show(display.results_table(result.rounds, f"{result.path}"))
        published = push_to is not None and result.push_error is None
        display.show_text(f"published under {push_to}" if published else f"publish it: s3-hf push {result.path}")
    if result.push_error is not None:
        result.push_error.add_note(f"the run is complete, only its push failed: s3-hf push {result.path}")
        raise result.push_error


def _priced(settings: RunConfig) -> bool:
    return bool(settings.endpoint.price_prompt or settings.endpoint.price_completion)
