"""The mean of an arm's scores over the tasks of a bench (the column Average of the paper's Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from s3_hf.bench.measuring import CellResult
from s3_hf.bench.spec import Bench
from s3_hf.bench.statistics import figures_of, metrics_of


@dataclass(frozen=True, slots=True)
class Average:
    """An arm's mean over all tasks and their metrics, as a share; `paper` is that of the paper's figures."""

    student: str
    arm: str
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    mean: float
    paper: float | None


def averages(bench: Bench, results: Sequence[CellResult]) -> list[Average]:
    """Return the averages of the arms that have results on every task of the bench.

    Each metric of a task counts once, so a task with answers counts twice, as in the paper. There are none for a bench
    with one task, nor where a task has several sizes, nor where no task has one of the bench's metrics.
    """
    sized = {(one.task, one.student, one.arm): one.size for one in results}
    if len(bench.tasks) < 2 or any(sized[one.task, one.student, one.arm] != one.size for one in results):
        return []
    found = []
    for student in dict.fromkeys(one.student for one in results):
        for arm in bench.arms:
            cells = [one for one in results if (one.student, one.arm) == (student, arm)]
            if {one.task for one in cells} == {*bench.tasks} and metrics_of(bench, [tuple(cells)]):
                found.append(_average(bench, student, arm, cells))
    return found


def _average(bench: Bench, student: str, arm: str, cells: Sequence[CellResult]) -> Average:
    scores: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        for metric in metrics_of(bench, [(cell,)]):
            scores.setdefault((cell.task, metric), []).append(cell.test[metric])
    paper = [figures_of(bench, arm, task).get(metric) for task, metric in scores]
    known = [percent / 100 for percent in paper if percent is not None]
    tasks, metrics = (tuple(dict.fromkeys(key[place] for key in scores)) for place in (0, 1))
    return Average(
        student,
        arm,
        tasks,
        metrics,
        fmean(map(fmean, scores.values())),
        fmean(known) if len(known) == len(paper) else None,
    )
