"""What a run is worth, and its plain tables: scores, mistakes, rows, quality, diversity and cost."""

from s3_hf.analysis.intervals import RESAMPLES, Floats, plus_seeds
from s3_hf.analysis.verdict import Measured, verdict_of

__all__ = ["RESAMPLES", "Floats", "Measured", "plus_seeds", "verdict_of"]
