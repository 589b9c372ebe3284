"""What both forms of the score work on: encoded rows, the loss to help with, which rows to score and to keep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s3_hf.errors import StudentError

AT_ONCE = 64
"""Rows in a pass that needs no batches of its own: bounds the memory."""


@dataclass(frozen=True)
class Encoded:
    """Rows as the student reads them: the model's arguments by name and the label ids, a row in each first place."""

    inputs: Mapping[str, Tensor]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, places: Tensor, device: torch.device) -> Encoded:
        """Return some rows on `device`, without the columns that are padding in all of them."""
        inputs = {name: column[places] for name, column in self.inputs.items()}
        mask = inputs.get("attention_mask")
        if mask is not None:
            longest = int(mask.any(dim=0).nonzero().max()) + 1
            inputs = {name: column[:, :longest] for name, column in inputs.items()}
        moved = {name: column.to(device) for name, column in inputs.items()}
        return Encoded(moved, self.labels[places].to(device))

    def in_order(self, device: torch.device, at_once: int) -> Iterator[Encoded]:
        """Yield all rows, so many at once."""
        for start in range(0, len(self), at_once):
            yield self.at(torch.arange(start, min(start + at_once, len(self))), device)

    def shuffled(self, size: int, device: torch.device, seed: int) -> Iterator[Encoded]:
        """Yield random batches without end, each pass over the rows in another order."""
        source = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(self), generator=source)
            for start in range(0, len(self), size):
                yield self.at(order[start : start + size], device)


def reverse_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each row `-sum_k p_k log t_k`, p the softmax of its logits and t that of its one-hot label.

    With K classes `log t` is `1 - c` for the label and `-c` for the others, `c = log(e + K - 1)`, so the sum is
    `c - p_label`; ProGen's code is the case K = 2.
    """
    chances = logits.softmax(dim=-1).gather(-1, labels[:, None]).squeeze(-1)
    return math.log(math.e + logits.shape[-1] - 1) - chances


def scored_rows(rows: int, largest: int, seed: int = 0) -> list[int]:
    """Return the places of the rows to score, ascending: all, or a seeded random subset of `largest`."""
    if rows <= largest:
        return list(range(rows))
    chosen = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))[:largest]
    return [int(place) for place in chosen.sort().values]


def helpful_rows(
    scores: Sequence[float], labels: Sequence[int], ids: Sequence[str], pool: int
) -> dict[int, tuple[str, ...]]:
    """Return for each label the ids of its `pool` rows of lowest influence, if below 0, the most helpful first.

    A label with no helpful row has an empty tuple; rows of one score are in the order of their ids.
    """
    found: dict[int, list[tuple[float, str]]] = {label: [] for label in sorted(set(labels))}
    for score, label, name in zip(scores, labels, ids, strict=True):
        if score < 0:
            found[label].append((float(score), name))
    return {label: tuple(name for _, name in sorted(rows)[:pool]) for label, rows in found.items()}


def finite(scores: Tensor) -> Tensor:
    """Return the scores.

    Raises:
        StudentError: one is not a number, or infinite.
    """
    if not bool(scores.isfinite().all()):
        raise StudentError("influence scores must be finite, found some that are not; use a lower learning rate")
    return scores
