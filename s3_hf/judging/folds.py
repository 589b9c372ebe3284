"""Folds of the gold rows for cross-fitting: each row is scored by students that did not learn it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

if TYPE_CHECKING:
    from datasets import Dataset

    from s3_hf.task import Task

FOLDS = 3
"""Folds; there are fewer where a label or the contexts are too few."""


def gold_rows(task: Task) -> Dataset:
    """Return the mined rows, followed by the selection rows where these are others."""
    from datasets import concatenate_datasets

    return concatenate_datasets([task.mined, task.selection]) if task.gold_options.holdout else task.mined


def folds_of(task: Task, seed: int) -> dict[str, int]:
    """Return the fold of each gold row by its `s3_id`; rows with one context share a fold, labels are in proportion.

    With fewer than two rows of a label, or one context, all rows are in fold 0.
    """
    rows, columns = gold_rows(task), task.columns
    ids = rows["s3_id"][:]
    labels = rows[columns.label][:] if columns.label else None
    groups = rows[columns.context][:] if columns.context else None
    count = min(FOLDS, len(rows), *Counter(labels or ()).values(), len(set(groups)) if groups else len(rows))
    if count < 2:
        return dict.fromkeys(ids, 0)
    kinds = {
        (False, False): KFold(count, shuffle=True, random_state=seed),
        (True, False): StratifiedKFold(count, shuffle=True, random_state=seed),
        (False, True): GroupKFold(count, shuffle=True, random_state=seed),
        (True, True): StratifiedGroupKFold(count, shuffle=True, random_state=seed),
    }
    splitter = kinds[labels is not None, groups is not None]
    parts = splitter.split(ids, labels, groups)
    return {ids[place]: fold for fold, (_, places) in enumerate(parts) for place in places}
