"""How good the student is on gold data, and what it gets wrong.

The metrics are `evaluate.Metric` subclasses that live here: `evaluate.load` would fetch and run code.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from s3_hf.errors import ConfigError
from s3_hf.records import Mistake, Prediction, Scores

LABELS = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})


class Accuracy(evaluate.Metric):
    """Share of rows whose label is right: the paper's measure for classification (section 3.2.2)."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo("Share of right labels.", citation="", features=LABELS)

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"accuracy": float(np.mean(np.asarray(predictions) == np.asarray(references)))}


class MacroF1(evaluate.Metric):
    """Mean over the labels of the F1 score of each, for imbalanced labels."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo("Mean F1 score of the labels.", citation="", features=LABELS)

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        said, true = np.asarray(predictions), np.asarray(references)
        scores = []
        for label in np.union1d(said, true):
            hits = float(np.sum((said == label) & (true == label)))
            scores.append(2 * hits / float(np.sum(said == label) + np.sum(true == label)))
        return {"macro_f1": float(np.mean(scores))}


METRICS: dict[str, type[evaluate.Metric]] = {"accuracy": Accuracy, "macro_f1": MacroF1}


def check_metric(name: str) -> None:
    """Raise ConfigError unless `name` is a metric."""
    if name not in METRICS:
        close = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(METRICS)}"
        raise ConfigError(f"there is no metric {name!r}; {hint}")


def score(predicted: Sequence[int], labels: Sequence[int]) -> Scores:
    """Return every metric over label ids; both sequences have one entry per row."""
    metrics = evaluate.combine([metric(keep_in_memory=True) for metric in METRICS.values()])
    values: dict[str, float] = metrics.compute(predictions=list(predicted), references=list(labels))
    return Scores(values, len(labels))


def mistakes(gold: datasets.Dataset, predictions: Sequence[Prediction], label: str) -> tuple[Mistake, ...]:
    """Return the misclassified gold rows in their order (Algorithm 2, line 6).

    Args:
        gold: gold rows with an `s3_id`, in the order of `predictions`.
        predictions: what the student said of each.
        label: name of the label column.
    """
    wrong = [place for place, said in enumerate(predictions) if said.value != gold[place][label]]
    return tuple(Mistake(predictions[place].id, _columns(gold[place]), predictions[place].value) for place in wrong)


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "s3_id"}
