"""Progress of a run: bars in terminals and notebooks, lines on standard error elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Mapping
from typing import Any, Self

from s3_hf.config import RunConfig
from s3_hf.llm import ClientStatus
from s3_hf.loop import Observer
from s3_hf.store import MINED, SELECTION, TEST, RoundResult, Stage

LINE_SECONDS, BAR_SECONDS = 10.0, 0.1
"""Shortest time between two lines, and between two updates of a bar."""

FORECAST_FROM = 20
"""Rows or steps from which on the remaining time is shown; a forecast from fewer is a guess."""


class Progress(Observer):
    """Shows the stage of each round and its progress, then one line with the scores of the round.

    Use it as a context manager. `prices` adds the cost so far and the expected total.
    """

    def __init__(self, *, prices: bool = False) -> None:
        self._prices = prices
        self._bar_class = _bar_class()
        self._has_bars = sys.stderr.isatty() or _is_notebook(self._bar_class)
        self._bar: Any = None
        self._title = ""
        self._shown = self._began = 0.0
        self._rows: tuple[int, int | None] = (0, None)
        self._open = contextlib.ExitStack()

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Return the progress of a run with these settings, with costs if they name prices."""
        return cls(prices=bool(config.endpoint.price_prompt or config.endpoint.price_completion))

    def __enter__(self) -> Self:
        if self._has_bars:
            from tqdm.contrib.logging import logging_redirect_tqdm

            self._open.enter_context(logging_redirect_tqdm())  # a log line breaks no bar
        return self

    def __exit__(self, *_: object) -> None:
        self._close_bar()
        self._open.close()

    @property
    def has_begun(self) -> bool:
        """Whether a stage began."""
        return bool(self._title)

    def line(self, text: str) -> None:
        """Print a line on standard error, above the bar if there is one."""
        self._bar_class.write(text, file=sys.stderr)

    def stage(self, number: int, stage: Stage) -> None:
        """Show the number of the round and the name of the stage."""
        self._title = f"round {number}: {stage.value}"
        self._began, self._shown = time.monotonic(), 0.0
        self._rows = (0, None)
        self._close_bar()
        if self._has_bars:
            self._bar = self._bar_class(desc=self._title, leave=False, file=sys.stderr, dynamic_ncols=True)
        else:
            self.line(self._title)

    def rows(self, done: int, total: int | None, status: ClientStatus | None) -> None:
        """Show the number of rows; rows are written in slot order, so they come in bursts."""
        self._rows = (done, total)
        if status is not None:
            self.status(status)

    def status(self, status: ClientStatus) -> None:
        """Show answers and tokens per second, repeated requests, and the expected cost."""
        done, total = self._rows
        self._show(done, total, "rows", _spending(done, total, status, self._prices))

    def trial(self, done: int, total: int) -> None:
        """Show the number of trials of the search for training settings."""
        self._show(done, total, "trials", f"search for training settings, trial {done + 1} of {total}")

    def step(self, done: int, total: int) -> None:
        """Show the number of training steps."""
        self._show(done, total, "steps", "")

    def scored(self, result: RoundResult) -> None:
        """Print the scores of a finished round."""
        self._close_bar()
        self.line(
            f"round {result.number}: {result.rows:,} rows, {_figures(result.scores[TEST].metrics)} on test, "
            + ", ".join(
                f"{_figures(result.scores[role].metrics)} on {name}" for role, name in gold_roles(result).items()
            )
            + f" ({result.mistakes} mistakes)"
        )

    def _show(self, done: int, total: int | None, unit: str, text: str) -> None:
        now = time.monotonic()
        complete = done == total
        if now - self._shown < (BAR_SECONDS if self._has_bars else LINE_SECONDS) and not complete:
            return
        self._shown = now
        if self._bar is not None:
            self._bar.n, self._bar.total, self._bar.unit = done, total, f" {unit}"
            self._bar.set_postfix_str(text)
        elif not self._has_bars:
            rate = done / max(now - self._began, 1e-3)
            left = f", {(total - done) / rate:.0f} s left" if total and done >= FORECAST_FROM else ""
            of = f" of {total:,}" if total else ""
            self.line(f"  {done:,}{of} {unit}, {text or f'{rate:.1f} {unit}/s'}{left}")

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def gold_roles(result: RoundResult) -> dict[str, str]:
    """Return the roles of gold validation rows that have scores of their own, with their names in a table."""
    if not result.holdout:
        return {MINED: "validation"}
    return {role: role for role in (MINED, SELECTION) if role in result.scores}


def _bar_class() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook without ipywidgets; lines are shown there
        from tqdm.auto import tqdm
    return tqdm


def _is_notebook(bar_class: type) -> bool:
    return any(each.__module__ == "tqdm.notebook" for each in bar_class.__mro__)


def _spending(done: int, total: int | None, status: ClientStatus, prices: bool) -> str:
    answers = status.finished + status.replayed
    parts = [f"{answers:,} answers, {status.requests_per_second:.1f}/s, {status.tokens_per_second:.0f} tokens/s"]
    if status.retries:
        parts.append(f", {status.retries} repeated")
    if prices and done and total:
        cost = status.usage.cost
        parts.append(f", cost {cost:.2f} of about {cost * total / done:.2f}")
    return "".join(parts)


def _figures(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.1%}" for name, value in metrics.items())
