"""The metrics that a run decides by."""

from __future__ import annotations

from s3_hf.config import RunConfig
from s3_hf.task import Task, is_skewed


def metric_of(config: RunConfig, task: Task) -> str:
    """Return the metric that chooses the epoch and decides on convergence."""
    return config.metric or ("macro_f1" if is_skewed(task.label_counts) else task.columns.metrics[0])


def row_metric(metric: str) -> str:
    """Return the metric that takes the place of another one where a mean over rows is needed.

    Judging is decided, the final training chosen and the verdict given by it. Macro F1 is no mean over rows.
    """
    return "balanced_accuracy" if metric == "macro_f1" else metric


def skew_sentence(task: Task) -> str:
    """Return what a skewed task's user is told."""
    counts = task.label_counts
    most, least = (task.label_names[counts.index(each)] for each in (max(counts), min(counts)))
    return (
        f"the epoch is chosen by macro F1, since label {most!r} has {max(counts):,} gold rows and {least!r} has "
        f"{min(counts):,}; set metric=accuracy to choose it by accuracy"
    )
