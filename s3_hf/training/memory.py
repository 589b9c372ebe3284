"""Batches that do not fit the memory of the GPU: computed in parts, or reported in one sentence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import release_memory

from s3_hf.errors import StudentError, one_line

T = TypeVar("T")

logger = logging.getLogger(__name__)


def with_smaller_batches(run: Callable[[int], T], batch_size: int) -> T:
    """Call `run` with `batch_size`, then with ever smaller divisors until the rows fit the memory; return its result.

    Raises:
        StudentError: one row does not fit, or there are other processes, which would keep the old size.
    """
    batch, random_state = batch_size, torch.get_rng_state()
    while True:
        try:
            return run(batch)
        except torch.OutOfMemoryError as error:
            if batch == 1 or PartialState().num_processes > 1:
                raise out_of_memory(error, batch) from error
        batch = max(part for part in range(1, batch) if batch_size % part == 0)
        logger.warning("the GPU has too little memory: going on with %d rows at once", batch)
        torch.set_rng_state(random_state)  # so that the order of rows stays the same
        release_memory()  # outside of `except`, whose traceback holds the tensors


def out_of_memory(error: torch.OutOfMemoryError, batch: int) -> StudentError:
    """Return the error for a batch of this many rows that does not fit."""
    detail = one_line(error)
    return StudentError(
        f"batches must fit the memory of the GPU, found that {batch} rows do not ({detail}); lower "
        "training.max_length or training.batch_size, or take a smaller student"
    )
