"""Commands about tasks."""

from __future__ import annotations

import typer

from s3_hf.cli import options

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
    gold: str = typer.Option(None, help="Hub id or folder of the gold data, in place of the recipe's source."),
    as_json: bool = options.JSON,
) -> None:
    """Show a task's splits, sizes, features and prompts."""
    from s3_hf.cli import display
    from s3_hf.task import load_task

    loaded = load_task(task, gold)
    facts = loaded.facts()
    if as_json:
        display.show_json(facts)
        return
    lines = [f"{facts['name']}: {facts['description']}", f"source   {facts['source'] or facts['homepage']}"]
    lines += [f"licence  {facts['license']}"]
    lines += [f"split    {split}: {size:,} rows" for split, size in facts["splits"].items()]
    lines += [f"column   {name}: {feature}" for name, feature in loaded.builder.info.features.items()]
    lines += [f"label    {name}: {word!r} in prompts" for name, word in facts["labels"].items()]
    lines += [f"prompt   {name}:\n{text}\n" for name, text in facts["prompts"].items() if text]
    display.show_text("\n".join(lines))
