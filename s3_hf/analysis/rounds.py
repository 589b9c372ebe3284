"""Tables of the rounds of a run: scores with intervals, confusion, and what moved between rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.cards.shared import interval
from s3_hf.errors import RunDirError
from s3_hf.files import read_rows
from s3_hf.store import SELECTION, TEST, RunDir, Stage
from s3_hf.store.earlier import roles_of

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
"""Highest p-value of a difference that is told."""


def check_rounds(runs: Sequence[RunDir]) -> None:
    """Raise RunDirError if one of the runs has no complete round."""
    for run in runs:
        if not run.rounds():
            raise RunDirError(
                f"a run must have a complete round to report on, found none in {str(run.path)!r}; run it until the "
                "rows of its first round are complete"
            )


def rounds_table(run: RunDir) -> pd.DataFrame:
    """Return a row for each round whose rows are complete.

    Columns: `round`, `added`, `rows`, `given_up`, `rejected`, `requests`, `tokens`, `cost`, `seconds` (of synthesis);
    and where the student is trained and scored `steps`, `training_seconds`, `flops` (`cost.training_flops`),
    `mistakes`, and for each role of gold rows `ROLE_METRIC` in [0, 1] and `ROLE_n`.
    """
    import pandas as pd

    from s3_hf.analysis.cost import training_flops

    lines: list[dict[str, Any]] = []
    for folder in run.rounds():
        made = folder.synthesis()
        line: dict[str, Any] = {
            "round": folder.number,
            "added": made.rows,
            "rows": made.rows + (lines[-1]["rows"] if lines else 0),
            "given_up": made.given_up,
            "rejected": sum(made.rejected.values()),
            "requests": made.usage.requests,
            "tokens": made.usage.tokens,
            "cost": made.usage.cost,
            "seconds": made.seconds,
        }
        if folder.stage() is Stage.DONE:
            result = run.result(folder.number)
            trained = result.training
            line |= {
                "steps": trained.steps,
                "training_seconds": trained.seconds,
                "flops": training_flops(trained.parameters, trained.tokens.seen),
                "mistakes": result.mistakes,
            }
            for role, scores in result.scores.items():
                line |= {f"{role}_{name}": value for name, value in scores.metrics.items()} | {f"{role}_n": scores.n}
        lines.append(line)
    return pd.DataFrame(lines)


def scores_table(run: RunDir) -> pd.DataFrame:
    """Return the task's first metric by round and role: `round`, `role`, `metric`, `score`, `low`, `high`, `n`.

    `low` and `high` bound the 95 % interval that the sampling of the rows gives (`interval`). The selection rows are
    left out where they are the mined ones.
    """
    import pandas as pd

    lines = []
    for result in run.results():
        roles = [role for role in result.scores if role != SELECTION or result.holdout]
        for role in roles:
            scores = result.scores[role]
            metric, score = next(iter(scores.metrics.items()))
            low, high = interval(score, scores.n)
            lines.append((result.number, role, metric, score, low, high, scores.n))
    return pd.DataFrame(lines, columns=["round", "role", "metric", "score", "low", "high", "n"])


def predictions_table(run: RunDir) -> pd.DataFrame:
    """Return each scored gold row of each round: `round`, `role`, `id`, `label`, `value`, `right`, `probability`.

    `label` and `value` are label names, or texts of answers (the first gold one); `right` compares an answer as the
    scores do. `probability` is the student's for what it predicts. Empty where no student was scored.
    """
    done = [folder for folder in run.rounds() if folder.stage() is Stage.DONE]
    return _predicted(run, {folder.number: folder.predictions for folder in done})


def final_predictions(run: RunDir) -> pd.DataFrame:
    """Return the same of the final student, whose round is -1; empty without one."""
    return _predicted(run, {-1: run.final.predictions} if run.final.complete else {})


def _predicted(run: RunDir, files: Mapping[int, Path]) -> pd.DataFrame:
    import pandas as pd

    from s3_hf.scoring import is_right

    columns = ["round", "role", "id", "label", "value", "right", "probability"]
    lines = []
    names = list((run.facts["task"] or {}).get("labels", {}))
    for number, file in files.items():
        if not file.exists():
            continue
        rows = read_rows(file)
        for role, row in zip(roles_of(rows), rows, strict=True):
            label, value = row["label"], row["value"]
            probability, correct = max(row["scores"], default=math.nan), is_right(value, label)
            if isinstance(label, list):
                label = label[0] if label else ""
            else:
                label, value = names[label], names[value]
            lines.append((number, role, row["id"], label, value, correct, probability))
    return pd.DataFrame(lines, columns=columns)


def confusion_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return how often test rows of each label are predicted as which.

    Columns: `round`, `label`, `value`, `rows`, `share` of the label.
    """
    chosen = predictions[predictions["role"] == TEST]
    counts = chosen.groupby(["round", "label", "value"], sort=True).size().rename("rows").reset_index()
    totals = counts.groupby(["round", "label"])["rows"].transform("sum")
    return counts.assign(share=counts["rows"] / totals)


def moves_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the gold rows whose prediction became right or wrong: `round`, `role`, `id`, `label`, `move`.

    `move` is `fixed` or `broken`, against the round before.
    """
    ordered = predictions.sort_values(["role", "id", "round"])
    before = ordered.groupby(["role", "id"])["right"].shift()
    changed = ordered[before.notna() & (before != ordered["right"])]
    moved = changed["right"].map({True: "fixed", False: "broken"})
    return changed.assign(move=moved)[["round", "role", "id", "label", "move"]].reset_index(drop=True)


def round_sentences(rounds: pd.DataFrame, predictions: pd.DataFrame) -> list[str]:
    """Return a sentence on each scored round: what was added, and what that did on test rows.

    A difference from the round before comes with its 95 % interval: rows that were fixed less rows that were broken,
    as a share of the test rows, by the normal approximation. Whether it is better or worse is told by McNemar's exact
    test at 5 %.

    Args:
        rounds: see `rounds_table`.
        predictions: see `predictions_table`.
    """
    from scipy.stats import binomtest

    test = predictions[predictions["role"] == TEST].pivot_table(index="id", columns="round", values="right")
    made = rounds.set_index("round")
    sentences: list[str] = []
    for number in test.columns:
        right, rows = test[number], f"{len(test):,} test rows"
        added = f"{made['added'][number]:,} rows"
        if number - 1 not in test:
            sentences.append(f"Round {number}: {added}; its student is right on {100 * right.mean():.1f} % of {rows}.")
            continue
        change = right - test[number - 1]
        mean, error = 100 * change.mean(), 100 * change.std(ddof=0) / math.sqrt(len(change))
        low, high = mean - 1.96 * error, mean + 1.96 * error
        fixed, broken = int((change > 0).sum()), int((change < 0).sum())
        told = fixed + broken > 0 and binomtest(fixed, fixed + broken).pvalue < LEVEL
        found = ("better" if mean > 0 else "worse") if told else "no difference that can be measured"
        mistakes = made["mistakes"][number - 1]
        sentences.append(
            f"Round {number}: {added} after {mistakes:,.0f} mistakes on mined gold rows. Of {rows} its student fixes "
            f"{fixed:,} and breaks {broken:,}: {mean:+.1f} points "
            f"({low:+.1f} to {high:+.1f}), {found}."
        )
    return sentences
