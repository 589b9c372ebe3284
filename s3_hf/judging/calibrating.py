"""What the LLM, and the students, say of the labels as probabilities: a logistic regression on gold rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGITS = 3
"""Decimals of a probability, so that the order of computation changes no decision."""
MOST_ODDS = 12.0
"""Largest log-odds that is believed."""

Scores = NDArray[np.float64]
"""Log-probabilities: rows x judges x labels."""


@dataclass(frozen=True, slots=True)
class JudgeCalibration:
    """Turns the log-probabilities of one or two judges into probabilities.

    It has one slope for each judge, so that many labels need few gold rows.

    Attributes:
        slopes: for each judge, the weight of its log-odds.
        centres: for each judge, the mean log-probability of each label on gold rows, which is taken off first: a weak
            LLM nearly always prefers the same label.
        biases: of each label.
    """

    slopes: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    biases: tuple[float, ...]

    def probabilities(self, scores: Scores) -> NDArray[np.float64]:
        """Return the probability of each label, rounded as those of the students: rows x labels."""
        odds = _log_odds(scores - np.array(self.centres))
        right = 1 / (1 + np.exp(-(np.einsum("rjl,j->rl", odds, np.array(self.slopes)) + np.array(self.biases))))
        normal: NDArray[np.float64] = np.round(right / right.sum(axis=1, keepdims=True), DIGITS)
        return normal


def calibrated(scores: Scores, labels: NDArray[np.int_]) -> JudgeCalibration:
    """Return the calibration that gold rows give: is this label of this row right, by the judges' log-odds?

    Args:
        scores: log-probabilities of gold rows, which the judges did not learn.
        labels: their labels.
    """
    from sklearn.linear_model import LogisticRegression

    rows, judges, count = scores.shape
    centres = np.round(scores.mean(axis=0), 6)
    evidence = _log_odds(scores - centres).transpose(0, 2, 1).reshape(rows * count, judges)
    inputs = np.hstack([evidence, np.tile(np.eye(count), (rows, 1))])
    right = (np.arange(count) == labels[:, None]).ravel()
    model = LogisticRegression(fit_intercept=False, max_iter=1_000).fit(inputs, right)
    weights = [round(float(each), 6) for each in model.coef_[0]]
    means = tuple(tuple(map(float, line)) for line in centres)
    return JudgeCalibration(tuple(weights[:judges]), means, tuple(weights[judges:]))


def cross_fitted(scores: Scores, labels: NDArray[np.int_], folds: NDArray[np.int_]) -> NDArray[np.float64]:
    """Return the probability of each label of gold rows, calibrated on the rows of the other folds: rows x labels.

    The rows must be of two folds or more.
    """
    found = np.zeros((len(labels), scores.shape[2]))
    for fold in np.unique(folds):
        inside = folds == fold
        found[inside] = calibrated(scores[~inside], labels[~inside]).probabilities(scores[inside])
    return found


def log_probabilities(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms of probabilities that are rounded to `DIGITS` decimals, none of them infinite."""
    logs: NDArray[np.float64] = np.log(np.maximum(values, 0.5 * 10**-DIGITS))
    return logs


def _log_odds(scores: Scores) -> Scores:
    """Return the log-odds of each label against all others together."""
    p = np.exp(scores - np.logaddexp.reduce(scores, axis=2, keepdims=True))
    with np.errstate(divide="ignore"):
        odds: Scores = np.clip(np.log(p) - np.log1p(-np.minimum(p, 1.0)), -MOST_ODDS, MOST_ODDS)
    return odds
