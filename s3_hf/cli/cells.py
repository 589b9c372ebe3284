"""The cells of a bench as the user sees them: the plan, and the progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from s3_hf.bench import BenchObserver, Cell, CellResult
from s3_hf.starting import Progress


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


def state_of(cell: Cell, folder: Path) -> str:
    """Return `done`, `begun` or `new`."""
    path = folder / "cells" / cell.name
    return "done" if (path / "cell.json").exists() else "begun" if path.exists() else "new"


def plan_of(cells: Sequence[Cell], folder: Path) -> str:
    """Return one line per cell: where its rows come from, and whether it is done."""
    lines = [f"{len(cells)} cells in {folder}"]
    for cell in cells:
        config = cell.config
        seed = "given" if config.seed_data else "gold" if cell.size is None else f"{config.seed_size:,}"
        added = " + given" if config.add_data else ""
        sizes = [config.size_of_round(number) for number in range(1, config.rounds + 1)] if config.round_size else []
        growth = "".join(f" + {size:,}" for size in sizes)
        lines.append(f"{state_of(cell, folder):6}{cell.name}: {seed}{added}{growth} rows")
    return "\n".join(lines)
