"""What a run found about its labels, and what it does about them, in words and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from s3_hf.judging.judge import Action
from s3_hf.judging.reliability import Gain, Reliability, label_reliability

LEAST_ROWS = 60
"""Fewest gold rows from which `judge: auto` trains students."""
LEAST_AUC = 0.6
"""Least AUC, or share of answers found, from which `judge: auto` compares rows with and without judging."""
LEAST_AGREEMENT = 0.25
"""Least share of labels that the students find right, below which `judge: auto` believes neither them nor the rows."""

DOES = {
    "drop": "rows whose label they find wrong are left out and asked for again",
    "relabel": "rows whose label they find wrong get the one that they find most probable",
    "weight": "each row counts in training by the probability of its label",
}
"""What each action does about rows whose label is judged wrong."""


def agreement_by_origin(
    origins: Sequence[str], agrees: Sequence[bool], judge: Reliability, labels: int
) -> dict[str, dict[str, Any]]:
    """Return for each origin: rows, share on which label and judge agree, estimated share of right labels."""
    rows, agreeing = Counter(origins), Counter(each for each, good in zip(origins, agrees, strict=True) if good)
    return {
        origin: {
            "rows": count,
            "agreement": round(agreeing[origin] / count, 4),
            "reliability": label_reliability(agreeing[origin] / count, judge, labels),
        }
        for origin, count in rows.items()
    }


def too_few(rows: int, folds: int) -> str:
    """Return why `judge: auto` judges nothing with these gold rows."""
    if folds < 2:
        return (
            "Labels are not judged: judge: auto needs two gold rows of each label or more, about two contexts where "
            f"there are contexts, and there are fewer in {rows:,} rows."
        )
    return f"Labels are not judged: judge: auto needs {LEAST_ROWS} gold rows, and there are {rows}."


def too_few_left() -> str:
    """Return why `judge: auto` judges nothing where nearly all rows are written like the gold rows of one fold."""
    return (
        "Labels are not judged: judge: auto needs two rows that are not written like the gold rows it scores them on, "
        "and there are fewer."
    )


def too_weak(judge: Reliability) -> str:
    """Return why `judge: auto` judges nothing with these students."""
    return f"Labels are not judged: {_students(judge)}, which is too little to judge by."


def as_set(judge: Reliability, action: Action) -> str:
    """Return what is done with `judge: gold`."""
    return f"Labels are judged, as judge: gold asks: {_students(judge)}; {DOES[action]}."


def as_asked(setting: str, judge: Reliability, logprobs: int, action: Action) -> str:
    """Return what is done with `judge: llm` or `both`.

    Args:
        setting: the setting.
        judge: reliability on the gold rows that the LLM was asked about.
        logprobs: rows of these whose answers have log-probabilities.
        action: what is done about a wrong label.
    """
    read = "log-probabilities" if logprobs == judge.n else "answers"
    told = "" if logprobs == judge.n else f" (the endpoint gives log-probabilities for {logprobs or 'none'} of them)"
    who = f"cross-fitted students and the LLM's {read} together" if setting == "both" else f"the LLM's {read}"
    little = "" if judge.separates >= LEAST_AUC else " This is little to judge by; see what judge: auto finds."
    return (
        f"Labels are judged, as judge: {setting} asks: {who}{told}, calibrated on gold rows, are right on "
        f"{judge.accuracy:.1%} of {judge.n:,} others (AUC {judge.separates:.2f}); {DOES[action]}.{little}"
    )


def acts(gained: Gain, agreement: float) -> bool:
    """Return whether `judge: auto` judges labels: it helps on gold rows, and the students confirm enough labels."""
    return gained.helps and agreement >= LEAST_AGREEMENT


def compared(judge: Reliability, agreement: float, gained: Gain, action: Action) -> str:
    """Return what `judge: auto` found and decided.

    Args:
        judge: reliability of the students.
        agreement: share of the rows whose label they find right.
        gained: what the action changes on held-out gold rows.
        action: what would be done.
    """
    found = (
        f"{_students(judge)}, and disagree with {1 - agreement:.1%} of the labels; the action {action!r} "
        f"changes the score on {gained.n:,} held-out gold rows by {100 * gained.mean:+.1f} points (standard error "
        f"{100 * gained.error:.1f})"
    )
    if acts(gained, agreement):
        return f"Labels are judged: {found}, so {DOES[action]}."
    if agreement < LEAST_AGREEMENT:
        return (
            f"Labels are not judged: {found}. Too few are confirmed; see whether prompts and gold rows mean the same."
        )
    return f"Labels are not judged: {found}, which is no clear gain, so all rows stay as they were written."


def _students(judge: Reliability) -> str:
    figure = "find the answers" if judge.auc is None else "are right"
    auc = "" if judge.auc is None else f" (AUC {judge.auc:.2f})"
    return f"cross-fitted students {figure} on {judge.accuracy:.1%} of {judge.n:,} gold rows{auc}"
