"""Sentences and tables of the final student's card: how it was chosen, what it learned, and the verdict."""

from __future__ import annotations

from statistics import fmean

from s3_hf.cards.facts import STRATEGIES, ModelFacts
from s3_hf.cards.markup import NONE, code, count, percent, table
from s3_hf.cards.shared import gold_source, metric_title
from s3_hf.store import AFTER, CROSS_FITTED, GOLD, MIXED, SYNTHETIC, FinalResult, Verdict


def arm_title(name: str, strategy: str) -> str:
    """Return an arm of the choice or of the verdict as a table names it."""
    method = STRATEGIES.get(strategy, strategy)
    titles = {
        GOLD: "gold rows alone",
        SYNTHETIC: f"{method} rows alone",
        AFTER: f"{method} rows, then gold rows",
        MIXED: f"{method} and gold rows together",
    }
    return titles.get(name) or f"{method}, {name.replace('-', ' ')}"


def data(final: FinalResult, method: str) -> str:
    """Return what the final student was trained on, for a title."""
    return {GOLD: "gold rows", SYNTHETIC: f"{method} data"}.get(final.choice.arm, f"{method} data and gold rows")


def learned(facts: ModelFacts, *, named: bool = False) -> str:
    """Return what the final student learned, in its order, with numbers of rows; where they are, if `named`."""
    assert facts.final is not None
    found, kind = facts.final.facts, "" if facts.run.sources else "synthetic "
    rows, gold = f"{count(found.rows)} {kind}rows", f"{count(found.gold_rows)} human-labelled gold rows"
    if named:
        rows, gold = f"{rows} ({code(facts.dataset)})", f"{gold} ({gold_source(facts.run)})"
    return {
        GOLD: gold,
        SYNTHETIC: rows,
        AFTER: f"{rows}, then {gold}",
        MIXED: f"{rows} and {gold} together",
    }[facts.final.choice.arm]


def start(facts: ModelFacts) -> str:
    """Return which weights the training of the final student started from."""
    assert facts.final is not None
    if facts.final.choice.arm in (AFTER, SYNTHETIC):
        return f"the student of round {facts.final.choice.round}, which has the best score on the selection rows."
    return "the pretrained weights with a new head; no weights come from a round."


def choice(facts: ModelFacts) -> str:
    """Return how this way of training was chosen."""
    assert facts.final is not None
    chosen = facts.final.choice
    if not chosen.scores:
        return f"This way of training was fixed beforehand ({chosen.by})."
    folds = len(chosen.scores[chosen.arm])
    return (
        f"This way of training was chosen by cross-fitting on {count(chosen.n)} gold rows in {folds} folds: students "
        "were trained without a fold and without the synthetic rows that were extrapolated from it, and scored on it. "
        "The simplest of those within half a standard error of the best is taken. The test rows took no part."
    )


def choice_table(facts: ModelFacts) -> str:
    """Return the cross-fitted scores of each way of training; empty where none were compared."""
    assert facts.final is not None
    chosen = facts.final.choice
    if not chosen.scores:
        return ""
    columns = [("training", "l"), (f"cross-fitted {metric_title(chosen.metric)}", "r"), ("folds", "c")]
    lines = [
        [
            _marked(arm_title(arm, facts.run.strategy), arm == chosen.arm),
            percent(fmean(scores)),
            ", ".join(map(percent, scores)),
        ]
        for arm, scores in chosen.scores.items()
    ]
    return table(columns, lines)


def verdict_table(verdict: Verdict, strategy: str) -> str:
    """Return the arms of the verdict with their test scores, intervals and costs."""
    columns = [("trained on", "l"), ("synthetic rows", "r"), ("gold rows", "r"), ("steps", "r"), ("requests", "r")]
    columns += [(f"test {metric_title(verdict.metric)}", "r"), ("95% interval", "c"), ("against gold alone", "c")]
    lines = []
    for arm in verdict.arms:
        gained = NONE
        if arm.difference:
            mean, low, high = (f"{100 * each:+.1f}".replace("-", "−") for each in
                               (arm.difference.mean, arm.difference.low, arm.difference.high))  # fmt: skip
            gained = f"{mean} ({low} to {high})"
        lines.append(
            [
                _marked(arm_title(arm.name, strategy), arm.name == verdict.judged),
                count(arm.rows),
                count(arm.gold_rows),
                NONE if arm.steps is None else count(arm.steps),
                count(arm.requests) + (f" ({arm.cost:.2f})" if arm.cost else ""),
                percent(arm.score),
                f"{percent(arm.low)} to {percent(arm.high)}",
                gained,
            ]
        )
    return table(columns, lines)


def verdict_notes(verdict: Verdict) -> str:
    """Return what the intervals of the verdict include, and what its comparison does not."""
    seeds = f" and {verdict.seeds} seeds of training" if verdict.seeds > 1 else ""
    text = (
        f"Intervals are those of a paired bootstrap over {count(verdict.n)} test rows{seeds}"
        f"{'' if seeds else '; they do not include the seed of training'}. Differences are in points."
    )
    if not verdict.equal_steps:
        text += " Gold rows alone were trained for fewer steps, since they had made their most passes."
    return text


def calibration(facts: ModelFacts) -> str:
    """Return how well the scores fit the share of right rows, before and after calibration."""
    found = facts.final.facts.calibration if facts.final else None
    if found is None:
        return "Its scores are not calibrated probabilities."
    return (
        f"Its scores are calibrated: logits are divided by {found.temperature:g}, the temperature that fits "
        f"{count(found.rows)} gold rows that the students did not learn. On the test rows the expected calibration "
        f"error is {percent(found.after)}, and was {percent(found.before)} before (15 bins of equal mass)."
    )


def cross_fitted(facts: ModelFacts) -> str:
    """Return what the cross-fitted scores are, where the table has them."""
    if facts.final is None or CROSS_FITTED not in facts.final.scores:
        return ""
    return (
        " Cross-fitted scores are those of students trained like this one on other gold rows; since they chose the "
        "way of training, they are slightly too high."
    )


def _marked(text: str, marked: bool) -> str:
    return f"**{text}**" if marked else text
