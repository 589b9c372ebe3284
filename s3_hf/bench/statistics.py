"""From finished cells to the lines of a table: mean, spread, and differences paired by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from s3_hf.bench.running import CellResult
from s3_hf.bench.spec import Bench

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean of `seeds` paired differences, with a 95 % interval where there are two or more."""

    mean: float
    low: float | None
    high: float | None
    positive: int
    seeds: int


@dataclass(frozen=True)
class Line:
    """An arm's line in a table: scores are shares, rows and costs means over the seeds.

    `paper` is what the paper reports for the arm, `paper_rows` on how many rows.
    """

    task: str
    student: str
    size: int | None
    arm: str
    metric: str
    cells: tuple[CellResult, ...]
    mean: float
    deviation: float | None
    difference: Difference | None
    paper: float | None
    paper_rows: int | None

    @property
    def per_seed(self) -> dict[int, float]:
        """The score of each seed."""
        return {cell.seed: cell.test[self.metric] for cell in self.cells}

    def average(self, name: str) -> float:
        """The mean over the seeds of one of the cells' figures."""
        return fmean(getattr(cell, name) for cell in self.cells)


def lines_of(bench: Bench, results: Sequence[CellResult]) -> list[Line]:
    """Return a line for each task, student, size, metric and arm, in the order of the file."""
    lines = []
    for task, student, size in _blocks(results):
        arms = {
            arm: tuple(one for one in results if (one.task, one.student, one.arm) == (task, student, arm)
                       and one.size in (size, None))
            for arm in bench.arms
        }  # fmt: skip
        found = {arm: cells for arm, cells in arms.items() if cells}
        for metric in _metrics(bench, found.values()):
            base = found.get(bench.baseline) if bench.baseline else None
            for arm, cells in found.items():
                pairs = base if arm != bench.baseline else None
                lines.append(_line(bench, (task, student, size, arm, metric), cells, pairs))
    return lines


def _line(
    bench: Bench,
    place: tuple[str, str, int | None, str, str],
    cells: tuple[CellResult, ...],
    base: tuple[CellResult, ...] | None,
) -> Line:
    task, *_, arm, metric = place
    values = [cell.test[metric] for cell in cells]
    figures = bench.paper.figures.get(arm, {}).get(bench.tasks[task].paper_task or task, {}) if bench.paper else {}
    percent, rows = figures.get(metric), figures.get("rows")
    return Line(
        *place,
        cells=cells,
        mean=fmean(values),
        deviation=stdev(values) if len(values) > 1 else None,
        difference=paired(_by_seed(cells, metric), _by_seed(base, metric)) if base else None,
        paper=None if percent is None else percent / 100,
        paper_rows=None if rows is None else int(rows),
    )


def paired(values: dict[int, float], base: dict[int, float]) -> Difference | None:
    """Return the differences over the seeds that both have, with Student's t interval; None without any."""
    from scipy.stats import t

    found = [values[seed] - base[seed] for seed in values if seed in base]
    if not found:
        return None
    mean, positive = fmean(found), sum(one > 0 for one in found)
    if len(found) < 2:
        return Difference(mean, None, None, positive, len(found))
    half = float(t.ppf((1 + CONFIDENCE) / 2, len(found) - 1)) * stdev(found) / math.sqrt(len(found))
    return Difference(mean, mean - half, mean + half, positive, len(found))


def _blocks(results: Sequence[CellResult]) -> list[tuple[str, str, int | None]]:
    """Task, student and size of each table; arms of all sizes stand in each of them."""
    found = dict.fromkeys((one.task, one.student, one.size) for one in results)
    sized = {(task, student) for task, student, size in found if size is not None}
    kept = [key for key in found if key[2] is not None or key[:2] not in sized]
    places = list(dict.fromkeys(key[:2] for key in found))
    return sorted(kept, key=lambda key: (places.index(key[:2]), key[2] or 0))


def _metrics(bench: Bench, found: Iterable[tuple[CellResult, ...]]) -> list[str]:
    known = list(dict.fromkeys(name for cells in found for cell in cells for name in cell.test))
    return known if bench.metrics is None else [name for name in bench.metrics if name in known]


def _by_seed(cells: tuple[CellResult, ...], metric: str) -> dict[int, float]:
    return {cell.seed: cell.test[metric] for cell in cells}
