"""Progress of a run: bars in terminals and notebooks, lines on standard error elsewhere."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from s3_hf.config import RunConfig
from s3_hf.errors import printable
from s3_hf.llm import ClientStatus
from s3_hf.loop import Observer
from s3_hf.store import MINED, SELECTION, TEST, FinalResult, RoundResult, Stage

LINE_SECONDS, BAR_SECONDS = 10.0, 0.1
"""Time between two lines, also where nothing happens, and shortest time between two updates of a bar."""

FORECAST_FROM = 20
"""Rows or steps from which on the remaining time is shown; a forecast from fewer is a guess."""

REASON_WIDTH = 100
"""Most characters of the reason of the last failure."""


@dataclass(frozen=True, slots=True)
class _Count:
    """What was last reported in a stage: `done` of `total` units; `text` writes what else there is to say."""

    done: int = 0
    total: int | None = None
    unit: str = ""
    text: Callable[[], str] = str

    @property
    def complete(self) -> bool:
        return bool(self.total) and self.done >= (self.total or 0)


class Progress(Observer):
    """Shows the stage of each round and its progress, then one line with the scores of the round.

    Use it as a context manager. While a stage is under way something is shown every 10 s, also if nothing happens.
    `prices` adds the cost so far, that of earlier stages included, and what it is expected to be after this one.
    """

    def __init__(self, *, prices: bool = False) -> None:
        self._prices = prices
        self._bar_class = _bar_class()
        self._has_bars = sys.stderr.isatty() or _is_notebook(self._bar_class)
        self._bar: Any = None
        self._title = ""
        self._shown = self._began = self._heard = 0.0
        self._first = 0
        self._count: _Count | None = None
        self._unpaid: tuple[int, float] | None = None  # rows and cost of this stage before its first paid answer
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._open = contextlib.ExitStack()

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """Return the progress of a run with these settings, with costs if they name prices."""
        return cls(prices=bool(config.endpoint.price_prompt or config.endpoint.price_completion))

    def __enter__(self) -> Self:
        if self._has_bars:
            from tqdm.contrib.logging import logging_redirect_tqdm

            self._open.enter_context(logging_redirect_tqdm())  # a log line breaks no bar
        self._closed.clear()
        pulse = threading.Thread(target=self._pulse, name="s3-hf progress", daemon=True)
        pulse.start()
        self._open.callback(pulse.join)
        self._open.callback(self._closed.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._close_bar()

    @property
    def has_begun(self) -> bool:
        """Whether a stage began."""
        return bool(self._title)

    def line(self, text: str) -> None:
        """Print a line on standard error, above the bar if there is one; control characters are spelled out."""
        self._bar_class.write(printable(text), file=sys.stderr)

    def stage(self, number: int, stage: Stage) -> None:
        """Show the number of the round and the name of the stage."""
        self._begin(f"round {number}: {stage.value}")

    def final(self, what: str) -> None:
        """Show what the student learns that is trained now."""
        self._begin(f"final: {what}")

    def _begin(self, title: str) -> None:
        with self._lock:
            self._close_bar()
            self._title = title
            self._began = self._heard = self._shown = time.monotonic()
            self._count, self._unpaid = _Count(), None
            if self._has_bars:
                self._bar = self._bar_class(desc=self._title, leave=False, file=sys.stderr, dynamic_ncols=True)
            else:
                self.line(self._title)

    def asking(self, what: str, status: ClientStatus) -> None:
        """Show what the LLM is asked for before the first row, and its answers."""
        self._show(_Count(text=lambda: f"asking for {what}: {_answers(status)}"))

    def rows(self, done: int, total: int | None, status: ClientStatus) -> None:
        """Show the number of rows, answers and tokens per second, repeated requests, and the expected cost."""
        with self._lock:
            if self._unpaid is None or status.usage.cost <= self._unpaid[1]:  # so far the journal answered
                self._unpaid = (done, status.usage.cost)
            cost = self._cost(done, total, status.usage.cost, *self._unpaid)
        self._show(_Count(done, total, "rows", lambda: _answers(status) + cost))

    def judging(self, sentence: str) -> None:
        """Print whether labels are judged, and why."""
        self._close_bar()
        self.line(sentence)

    def trial(self, done: int, total: int) -> None:
        """Show which trial of the search for training settings begins."""
        self._begin(f"search for training settings, trial {done + 1} of {total}")

    def step(self, done: int, total: int) -> None:
        """Show the number of training steps."""
        self._show(_Count(done, total, "steps"))

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

    def final_scored(self, result: FinalResult) -> None:
        """Print the scores of the final student."""
        self._close_bar()
        rows = f"{result.facts.rows:,} synthetic and {result.facts.gold_rows:,} gold rows"
        self.line(f"final: {rows} ({result.choice.arm}), {_figures(result.scores[TEST].metrics)} on test")

    def _show(self, count: _Count) -> None:
        """Keep the count, and show it unless one was shown just before."""
        with self._lock:
            now = time.monotonic()
            before, self._count, self._heard = self._count, count, now
            again = before is not None and count.unit == "steps" and count.done < before.done  # of the next training
            if before is None or before.unit != count.unit or again:
                self._began, self._first = now, count.done
                if self._bar is not None:
                    self._bar.reset(count.total)
            ended = count.complete and not (before is not None and before.complete)
            if ended or now - self._shown >= (BAR_SECONDS if self._has_bars else LINE_SECONDS):
                self._draw(count, now)

    def _pulse(self) -> None:
        """Show the last count again whenever nothing was shown for a while, until the display is closed."""
        while not self._closed.wait(LINE_SECONDS / 10):
            with self._lock:
                now = time.monotonic()
                if self._count is not None and now - self._shown >= LINE_SECONDS:
                    silent = now - self._heard
                    self._draw(self._count, now, f"nothing new for {silent:.0f} s" if silent >= LINE_SECONDS else "")

    def _draw(self, count: _Count, now: float, note: str = "") -> None:
        self._shown, text = now, count.text()
        if self._bar is not None:
            self._bar.n, self._bar.total, self._bar.unit = count.done, count.total, f" {count.unit}"
            self._bar.set_postfix_str(", ".join(filter(None, (text, note))))
        elif not self._has_bars:
            parts = [text, note]
            if count.unit:
                rate = (count.done - self._first) / max(now - self._began, 1e-3)
                of = f" of {count.total:,}" if count.total else ""
                left = (
                    f"{(count.total - count.done) / rate:.0f} s left"
                    if count.total and count.done >= FORECAST_FROM and rate > 0
                    else ""
                )
                parts = [f"{count.done:,}{of} {count.unit}", text or f"{rate:.1f} {count.unit}/s", left, note]
            self.line("  " + ", ".join(filter(None, parts)))

    def _cost(self, done: int, total: int | None, cost: float, done_before: int, cost_before: float) -> str:
        """Return the cost so far and after `total` rows, by that of the rows since `done_before`."""
        if not (self._prices and total and done > done_before):
            return ""
        each = (cost - cost_before) / (done - done_before)
        return f", cost {cost:.2f} of about {cost + each * (total - done):.2f}"

    def _close_bar(self) -> None:
        with self._lock:
            self._count = None
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


def _answers(status: ClientStatus) -> str:
    answers = status.finished + status.replayed
    text = f"{answers:,} answers, {status.requests_per_second:.1f}/s, {status.tokens_per_second:.0f} tokens/s"
    if not status.retries:
        return text
    reason = printable(textwrap.shorten(status.reason, REASON_WIDTH))
    return f"{text}, {status.retries:,} repeated" + (f" (the last one {reason})" if reason else "")


def _figures(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.1%}" for name, value in metrics.items())
