"""The commands `s3-hf tasks …`."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from s3_hf.cli import options

if TYPE_CHECKING:
    from s3_hf.config import RunConfig
    from s3_hf.loop import PromptTrial

NO_DESCRIPTION = (
    "without --description the prompts contain only the names of the task and its columns; describe the texts in them"
)

tasks = typer.Typer(
    help="List and show tasks, write recipes for new ones, and preview prompts.", invoke_without_command=True
)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(tasks, name="tasks")


@tasks.callback()
def list_tasks(context: typer.Context, as_json: bool = options.JSON) -> None:
    """List the registered tasks."""
    if context.invoked_subcommand and as_json:
        raise typer.BadParameter(f"give --json after {context.invoked_subcommand!r}")
    if context.invoked_subcommand:
        return
    from s3_hf.cli import display
    from s3_hf.task import load_task, task_names

    descriptions = {name: load_task(name).builder.info.description for name in task_names()}
    if as_json:
        display.show_json(descriptions)
        return
    for name, description in descriptions.items():
        display.show_text(f"{name:20}{description}")


@tasks.command()
def show(
    task: str = options.TASK,
    gold: list[str] = options.GOLD,
    as_json: bool = options.JSON,
) -> None:
    """Show a task's splits, sizes, features and prompts."""
    from s3_hf.cli import display
    from s3_hf.rows.splitting import count_shared
    from s3_hf.task import load_task
    from s3_hf.texts import row_texts

    loaded = load_task(task, options.joined(gold))
    columns = loaded.columns
    rows, test = (row_texts(each, columns.text, columns.context) for each in (loaded.mined, loaded.test))
    facts = loaded.facts() | {"shared_rows": count_shared(rows, test)}
    if as_json:
        from s3_hf.cli import outputs

        display.show_json(outputs.TaskOutput(**facts))
        return
    lines = [f"{facts['name']}: {facts['description']}", f"source   {facts['source'] or facts['homepage']}"]
    lines += [f"licence  {facts['license']}"]
    lines += [f"split    {split}: {size:,} rows" for split, size in facts["splits"].items()]
    if facts["shared_rows"]:
        lines += [f"shared   {facts['shared_rows']:,} test rows are validation rows too"]
    lines += [f"column   {name}: {feature}" for name, feature in loaded.builder.info.features.items()]
    lines += [f"label    {name}: {word!r} in prompts" for name, word in facts["labels"].items()]
    lines += [f"prompt   {name}:\n{text}\n" for name, text in facts["prompts"].items() if text]
    lines += [f"prompts  {name}: other prompts, used with --prompts {name}" for name in loaded.config.other_prompts]
    display.show_text("\n".join(lines))


@tasks.command()
def new(
    name: str = typer.Argument(help="Name of the task, its recipe, runs and repositories.", show_default=False),
    data: list[str] = typer.Option(
        help="CSV, TSV, JSON lines, JSON (SQuAD too) or Parquet file, folder or Hub id; several files are a pattern, "
        "or repeat it.",
        show_default=False,
    ),
    text: str = typer.Option(help="Column that the LLM writes; one inside of another is OUTER.INNER."),
    context: str = typer.Option(None, help="Column that the text is about: a premise, a paragraph."),
    label: str = typer.Option(None, help="Column of the label to learn."),
    answers: str = typer.Option(None, help="Column of the answers to find in the context."),
    label_names: Path = typer.Option(
        None, help="File with a word for each label: JSON, or lines of LABEL,WORD or of words from label 0 on."
    ),
    validation: str = typer.Option(None, help="Splits to use as gold validation data, joined by `+`."),
    test: str = typer.Option(None, help="Splits to use as the test, joined by `+`."),
    config: str = typer.Option(None, help="Configuration of a Hub dataset that has several."),
    description: str = typer.Option("", help="A sentence about the texts, for prompts and cards."),
    test_share: float = typer.Option(
        None, help="Share of the rows that becomes the test if the data has one split. [default: 0.5]"
    ),
    llm: list[str] = options.LLM,
    api_key_env: str = options.API_KEY_ENV,
    assignments: list[str] = options.SET,
    out: Path = typer.Option(
        Path(),
        callback=options.checked_folder,
        help="Folder for the recipe. [default: the current one]",
        show_default=False,
    ),
    as_json: bool = options.JSON,
) -> None:
    """Write a recipe for your own data, with prompts to edit.

    With --llm, several kinds of prompt are tried and the best one is recommended; that takes about 80 requests.
    """
    from s3_hf.authoring.asked import NewTask
    from s3_hf.authoring.writing import format_counts, write_recipe
    from s3_hf.cli import display
    from s3_hf.errors import ConfigError
    from s3_hf.loop import Services, check_llm
    from s3_hf.records import Columns

    columns = Columns(text, label, context, answers)
    splits = {role: names for role, names in (("validation", validation), ("test", test)) if names}
    wanted = NewTask(name, options.joined(data) or "", columns, config, description, test_share, splits, label_names)
    if (api_key_env or assignments) and not llm:
        raise ConfigError("--api-key-env and --set are for the LLM of --llm, found none; give it, or leave them out")
    flags = {"task": name, "llm": options.one_or_many(llm), "endpoint.api_key_env": api_key_env}
    settings = options.settings(None, flags, assignments) if llm else None
    if settings:
        check_llm(settings, Services())
    written = write_recipe(wanted, out)
    inferred, path = written.inferred, written.path
    notes = [*inferred.notes, *([] if description else [NO_DESCRIPTION])]
    trial, advice = _tried(settings.model_copy(update={"task": str(path)})) if settings else (None, "")
    notes += [advice] if advice else []
    if as_json:
        from s3_hf.cli import outputs

        display.show_json(outputs.NewTaskOutput(path, inferred.config.splits, inferred.counts, tuple(notes)))
        return
    lines = []
    for split, counts in inferred.counts.items():
        labels, source_split = format_counts(counts), inferred.config.splits[split]
        lines += [f"{split:12}{sum(counts.values()):,} rows of {source_split!r}{f': {labels}' if labels else ''}"]
    lines += [f"note        {note}" for note in notes]
    lines += [f"recipe      {path}", "edit its prompts, then"]
    given = [("--llm", one) for one in llm or ["URL"]] + ([("--api-key-env", api_key_env)] if api_key_env else [])
    given += [("--set", each) for each in assignments or ()]
    typed = shlex.join([str(path), *itertools.chain.from_iterable(given)])
    tried = f" {trial.options}" if trial and trial.options else ""
    lines += [f"  s3-hf tasks preview {typed}{tried}", f"  s3-hf run {typed}{tried}"]
    display.show_text("\n".join(lines))


