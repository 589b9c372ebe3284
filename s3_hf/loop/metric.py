"""The metric that a run decides by."""

from __future__ import annotations

from s3_hf.config import RunConfig
from s3_hf.task import SKEW, Task


def metric_of(config: RunConfig, task: Task) -> str:
    """Return the metric that chooses the epoch and decides on convergence."""
    return config.metric or ("macro_f1" if is_skewed(task) else task.columns.metrics[0])


def is_skewed(task: Task) -> bool:
    """Return whether the most frequent label has at least `SKEW` times the mined rows of the rarest."""
    counts = task.label_counts
    return bool(counts) and max(counts) >= SKEW * min(counts)


def skew_sentence(task: Task) -> str:
    """Return what a skewed task's user is told."""
    counts = task.label_counts
    most, least = (task.label_names[counts.index(each)] for each in (max(counts), min(counts)))
    return (
        f"the epoch is chosen by macro F1, since label {most!r} has {max(counts):,} gold rows and {least!r} has "
        f"{min(counts):,}; set metric=accuracy to choose it by accuracy"
    )
