"""What the user sees: tables, text and JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from s3_hf.errors import printable
from s3_hf.starting.progress import gold_roles
from s3_hf.store import TEST, FinalResult, RoundResult, Verdict

ANY_WIDTH = 10_000
"""Characters of a line where no terminal limits them."""


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


def show_seeds(results: Sequence[RoundResult]) -> None:
    """Print the mean and spread over the seeds of training, for each round that has several."""
    for result in results:
        training = result.training
        if training.test_spread:
            mean, deviation = training.test_spread
            kept = "the average of their weights" if training.kept is None else f"seed {training.kept}"
            count = sum(each.seed is not None for each in training.seeds)
            show_text(
                f"round {result.number}: {count} seeds of training, test {training.metric.replace('_', ' ')} "
                f"{mean:.1%} ± {100 * deviation:.1f}; kept is {kept}, the best on the selection rows"
            )


def show_verdict(final: FinalResult | None, verdict: Verdict | None, strategy: str) -> None:
    """Print how the final student was trained and how it does, a table of what was compared, and the verdict."""
    from s3_hf.cards.final import arm_title

    if final is not None:
        figures = ", ".join(
            f"{name.replace('_', ' ')} {value:.1%}" for name, value in final.scores[TEST].metrics.items()
        )
        by = {"setting": "as set", "cross-fitting": "chosen by cross-fitting"}
        how = by.get(final.choice.by, final.choice.by)
        show_text(
            f"final student: {arm_title(final.choice.arm, strategy)} ({how}), {figures} on test: {final.model_dir}"
        )
    if verdict is None:
        return
    for arm in verdict.arms:
        difference = arm.difference
        gained = f", {100 * difference.mean:+.1f} points to gold alone" if difference else ""
        steps = "" if arm.steps is None else f", {arm.steps:,} steps"
        show_text(
            f"  {arm_title(arm.name, strategy)}: {verdict.metric.replace('_', ' ')} {arm.score:.1%} "
            f"({arm.low:.1%} to {arm.high:.1%}){gained}{steps}, {arm.requests:,} requests"
        )
    if not verdict.equal_steps:
        show_text("  (gold rows alone made their most passes, which are fewer steps)")
    show_text(verdict.sentence)


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


def show_json(value: Any) -> None:
    """Print one JSON value on standard output: dataclasses as objects, NaN and infinity as null.

    Letters that the encoding of the output may lack are escaped.
    """
    ascii_only = (sys.stdout.encoding or "utf-8").lower().replace("_", "-") not in ("utf-8", "utf8")
    sys.stdout.write(printable(json.dumps(_plain(value), indent=2, ensure_ascii=ascii_only, default=str)) + "\n")


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _share(result: RoundResult, role: str, metric: str) -> str:
    return f"{result.scores[role].metrics[metric]:.1%}" if role in result.scores else "–"
