"""The lines of the tables: mean and deviation over seeds, and differences paired by seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from s3_hf.bench.running import CellResult
from s3_hf.bench.spec import Bench

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences over `seeds` seeds, with a 95 % interval where there are two or more."""

    mean: float
    low: float | None
    high: float | None
    positive: int
    seeds: int


@dataclass(frozen=True)
class Line:
    """One arm in a table: scores are shares in [0, 1]; rows and costs are means over the seeds.

    `paper` is the paper's score of the arm, and `paper_rows` its number of rows.
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
        """Seed -> score."""
        return {cell.seed: cell.test[self.metric] for cell in self.cells}

    def average(self, name: str) -> float:
        """Return the mean over the seeds of an attribute of the cells."""
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
        finished = {arm: cells for arm, cells in arms.items() if cells}
        for metric in _metrics(bench, finished.values()):
            base = finished.get(bench.baseline) if bench.baseline else None
            for arm, cells in finished.items():
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
    """Return the differences over the seeds that both have, with Student's t interval; None without such seeds."""
    from scipy.stats import sem, t

    differences = [values[seed] - base[seed] for seed in values if seed in base]
    if not differences:
        return None
    n, mean, positive = len(differences), fmean(differences), sum(one > 0 for one in differences)
    if n < 2:
        return Difference(mean, None, None, positive, n)
    half = float(t.ppf((1 + CONFIDENCE) / 2, n - 1) * sem(differences))
    return Difference(mean, mean - half, mean + half, positive, n)


def _blocks(results: Sequence[CellResult]) -> list[tuple[str, str, int | None]]:
    """Return task, student and size of each table; an arm without a size is in each of them."""
    places = dict.fromkeys((one.task, one.student, one.size) for one in results)
    sized = {(task, student) for task, student, size in places if size is not None}
    kept = [key for key in places if key[2] is not None or key[:2] not in sized]
    order = list(dict.fromkeys(key[:2] for key in places))
    return sorted(kept, key=lambda key: (order.index(key[:2]), key[2] or 0))


def _metrics(bench: Bench, found: Iterable[tuple[CellResult, ...]]) -> list[str]:
    known = list(dict.fromkeys(name for cells in found for cell in cells for name in cell.test))
    return known if bench.metrics is None else [name for name in bench.metrics if name in known]


def _by_seed(cells: tuple[CellResult, ...], metric: str) -> dict[int, float]:
    return {cell.seed: cell.test[metric] for cell in cells}
