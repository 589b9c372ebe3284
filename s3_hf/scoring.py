"""Score predictions on gold rows, and find the mistakes among them.

The metrics are own `evaluate.Metric` classes, since `evaluate.load` downloads code and runs it.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

from s3_hf.errors import ConfigError, RunDirError, did_you_mean
from s3_hf.records import Columns, Mistake, Prediction, Scores

LABELS = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
ANSWERS = datasets.Features(
    {
        "predictions": datasets.Value("string"),
        "references": {
            "text": datasets.List(datasets.Value("string")),
            "answer_start": datasets.List(datasets.Value("int64")),
        },
    }
)

BINS = 15
"""Bins of the expected calibration error."""


class Accuracy(evaluate.Metric):
    """Share of rows with the right label, the paper's metric for classification (section 3.2.2)."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo("Share of right labels.", citation="", features=LABELS)

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"accuracy": float(np.mean(np.asarray(predictions) == np.asarray(references)))}


class MacroF1(evaluate.Metric):
    """Mean of the F1 scores of the labels, for imbalanced data."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo("Mean F1 score of the labels.", citation="", features=LABELS)

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        from sklearn.metrics import f1_score

        return {"macro_f1": float(f1_score(references, predictions, average="macro"))}


class ExactMatch(evaluate.Metric):
    """Share of answers that equal a gold answer, normalised as in the official script of SQuAD 1.1."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo("Share of exactly right answers.", citation="", features=ANSWERS)

    def _compute(self, predictions: Sequence[str], references: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        return {"exact_match": float(np.mean([exact_match(answer, true["text"]) for answer, true in pairs]))}


class F1(evaluate.Metric):
    """Mean F1 score of the words of each answer and the closest gold answer, as in SQuAD 1.1."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo("Mean word F1 score of the answers.", citation="", features=ANSWERS)

    def _compute(self, predictions: Sequence[str], references: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        return {"f1": float(np.mean([word_f1(answer, true["text"]) for answer, true in pairs]))}


METRICS: dict[str, type[evaluate.Metric]] = {
    "accuracy": Accuracy,
    "macro_f1": MacroF1,
    "exact_match": ExactMatch,
    "f1": F1,
}


def check_metric(name: str, columns: Columns) -> None:
    """Raise ConfigError unless `name` is a metric of tasks with these columns."""
    if name not in columns.metrics:
        hint = did_you_mean(name, columns.metrics, f"known are {', '.join(columns.metrics)}")
        raise ConfigError(f"this kind of task has no metric {name!r}; {hint}")


def score(columns: Columns, predicted: Sequence[int | str], references: Sequence[Any]) -> Scores:
    """Return all metrics of the task over its rows.

    Args:
        columns: columns of the task, which decide on the metrics.
        predicted: label ids, or texts of answers.
        references: label ids, or gold answers as in SQuAD, with `text` and `answer_start`, in the same order.
    """
    metrics = evaluate.combine([METRICS[name](keep_in_memory=True) for name in columns.metrics])
    values: dict[str, float] = metrics.compute(predictions=list(predicted), references=list(references))
    return Scores(values, len(references))


def row_values(metric: str, predicted: Sequence[int | str], references: Sequence[Any]) -> NDArray[np.float64]:
    """Return for each row a value whose mean over the rows is the metric; shape (rows,).

    It is whether the row is right, or for `f1` its word F1 score. For `balanced_accuracy` a right row counts more, the
    rarer its label: the mean is the mean recall of the labels.

    Args:
        metric: `accuracy`, `balanced_accuracy`, `exact_match` or `f1`; `macro_f1` is no mean over rows.
        predicted: label ids, or texts of answers.
        references: label ids, or gold answers as in SQuAD, in the same order.
    """
    if metric in ("accuracy", "balanced_accuracy"):
        right = np.asarray([answer == true for answer, true in zip(predicted, references, strict=True)], float)
        if metric == "accuracy" or not len(right):
            return right
        _, places, counts = np.unique(np.asarray(references), return_inverse=True, return_counts=True)
        return right * len(right) / (len(counts) * counts[places])
    one = word_f1 if metric == "f1" else exact_match
    return np.array(
        [one(str(answer), true["text"]) for answer, true in zip(predicted, references, strict=True)], float
    )


def calibration_error(probabilities: NDArray[np.float64], references: Sequence[int]) -> float:
    """Return the expected calibration error of the most probable labels, in `BINS` bins with equally many rows.

    It is the mean, over rows, of the distance between confidence and share of right rows in a bin, from 0 to 1.

    Args:
        probabilities: rows x labels.
        references: label ids.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == np.asarray(references)
    bins = np.array_split(np.argsort(confidence, kind="stable"), BINS)
    return float(sum(abs(confidence[each].sum() - right[each].sum()) for each in bins) / len(confidence))


def mistakes(
    gold: datasets.Dataset, predictions: Sequence[Prediction], columns: Columns, least_f1: float | None = None
) -> tuple[Mistake, ...]:
    """Return the gold rows with a wrong prediction, in their order (Algorithm 2, line 6).

    Args:
        gold: gold rows with an `s3_id`, in the order of `predictions`.
        predictions: a prediction for each row.
        columns: columns of the task.
        least_f1: F1 score from which an answer counts as right; None asks for an exact match.

    Raises:
        RunDirError: the predictions belong to other rows.
    """
    if [prediction.id for prediction in predictions] != gold["s3_id"][:]:
        raise RunDirError(
            f"the predictions of gold data must be of its {len(gold)} rows, found {len(predictions)} with other ids; "
            "restore the gold data, or name another --run-dir"
        )

    def right(predicted: int | str, true: Any) -> bool:
        if columns.label:
            return is_right(predicted, true)
        answers = true["text"]
        return is_right(predicted, answers) or (least_f1 is not None and word_f1(str(predicted), answers) >= least_f1)

    pairs = zip(predictions, gold[columns.target][:], strict=True)
    wrong = [place for place, (prediction, true) in enumerate(pairs) if not right(prediction.value, true)]
    return tuple(Mistake(predictions[place].id, _columns(gold[place]), predictions[place].value) for place in wrong)


def exact_match(answer: str, answers: Sequence[str]) -> bool:
    """Return whether the answer equals a gold answer once both are normalised."""
    return _words(answer) in [_words(gold) for gold in answers]


def is_right(value: int | str, label: int | Sequence[str]) -> bool:
    """Return whether a prediction is the label of its row, or one of the row's answers (`exact_match`)."""
    return value == label if isinstance(label, int) else exact_match(str(value), label)


def word_f1(answer: str, answers: Sequence[str]) -> float:
    """Return the highest F1 score of the answer's words with those of a gold answer; 0 if no word is shared."""
    words = _words(answer)
    return max(_overlap(words, _words(gold)) for gold in answers)


def _words(text: str) -> list[str]:
    """Return the words in lower case, without ASCII punctuation, then without articles: the official order."""
    bare = text.lower().translate(_PUNCTUATION)
    return _ARTICLES.sub(" ", bare).split()


_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def _overlap(predicted: Sequence[str], true: Sequence[str]) -> float:
    shared = (Counter(predicted) & Counter(true)).total()
    if not shared:
        return 0.0  # two empty answers too, though they match exactly
    precision, recall = shared / len(predicted), shared / len(true)
    return 2 * precision * recall / (precision + recall)


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "s3_id"}
