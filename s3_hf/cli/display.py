"""What the user sees: tables, JSON, and the progress of a bench."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from s3_hf.bench import BenchObserver, Cell, CellResult
from s3_hf.errors import printable
from s3_hf.starting import Progress
from s3_hf.starting.progress import gold_roles
from s3_hf.store import TEST, RoundResult

ANY_WIDTH = 10_000
"""Characters of a line where no terminal limits them."""


class BenchDisplay(Progress, BenchObserver):
    """The progress of a run, with a line for each cell that begins; `on_finished` receives the results so far."""

    def __init__(self, on_finished: Callable[[Sequence[CellResult]], object]) -> None:
        super().__init__()
        self._on_finished = on_finished

    def cell(self, cell: Cell, place: int, total: int) -> None:
        """Print the name of the cell that begins."""
        size = "all gold" if cell.size is None else f"size {cell.size:,}"
        self.line(f"[{place} of {total}] {cell.task}, {cell.arm}, {cell.student}, {size}, seed {cell.seed}")

    def finished(self, results: Sequence[CellResult]) -> None:
        """Pass the results on, and print their number where the cells run elsewhere."""
        if not self.has_begun:
            self.line(f"{len(results)} cells are done")
        self._on_finished(results)


def plan(cells: Sequence[Cell], folder: Path) -> str:
    """Return one line per cell: where its rows come from, and whether it is done."""
    lines = [f"{len(cells)} cells in {folder}"]
    for cell in cells:
        config, path = cell.config, folder / "cells" / cell.name
        state = "done" if (path / "cell.json").exists() else "begun" if path.exists() else "new"
        seed = "given" if config.seed_data else "gold" if cell.size is None else f"{config.seed_size:,}"
        added = " + given" if config.add_data else ""
        sizes = [config.size_of_round(number) for number in range(1, config.rounds + 1)] if config.round_size else []
        growth = "".join(f" + {size:,}" for size in sizes)
        lines.append(f"{state:6}{cell.name}: {seed}{added}{growth} rows")
    return "\n".join(lines)


def results_table(results: Sequence[RoundResult], title: str) -> Table:
    """Return a table of the rounds: rows, mistakes, the first metric on validation rows, and each metric on test."""
    table = Table(title=title)
    metrics = list(results[-1].scores[TEST].metrics)
    roles = gold_roles(results[-1])
    heads = [f"{name} {metrics[0]}" for name in roles.values()] + [f"test {name}" for name in metrics]
    for name in ("round", "rows added", "rows", "mistakes", *heads):
        table.add_column(name.replace("_", " "), justify="right")
    for result in results:
        scores = [_share(result, role, metrics[0]) for role in roles]
        scores += [_share(result, TEST, name) for name in metrics]
        counts = (result.added, result.rows, result.mistakes)
        table.add_row(str(result.number), *(f"{n:,}" for n in counts), *scores)
    return table


def show_results(results: Sequence[RoundResult], title: str) -> None:
    """Print the table of the rounds, or a paragraph for each where the terminal is too narrow for it."""
    console = Console(highlight=False, markup=False, emoji=False)
    width = console.width if console.is_terminal or "COLUMNS" in os.environ else ANY_WIDTH
    table = results_table(results, printable(title))
    for between in (" ", "\n"):
        for column in table.columns:
            column.header = str(column.header).replace(" ", between)
        if Console(width=ANY_WIDTH).measure(table).maximum <= width:
            console.print(table, soft_wrap=True)
            return
    show_text(title)
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        lines = (f"{column.header} {cell}" for column, cell in zip(table.columns, cells, strict=True))
        show_text("\n  ".join(line.replace("\n", " ") for line in lines))


def show_records(records: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print records as the columns of a table, the first of their values as heads; missing values are dashes."""
    names = list(dict.fromkeys(name for record in records for name in record))
    table = Table(title=printable(title), title_justify="left")
    table.add_column(names[0])
    for record in records:
        table.add_column(printable(str(record[names[0]])), justify="right")
    for name in names[1:]:
        table.add_row(name.replace("_", " "), *(printable(_figure(record.get(name))) for record in records))
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table, soft_wrap=True, width=None if console.is_terminal else ANY_WIDTH)


def _figure(value: Any) -> str:
    """Return a value as a cell: whole numbers with separators, others with four digits."""
    if value is None:
        return "–"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"


def counts(values: Mapping[str, int]) -> str:
    """Return names and numbers as text, an empty one if there are none."""
    return ", ".join(f"{name} {count}" for name, count in values.items())


def show_text(text: str) -> None:
    """Print text as it is: no markup, no wrapping; control characters are spelled out."""
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()  # a server announces itself to a pipe too


def show_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON value on standard output."""
    sys.stdout.write(printable(json.dumps(value, indent=2, ensure_ascii=False, default=str)) + "\n")


def _share(result: RoundResult, role: str, metric: str) -> str:
    return f"{result.scores[role].metrics[metric]:.1%}" if role in result.scores else "–"
