"""Asking several things at once without losing an answer that is paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from s3_hf.errors import RequestError
from s3_hf.records import Completion

T = TypeVar("T")


async def all_of(asked: Iterable[Awaitable[T]]) -> list[T]:
    """Return all results in order; the first error is raised when nothing is under way any more."""
    found: list[T] = []
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        found.append(outcome)
    return found


async def answers_of(asked: Iterable[Awaitable[Completion]], *, needed: bool) -> list[Completion]:
    """Return the answers in order, without those that the endpoint refuses.

    Raises:
        RequestError: one is `needed`, and all are refused.
        S3Error: nothing more can be asked; raised when nothing is under way any more.
    """
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in errors:
        if not isinstance(error, RequestError) or (needed and len(errors) == len(outcomes)):
            raise error
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
