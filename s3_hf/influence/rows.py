"""Parts of both forms of the score: rows as tensors, the reverse cross-entropy, and which rows to score and keep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s3_hf.errors import StudentError

AT_ONCE = 64
"""Rows on the device at once in passes over all rows; bounds the memory."""


@dataclass(frozen=True)
class TensorRows:
    """Tokenized rows with their labels.

    Attributes:
        inputs: keyword arguments of the model; the first dimension of each tensor is the row.
        labels: label ids, of shape (rows,).
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, places: Tensor, device: torch.device) -> TensorRows:
        """Return the rows at `places` on `device`, without columns that are padding in all of them."""
        inputs = {name: column[places] for name, column in self.inputs.items()}
        mask = inputs.get("attention_mask")
        if mask is not None:
            longest = int(mask.any(dim=0).nonzero().max()) + 1
            inputs = {name: column[:, :longest] for name, column in inputs.items()}
        moved = {name: column.to(device) for name, column in inputs.items()}
        return TensorRows(moved, self.labels[places].to(device))

    def batches(self, device: torch.device, size: int) -> Iterator[TensorRows]:
        """Yield all rows in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.select(torch.arange(start, min(start + size, len(self))), device)

    def random_batches(self, size: int, device: torch.device, seed: int) -> Iterator[TensorRows]:
        """Yield batches without end, each pass over the rows in another random order."""
        source = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(self), generator=source)
            for start in range(0, len(self), size):
                yield self.select(order[start : start + size], device)


def reverse_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return `-sum_k p_k log t_k` for each row, p the softmax of its logits and t that of its one-hot label.

    With K classes `log t_k` is `1 - c` for the label and `-c` for the others, `c = log(e + K - 1)`, so the sum is
    `c - p_label`. ProGen's code has the case K = 2.

    Args:
        logits: of shape (rows, K).
        labels: label ids, of shape (rows,).
    """
    label_probabilities = logits.softmax(dim=-1).gather(-1, labels[:, None]).squeeze(-1)
    return math.log(math.e + logits.shape[-1] - 1) - label_probabilities


def scored_rows(rows: int, largest: int, seed: int = 0) -> list[int]:
    """Return the places of the rows to score, ascending: all, or a random sample if there are more than `largest`."""
    if rows <= largest:
        return list(range(rows))
    chosen = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))[:largest]
    return [int(place) for place in chosen.sort().values]


def helpful_rows(
    scores: Sequence[float], labels: Sequence[int], ids: Sequence[str], pool: int
) -> dict[int, tuple[str, ...]]:
    """Return for each label the ids of its most helpful rows, at most `pool`, the most helpful first.

    These are the rows of the lowest influence below 0; a label may have none. Ties are in the order of ids.
    """
    helpful: dict[int, list[tuple[float, str]]] = {label: [] for label in sorted(set(labels))}
    for score, label, row_id in zip(scores, labels, ids, strict=True):
        if score < 0:
            helpful[label].append((float(score), row_id))
    return {label: tuple(row_id for _, row_id in sorted(rows)[:pool]) for label, rows in helpful.items()}


def finite(scores: Tensor) -> Tensor:
    """Return the scores if all are finite.

    Raises:
        StudentError: a score is infinite or not a number.
    """
    if not bool(scores.isfinite().all()):
        raise StudentError("influence scores must be finite, found some that are not; use a lower learning rate")
    return scores
