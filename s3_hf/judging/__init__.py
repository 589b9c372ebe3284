"""Is a row's label right? Students cross-fitted on the gold rows judge it, where that helps.

The station knows neither HTTP nor `Trainer`: students are callables that return probabilities (`Judged`).
"""

from s3_hf.judging.checking import check_judge
from s3_hf.judging.finding import (
    LEAST_AUC,
    LEAST_ROWS,
    acts,
    agreement_by_origin,
    as_set,
    compared,
    too_few,
    too_weak,
)
from s3_hf.judging.folds import FOLDS, assign_folds, fold_count, gold_rows, inside_fold, outside_fold, sample_by_label
from s3_hf.judging.judge import GoldJudge, Judged, Row, applied, loss_weight
from s3_hf.judging.reliability import Gain, Reliability, gain, reliability, row_scores

__all__ = [
    "FOLDS",
    "LEAST_AUC",
    "LEAST_ROWS",
    "Gain",
    "GoldJudge",
    "Judged",
    "Reliability",
    "Row",
    "acts",
    "agreement_by_origin",
    "applied",
    "as_set",
    "assign_folds",
    "check_judge",
    "compared",
    "fold_count",
    "gain",
    "gold_rows",
    "inside_fold",
    "loss_weight",
    "outside_fold",
    "reliability",
    "row_scores",
    "sample_by_label",
    "too_few",
    "too_weak",
]
