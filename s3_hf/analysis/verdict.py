"""The verdict on a run: what synthetic rows add to the gold rows, with intervals over test rows and seeds.

Intervals are 95 % percentiles of a paired bootstrap: all arms are scored on the same resampled test rows. Where each
arm was trained with several seeds, they count the spread of the seeds too (`plus_seeds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3_hf.analysis.intervals import RESAMPLES, Floats, plus_seeds
from s3_hf.records import Usage
from s3_hf.store import Difference, Verdict, VerdictArm

BLOCK = 100
"""Resamples drawn at once, to bound memory."""
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One arm and its `values`: for each seed of training and each test row, the share that it got right.

    `rows`, `gold_rows`, `steps` and `usage` are as in `VerdictArm`.
    """

    name: str
    rows: int
    gold_rows: int
    steps: int | None
    usage: Usage
    values: Floats


def verdict_of(arms: Sequence[Measured], judged: str, metric: str, *, equal_steps: bool = True) -> Verdict:
    """Return the verdict.

    Args:
        arms: gold rows alone, then all others; their values are of the same test rows.
        judged: name of the arm that the sentence compares with gold rows alone.
        metric: metric of the values.
        equal_steps: False if gold rows alone were trained for fewer steps than the arm that is judged.
    """
    resampled = _resampled([arm.values for arm in arms])
    compared = []
    for arm, means in zip(arms, resampled, strict=True):
        low, high = _bounds(means, arm.values)
        difference = None
        if arm is not arms[0]:
            differences = arm.values - arms[0].values
            difference = Difference(float(differences.mean()), *_bounds(means - resampled[0], differences))
        cost = (arm.usage.requests, arm.usage.cost)
        score = (float(arm.values.mean()), low, high)
        compared.append(VerdictArm(arm.name, arm.rows, arm.gold_rows, arm.steps, *cost, *score, difference))
    seeds, n = arms[0].values.shape
    chosen = next(arm for arm in compared if arm.name == judged)
    return Verdict(_sentence(chosen, compared[0].gold_rows), metric, n, judged, tuple(compared), seeds, equal_steps)


def _sentence(arm: VerdictArm, gold_rows: int) -> str:
    assert arm.difference is not None
    mean, low, high = (100 * each for each in (arm.difference.mean, arm.difference.low, arm.difference.high))
    rows = f"{gold_rows:,} gold rows"
    signed = f"{_signed(mean)} points, {_signed(low)} to {_signed(high)}"
    if not arm.gold_rows:
        than = f"alone, without gold rows in the training, do {{}} than your {rows}"
        if low > 0 or high < 0:
            return f"Synthetic rows {than.format('better' if low > 0 else 'worse')} ({signed})."
        return f"Synthetic rows alone do as well as your {rows}, as far as can be measured ({signed})."
    if low > 0:
        return f"Synthetic rows add +{mean:.1f} points ({low:.1f} to {high:.1f}) to your {rows}."
    if high < 0:
        return f"Synthetic rows lower the score of your {rows} ({signed}): the gold rows alone do better."
    return (
        f"Synthetic rows add nothing that can be measured to your {rows} ({signed}): the gold rows alone do as well."
    )


def _signed(points: float) -> str:
    """Return points with their sign; one that rounds to zero has a plus."""
    text = f"{points:+.1f}".replace("-", "−")
    return "+0.0" if text == "−0.0" else text


def _resampled(values: Sequence[Floats]) -> Floats:
    """Return the mean of each arm, over its seeds, on each resample of the test rows: arms x `RESAMPLES`."""
    means = np.stack([each.mean(axis=0) for each in values])
    n, draw = means.shape[1], np.random.default_rng(0)
    counts = (draw.multinomial(n, np.full(n, 1 / n), size=BLOCK) for _ in range(RESAMPLES // BLOCK))
    return np.concatenate([means @ (each.T / n) for each in counts], axis=1)


def _bounds(means: Floats, values: Floats) -> tuple[float, float]:
    """Return the interval of the mean of `values`, seeds x rows, whose means on resampled rows are given."""
    low, high = np.percentile(plus_seeds(means, values.mean(axis=1), np.random.default_rng(1)), PERCENTILES)
    return float(low), float(high)
