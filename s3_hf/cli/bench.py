"""The command `bench`, which runs experiments."""

from __future__ import annotations

import contextlib
from pathlib import Path

import typer

from s3_hf.cli import options
from s3_hf.errors import ConfigError, LocalError


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(bench)


def bench(
    file: Path = typer.Argument(help="Bench file, such as examples/bench/table2.yaml.", show_default=False),
    small: bool = typer.Option(False, "--small", help="Run the file's smaller variant, its section `small`."),
    llm: list[str] = options.LLM,
    api_key_env: str = options.API_KEY_ENV,
    run_dir: Path = typer.Option(
        None, "--run-dir", callback=options.checked_folder, help="Folder of the bench. [default: runs/bench-NAME]"
    ),
    assignments: list[str] = options.SET,
    engine: str = typer.Option(
        "here", help="`here`: one cell after another; `ray`: in parallel on a cluster (RAY_ADDRESS)."
    ),
    cpus: float = typer.Option(1.0, min=0, help="Cores for each cell of `--engine ray`."),
    gpus: float = typer.Option(0.0, min=0, help="GPUs, or a fraction of one, for each cell of `--engine ray`."),
    plan: bool = typer.Option(False, "--plan", help="Print the cells without running them."),
    as_json: bool = options.JSON,
) -> None:
    """Run a grid of tasks, arms, students, sizes and seeds, and compare them; repeat the command to resume."""
    from s3_hf import starting
    from s3_hf.bench import (
        all_lines,
        cells_of,
        check_cells,
        kept_result,
        load_bench,
        run_cells,
        spent,
        write_page,
        write_report,
    )
    from s3_hf.cli import display
    from s3_hf.cli.cells import BenchDisplay, plan_of, state_of
    from s3_hf.files import write_text
    from s3_hf.task import task_of

    if engine not in ("here", "ray"):
        raise ConfigError(f"--engine must be here or ray, found {engine!r}; name one of them")
    flags = {"llm": options.one_or_many(llm), "endpoint.api_key_env": api_key_env}
    loaded = load_bench(file, small=small, settings=options.overrides(flags, assignments))
    folder = run_dir or Path("runs") / f"bench-{loaded.name}"
    cells = cells_of(loaded)
    if plan:
        for config in {(cell.task, cell.arm): cell.config for cell in cells}.values():
            task_of(config)  # raises for a task that cannot be used
        if as_json:
            from s3_hf.cli import outputs

            display.show_json(
                [
                    outputs.PlannedCell(c.name, state_of(c, folder), c.task, c.arm, c.student, c.size, c.seed)
                    for c in cells
                ]
            )
        else:
            display.show_text(plan_of(cells, folder))
        return
    open_cells = [cell for cell in cells if kept_result(cell, folder) is None]
    observer = BenchDisplay(lambda results: write_report(loaded, folder, results))
    with starting.services(*(cell.config for cell in open_cells)) as services, observer:
        check_cells(cells, folder, services)
        write_text(folder / "bench.yaml", file.read_text(encoding="utf-8"))
        if engine == "ray":
            from s3_hf.bench.cluster import Needs, run_cells_on_ray

            needs = Needs(cpus, gpus)
            results = run_cells_on_ray(cells, folder, services, observer, needs=needs, keep_models=loaded.keep_models)
        else:
            results = run_cells(cells, folder, services, observer, keep_models=loaded.keep_models)
    paid, files = spent(folder), "results.md, results.csv, results.parquet, cells.csv, cells.parquet"
    lines = all_lines(loaded, folder, results)
    text = write_report(loaded, folder, results, paid, lines)
    with contextlib.suppress(LocalError):  # without the extra `report` there is no page
        files = f"{files}, {write_page(loaded, folder, results, paid, lines).name}"
    if as_json:
        from s3_hf.cli import outputs

        display.show_json(outputs.BenchOutput(folder, tuple(results)))
    else:
        display.show_text(text + f"\n{folder}/{files}")
