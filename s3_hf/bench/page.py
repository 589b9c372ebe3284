"""The bench as one HTML page: its tables, a chart of each, and all cells side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.bench.measuring import CellResult
from s3_hf.bench.report import block_title, blocks_of, notes_of, table_of
from s3_hf.bench.spec import Bench
from s3_hf.bench.statistics import Line
from s3_hf.cards.shared import interval
from s3_hf.records import Usage
from s3_hf.report import Section, write_tables
from s3_hf.store import TEST

if TYPE_CHECKING:
    import altair as alt

CELL_HEADS = ("cell", "rows", "rounds", "test in %", "95 % interval", "LLM requests", "training s")


def write_page(bench: Bench, folder: Path, results: Sequence[CellResult], paid: Usage, lines: Sequence[Line]) -> Path:
    """Write `report.html` with the lines of all tables (`report.all_lines`) to the folder of the bench, and return it.

    Raises:
        LocalError: altair or vl-convert is not installed.
    """
    sections = []
    for block in blocks_of(lines):
        heads, *rows = table_of(bench, block)
        sections.append(Section(block_title(block[0]), heads, rows, _charts(bench, block)))
    notes = ["A page about one of them: s3-hf report FOLDER, with its folder in cells/."]
    sections += [
        Section("All cells", CELL_HEADS, [_cell(one) for one in results], notes=notes),
        Section("Notes", notes=notes_of(bench, lines, results, paid)),
    ]
    return write_tables(bench.title or bench.name, sections, folder / "report.html")


def _charts(bench: Bench, block: Sequence[Line]) -> dict[str, alt.TopLevelMixin]:
    import pandas as pd

    from s3_hf.report import charts

    scores = [(line.arm, seed, score) for line in block for seed, score in line.per_seed.items()]
    frame = pd.DataFrame(scores, columns=["arm", "seed", "score"])
    found: dict[str, alt.TopLevelMixin] = {"Each seed, and their mean": charts.arms_chart(frame)}
    compared = [
        (line.arm, each.mean, each.low, each.high)
        for line in block
        if (each := line.difference) is not None and each.low is not None
    ]
    if bench.baseline and compared:
        differences = pd.DataFrame(compared, columns=["arm", "mean", "low", "high"])
        found[f"Against {bench.baseline}"] = charts.differences_chart(differences, bench.baseline)
    return found


def _cell(one: CellResult) -> list[str]:
    score, n = next(iter(one.test.values())), one.scores[TEST].n
    low, high = interval(score, n)
    return [
        one.name,
        f"{one.rows:,}",
        str(one.rounds),
        f"{100 * score:.1f}",
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{one.requests:,}",
        f"{one.training_seconds:,.0f}",
    ]
