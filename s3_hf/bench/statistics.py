"""The lines of the tables: mean and deviation over seeds, and differences to the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from s3_hf.bench.intervals import Difference, Measured, compare, holm
from s3_hf.bench.measuring import CellResult
from s3_hf.bench.outcomes import Outcomes
from s3_hf.bench.spec import Bench


@dataclass(frozen=True)
class Line:
    """One arm in a table: scores are shares in [0, 1]; rows and costs are means over the seeds.

    `corrected` is the p-value of the difference, corrected for the comparisons of the table. `paper` is the paper's
    score of the arm, and `paper_rows` its number of rows.
    """

    task: str
    student: str
    size: int | None
    arm: str
    metric: str
    cells: tuple[CellResult, ...]
    mean: float
    deviation: float | None
    paper: float | None
    paper_rows: int | None
    difference: Difference | None = None
    corrected: float | None = None

    @property
    def per_seed(self) -> dict[int, float]:
        """Seed -> score."""
        return {cell.seed: cell.test[self.metric] for cell in self.cells}

    def average(self, name: str) -> float:
        """Return the mean over the seeds of an attribute of the cells."""
        return fmean(getattr(cell, name) for cell in self.cells)


def lines_of(
    bench: Bench, results: Sequence[CellResult], outcomes_of: Callable[[CellResult], Outcomes | None]
) -> list[Line]:
    """Return a line for each task, student, size, metric and arm, in the order of the file.

    `outcomes_of` returns what a cell's student predicted on test.
    """
    lines = []
    outcomes = {id(one): outcomes_of(one) for one in results} if bench.baseline else {}
    for task, student, size in _blocks(results):
        arms = {
            arm: tuple(one for one in results if (one.task, one.student, one.arm) == (task, student, arm)
                       and one.size in (size, None))
            for arm in bench.arms
        }  # fmt: skip
        finished = {arm: cells for arm, cells in arms.items() if cells}
        for metric in metrics_of(bench, finished.values()):
            measured = {
                arm: {cell.seed: Measured(cell.test[metric], outcomes.get(id(cell))) for cell in cells}
                for arm, cells in finished.items()
            }
            base = measured.get(bench.baseline) if bench.baseline else None
            pairs = {arm: base for arm in finished if base and arm != bench.baseline}
            differences = {arm: compare(metric, measured[arm], base) for arm, base in pairs.items()}
            p_values = holm({arm: each.p for arm, each in differences.items() if each and each.p is not None})
            for arm, cells in finished.items():
                line = _line(bench, (task, student, size, arm, metric), cells)
                lines.append(replace(line, difference=differences.get(arm), corrected=p_values.get(arm)))
    return lines


def _line(bench: Bench, place: tuple[str, str, int | None, str, str], cells: tuple[CellResult, ...]) -> Line:
    """Return the line without a difference."""
    task, *_, arm, metric = place
    values = [cell.test[metric] for cell in cells]
    figures = figures_of(bench, arm, task)
    percent, rows = figures.get(metric), figures.get("rows")
    return Line(
        *place,
        cells=cells,
        mean=fmean(values),
        deviation=stdev(values) if len(values) > 1 else None,
        paper=None if percent is None else percent / 100,
        paper_rows=None if rows is None else int(rows),
    )


def figures_of(bench: Bench, arm: str, task: str) -> Mapping[str, float]:
    """Return the paper's figures of the arm on the task: metric to percent, and `rows`; empty if it has none."""
    if bench.paper is None:
        return {}
    return bench.paper.figures.get(arm, {}).get(bench.tasks[task].paper_task or task, {})


def _blocks(results: Sequence[CellResult]) -> list[tuple[str, str, int | None]]:
    """Return task, student and size of each table; an arm without a size is in each of them."""
    places = dict.fromkeys((one.task, one.student, one.size) for one in results)
    sized = {(task, student) for task, student, size in places if size is not None}
    kept = [key for key in places if key[2] is not None or key[:2] not in sized]
    order = list(dict.fromkeys(key[:2] for key in places))
    return sorted(kept, key=lambda key: (order.index(key[:2]), key[2] or 0))


def metrics_of(bench: Bench, found: Iterable[tuple[CellResult, ...]]) -> list[str]:
    """Return the metrics to show, of those that the cells have."""
    known = list(dict.fromkeys(name for cells in found for cell in cells for name in cell.test))
    return known if bench.metrics is None else [name for name in bench.metrics if name in known]
