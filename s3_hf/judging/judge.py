"""Students of the gold rows as judges: is a row's label, or its answer, right?

Each student is trained on all folds of the gold rows but one. A row that was written like a gold row, or about its
context, is judged by the one student that did not train on that gold row; another row whose prompt showed gold rows,
by those students that trained on the fewest of them; all other rows by the mean of all students.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from s3_hf.judging.calibrating import DIGITS
from s3_hf.records import Judgement

Row = Mapping[str, Any]
Judged = Callable[[Sequence[Row]], Sequence[Sequence[float]]]
"""Returns for each row a student's probability of each label, or in a task with answers one number: the F1 score of
the student's answer with that of the row."""
Action = Literal["drop", "relabel", "weight"]

RIGHT = 0.5
"""Least probability of a right label among two, and least F1 score of a right answer."""
LIGHTEST = 0.05
"""Least weight of a row in training."""


@dataclass(frozen=True)
class GoldJudge:
    """Cross-fitted students of the gold rows.

    Attributes:
        students: the student of each fold, which was trained on the other folds.
        folds: the fold of each gold row, by its `s3_id`.
        label: column of the label; None in a task with answers.
        action: what is done about a label that is judged wrong.
    """

    students: tuple[Judged, ...]
    folds: Mapping[str, int]
    label: str | None
    action: Action = "drop"

    def judge(
        self, rows: Sequence[Row], parents: Sequence[str | None], shown: Sequence[Sequence[str]] = ()
    ) -> list[Judgement]:
        """Return a judgement of each row; arguments are those of `values`."""
        values = self.values(rows, parents, shown)
        return [self.judgement(row, each) for row, each in zip(rows, values, strict=True)]

    def judgement(self, row: Row, values: np.ndarray) -> Judgement:
        """Return the judgement of a row from the probability of each label, or the F1 score of its answer."""
        if self.label is None:
            p = float(values[0])
            return Judgement(p, None, accepted=self.action != "drop" or p >= RIGHT)
        label, best = int(row[self.label]), int(values.argmax())
        right = bool(values[label] >= values[best])
        if self.action == "relabel":
            label = label if right else best
        return Judgement(float(values[label]), label, accepted=right or self.action != "drop")

    def values(
        self, rows: Sequence[Row], parents: Sequence[str | None], shown: Sequence[Sequence[str]] = ()
    ) -> list[np.ndarray]:
        """Return for each row the probability of each label, or the F1 score of its answer.

        Args:
            rows: rows with the columns of the gold dataset.
            parents: for each row the `s3_id` of the gold row that it was written like or about, if any.
            shown: for each row the `s3_id` of other gold rows in its prompt; empty if there are none for any row.
        """
        found: list[list[Sequence[float]]] = [[] for _ in rows]
        judges = [self._judges(*each) for each in zip(parents, shown or [()] * len(rows), strict=True)]
        for fold, student in enumerate(self.students):
            judged = [place for place, chosen in enumerate(judges) if fold in chosen]
            if judged:
                for place, values in zip(judged, student([rows[place] for place in judged]), strict=True):
                    found[place].append(values)
        return [np.round(np.asarray(values, dtype=float).mean(axis=0), DIGITS) for values in found]

    def _judges(self, parent: str | None, shown: Sequence[str]) -> list[int]:
        """Return the folds whose students judge a row."""
        if parent is not None and parent in self.folds:
            return [self.folds[parent]]
        unseen = Counter(self.folds[name] for name in shown if name in self.folds)
        most = max(unseen.values(), default=0)
        return [fold for fold in range(len(self.students)) if unseen[fold] == most]


def applied(
    rows: Sequence[Row], judgements: Sequence[Judgement], label: str | None, action: Action
) -> tuple[list[Row], list[float] | None]:
    """Return the rows that an action leaves, with their labels, and with `weight` their weights in training."""
    pairs = [(row, each) for row, each in zip(rows, judgements, strict=True) if each.accepted]
    kept = [{**row, label: each.label} if label else row for row, each in pairs]
    return kept, [loss_weight(each.p) for _, each in pairs] if action == "weight" else None


def loss_weight(p: float | None) -> float:
    """Return the weight in training of a row whose label is right with probability `p`; None was not judged."""
    return 1.0 if p is None else min(1.0, max(LIGHTEST, p))
