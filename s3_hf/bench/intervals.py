"""Differences between two arms: an interval that counts seeds and test rows, and Holm's correction of p-values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from s3_hf.analysis import RESAMPLES, Floats, plus_seeds
from s3_hf.bench.outcomes import Outcome, Outcomes

CONFIDENCE = 0.95
AT_ONCE = 100
"""Resamples of the test rows that are held in memory together."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A cell's score and what it consists of; `outcomes` is None where the rows of the score are not there."""

    score: float
    outcomes: Outcomes | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of the differences in `seeds` pairs of equal seed, `positive` of them above 0.

    With two pairs or more there are a 95 % interval and a two-sided p-value. They count the sampling of test rows
    where `rows` is True, and otherwise the seeds alone.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    positive: int
    seeds: int
    rows: bool


def compare(metric: str, arm: Mapping[int, Measured], base: Mapping[int, Measured]) -> Difference | None:
    """Return the difference of two arms over the seeds that both have; None without such seeds.

    The interval is that of `RESAMPLES` values, each the mean difference on a resample of the test rows (paired: the
    same rows for both arms, and for all seeds that share them) with the spread of the seeds (`plus_seeds`); without
    test rows the values have the interval of Student's t.
    """
    seeds = [seed for seed in arm if seed in base]
    if not seeds:
        return None
    differences = np.array([arm[seed].score - base[seed].score for seed in seeds])
    pairs = [_pair(metric, arm[seed], base[seed]) for seed in seeds]
    known = [pair for pair in pairs if pair is not None]
    mean, positive, rows = fmean(differences), int((differences > 0).sum()), len(known) == len(pairs)
    if len(seeds) < 2:
        return Difference(mean, None, None, None, positive, 1, rows)
    if not rows:
        return Difference(mean, *_of_seeds(differences), positive, len(seeds), rows)
    values = plus_seeds(_resampled(known), differences, np.random.default_rng(0))
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    least = min(int((values <= 0).sum()), int((values >= 0).sum()))
    p = min(1.0, 2 * (least + 1) / (RESAMPLES + 1))
    return Difference(mean, float(low), float(high), p, positive, len(seeds), rows)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the p-values corrected for their number (Holm, 1979)."""
    corrected, largest = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        corrected[name] = largest
    return corrected


@dataclass(frozen=True, slots=True)
class _Pair:
    """The ids of the test rows that two cells share, and the metric of both by row."""

    ids: NDArray[np.str_]
    arm: Outcome
    base: Outcome


def _pair(metric: str, arm: Measured, base: Measured) -> _Pair | None:
    """Return the pair, or None where rows are missing, differ, or do not give the scores that were measured."""
    if arm.outcomes is None or base.outcomes is None or not np.array_equal(arm.outcomes.ids, base.outcomes.ids):
        return None
    both = [(each.outcomes.metrics.get(metric), each.score) for each in (arm, base) if each.outcomes]
    found = [outcome for outcome, score in both if outcome is not None and abs(outcome.score - score) < 1e-6]
    return _Pair(arm.outcomes.ids, *found) if len(found) == 2 else None


def _resampled(pairs: Sequence[_Pair]) -> Floats:
    """Return the mean difference over the pairs on each resample of the distinct test rows."""
    ids, places = np.unique(np.concatenate([pair.ids for pair in pairs]), return_inverse=True)
    columns = np.split(places, np.cumsum([len(pair.ids) for pair in pairs])[:-1])
    generator = np.random.default_rng(1)
    values = []
    for _ in range(RESAMPLES // AT_ONCE):
        drawn = generator.integers(0, len(ids), (AT_ONCE, len(ids))) + len(ids) * np.arange(AT_ONCE)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=AT_ONCE * len(ids)).reshape(AT_ONCE, len(ids)).astype(float)
        weights = [counts[:, place] for place in columns]
        each = [
            pair.arm.weighted(weight) - pair.base.weighted(weight) for pair, weight in zip(pairs, weights, strict=True)
        ]
        values.append(np.mean(each, axis=0))
    return np.concatenate(values)


def _of_seeds(differences: Floats) -> tuple[float, float, float]:
    """Return the interval and the p-value of Student's t over the seeds."""
    from scipy.stats import t

    seeds, mean = len(differences), fmean(differences)
    error = float(differences.std(ddof=1)) / seeds**0.5
    half = float(t.ppf((1 + CONFIDENCE) / 2, seeds - 1)) * error
    p = 2 * float(t.sf(abs(mean) / error, seeds - 1)) if error else float(mean == 0)
    return mean - half, mean + half, p
