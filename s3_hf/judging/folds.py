"""Folds of the gold rows: what a student learned on the other folds is measured on the fold that it did not see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3_hf.records import Columns
from s3_hf.rows.splitting import text_key
from s3_hf.task import Task

if TYPE_CHECKING:
    from datasets import Dataset

FOLDS = 3
"""Folds of the gold rows, unless a label has fewer rows."""


def gold_rows(task: Task) -> Dataset:
    """Return the mined rows, and the selection rows where these are others: all gold rows that may be learned."""
    from datasets import concatenate_datasets

    return concatenate_datasets([task.mined, task.selection]) if task.gold_options.holdout else task.mined


def fold_count(rows: Dataset, columns: Columns) -> int:
    """Return the number of folds that gold rows can be divided into: `FOLDS`, or fewer where a label has fewer rows.

    With a context, rows of a label about one context count once, since a context is in one fold only. Less than 2
    means that nothing can be held out.
    """
    labels, groups = _keys(rows, columns)
    of_label: dict[int, set[int]] = {}
    for label, group in zip(labels, groups, strict=True):
        of_label.setdefault(label, set()).add(group)
    return min([FOLDS, *map(len, of_label.values())]) if of_label else 0


def assign_folds(rows: Dataset, columns: Columns, seed: int) -> dict[str, int]:
    """Return the fold, from 0, of each gold row by its `s3_id`.

    Folds have the labels in equal proportions, and rows with the same context are in one fold.

    Args:
        rows: gold rows; there must be at least 2 folds (`fold_count`).
        columns: columns of the task.
        seed: seed of the division.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

    labels, groups = _keys(rows, columns)
    shuffled: dict[str, Any] = {"shuffle": True, "random_state": seed}
    count = fold_count(rows, columns)
    if columns.answers:
        splitter = GroupKFold(count, **shuffled)
    else:
        splitter = (StratifiedGroupKFold if columns.context else StratifiedKFold)(count, **shuffled)
    numbers = list(range(len(rows)))
    names: list[str] = rows["s3_id"][:]
    return {
        names[place]: fold
        for fold, (_, held_out) in enumerate(splitter.split(numbers, labels, groups if columns.context else None))
        for place in sorted(int(each) for each in held_out)
    }


def outside_fold(rows: Dataset, folds: Mapping[str, int], fold: int) -> list[int]:
    """Return the places of the gold rows in the other folds."""
    return [place for place, name in enumerate(rows["s3_id"][:]) if folds[name] != fold]


def inside_fold(rows: Dataset, folds: Mapping[str, int], fold: int) -> list[int]:
    """Return the places of the gold rows in the fold."""
    return [place for place, name in enumerate(rows["s3_id"][:]) if folds[name] == fold]


def sample_by_label(places: Sequence[int], rows: Dataset, label: str | None, most: int, seed: int) -> list[int]:
    """Return at most `most` of the places, in order, with the labels of `rows` in their proportions."""
    if len(places) <= most:
        return list(places)
    from sklearn.model_selection import train_test_split

    column = rows[label][:] if label else None
    labels = [column[place] for place in places] if column else None
    counts = Counter(labels or ())
    if labels and (min(counts.values()) < 2 or min(most, len(places) - most) < len(counts)):
        labels = None  # they cannot be in proportion
    kept, _ = train_test_split(list(places), train_size=most, stratify=labels, random_state=seed)
    return sorted(kept)


def _keys(rows: Dataset, columns: Columns) -> tuple[list[int], list[int]]:
    """Return the label of each row, 0 where there are none, and the number of its context, or else its own."""
    labels = rows[columns.label][:] if columns.label else [0] * len(rows)
    if not columns.context:
        return labels, list(range(len(rows)))
    numbers: dict[int, int] = {}
    return labels, [numbers.setdefault(text_key(text), len(numbers)) for text in rows[columns.context][:]]
