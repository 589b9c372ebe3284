"""Text that both cards have: papers, metrics and their intervals, the gold data, the licence."""

from __future__ import annotations

from collections.abc import Callable

from s3_hf.cards.facts import RunFacts
from s3_hf.cards.markup import code, counted, is_hub_id, linked, percent, plain
from s3_hf.records import Scores

S3_PAPER = "[Wang et al., 2023](https://arxiv.org/abs/2310.13671)"
ZEROGEN_PAPER = "[Ye et al., 2022](https://arxiv.org/abs/2202.07922)"
PROGEN_PAPER = "[Ye et al., 2022](https://arxiv.org/abs/2210.12329)"
TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "exact_match": "Exact match",
    "f1": "F1",
    "macro_f1": "Macro F1",
}
"""Metrics as `model-index` names them."""


def metric_title(name: str) -> str:
    """Return a metric as it is written within a sentence."""
    title = TITLES[name]
    return title if title == "F1" else title[:1].lower() + title[1:]


def interval(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95% confidence interval of a share that was measured on `n` rows; (0, 1) without rows.

    The F1 of answers is a mean over rows of values from 0 to 1, which varies no more than a share: its interval may be
    too wide. Macro F1 is no mean over rows, and has no such interval.
    """
    from scipy.stats import binomtest

    if not n:
        return 0.0, 1.0
    bounds = binomtest(round(share * n), n).proportion_ci(0.95, "wilson")
    return float(bounds.low), float(bounds.high)


def interval_text(scores: Scores, metric: str) -> str:
    """Return the interval of a metric that is a share of the rows, as text: `74.2% to 77.9%`."""
    return " to ".join(map(percent, interval(scores.metrics[metric], scores.n)))


def gold_source(run: RunFacts) -> str:
    """Return where the gold data come from: a link to the Hub, or a name."""
    source: str = run.task["source"]
    return linked(source, "datasets/") if is_hub_id(source) else plain(source or str(run.task["pretty_name"]))


def terms(run: RunFacts, *, weights: bool, gold_alone: bool = False, name: Callable[[str], str] = str) -> list[str]:
    """Return a clause for each licence or other terms that apply to the rows, and to `weights` trained on them.

    With `gold_alone` the weights were trained on gold rows alone. `name` is applied to every name: `code` where the
    clauses stand in Markdown.
    """
    task = run.task
    source = name(task["source"] or task["pretty_name"])
    stated = "states no standard licence" if task["license"] in ("", "other") else f"is under {name(task['license'])}"
    existing, text = " and ".join(map(name, run.sources)), "other text" if run.sources else "the text"
    clauses = [f"the gold data ({source}) {stated}"]
    if existing and not gold_alone:
        clauses.append(f"rows were taken over from {existing}, whose licence applies")
    if run.synthetic_rows and not gold_alone:
        clauses.append(f"{text} was written by {name(run.llm)}, whose terms for generated text apply")
    if weights:
        clauses.append(f"the weights started from {name(run.student)}, whose licence applies")
    return clauses


def licence(run: RunFacts, *, weights: bool, gold_alone: bool = False) -> str:
    """Return the paragraph on the licence: the publisher's choice, or the terms that apply without one."""
    clauses = "; ".join(terms(run, weights=weights, gold_alone=gold_alone, name=code))
    if run.license:
        return f"{code(run.license)}, as chosen by the publisher. Note that {clauses}."
    return f"The publisher chose no licence. These terms apply: {clauses}."


def gold_in_prompts(run: RunFacts) -> str:
    """Return which prompts showed gold rows to the LLM, as a sentence after another one; empty where none did."""
    shots = run.settings["synthesis"].get("shots", 0)
    if shots:
        return f" Each prompt showed the LLM up to {counted(shots, 'gold row')}."
    return " The prompts of extrapolated rows showed the LLM gold rows." if run.extrapolates else ""
