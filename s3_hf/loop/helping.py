"""Which synthetic rows help the student most: ProGen's feedback, kept in the round's folder that it is for."""

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

    from s3_hf.influence import Encoded

HELD_OUT, ENOUGH = 1_000, 2_000
"""Synthetic validation rows, and how many rows there must be for so many; of fewer rows it is a tenth."""


def helpful(run: RunDir, task: Task, number: int) -> dict[int, list[str]]:
    """Return for each label the ids of the rows that round `number` may show; scored once, then read.

    They are the rows that help the student of the round before most on synthetic validation rows, or all but the
    latter where there are only `influence_from` rows.

    Raises:
        StudentError: the student cannot be scored with.
    """
    proof = run.round(number).helpful
    if not proof.exists():
        rows = run.union(number - 1)
        held_out = _held_out(run, number)
        kept = [place for place in range(len(rows)) if place not in held_out]
        train, validation = rows.select(kept), rows.select(sorted(held_out))
        settings = run.config.synthesis.progen
        scored = len(train) > settings.influence_from
        found = _most_helpful(run, task, number, (train, validation)) if scored else _by_label(train, task)
        # written once, so that another processor's rounding cannot change prompts that were paid for
        write_json(proof, {task.label_names[label]: list(names) for label, names in found.items()})
    return {task.label_names.index(name): names for name, names in read_json(proof).items()}


def _held_out(run: RunDir, number: int) -> set[int]:
    """Places of the synthetic validation rows; once there are enough rows, the same ones in all rounds."""
    sizes = list(accumulate(len(run.round(earlier).rows()) for earlier in range(number)))
    size = next((size for size in sizes if size >= ENOUGH), sizes[-1])
    draw = random.Random(f"{run.config.seed}/validation")
    return set(draw.sample(range(size), HELD_OUT if size >= ENOUGH else max(1, size // 10)))


def _by_label(rows: Dataset, task: Task) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = defaultdict(list)
    for label, name in zip(rows[task.columns.label][:], rows["s3_id"][:], strict=True):
        found[label].append(name)
    return {label: tuple(names) for label, names in found.items()}


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
    train, validation = (_encoded(part, task, model, tokenizer) for part in (rows, parts[1]))

    def scored(at_once: int) -> Tensor:
        if settings.influence == "full":
            return full_influence(model, train, validation, Recursion(seed=config.seed), at_once)
        return last_layer_influence(model, train, validation, at_once=at_once)

    scores = with_smaller_batches(scored, AT_ONCE)
    return helpful_rows(scores.tolist(), rows[columns.label][:], rows["s3_id"][:], settings.pool)


def _encoded(rows: Dataset, task: Task, model: Module, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    import torch

    from s3_hf.influence import Encoded
    from s3_hf.training import head_of

    inputs = head_of(model, tokenizer, task.columns).encode(rows, targets=False).inputs
    names = [name for name in inputs.column_names if name != "length"]
    padded = tokenizer.pad({name: inputs[name][:] for name in names}, return_tensors="pt")
    return Encoded(dict(padded), torch.tensor(rows[task.columns.label][:]))
