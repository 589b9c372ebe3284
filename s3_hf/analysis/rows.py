"""Tables of rows: the synthetic rows of a run, the mistakes, and what was written for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rapidfuzz import fuzz

from s3_hf.errors import S3Error
from s3_hf.records import Columns
from s3_hf.store import MINED, SELECTION, TEST, RunDir
from s3_hf.task import Task, task_of
from s3_hf.texts import normalise

if TYPE_CHECKING:
    import pandas as pd


GOLD_COLUMNS = ("role", "id", "text", "context", "words", "label")


def task_with_gold(run: RunDir) -> Task | S3Error:
    """Return the run's task with its gold rows, or the error for which they cannot be read."""
    try:
        task = task_of(run.located)
        len(task.mined), len(task.test)
    except S3Error as error:
        return error
    return task


def gold_table(task: Task) -> pd.DataFrame:
    """Return the gold rows: `role`, `id`, `text`, `context` (empty without one), `words` of the text, and `label`.

    `label` is a name, or the first answer.
    """
    import pandas as pd

    columns, lines = task.columns, []
    roles = {MINED: task.mined, TEST: task.test}
    if task.gold_options.holdout:
        roles[SELECTION] = task.selection
    for role, rows in roles.items():
        for row in rows:
            context = row[columns.context] if columns.context else ""
            text, target = row[columns.text], _target(row, columns, task.label_names)
            lines.append((role, row["s3_id"], text, context, len(text.split()), target))
    return pd.DataFrame(lines, columns=list(GOLD_COLUMNS))


def rows_table(run: RunDir) -> pd.DataFrame:
    """Return the synthetic rows of all complete rounds.

    Columns: `id`, `round`, `origin`, `parent` (id of a gold row, or empty), `label` (name, or answer), `text`,
    `context`, `words` of the text, `rationales` (joined), `p` (the judge's probability of the label, NaN where it
    was not judged).
    """
    import pandas as pd

    facts = run.facts["task"] or {}
    names, columns = list(facts.get("labels", {})), Columns(**facts["columns"])
    lines = []
    for folder in run.rounds():
        for row in folder.rows():
            text = row[columns.text]
            lines.append(
                {
                    "id": row["s3_id"],
                    "round": folder.number,
                    "origin": row["s3_origin"],
                    "parent": row["s3_parent"] or "",
                    "label": _target(row, columns, names),
                    "text": text,
                    "context": row[columns.context] if columns.context else "",
                    "words": len(text.split()),
                    "rationales": ", ".join(row["s3_rationales"] or ()),
                    "p": row.get("s3_label_p"),
                }
            )
    frame = pd.DataFrame(lines)
    return frame.assign(p=frame["p"].astype("float64")) if len(frame) else frame


def mistakes_table(predictions: pd.DataFrame, rows: pd.DataFrame, gold: pd.DataFrame) -> pd.DataFrame:
    """Return the mistakes of each round on the mined rows, and what was written for them (Algorithm 2).

    Args:
        predictions: see `rounds.predictions_table`.
        rows: see `rows_table`.
        gold: see `gold_table`.

    Returns:
        Columns: `round`, `id`, `text`, `context`, `label`, `value` (what the student predicted), `probability` of it,
        `fixed` (whether the student of the next round is right; None in the last round), and `written`, a list of
        the rows of the next round that extrapolate the mistake: `id`, `text`, `likeness` to the mistake (rapidfuzz
        ratio of the normalised texts, 0 to 100), `p`.
    """
    import pandas as pd

    wrong = predictions[(predictions["role"] == MINED) & ~predictions["right"].astype(bool)]
    texts = gold[gold["role"] == MINED].drop_duplicates("id").set_index("id")
    later = predictions[predictions["role"] == MINED].set_index(["round", "id"])["right"].to_dict()
    children: dict[tuple[int, str], list[Any]] = {}
    for row in rows[rows["origin"] == "error"].itertuples():
        children.setdefault((row.round, row.parent), []).append(row)
    lines = []
    for each in wrong.itertuples():
        source = texts.loc[each.id] if each.id in texts.index else None
        text = "" if source is None else source["text"]
        written = [
            {"id": row.id, "text": row.text, "likeness": likeness(row.text, text) if text else None, "p": row.p}
            for row in children.get((each.round + 1, each.id), ())
        ]
        lines.append(
            {
                "round": each.round,
                "id": each.id,
                "text": text,
                "context": "" if source is None else source["context"],
                "label": each.label,
                "value": each.value,
                "probability": each.probability,
                "fixed": later.get((each.round + 1, each.id)),
                "written": written,
            }
        )
    names = ["round", "id", "text", "context", "label", "value", "probability", "fixed", "written"]
    return pd.DataFrame(lines, columns=names)


def likeness(one: str, other: str) -> float:
    """Return rapidfuzz's ratio of two normalised texts, from 0 to 100; 90 and more counts as a copy."""
    return float(fuzz.ratio(normalise(one), normalise(other)))


def _target(row: Mapping[str, Any], columns: Columns, names: Sequence[str]) -> str:
    if columns.label:
        return str(names[row[columns.label]])
    if columns.answers and row[columns.answers]["text"]:
        return str(row[columns.answers]["text"][0])
    return ""
