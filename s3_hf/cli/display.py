"""What the user sees: progress, tables, JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from s3_hf.bench import BenchObserver, Cell, CellResult
from s3_hf.llm import ClientStatus
from s3_hf.loop import Observer, RoundResult
from s3_hf.store import Stage

PLAIN_SECONDS = 10.0
"""How often progress is told where there is no terminal."""

FORECAST_FROM = 20
"""Rows or steps after which the time left is told; before, it would be a guess."""


class Display(Observer):
    """Progress bars on a terminal, plain lines elsewhere; always on standard error."""

    def __init__(self, prices: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._prices = prices
        self._bar: TaskID | None = None
        self._title = ""
        self._told = self._began = 0.0
        self._made = 0
        self._wanted: int | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:  # elsewhere it would print an empty line
            self._bars.stop()

    def stage(self, number: int, stage: Stage) -> None:
        """Name the round and what it does."""
        self._title = f"round {number}: {stage.value}"
        self._began = time.monotonic()
        self._told, self._made = 0.0, 0
        self._wanted = None
        if self._bar is not None:
            self._bars.remove_task(self._bar)
        self._bar = self._bars.add_task(self._title, total=None, rate="")
        if not self._console.is_terminal:
            self._console.print(self._title)

    def rows(self, made: int, wanted: int | None, status: ClientStatus | None) -> None:
        """Show how many rows are made; rows appear in slot order, so they come in bursts."""
        self._made, self._wanted = made, wanted
        if status is not None:
            self.status(status)

    def status(self, status: ClientStatus) -> None:
        """Show answers and tokens per second, what is repeated, and what the rest will cost."""
        self._tell(self._made, self._wanted, "rows", _spending(self._made, self._wanted, status, self._prices))

    def trial(self, done: int, total: int) -> None:
        """Show how far the search for training settings is."""
        self._tell(done, total, "trials", f"search for training settings, trial {done + 1} of {total}")

    def step(self, done: int, total: int) -> None:
        """Show training steps."""
        self._tell(done, total, "steps", "")

    def scored(self, result: RoundResult) -> None:
        """Print the round's result for good."""
        self._console.print(
            f"round {result.number}: {result.rows:,} rows, {_figures(result.scores)} on test, "
            f"{_figures(result.validation)} on gold validation ({result.mistakes} mistakes)"
        )

    def _tell(self, done: int, total: int | None, unit: str, extra: str) -> None:
        now = time.monotonic()
        rate = done / max(now - self._began, 1e-3)
        text = extra or f"{rate:.1f} {unit}/s"
        if self._bar is not None:
            self._bars.update(self._bar, completed=done, total=total, rate=text)
        if not self._console.is_terminal and (now - self._told > PLAIN_SECONDS or done == total):
            self._told = now
            left = f", {(total - done) / rate:.0f} s left" if total and done >= FORECAST_FROM else ""
            self._console.print(f"  {done:,}{f' of {total:,}' if total else ''} {unit}, {text}{left}")


class BenchDisplay(Display, BenchObserver):
    """The display of a run, with a line for each cell that begins; `on_finished` gets all results so far."""

    def __init__(self, on_finished: Callable[[Sequence[CellResult]], object]) -> None:
        super().__init__()
        self._on_finished = on_finished

    def cell(self, cell: Cell, place: int, total: int) -> None:
        """Name the cell that begins."""
        size = "all gold" if cell.size is None else f"size {cell.size:,}"
        self._console.print(f"[{place} of {total}] {cell.task}, {cell.arm}, {cell.student}, {size}, seed {cell.seed}")

    def finished(self, results: Sequence[CellResult]) -> None:
        """Pass the results on; of cells that run elsewhere nothing else is told."""
        if not self._title:
            self._console.print(f"{len(results)} cells are done")
        self._on_finished(results)


def plan(cells: Sequence[Cell], folder: Path) -> str:
    """One line per cell: where its rows come from, and whether it is done."""
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
    """One line per round: rows, mistakes, the first metric on gold validation, and each on test."""
    table = Table(title=title)
    names = [name for name in results[-1].scores if name != "n"]
    metrics = [f"validation {names[0]}", *(f"test {name}" for name in names)]
    for name in ("round", "rows added", "rows", "mistakes", *metrics):
        table.add_column(name.replace("_", " "), justify="right")
    for result in results:
        scores = (result.validation[names[0]], *(result.scores[name] for name in names))
        counts = (result.added, result.rows, result.mistakes)
        table.add_row(str(result.number), *(f"{n:,}" for n in counts), *(f"{value:.1%}" for value in scores))
    return table


def show(value: Any) -> None:
    """Print text or a rich table on standard output."""
    Console(highlight=False, soft_wrap=True).print(value)


def show_text(text: str) -> None:
    """Print text as it is: no markup, no wrapping."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()  # a server announces itself to a pipe too


def show_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print one JSON value on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def _spending(made: int, wanted: int | None, status: ClientStatus, prices: bool) -> str:
    answers = status.finished + status.replayed
    parts = [f"{answers:,} answers, {status.requests_per_second:.1f}/s, {status.tokens_per_second:.0f} tokens/s"]
    if status.retries:
        parts.append(f", {status.retries} repeated")
    if prices and made and wanted:
        cost = status.usage.cost
        parts.append(f", cost {cost:.2f} of about {cost * wanted / made:.2f}")
    return "".join(parts)


def _figures(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.1%}" for name, value in scores.items() if name != "n")
