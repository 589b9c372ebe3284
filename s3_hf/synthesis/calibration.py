"""Which checks suit a task: those that its own gold rows pass.

A check that rejects gold rows rejects good answers as well. Only checks of wording are measured: a gold row is no
answer that is empty, cut off or a duplicate, and it is a copy of itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np

from s3_hf.synthesis.checks import Checks
from s3_hf.synthesis.plan import Plan
from s3_hf.task import Task

MOST_REJECTED = 0.01
"""Share of the gold rows that all checks together may reject; one row may always be."""
MOST_ROWS = 2_000
"""Gold rows that the checks are run on, spread evenly."""
EXAMPLES, LONGEST_EXAMPLE = 2, 80
SHORT = "too short"
"""The check that has a limit, which is lowered before it is switched off."""


@dataclass(frozen=True, slots=True)
class CheckOnGold:
    """What one check does to the gold rows.

    Attributes:
        check: its name, which is the reason of a rejection.
        rejected: share of the gold rows that it rejects.
        examples: up to two of them, shortened.
        change: what is changed for this task, such as "switched off"; empty where nothing is.
    """

    check: str
    rejected: float
    examples: tuple[str, ...]
    change: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the checks of wording do to the gold rows of a task.

    Attributes:
        rows: gold rows that were read.
        found: the checks that reject any, the one that rejects most first.
        rejected: share of the rows that all checks together reject.
        left: that share after the changes.
        altered: share of the rows whose text is stripped or cut like an answer.
        off: checks to switch off.
        min_words: fewest words that a text must have.
    """

    rows: int
    found: tuple[CheckOnGold, ...]
    rejected: float
    left: float
    altered: float
    off: frozenset[str]
    min_words: int

    def applied(self, checks: Checks) -> Checks:
        """Return the checks without those that reject too many gold rows."""
        changes = {f"{each.check}, {each.change}": round(each.rejected, 4) for each in self.found if each.change}
        return replace(checks, off=checks.off | self.off, min_words=self.min_words, changes=changes)

    def summary(self) -> str:
        """Return what all checks together do to the gold rows, as a sentence."""
        relaxed = f" ({self.left:.2%} once relaxed)" if any(each.change for each in self.found) else ""
        return (
            f"The checks would reject {self.rejected:.2%} of {self.rows:,} gold rows{relaxed} and shorten "
            f"{self.altered:.2%}."
        )

    def table(self) -> list[str]:
        """Return a line for each check that rejects gold rows, below the summary."""
        return [
            self.summary(),
            *(
                f"  {each.check:24}{each.rejected:7.2%}  {each.change or 'on'}: {' | '.join(each.examples)}"
                for each in self.found
            ),
        ]

    def lines(self) -> list[str]:
        """Return a sentence for each check that is changed."""
        return [
            f"check {each.check!r} is {each.change} for this task, since it rejects {each.rejected:.1%} of "
            f"{self.rows:,} gold rows, such as {' and '.join(map(repr, each.examples))}"
            for each in self.found
            if each.change
        ]


def calibrate(checks: Checks, task: Task) -> Calibration:
    """Run the checks of wording on the gold rows, as if each were an answer to the seed prompt about its own context.

    As long as they reject more than `MOST_REJECTED` of the rows, the check that rejects most is relaxed: "too short"
    by a word, any other by switching it off.
    """
    rows = gold_sample(task)
    texts = [str(row[task.columns.text]) for row in rows]
    plans = [Plan(str(row["s3_id"]), "seed", context=task.context_of(row)) for row in rows]
    examined = [checks.wording_faults(text, task.prompts.seed, plan) for text, plan in zip(texts, plans, strict=True)]
    words = [len(stripped.split()) for stripped, _ in examined]
    faults = [found for _, found in examined]
    off: set[str] = set()
    least = checks.min_words
    before = rejecting = _rejecting(faults, words, least, off)
    while len(set().union(*rejecting.values())) > max(1, MOST_REJECTED * len(texts)):
        worst = max(sorted(rejecting), key=lambda name: len(rejecting[name]))
        if worst == SHORT:
            least -= 1
        else:
            off.add(worst)
        rejecting = _rejecting(faults, words, least, off)
    changes = dict.fromkeys(off, "switched off")
    if least < checks.min_words:
        changes[SHORT] = f"relaxed to {least} words" if least > 1 else "switched off"
    return Calibration(
        rows=len(texts),
        found=tuple(
            CheckOnGold(name, len(places) / len(texts), _examples(texts, places), changes.get(name, ""))
            for name, places in sorted(before.items(), key=lambda item: -len(item[1]))
        ),
        rejected=len(set().union(*before.values())) / len(texts),
        left=len(set().union(*rejecting.values())) / len(texts),
        altered=sum(text.strip() != each[0] for text, each in zip(texts, examined, strict=True)) / len(texts),
        off=frozenset(off),
        min_words=least,
    )


def gold_sample(task: Task) -> list[dict[str, Any]]:
    """Return the mined and the selection rows, or `MOST_ROWS` of them spread evenly."""
    parts = [task.mined, *([task.selection] if task.gold_options.holdout else [])]
    total = sum(len(part) for part in parts)
    places = np.unique(np.linspace(0, total - 1, min(total, MOST_ROWS)).round().astype(int))
    return list(datasets.concatenate_datasets(parts).select(places.tolist()))


def _rejecting(
    faults: Sequence[frozenset[str]], words: Sequence[int], min_words: int, off: Collection[str]
) -> dict[str, list[int]]:
    """Return the places of the rows that each check rejects which is not off."""
    rejecting: dict[str, list[int]] = {}
    for place, (found, count) in enumerate(zip(faults, words, strict=True)):
        short = {SHORT} if count < min_words else set[str]()
        for name in (found - {SHORT} | short) - set(off):
            rejecting.setdefault(name, []).append(place)
    return rejecting


def _examples(texts: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    chosen = (" ".join(texts[place].split()) for place in places[:EXAMPLES])
    return tuple(text if len(text) <= LONGEST_EXAMPLE else f"{text[: LONGEST_EXAMPLE - 1]}…" for text in chosen)
