"""The tables of a bench as Markdown, CSV and Parquet, rewritten whenever a cell finishes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from s3_hf.analysis import RESAMPLES
from s3_hf.bench.averages import averages
from s3_hf.bench.curves import has_curves, write_curves
from s3_hf.bench.intervals import CONFIDENCE
from s3_hf.bench.measuring import CellResult
from s3_hf.bench.outcomes import Outcomes, read_outcomes
from s3_hf.bench.spec import Bench
from s3_hf.bench.statistics import Line, lines_of
from s3_hf.bench.tables import write_table
from s3_hf.config import LOCAL
from s3_hf.files import write_text
from s3_hf.records import Usage

NAMES = {"macro_f1": "macro F1", "exact_match": "exact match", "f1": "F1"}
SHORT = 0.99
"""A cell with a smaller share of its wanted rows is named below the tables."""


def write_report(
    bench: Bench,
    folder: Path,
    results: Sequence[CellResult],
    paid: Usage | None = None,
    lines: Sequence[Line] | None = None,
) -> str:
    """Write the tables to the folder and return the Markdown.

    Args:
        bench: the bench file.
        folder: folder of the bench.
        results: the finished cells.
        paid: the usage of all cells together.
        lines: `all_lines` of the results; None computes them.
    """
    lines = all_lines(bench, folder, results) if lines is None else lines
    if has_curves(results):
        write_curves(folder, results)
    write_table(folder / "cells", [_cell_record(one) for one in results])
    write_table(folder / "results", [_record(line) for line in lines])
    text = markdown(bench, lines, results, paid)
    write_text(folder / "results.md", text)
    return text


def all_lines(bench: Bench, folder: Path, results: Sequence[CellResult]) -> list[Line]:
    """Return the lines of all tables, with what the cells in the folder predicted."""

    def outcomes_of(one: CellResult) -> Outcomes | None:
        return read_outcomes(folder / "cells" / one.name, one.rounds)

    return lines_of(bench, results, outcomes_of)


def markdown(bench: Bench, lines: Sequence[Line], results: Sequence[CellResult], paid: Usage | None) -> str:
    """Return the bench as one Markdown text."""
    parts = [f"# {bench.title or bench.name}"]
    parts += [f"## {block_title(block[0])}\n\n{_table(bench, block)}" for block in blocks_of(lines)]
    parts += [*_averages(bench, results), *notes_of(bench, lines, results, paid)]
    return "\n\n".join(parts) + "\n"


def block_title(line: Line) -> str:
    """Return task, student, size and metric of a table."""
    where = [line.task, "the embedded student" if line.student == LOCAL else line.student]
    where += [f"{line.size:,} rows"] if line.size is not None else []
    return f"{', '.join(where)}: {NAMES.get(line.metric, line.metric)}"


def blocks_of(lines: Sequence[Line]) -> list[list[Line]]:
    """Return the lines of each table: those of one task, student, size and metric."""
    keys = itertools.groupby(lines, key=lambda line: (line.task, line.student, line.size, line.metric))
    return [list(block) for _, block in keys]


def table_of(bench: Bench, block: Sequence[Line]) -> list[list[str]]:
    """Return the cells of a table, its heads first."""
    heads = ["arm", "rows", "test in %, mean ± sd", "per seed"]
    heads += [f"− {bench.baseline} ({CONFIDENCE:.0%} interval)"] if bench.baseline else []
    heads += ["paper (rows)"] if any(line.paper is not None for line in block) else []
    heads += ["LLM requests", "LLM tokens", "training FLOPs (of a row)"]
    heads += ["paper's FLOPs"] if bench.paper and bench.paper.flops else []
    heads += ["time"]
    return [heads, *([_columns_of(bench, line)[head] for head in heads] for line in block)]


def _table(bench: Bench, block: Sequence[Line]) -> str:
    heads, *rows = table_of(bench, block)
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def _columns_of(bench: Bench, line: Line) -> dict[str, str]:
    counts = sorted({cell.rows for cell in line.cells})
    spread = "" if line.deviation is None else f" ± {100 * line.deviation:.1f}"
    return {
        "arm": line.arm,
        "rows": "–".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1]))),
        "test in %, mean ± sd": f"{100 * line.mean:.1f}{spread}",
        "per seed": " ".join(f"{100 * value:.1f}" for value in line.per_seed.values()),
        f"− {bench.baseline} ({CONFIDENCE:.0%} interval)": _difference(line),
        "paper (rows)": _paper(line),
        "LLM requests": f"{line.average('requests'):,.0f}",
        "LLM tokens": f"{line.average('prompt_tokens') + line.average('completion_tokens'):,.0f}",
        "training FLOPs (of a row)": f"{line.average('flops'):.2e} ({line.average('row_flops'):.2e})",
        "paper's FLOPs": _paper_flops(bench, line),
        "time": f"{line.average('synthesis_seconds') + line.average('training_seconds'):,.0f} s",
    }


def _difference(line: Line) -> str:
    difference = line.difference
    if difference is None:
        return ""
    signed = f"{100 * difference.mean:+.1f}".replace("-", "−")
    if difference.low is None or difference.high is None:
        return signed
    between = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}".replace("-", "−")
    mark = "*" if line.corrected is not None and line.corrected < 1 - CONFIDENCE else ""
    return f"{signed} ({between}){mark}, {difference.positive} of {difference.seeds} above"


def _paper(line: Line) -> str:
    if line.paper is None:
        return ""
    return f"{100 * line.paper:.2f}" + (f" ({line.paper_rows:,})" if line.paper_rows else "")


def _paper_flops(bench: Bench, line: Line) -> str:
    flops = bench.paper.flops.get(line.arm) if bench.paper else None
    return "" if flops is None else f"{flops:.2e}"


def notes_of(bench: Bench, lines: Sequence[Line], results: Sequence[CellResult], paid: Usage | None) -> list[str]:
    """Return what must be known of the tables, a paragraph each."""
    return [*_notes(results, paid), *_interval_notes(lines), *_paper_notes(bench)]


def _averages(bench: Bench, results: Sequence[CellResult]) -> list[str]:
    """Return the table of averages over the tasks, as a list of one or no part."""
    found = averages(bench, results)
    if not found:
        return []
    paper = any(each.paper is not None for each in found)
    table = ["| student | arm | test in % |" + (" paper |" if paper else ""), "| --- | --- | --- |" + " --- |" * paper]
    for each in found:
        line = f"| {each.student} | {each.arm} | {100 * each.mean:.1f} |"
        table.append(line + (f" {'' if each.paper is None else f'{100 * each.paper:.2f}'} |" if paper else ""))
    return [f"## Average over {', '.join(found[0].tasks)}: {', '.join(found[0].metrics)}\n\n" + "\n".join(table)]


def _notes(results: Sequence[CellResult], paid: Usage | None) -> Iterator[str]:
    yield (
        "Rows are what the scored student of an arm was trained on, without the gold rows of a gold stage. LLM "
        "requests and tokens are what an arm needs by itself (rows of another arm or file cost it nothing), training "
        "FLOPs are 6 × parameters × input tokens seen in all rounds and the gold stage, without those of a search, of "
        "judges and of choosing; in brackets those of a row in an epoch. Time is that of synthesis and training as "
        "measured, which is short where another arm had paid for the same completions. All are means over seeds."
    )
    if paid is not None:
        yield (
            f"Paid in all, shared rows once: {paid.requests:,} requests, {paid.prompt_tokens:,} prompt and "
            f"{paid.completion_tokens:,} completion tokens, cost {paid.cost:.2f}."
        )
    short = [one for one in results if one.wanted is not None and one.made < SHORT * one.wanted]
    for one in short:
        where = f"{one.arm} on {one.task}, {one.student}, size {one.size:,}, seed {one.seed}"
        yield f"Short of rows: {where}, has {one.made:,} of {one.wanted:,}."


def _interval_notes(lines: Sequence[Line]) -> Iterator[str]:
    differences = [line.difference for line in lines if line.difference and line.difference.low is not None]
    if differences:
        yield (
            f"Intervals count the seeds (Student's t) and the test rows ({RESAMPLES:,} paired resamples). * has a "
            f"p-value below {1 - CONFIDENCE:.2f} after Holm's correction for the comparisons of its table."
        )
    without = dict.fromkeys(line.arm for line in lines if line.difference in differences and not line.difference.rows)
    if without:
        yield f"Of seeds alone, without test rows, since cells lack the predictions: {', '.join(without)}."


def _paper_notes(bench: Bench) -> Iterator[str]:
    """Yield what must be known of the paper's figures beside the run's."""
    if bench.paper is None:
        return
    yield f"Paper: {bench.paper.source}"
    if bench.paper.row_flops:
        yield (
            f"The paper estimates FLOPs (appendix B): DistilBERT's 66M parameters × 6 × 512 tokens = "
            f"{bench.paper.row_flops:.2e} for a row in an epoch, and for each method a mean over the tasks; those of "
            "the run are of the tokens that its rows have."
        )
    named = {task: {**bench.settings, **entry.settings, **bench.flags} for task, entry in bench.tasks.items()}
    if other := {task: settings["prompts"] for task, settings in named.items() if settings.get("prompts")}:
        listed = ", ".join(f"{task} ({prompts})" for task, prompts in other.items())
        yield f"Prompts that are not those of the paper's Table 1: {listed}."


def _record(line: Line) -> dict[str, Any]:
    """Return the line as a row of `results.csv`; all scores are shares in [0, 1]."""
    difference = line.difference
    return {
        "task": line.task,
        "student": line.student,
        "size": line.size,
        "arm": line.arm,
        "metric": line.metric,
        "seeds": len(line.cells),
        "mean": line.mean,
        "deviation": line.deviation,
        "difference": difference.mean if difference else None,
        "difference_low": difference.low if difference else None,
        "difference_high": difference.high if difference else None,
        "difference_seeds": difference.seeds if difference else None,
        "difference_of_rows": difference.rows if difference else None,
        "p": difference.p if difference else None,
        "p_holm": line.corrected,
        "rows_least": min(cell.rows for cell in line.cells),
        "rows_most": max(cell.rows for cell in line.cells),
        "llm_requests": line.average("requests"),
        "llm_tokens": line.average("prompt_tokens") + line.average("completion_tokens"),
        "training_flops": line.average("flops"),
        "training_flops_of_a_row": line.average("row_flops"),
        "seconds": line.average("synthesis_seconds") + line.average("training_seconds"),
        "paper": line.paper,
        "paper_rows": line.paper_rows,
    }


def _cell_record(result: CellResult) -> dict[str, Any]:
    values = asdict(result)
    del values["epochs"]
    del values["scores"]
    scores = [(role, each.metrics.items()) for role, each in result.scores.items()]
    return values | {f"{role}_{name}": value for role, metrics in scores for name, value in metrics}
