"""Is a row's label right? Students cross-fitted on the gold rows judge it, or the LLM.

The station knows neither HTTP nor `Trainer`: students are callables that return probabilities (`Judged`), and the LLM
is a question and its answer.
"""

from s3_hf.judging.asking import LLMJudge, label_scores, question, without_tokens
from s3_hf.judging.calibrating import JudgeCalibration, calibrated, cross_fitted, log_probabilities
from s3_hf.judging.checking import LLM_JUDGES, check_judge
from s3_hf.judging.finding import (
    LEAST_AUC,
    LEAST_ROWS,
    acts,
    agreement_by_origin,
    as_asked,
    as_set,
    compared,
    too_few,
    too_few_left,
    too_weak,
)
from s3_hf.judging.folds import FOLDS, assign_folds, fold_count, gold_rows, inside_fold, outside_fold, sample_by_label
from s3_hf.judging.judge import GoldJudge, Judged, Row, applied, loss_weight
from s3_hf.judging.reliability import Gain, Reliability, gain, reliability, row_scores

__all__ = [
    "FOLDS",
    "LEAST_AUC",
    "LEAST_ROWS",
    "LLM_JUDGES",
    "Gain",
    "GoldJudge",
    "JudgeCalibration",
    "Judged",
    "LLMJudge",
    "Reliability",
    "Row",
    "acts",
    "agreement_by_origin",
    "applied",
    "as_asked",
    "as_set",
    "assign_folds",
    "calibrated",
    "check_judge",
    "compared",
    "cross_fitted",
    "fold_count",
    "gain",
    "gold_rows",
    "inside_fold",
    "label_scores",
    "log_probabilities",
    "loss_weight",
    "outside_fold",
    "question",
    "reliability",
    "row_scores",
    "sample_by_label",
    "too_few",
    "too_few_left",
    "too_weak",
    "without_tokens",
]