@tasks.command()
def preview(
    task: str = options.TASK,
    n: int = typer.Option(3, "--n", min=1, help="Number of seed rows, and of extrapolations, to show."),
    llm: list[str] = options.LLM,
    api_key_env: str = options.API_KEY_ENV,
    strategy: str = options.STRATEGY,
    gold: list[str] = options.GOLD,
    prompts: str = options.PROMPTS,
    no_rationales: bool = options.NO_RATIONALES,
    seed: int = typer.Option(None, help="Seed of every random choice. [default: 0]"),
    assignments: list[str] = options.SET,
    as_json: bool = options.JSON,
) -> None:
    """Show the messages that a run will send, with placeholders for rationales and names that the LLM writes first.

    With --llm the messages are exact, the LLM's answers are shown with the results of the checks, and prompts with and
    without gold rows and rationales are compared. Last comes what the checks of wording do to the gold rows.
    """
    from s3_hf import starting
    from s3_hf.cli import display
    from s3_hf.loop import calibration_of, try_prompts
    from s3_hf.loop import preview as preview_run
    from s3_hf.task import task_of

    flags = {"task": task, "strategy": strategy, "gold": options.joined(gold), "prompts": prompts, "seed": seed}
    flags |= {"llm": options.one_or_many(llm), "endpoint.api_key_env": api_key_env}
    flags["synthesis.rationales"] = False if no_rationales else None
    settings = options.settings(None, flags, assignments)
    with starting.services(settings, trains=False, asks=bool(llm)) as services:
        shown = preview_run(settings, n, services, ask=bool(llm))
        advice = try_prompts(settings, services).advice() if llm else None
    calibration = calibration_of(task_of(settings))
    if as_json:
        from s3_hf.cli import outputs

        display.show_json(outputs.PreviewOutput(tuple(shown), calibration, advice))
        return
    for one in shown:
        lines = [f"── {one.slot}", *(f"{each['role']}: {each['content']}" for each in one.messages)]
        if one.answer is not None:
            lines += [f"answer: {one.answer}", f"→ {one.verdict}"]
        display.show_text("\n".join(lines) + "\n")
    display.show_text("\n".join(calibration.table()))
    if advice:
        display.show_text(f"\n{advice}")


def _tried(settings: RunConfig) -> tuple[PromptTrial | None, str]:
    """Return the outcome of the kinds of prompts that a recipe allows, with its advice; or why there is none."""
    from s3_hf import starting
    from s3_hf.errors import S3Error
    from s3_hf.loop import try_prompts

    try:
        with starting.services(settings, trains=False) as services:
            trial = try_prompts(settings, services)
    except S3Error as error:
        return None, f"the prompts could not be tried: {error}"
    return trial, trial.advice()
