"""How reliable judges and labels are, measured on gold rows, and whether judging helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np

from s3_hf.judging.judge import RIGHT, Judged, Row


@dataclass(frozen=True, slots=True)
class Reliability:
    """What cross-fitted students know of `n` gold rows.

    `accuracy` is the share of rows whose label they find most probable, or whose answer they find. `auc` is the
    probability that a right label has a higher P(label) than a wrong one; None in a task with answers.
    """

    n: int
    accuracy: float
    auc: float | None = None

    @property
    def separates(self) -> float:
        """The figure that tells whether the students can judge at all: the AUC, or the share of answers found."""
        return self.accuracy if self.auc is None else self.auc


def reliability(rows: Sequence[Row], values: Sequence[Sequence[float]], label: str | None) -> Reliability:
    """Return the reliability of cross-fitted students.

    Args:
        rows: gold rows.
        values: for each row what the student that did not train on it returns (`Judged`).
        label: column of the label; None in a task with answers.
    """
    found = np.asarray(values, dtype=float)
    if label is None:
        return Reliability(len(rows), _rounded(np.mean(found[:, 0] >= RIGHT)))
    from sklearn.metrics import roc_auc_score

    labels = np.array([int(row[label]) for row in rows])
    right = np.arange(found.shape[1]) == labels[:, None]
    auc = roc_auc_score(right.ravel(), found.ravel())
    return Reliability(len(rows), _rounded(np.mean(found.argmax(axis=1) == labels)), _rounded(auc))


def label_reliability(agreement: float, judge: Reliability, labels: int) -> float | None:
    """Return the estimated share of right labels among rows, from the share on which labels and judge agree.

    None stands for a judge that is no better than chance.

    It supposes that the judge is as good on these rows as on gold rows, and that its errors are independent of those
    of the labels and spread evenly over the other labels.

    Args:
        agreement: share of the rows whose label the judge finds most probable.
        judge: the judge's reliability on gold rows.
        labels: number of labels; 0 in a task with answers, whose wrong answers no reader finds.
    """
    chance = (1 - judge.accuracy) / (labels - 1) if labels > 1 else 0.0
    if judge.accuracy <= chance:
        return None
    return _rounded(min(1.0, max(0.0, (agreement - chance) / (judge.accuracy - chance))))


@dataclass(frozen=True, slots=True)
class Gain:
    """What judging changes on `n` held-out gold rows: the mean difference of a row's score and its standard error."""

    n: int
    mean: float
    error: float

    @property
    def helps(self) -> bool:
        """Whether the gain is more than one standard error."""
        return self.mean > self.error


def gain(before: Sequence[float], after: Sequence[float]) -> Gain:
    """Return the paired difference of the scores of the same gold rows."""
    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    n = len(differences)
    error = differences.std(ddof=1) / np.sqrt(n) if n > 1 else 0.0
    return Gain(n, round(float(differences.mean()), 5) if n else 0.0, round(float(error), 5))


def row_scores(rows: Sequence[Row], student: Judged, label: str | None, metric: str) -> list[float]:
    """Return the score of each gold row, whose mean is the metric; the F1 of its answer in a task with answers.

    Args:
        rows: gold rows.
        student: the student that is scored.
        label: column of the label; None in a task with answers.
        metric: `accuracy` or `balanced_accuracy` (`scoring.row_values`).
    """
    values = student(rows)
    if label is None:
        return [float(each[0]) for each in values]
    from s3_hf.scoring import row_values  # its library is slow to import

    predicted = [int(np.argmax(each)) for each in values]
    return list(map(float, row_values(metric, predicted, [int(row[label]) for row in rows])))


def _rounded(value: SupportsFloat) -> float:
    return round(float(value), 4)
