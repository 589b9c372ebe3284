"""Dividing rows into two parts that look alike and share no context and no text."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from s3_hf.errors import TaskError
from s3_hf.texts import digest_of, normalise

if TYPE_CHECKING:
    from datasets import Dataset

TOTAL = object()
"""Stands for all rows among the labels, so that the size of the parts is weighed like the labels are."""


def divided(
    rows: Dataset, share: float, *, label: str | None, group: str | None, seed: int, text: str | None = None
) -> tuple[Dataset, Dataset]:
    """Return the rest and a part of `share` of the rows, each in the order of `rows`.

    Args:
        rows: what is divided.
        share: of the rows that go into the part, between 0 and 1; met as nearly as labels and groups let it.
        label: column whose values both sides have in like proportions.
        group: column (the context) of which no value, once normalised, is on both sides.
        seed: other seeds give other parts.
        text: column whose equal values stay on one side too, where this leaves anything to divide.

    Raises:
        TaskError: all rows belong together.
    """
    labels = rows[label][:] if label else [None] * len(rows)
    keys = [[same(value) for value in rows[name][:]] for name in (group, text) if name]
    part = chosen(labels, keys, share, seed)
    rest = [number for number in range(len(rows)) if number not in part]
    return rows.select(rest), rows.select(sorted(part))


def same(text: str) -> int:
    """What texts that count as the same have in common; a text without letters is only like itself."""
    return digest_of(text) if normalise(text) else hash(("plain", text.strip()))


def shared_rows(rows: Iterable[str], others: Iterable[str]) -> int:
    """How many of the other rows are among the rows, whatever their labels; rows are their `texts.row_text`."""
    return sum(map(set(map(same, rows)).__contains__, map(same, others)))


def chosen(labels: Sequence[Hashable], keys: Sequence[Sequence[Hashable]], share: float, seed: int) -> set[int]:
    """Return the numbers of the rows that make up the part.

    Large groups are placed first, each where it brings the label counts of both sides nearer to their targets. Every
    label that is in two groups is on both sides, and a label with a single row is in the rest.

    Args:
        labels: of each row.
        keys: for each thing that rows may have in common its value in each row, the most binding first; the last
            one is given up where rows chained by it leave less than what the smaller side needs.
        share: of the rows that make up the part.
        seed: of the order in which groups of one size are placed.
    """
    groups = _groups(len(labels), keys)
    if len(keys) > 1 and max(map(len, groups), default=0) > min(share, 1 - share) * len(labels):
        groups = _groups(len(labels), keys[:-1])
    if len(groups) < 2:
        raise TaskError(
            f"data to be divided must have at least two different texts or contexts, found {len(groups)} in "
            f"{len(labels)} rows; give more data, or data with splits for validation and test"
        )
    random.Random(seed).shuffle(groups)
    groups.sort(key=len, reverse=True)
    sides = _Sides([Counter([TOTAL, labels[row]]) for row in range(len(labels))], share)
    for group in groups:
        sides.place(group)
    sides.complete()
    return {row for group in sides.groups[1] for row in group}


class _Sides:
    """The rest (0) and the part (1) while they are filled."""

    def __init__(self, counts: Sequence[Counter[Hashable]], share: float) -> None:
        self._of = counts
        self._all = _sum(counts)
        part = {name: min(max(share * n, 1), n - 1) if n > 1 else 0 for name, n in self._all.items()}
        self._targets = ({name: n - part[name] for name, n in self._all.items()}, part)
        self._counts: tuple[Counter[Hashable], Counter[Hashable]] = (Counter(), Counter())
        self.groups: tuple[list[list[int]], list[list[int]]] = ([], [])

    def place(self, group: list[int]) -> None:
        """Add the group to the side that gains more by it."""
        counts = _sum(self._of[row] for row in group)
        side = int(self._gain(1, counts) > self._gain(0, counts))
        self.groups[side].append(group)
        self._counts[side].update(counts)

    def complete(self) -> None:
        """Move the smallest group that can be spared to a side that lacks one of its labels."""
        for name, count in sorted(self._all.items(), key=lambda item: item[1]):
            for side in (0, 1):
                if self._counts[side][name] == 0 and count > 1:
                    self._move(name, 1 - side)

    def _move(self, name: Hashable, side: int) -> None:
        for group in sorted(self.groups[side], key=len):
            counts = _sum(self._of[row] for row in group)
            if counts[name] and all(self._counts[side][other] > n for other, n in counts.items()):
                self.groups[side].remove(group)
                self.groups[1 - side].append(group)
                self._counts[side].subtract(counts)
                self._counts[1 - side].update(counts)
                return

    def _gain(self, side: int, added: Counter[Hashable]) -> float:
        """By how much the squared relative distance to the targets falls."""
        have, targets = self._counts[side], self._targets[side]
        return sum(
            ((have[name] - targets[name]) ** 2 - (have[name] + n - targets[name]) ** 2) / max(targets[name], 1) ** 2
            for name, n in added.items()
        )


def _sum(counts: Iterable[Counter[Hashable]]) -> Counter[Hashable]:
    total: Counter[Hashable] = Counter()
    for each in counts:
        total.update(each)
    return total


def _groups(size: int, keys: Sequence[Sequence[Hashable]]) -> list[list[int]]:
    """Rows that are linked by an equal value, directly or through others, in the order of their first rows."""
    parents = list(range(size))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for values in keys:
        first: dict[Hashable, int] = {}
        for row, value in enumerate(values):
            one, other = sorted((root(first.setdefault(value, row)), root(row)))
            parents[other] = one
    groups: dict[int, list[int]] = {}
    for row in range(size):
        groups.setdefault(root(row), []).append(row)
    return list(groups.values())
