"""The verdict on a run: what synthetic rows add to the gold rows, with intervals over test rows and seeds.

Intervals are 95 % percentiles of a paired bootstrap: all arms are scored on the same resampled test rows, and where
each arm was trained with several seeds, on resampled seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s3_hf.records import Usage
from s3_hf.store import Difference, Verdict, VerdictArm

RESAMPLES = 2_000
BLOCK = 100
"""Resamples drawn at once, to bound memory."""
PERCENTILES = (2.5, 97.5)

Floats = NDArray[np.float64]


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
        low, high = _bounds(means)
        difference = None
        if arm is not arms[0]:
            mean = float(arm.values.mean() - arms[0].values.mean())
            difference = Difference(mean, *_bounds(means - resampled[0]))
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
    """Return the mean of each arm on each resample: arms x `RESAMPLES`."""
    seeds, n = values[0].shape
    draw, means = np.random.default_rng(0), []
    for _ in range(RESAMPLES // BLOCK):
        rows = draw.multinomial(n, np.full(n, 1 / n), size=BLOCK) / n
        trained = draw.multinomial(seeds, np.full(seeds, 1 / seeds), size=BLOCK) / seeds
        means.append([np.einsum("bs,sn,bn->b", trained, each, rows, optimize=True) for each in values])
    return np.concatenate(means, axis=1)


def _bounds(means: Floats) -> tuple[float, float]:
    low, high = np.percentile(means, PERCENTILES)
    return float(low), float(high)
