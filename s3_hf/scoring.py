"""How good the student is on gold data, and what it gets wrong.

The metrics are `evaluate.Metric` subclasses that live here: `evaluate.load` would fetch and run code.
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


class ExactMatch(evaluate.Metric):
    """Share of answers that equal a gold answer, normalised as the official script of SQuAD 1.1 does."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo("Share of exactly right answers.", citation="", features=ANSWERS)

    def _compute(self, predictions: Sequence[str], references: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        return {"exact_match": float(np.mean([exact_match(said, true["text"]) for said, true in pairs]))}


class F1(evaluate.Metric):
    """Mean overlap in words of each answer with the gold answer that is nearest, as in SQuAD 1.1."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo("Mean word F1 score of the answers.", citation="", features=ANSWERS)

    def _compute(self, predictions: Sequence[str], references: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        pairs = zip(predictions, references, strict=True)
        return {"f1": float(np.mean([word_f1(said, true["text"]) for said, true in pairs]))}


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
    """Return every metric of the kind of task, over rows in one order.

    Args:
        columns: tell the kind.
        predicted: label ids, or texts of answers.
        references: label ids, or gold answers as in SQuAD, with `text` and `answer_start`.
    """
    metrics = evaluate.combine([METRICS[name](keep_in_memory=True) for name in columns.metrics])
    values: dict[str, float] = metrics.compute(predictions=list(predicted), references=list(references))
    return Scores(values, len(references))


def mistakes(
    gold: datasets.Dataset, predictions: Sequence[Prediction], columns: Columns, least_f1: float | None = None
) -> tuple[Mistake, ...]:
    """Return the gold rows with a wrong label or answer, in their order (Algorithm 2, line 6).

    Args:
        gold: gold rows with an `s3_id`, in the order of `predictions`.
        predictions: what the student said of each.
        columns: name the label or the answers.
        least_f1: an answer that is no exact match is still no mistake with an F1 score of so much.

    Raises:
        RunDirError: the predictions are of other rows.
    """
    if [said.id for said in predictions] != gold["s3_id"][:]:
        raise RunDirError(
            f"the predictions of gold data must be of its {len(gold)} rows, found {len(predictions)} with other ids; "
            "restore the gold data, or name another --run-dir"
        )

    def right(said: int | str, true: Any) -> bool:
        if columns.label:
            return bool(said == true)
        found, answers = str(said), true["text"]
        return exact_match(found, answers) or (least_f1 is not None and word_f1(found, answers) >= least_f1)

    references = gold[columns.label or columns.answers][:]
    wrong = [place for place, said in enumerate(predictions) if not right(said.value, references[place])]
    return tuple(Mistake(predictions[place].id, _columns(gold[place]), predictions[place].value) for place in wrong)


def exact_match(said: str, answers: Sequence[str]) -> bool:
    """True if the answer is one of the gold answers, once both are normalised."""
    return _words(said) in [_words(answer) for answer in answers]


def word_f1(said: str, answers: Sequence[str]) -> float:
    """F1 score of the words of an answer, for the gold answer that gives the highest; 0 if no word is shared."""
    words = _words(said)
    return max(_overlap(words, _words(answer)) for answer in answers)


def _words(text: str) -> list[str]:
    """Lower case, without punctuation of ASCII, then without articles: in that order in the official script."""
    bare = text.lower().translate(_PUNCTUATION)
    return _ARTICLES.sub(" ", bare).split()


_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def _overlap(said: Sequence[str], true: Sequence[str]) -> float:
    shared = (Counter(said) & Counter(true)).total()
    if not shared:
        return 0.0  # also of two empty answers, though they match exactly
    precision, recall = shared / len(said), shared / len(true)
    return 2 * precision * recall / (precision + recall)


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "s3_id"}
