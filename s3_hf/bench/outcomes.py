"""What the scored student of a cell predicted for each test row, kept so that sums over rows give its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s3_hf.analysis import Floats
from s3_hf.store import TEST

PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A metric by test row: it is the mean over the columns of the sum of `hits` divided by the sum of `of`.

    Accuracy has one column, macro F1 one for each label. Both arrays have the shape rows × columns.
    """

    hits: Floats
    of: Floats

    @property
    def score(self) -> float:
        """The metric over all rows, as a share in [0, 1]."""
        return float(self.weighted(np.ones((1, len(self.hits))))[0])

    def weighted(self, weights: Floats) -> Floats:
        """Return the metric for each line of `weights`, which holds how often each row counts."""
        counts = weights @ self.of
        shares = np.divide(weights @ self.hits, counts, out=np.full_like(counts, np.nan), where=counts > 0)
        known = np.isfinite(shares)
        values: Floats = np.where(known, shares, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        return values


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The ids of a cell's test rows, and each metric by row."""

    ids: NDArray[np.str_]
    metrics: Mapping[str, Outcome]


def read_outcomes(cell: Path, last: int) -> Outcomes | None:
    """Return the outcomes on test of the cell's final student, or without one, of its round `last`.

    None where the run directory has no readable predictions, as after a part of it was deleted.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    final, rounds = cell / "final" / PREDICTIONS, cell / f"round-{last}" / PREDICTIONS
    try:
        table = pq.read_table(final if final.exists() else rounds, columns=["role", "id", "label", "value"])
    except (OSError, pa.ArrowException):
        return None
    rows = [row for row in table.to_pylist() if row["role"] == TEST]
    if not rows:
        return None
    true, predicted = [row["label"] for row in rows], [row["value"] for row in rows]
    metrics = _of_answers(true, predicted) if isinstance(true[0], list) else _of_labels(true, predicted)
    return Outcomes(np.array([row["id"] for row in rows]), metrics)


def _of_labels(true: list[int], predicted: list[int]) -> dict[str, Outcome]:
    labels = np.union1d(true, predicted)
    is_true, is_predicted = (np.equal.outer(np.asarray(each), labels) for each in (true, predicted))
    both = is_true & is_predicted
    macro = Outcome(2.0 * both, is_true.astype(float) + is_predicted)
    return {"accuracy": _mean(both.any(axis=1)), "macro_f1": macro}


def _of_answers(true: list[list[str]], predicted: list[str]) -> dict[str, Outcome]:
    from s3_hf.scoring import exact_match, word_f1

    pairs = list(zip(predicted, true, strict=True))
    return {
        "exact_match": _mean([exact_match(answer, answers) for answer, answers in pairs]),
        "f1": _mean([word_f1(answer, answers) for answer, answers in pairs]),
    }


def _mean(values: Any) -> Outcome:
    hits = np.asarray(values, dtype=float)[:, None]
    return Outcome(hits, np.ones_like(hits))
