"""Scores on training rows and on test by epoch (paper Figure 1), of cells with `training.watch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from s3_hf.bench.measuring import CellResult
from s3_hf.bench.tables import write_table
from s3_hf.files import replacing

LOSS = "train_loss"


def has_curves(results: Sequence[CellResult]) -> bool:
    """Return whether any cell recorded its scores on the training rows."""
    return any(name.startswith("train_") for one in results for line in one.epochs for name in line if name != LOSS)


def write_curves(folder: Path, results: Sequence[CellResult]) -> None:
    """Write `curves.csv` and `.parquet`, a row for each epoch of each cell, and with matplotlib `curves.png`."""
    lines = [
        {"task": one.task, "student": one.student, "size": one.size, "arm": one.arm, "seed": one.seed, **line}
        for one in results
        for line in one.epochs
    ]
    write_table(folder / "curves", lines)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="epoch", ylabel="score in %")
    for place, (name, metric, points) in enumerate(_curves(results)):
        style = {"train": "--", "test": "-"}[metric.partition(" ")[0]]
        axes.plot(*zip(*points, strict=True), style, color=f"C{place // 2}", marker=".", label=f"{name}, {metric}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    with replacing(folder / "curves.png") as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _curves(results: Sequence[CellResult]) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    """Yield name, metric and points of each curve, means over the seeds; training rows come before test."""
    groups: dict[tuple[Any, ...], list[CellResult]] = {}
    for one in results:
        groups.setdefault((one.task, one.student, one.size, one.arm), []).append(one)
    several = {place: len({key[place] for key in groups}) > 1 for place in range(3)}
    for key, cells in groups.items():
        name = " ".join([key[3], *(str(key[place]) for place in range(3) if several[place] and key[place])])
        metric = next(iter(cells[0].test))
        for curve in (f"train_{metric}", f"test_{metric}"):
            by_epoch: dict[float, list[float]] = {}
            for line in (line for cell in cells for line in cell.epochs if curve in line):
                by_epoch.setdefault(line["epoch"], []).append(100 * line[curve])
            if by_epoch:
                yield name, curve.replace("_", " "), [(epoch, fmean(found)) for epoch, found in by_epoch.items()]
