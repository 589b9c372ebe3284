"""Requests sent to the LLM and counted, one or several at once; no answer that is paid for is lost."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from s3_hf.errors import RequestError
from s3_hf.records import Completion, Request, Usage

logger = logging.getLogger(__name__)

T = TypeVar("T")
Generate = Callable[[Request], Awaitable[Completion]]
"""Sends one request to the LLM and returns its answer; usually `Client.generate`."""
KINDS = 10
"""Most kinds of refusals that are logged one by one."""
EXAMPLES, LONGEST_EXAMPLE = 5, 600
"""Answers that are kept for each reason of rejection, and their characters."""


@dataclass
class Tally:
    """Counts of one round.

    Attributes:
        asking: what the LLM is asked for before the slots are filled, such as `rationales`; empty while they are.
        accepted: slots that became examples.
        waiting: texts that passed the checks and wait for earlier slots; a few may turn out to be duplicates.
        given_up: slots that became none after all their attempts.
        rejected: answers that became no example, and requests that the endpoint refused, by reason.
        examples: a few answers that were rejected for each reason, the same in any order of arrival.
        refusals: messages of refused requests, numbers in them left out, and how often each came.
        usage: requests, tokens and cost of all answers, those that the journal already held included.
    """

    asking: str = ""
    accepted: int = 0
    waiting: int = 0
    given_up: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)

    @contextlib.contextmanager
    def asking_for(self, what: str) -> Iterator[None]:
        """Set `asking` to `what` for the time of the block."""
        self.asking = what
        try:
            yield
        finally:
            self.asking = ""

    def reject(self, reason: str, answer: str) -> None:
        """Count an answer as rejected for a reason, and keep it if its digest is one of the smallest."""
        self.rejected[reason] += 1
        texts = {*self.examples.get(reason, ()), answer[:LONGEST_EXAMPLE]}
        self.examples[reason] = sorted(texts, key=_digest)[:EXAMPLES]

    def refused(self, error: RequestError) -> None:
        """Count a refused request; the first one of its kind is logged."""
        kind = re.sub(r"[0-9]+", "#", str(error))
        if kind not in self.refusals and len(self.refusals) >= KINDS:
            kind = "refused for other reasons"
        elif kind not in self.refusals:
            logger.warning("%s", error)
        self.refusals[kind] += 1
        self.rejected["refused by the endpoint"] += 1

    def log_refusals(self) -> None:
        """Log each refusal that came more than once, with its count."""
        for kind, count in self.refusals.items():
            if count > 1:
                logger.warning("%d requests were refused like this: %s", count, kind)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


@dataclass(frozen=True, slots=True)
class Asker:
    """Sends requests by `generate` and counts them in `tally`."""

    generate: Generate
    tally: Tally

    async def ask(self, request: Request) -> Completion:
        """Return the answer to one request.

        Raises:
            RequestError: the endpoint refuses this request; others may be answered.
            S3Error: nothing more can be asked.
        """
        try:
            completion = await self.generate(request)
        except RequestError as error:
            self.tally.refused(error)
            raise
        self.tally.usage += completion.usage
        return completion


async def gather_all(awaitables: Iterable[Awaitable[T]]) -> list[T]:
    """Return all results in order; the first error is raised only when all awaitables have ended."""
    results: list[T] = []
    for outcome in await asyncio.gather(*awaitables, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results


async def gather_answered(awaitables: Iterable[Awaitable[T]], *, required: bool) -> list[T]:
    """Return the results in order, without those of requests that the endpoint refuses.

    Raises:
        RequestError: `required` is set and all requests are refused.
        S3Error: nothing more can be asked; raised only when all requests have ended.
    """
    outcomes = await asyncio.gather(*awaitables, return_exceptions=True)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for error in errors:
        if not isinstance(error, RequestError) or (required and len(errors) == len(outcomes)):
            raise error
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
