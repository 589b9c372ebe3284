"""Divide rows into two parts with equal proportions of labels and without shared contexts or texts."""

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
"""Counted for every row beside its label, so that the sizes of the parts are balanced like the labels."""


def divide(
    rows: Dataset, share: float, *, label: str | None, group: str | None, seed: int, text: str | None = None
) -> tuple[Dataset, Dataset]:
    """Return the rest of the rows and a part with `share` of them, each in the order of `rows`.

    Args:
        rows: the rows to divide.
        share: size of the part, as a share of the rows between 0 and 1; approximate, since groups are kept whole.
        label: column whose values have the same proportions on both sides.
        group: column (the context) whose values, once normalised, are each on one side only.
        seed: seed of the random choice.
        text: column whose equal values are kept on one side as well, unless too little would be left to divide.

    Raises:
        TaskError: the rows make up a single group.
    """
    labels = rows[label][:] if label else [None] * len(rows)
    keys = [[text_key(value) for value in rows[name][:]] for name in (group, text) if name]
    part = choose_part(labels, keys, share, seed)
    rest = [number for number in range(len(rows)) if number not in part]
    return rows.select(rest), rows.select(sorted(part))


def text_key(text: str) -> int:
    """Return a key that is equal for texts that count as the same; one without letters equals only itself."""
    return digest_of(text) if normalise(text) else hash(("plain", text.strip()))


def count_shared(rows: Iterable[str], others: Iterable[str]) -> int:
    """Return how many of `others` are also among `rows`; both hold the `texts.row_text` of each row."""
    return sum(map(set(map(text_key, rows)).__contains__, map(text_key, others)))


def choose_part(labels: Sequence[Hashable], keys: Sequence[Sequence[Hashable]], share: float, seed: int) -> set[int]:
    """Return the numbers of the rows that make up the part.

    Rows with an equal key form a group, which is never divided. Groups are placed from large to small, each on the
    side where it brings the label counts of both sides nearer to their targets. A label that occurs in two groups is
    on both sides; a label with a single row is in the rest.

    Args:
        labels: the label of each row.
        keys: lists with a key for each row, the most important list first; the last list is ignored if it links so
            many rows that the smaller side cannot be filled.
        share: size of the part, as a share of the rows.
        seed: seed of the order in which groups of equal size are placed.

    Raises:
        TaskError: the rows make up a single group.
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
    """The rest (side 0) and the part (side 1) while groups are placed on them."""

    def __init__(self, counts: Sequence[Counter[Hashable]], share: float) -> None:
        self._row_counts = counts
        self._all = _sum(counts)
        part = {name: min(max(share * n, 1), n - 1) if n > 1 else 0 for name, n in self._all.items()}
        self._targets = ({name: n - part[name] for name, n in self._all.items()}, part)
        self._counts: tuple[Counter[Hashable], Counter[Hashable]] = (Counter(), Counter())
        self.groups: tuple[list[list[int]], list[list[int]]] = ([], [])

    def place(self, group: list[int]) -> None:
        """Add the group to the side whose label counts improve more."""
        counts = _sum(self._row_counts[row] for row in group)
        side = int(self._gain(1, counts) > self._gain(0, counts))
        self.groups[side].append(group)
        self._counts[side].update(counts)

    def complete(self) -> None:
        """For each label that a side lacks, move the smallest group with it that the other side can spare."""
        for name, count in sorted(self._all.items(), key=lambda item: item[1]):
            for side in (0, 1):
                if self._counts[side][name] == 0 and count > 1:
                    self._move(name, 1 - side)

    def _move(self, name: Hashable, side: int) -> None:
        for group in sorted(self.groups[side], key=len):
            counts = _sum(self._row_counts[row] for row in group)
            if counts[name] and all(self._counts[side][other] > n for other, n in counts.items()):
                self.groups[side].remove(group)
                self.groups[1 - side].append(group)
                self._counts[side].subtract(counts)
                self._counts[1 - side].update(counts)
                return

    def _gain(self, side: int, added: Counter[Hashable]) -> float:
        """Return by how much the squared relative distance to the targets falls."""
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
    """Return the groups of rows linked by equal keys, directly or through others, in the order of their first rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes: dict[tuple[int, Hashable], int] = {}  # a node for each key, numbered after those of the rows
    links = [
        (row, size + nodes.setdefault((number, value), len(nodes)))
        for number, values in enumerate(keys)
        for row, value in enumerate(values)
    ]
    ends = tuple(zip(*links, strict=True)) or ((), ())
    graph = coo_array(([True] * len(links), ends), shape=(size + len(nodes),) * 2)
    groups: dict[int, list[int]] = {}
    for row, component in enumerate(connected_components(graph, directed=False)[1][:size]):
        groups.setdefault(component, []).append(row)
    return list(groups.values())
