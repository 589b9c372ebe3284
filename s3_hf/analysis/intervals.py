"""Intervals that count the seeds of training beside the sampling of test rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000
"""Resamples of the test rows behind an interval."""


def plus_seeds(resampled: Floats, by_seed: Floats, draw: np.random.Generator) -> Floats:
    """Return each value plus a draw from Student's t with the standard error over the seeds.

    A bootstrap of the seeds too would be too narrow for the two to five of them that one can afford.

    Args:
        resampled: the mean over the seeds on each resample of the test rows.
        by_seed: the mean over the test rows for each seed; one seed has no spread, and adds nothing.
        draw: source of the draws, another one than that of the resamples.
    """
    seeds = len(by_seed)
    if seeds < 2:
        return resampled
    error = float(by_seed.std(ddof=1)) / seeds**0.5
    spread: Floats = error * draw.standard_t(seeds - 1, len(resampled))
    return resampled + spread
