"""Commands about tasks."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from s3_hf.cli import options

NO_DESCRIPTION = (
    "without --description the prompts tell the LLM only the names of task and columns; say in them what the texts are"
)

tasks = typer.Typer(help="List tasks and show what one consists of.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(tasks, name="tasks")


@tasks.callback()
def list_tasks(context: typer.Context, as_json: bool = options.JSON) -> None:
    """List the registered tasks."""
    if context.invoked_subcommand:
        return
    from s3_hf.cli import display
    from s3_hf.task import load_task, task_names

    found = {name: load_task(name).builder.info.description for name in task_names()}
    if as_json:
        display.show_json(found)
        return
    for name, description in found.items():
        display.show_text(f"{name:20}{description}")


@tasks.command()
def show(
    task: str = options.TASK,
    gold: str = options.GOLD,
    as_json: bool = options.JSON,
) -> None:
    """Show a task's splits, sizes, features and prompts."""
    from s3_hf.cli import display
    from s3_hf.task import load_task
    from s3_hf.task.splitting import shared_rows
    from s3_hf.texts import row_texts

    loaded = load_task(task, gold)
    columns = loaded.columns
    rows, test = (row_texts(each, columns.text, columns.context) for each in (loaded.gold, loaded.test))
    facts = loaded.facts() | {"shared_rows": shared_rows(rows, test)}
    if as_json:
        display.show_json(facts)
        return
    lines = [f"{facts['name']}: {facts['description']}", f"source   {facts['source'] or facts['homepage']}"]
    lines += [f"licence  {facts['license']}"]
    lines += [f"split    {split}: {size:,} rows" for split, size in facts["splits"].items()]
    if facts["shared_rows"]:
        lines += [f"shared   {facts['shared_rows']:,} test rows are validation rows too"]
    lines += [f"column   {name}: {feature}" for name, feature in loaded.builder.info.features.items()]
    lines += [f"label    {name}: {word!r} in prompts" for name, word in facts["labels"].items()]
    lines += [f"prompt   {name}:\n{text}\n" for name, text in facts["prompts"].items() if text]
    lines += [f"prompts  {name}: other ones, used with --prompts {name}" for name in loaded.config.other_prompts]
    display.show_text("\n".join(lines))


@tasks.command()
def new(
    name: str = typer.Argument(help="Name of the task: of its file, runs and repositories.", show_default=False),
    data: str = typer.Option(help="CSV, JSON lines, JSON (SQuAD too) or Parquet file, folder or Hub id."),
    text: str = typer.Option(help="Column that the LLM is to write."),
    context: str = typer.Option(None, help="Column that the text is about: a premise, a paragraph."),
    label: str = typer.Option(None, help="Column of the label to learn."),
    answers: str = typer.Option(None, help="Column of the answers to find in the context."),
    config: str = typer.Option(None, help="Configuration of a Hub dataset that has several."),
    description: str = typer.Option("", help="A sentence on the texts; it goes into the prompts and on the cards."),
    test_share: float = typer.Option(
        None, help="Share of the rows that are the test, where data of one split is divided. [default: 0.5]"
    ),
    out: Path = typer.Option(
        Path(),
        callback=options.checked_folder,
        help="Folder for the recipe. [default: this one]",
        show_default=False,
    ),
    as_json: bool = options.JSON,
) -> None:
    """Write a recipe for your own data, with prompts to edit."""
    from s3_hf.cli import display
    from s3_hf.records import Columns
    from s3_hf.task.authoring import Wanted, counted, write_recipe

    columns = Columns(text, label, context, answers)
    written = write_recipe(Wanted(name, data, columns, config, description, test_share), out)
    found, path = written.found, written.path
    notes = [*found.notes, *([] if description else [NO_DESCRIPTION])]
    if as_json:
        display.show_json({"recipe": path, "splits": found.config.splits, "rows": found.counts, "notes": notes})
        return
    lines = []
    for split, counts in found.counts.items():
        labels, of = counted(counts), found.config.splits[split]
        lines += [f"{split:12}{sum(counts.values()):,} rows of {of!r}{f': {labels}' if labels else ''}"]
    lines += [f"note        {note}" for note in notes]
    lines += [f"recipe      {path}", "edit its prompts, then"]
    typed = shlex.quote(str(path))
    lines += [f"  s3-hf tasks preview {typed} --llm URL", f"  s3-hf run {typed} --llm URL"]
    display.show_text("\n".join(lines))


@tasks.command()
def preview(
    task: str = options.TASK,
    n: int = typer.Option(3, "--n", min=1, help="Seed rows and extrapolations to show."),
    llm: list[str] = options.LLM,
    api_key_env: str = options.API_KEY_ENV,
    strategy: str = options.STRATEGY,
    gold: str = options.GOLD,
    prompts: str = options.PROMPTS,
    seed: int = typer.Option(None, help="Seed of every random choice. [default: 0]"),
    assignments: list[str] = options.SET,
    as_json: bool = options.JSON,
) -> None:
    """Show the messages a run will send, with placeholders for what the LLM names first.

    With --llm they are exact, and the answers and what the checks make of them are shown too.
    """
    from dataclasses import asdict

    from s3_hf import starting
    from s3_hf.cli import display
    from s3_hf.loop import preview as preview_run

    given = {"task": task, "strategy": strategy, "gold": gold, "prompts": prompts, "seed": seed}
    given |= {"llm": options.one_or_many(llm), "endpoint.api_key_env": api_key_env}
    settings = options.settings(None, given, assignments)
    with starting.services(settings, trains=False, asks=bool(llm)) as services:
        shown = preview_run(settings, n, services, ask=bool(llm))
    if as_json:
        display.show_json([asdict(one) for one in shown])
        return
    for one in shown:
        lines = [f"── {one.slot}", *(f"{each['role']}: {each['content']}" for each in one.messages)]
        if one.answer is not None:
            lines += [f"answer: {one.answer}", f"→ {one.verdict}"]
        display.show_text("\n".join(lines) + "\n")
