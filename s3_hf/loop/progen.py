"""ProGen's feedback: the synthetic rows that help the student most, stored with the round that shows them."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

from s3_hf.files import read_json, write_json
from s3_hf.store import RunDir
from s3_hf.task import Task

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedTokenizerBase

    from s3_hf.influence import TensorRows

VALIDATION_ROWS = 1_000
"""Synthetic validation rows, on which rows are scored; a tenth of the rows where there are fewer than `FULL_SIZE`."""
FULL_SIZE = 2_000


def rows_to_show(run: RunDir, task: Task, number: int) -> dict[int, list[str]]:
    """Return for each label id the ids of the rows that prompts of round `number` may show.

    These are the rows that help the student of the round before most on synthetic validation rows; with no more than
    `influence_from` rows they are all rows but the validation rows. They are chosen once and stored in
    `RoundDir.helpful`, so that a resumed run composes the prompts that are already paid for.

    Raises:
        StudentError: the student's scores cannot be computed.
    """
    stored = run.round(number).helpful
    if not stored.exists():
        rows = run.union(number - 1)
        held_out = _validation_places(run, number)
        kept = [place for place in range(len(rows)) if place not in held_out]
        train, validation = rows.select(kept), rows.select(sorted(held_out))
        scored = len(train) > run.config.synthesis.progen.influence_from
        chosen = _most_helpful(run, task, number, (train, validation)) if scored else _by_label(train, task)
        write_json(stored, {task.label_names[label]: list(ids) for label, ids in chosen.items()})
    return {task.label_names.index(name): ids for name, ids in read_json(stored).items()}


def _validation_places(run: RunDir, number: int) -> set[int]:
    """Return the places of the synthetic validation rows, which stay the same from `FULL_SIZE` rows on."""
    sizes = list(accumulate(len(run.round(earlier).rows()) for earlier in range(number)))
    size = next((size for size in sizes if size >= FULL_SIZE), sizes[-1])
    draw = random.Random(f"{run.config.seed}/validation")
    return set(draw.sample(range(size), VALIDATION_ROWS if size >= FULL_SIZE else max(1, size // 10)))


def _by_label(rows: Dataset, task: Task) -> dict[int, tuple[str, ...]]:
    ids: dict[int, list[str]] = defaultdict(list)
    for label, row_id in zip(rows[task.columns.label][:], rows["s3_id"][:], strict=True):
        ids[label].append(row_id)
    return {label: tuple(of_label) for label, of_label in ids.items()}


def _most_helpful(run: RunDir, task: Task, number: int, parts: tuple[Dataset, Dataset]) -> dict[int, tuple[str, ...]]:
    import torch

    from s3_hf.influence import (
        AT_ONCE,
        Recursion,
        full_influence,
        helpful_rows,
        last_layer_influence,
        scored_rows,
    )
    from s3_hf.training import load_student, with_smaller_batches

    config, columns = run.config, task.columns
    settings = config.synthesis.progen
    model, tokenizer = load_student(str(run.round(number - 1).model), columns)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    rows = parts[0].select(scored_rows(len(parts[0]), settings.scored, config.seed))
    train, validation = (_tensor_rows(part, task, model, tokenizer) for part in (rows, parts[1]))

    def influence(at_once: int) -> Tensor:
        if settings.influence == "full":
            return full_influence(model, train, validation, Recursion(seed=config.seed), at_once)
        return last_layer_influence(model, train, validation, at_once=at_once)

    scores = with_smaller_batches(influence, AT_ONCE)
    return helpful_rows(scores.tolist(), rows[columns.label][:], rows["s3_id"][:], settings.pool)


def _tensor_rows(rows: Dataset, task: Task, model: Module, tokenizer: PreTrainedTokenizerBase) -> TensorRows:
    import torch

    from s3_hf.influence import TensorRows
    from s3_hf.training import head_of

    inputs = head_of(model, tokenizer, task.columns).encode(rows, targets=False).inputs
    names = [name for name in inputs.column_names if name != "length"]
    padded = tokenizer.pad({name: inputs[name][:] for name in names}, return_tensors="pt")
    return TensorRows(dict(padded), torch.tensor(rows[task.columns.label][:]))
