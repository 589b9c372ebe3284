"""Asking several things at once without losing an answer that is paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def all_of(asked: Iterable[Awaitable[T]]) -> list[T]:
    """Return all results in order; the first error is raised when nothing is under way any more."""
    found: list[T] = []
    for outcome in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        found.append(outcome)
    return found
