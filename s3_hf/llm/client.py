"""The client that a run asks: journal first, then an endpoint, within the limits, until it cannot go on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx2

from s3_hf.config import LLMConfig
from s3_hf.errors import BudgetReached, ConfigError, EndpointError, RequestError, S3Error
from s3_hf.journal import Journal
from s3_hf.llm.balance import BUSY_AFTER, MANY, Balancer, Endpoint, backoff
from s3_hf.llm.connect import check_limits, connect, open_pools
from s3_hf.llm.failures import Failure, Kind, classify, read
from s3_hf.llm.served import Served
from s3_hf.records import Completion, Request, Usage

logger = logging.getLogger(__name__)

KEPT = "every completion so far is kept, and the same command goes on from there"


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """How far the client is, for a progress display and a forecast.

    `sent` counts attempts, `retries` those after a request's first, `finished` completions that were asked
    for, `replayed` those that the journal had. `usage` is everything the journal's run ever paid for; a
    server that reports no token counts adds 0 tokens. Rates are per second since the first request was sent.
    """

    sent: int = 0
    finished: int = 0
    replayed: int = 0
    outstanding: int = 0
    retries: int = 0
    usage: Usage = field(default_factory=Usage)
    requests_per_second: float = 0.0
    tokens_per_second: float = 0.0


class Client:
    """Answers requests from the journal or an LLM endpoint: `async with Client(...) as client`.

    `urls` empty: `model` is a model id on Inference Providers. Otherwise OpenAI-compatible endpoints, asked
    for `model`, or for the only one that they say they serve where it is None; requests go to the one with the
    fewest outstanding. A failed attempt is repeated up to `settings.retries` times after a growing pause; "wait"
    (429, or 503 with Retry-After) is no failure of the request and is repeated for up to 10 minutes. When an
    endpoint counts as dead is told at `Endpoint`; the client fails when all are. A request that waits to be
    repeated holds no slot.

    Limits count the journal's whole history. `max_requests` is exact; tokens and cost are known only from
    answers (0 where the server tells none), so `max_tokens` and `max_cost` are passed by what is in flight.

    Raises:
        ConfigError: there is nothing to ask, a key's variable is not set, or `max_cost` has no price.
    """

    def __init__(
        self,
        model: str | None,
        urls: tuple[str, ...],
        settings: LLMConfig,
        journal: Journal,
        observer: Callable[[ClientStatus], None] | None = None,
    ) -> None:
        check_limits(settings)
        self._model, self._settings, self._journal, self._observer = model, settings, journal, observer
        self._pools = open_pools(urls, settings.concurrency)
        self._endpoints = connect(model, urls, settings, self._pools)
        self._balancer = Balancer(self._endpoints, settings.concurrency)
        self._served = Served(self._endpoints, self._pools[0], journal.model())
        self._failure: S3Error | None = None
        self._failed = asyncio.Event()
        self._idle = asyncio.Event()
        self._paid_before = self._paid = journal.usage()
        self._admitted = self._unanswered = 0
        self._finished = self._replayed = self._sent = self._retries = 0
        self._first_at = self._last_at = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._balancer.close()
        self._served.close()
        for pool in self._pools:
            await pool.aclose()

    @property
    def status(self) -> ClientStatus:
        """The counts at this moment."""
        outstanding = self._balancer.outstanding
        until = asyncio.get_running_loop().time() if outstanding else self._last_at
        seconds = max(until - self._first_at, 1e-3)
        return ClientStatus(
            sent=self._sent,
            finished=self._finished,
            replayed=self._replayed,
            outstanding=outstanding,
            retries=self._retries,
            usage=self._paid,
            requests_per_second=self._finished / seconds,
            tokens_per_second=(self._paid.tokens - self._paid_before.tokens) / seconds,
        )

    async def generate(self, request: Request) -> Completion:
        """The completion for the request, in the journal before it is returned.

        Raises:
            RequestError: it refuses or keeps failing this request; others may go through.
            EndpointError: the endpoint is dead, refuses, or does not answer with chat completions; every later
                call raises the same at once.
            ConfigError: an endpoint serves several models, and none was named.
            BudgetReached: a limit is reached; raised when what was in flight is in the journal.
            StorageError: the journal cannot be written.
        """
        self._raise_failure()
        sha = request.payload_sha()
        known = self._journal.get(request.slot, sha)
        if known is not None:
            self._replayed += 1
            self._notify()
            return known
        endpoint = await self._admit()
        try:
            try:
                completion = await self._ask(endpoint, request)
                self._paid += completion.usage
            finally:
                self._unanswered -= 1
            await self._record(sha, completion)
        finally:
            self._admitted -= 1
            if not self._admitted:
                self._idle.set()
        return completion

    async def _admit(self) -> Endpoint:
        """Wait for a slot and count the request as in flight, unless a limit forbids it."""
        while True:
            endpoint = await self._slot()
            limit = self._limit_reached()
            if limit is None:
                break
            self._balancer.give_back(endpoint)
            if not self._admitted:
                raise self._fail(BudgetReached(limit))
            await self._idle.wait()
            self._raise_failure()
        self._admitted += 1
        self._unanswered += 1
        self._idle.clear()
        return endpoint

    async def _slot(self, *, first: bool = False) -> Endpoint:
        """Wait for a slot; the request that just failed for all may have freed this one."""
        endpoint = await self._balancer.take(first=first)
        if self._failure is not None:
            self._balancer.give_back(endpoint)
            self._raise_failure()
        return endpoint

    async def _ask(self, endpoint: Endpoint, request: Request) -> Completion:
        """Send the request until it is answered; the slot on `endpoint` is held by the caller."""
        began = asyncio.get_running_loop().time()
        failures = 0
        for attempt in itertools.count(1):
            self._sent += 1
            self._retries += attempt > 1
            outcome = await self._send(endpoint, request)
            if isinstance(outcome, Completion):
                return outcome
            failures += outcome.kind is not Kind.BUSY
            self._check(endpoint, outcome)
            now = asyncio.get_running_loop().time()
            spent = now - began > BUSY_AFTER if outcome.kind is Kind.BUSY else failures > self._settings.retries
            if spent or not self._settings.retries:
                raise self._given_up(endpoint, outcome, attempt)
            self._notify()
            await self._pause(max(outcome.wait, backoff(attempt)))
            endpoint = await self._slot(first=True)
        raise AssertionError("unreachable")

    async def _send(self, endpoint: Endpoint, request: Request) -> Completion | Failure:
        """One attempt; gives the slot back."""
        clock = asyncio.get_running_loop().time
        sent_at = clock()
        self._first_at = self._first_at or sent_at
        try:
            asked_for = await self._asked_for(endpoint)
            async with asyncio.timeout(self._settings.timeout):
                answer = await endpoint.inference.chat_completion(**request.payload(), model=asked_for)
            text, finish_reason, model, usage = read(answer)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            failure = classify(error, endpoint.address)
            if endpoint.failed(failure, sent_at, clock()) and len(self._endpoints) > 1:
                logger.warning("%s is left out and tried again later: it %s", endpoint.address.name, failure.found)
            return failure
        except ConfigError as error:
            raise self._fail(error) from None
        else:
            endpoint.succeeded(clock())
            named = self._model or model or asked_for or ""
            return Completion(request.slot, text, finish_reason, self._priced(usage), named)
        finally:
            self._balancer.give_back(endpoint)

    async def _asked_for(self, endpoint: Endpoint) -> str | None:
        """The model to name in a request; a model id is the endpoint's own."""
        if not endpoint.address.is_url:
            return None
        return self._model or await self._served.name(endpoint)

    async def _record(self, sha: str, completion: Completion) -> None:
        try:
            await self._journal.put(sha, completion)
        except S3Error as error:
            self._fail(error)
            raise
        self._finished += 1
        self._last_at = asyncio.get_running_loop().time()
        self._notify()

    def _check(self, endpoint: Endpoint, failure: Failure) -> None:
        """Raise if asking again has no point."""
        name, found = endpoint.address.name, failure.found
        if failure.kind is Kind.REQUEST:
            raise RequestError(f"{name} refuses a request: it {found}; {failure.advice}")
        if failure.kind is Kind.FATAL or endpoint.garbage >= MANY:
            raise self._fail(EndpointError(f"{name} should complete chats, but it {found}; {failure.advice}"))
        now = asyncio.get_running_loop().time()
        if all(one.dead(now) for one in self._endpoints):
            raise self._fail(self._dead(failure))

    def _given_up(self, endpoint: Endpoint, failure: Failure, attempts: int) -> S3Error:
        if len(self._endpoints) == 1 and endpoint.suspect:
            return self._fail(self._dead(failure))
        advice = failure.advice or "see its log"
        return RequestError(
            f"{endpoint.address.name} should answer a request, but after {attempts} attempts it {failure.found}; "
            f"{advice}: {KEPT}"
        )

    def _dead(self, failure: Failure) -> EndpointError:
        names = ", ".join(one.address.name for one in self._endpoints)
        advice = failure.advice or "check that it runs and can be reached"
        return EndpointError(
            f"{names} should complete chats, but every attempt fails, the last because it {failure.found}; "
            f"{advice}: {KEPT}"
        )

    def _limit_reached(self) -> str | None:
        wanted, paid = self._settings, self._paid
        limits: tuple[tuple[str, float, float | None], ...] = (
            ("max_requests", paid.requests + self._unanswered, wanted.max_requests),
            ("max_tokens", paid.tokens, wanted.max_tokens),
            ("max_cost", paid.cost, wanted.max_cost),
        )
        for name, spent, limit in limits:
            if limit is not None and spent >= limit:
                return (
                    f"the limit {name}={limit!r} is reached with {paid.requests} requests, {paid.tokens} tokens and "
                    f"a cost of {paid.cost:.4f}; all of it is kept, run the same command with a higher {name} to go on"
                )
        return None

    def _priced(self, usage: Usage) -> Usage:
        prices = self._settings.price_prompt, self._settings.price_completion
        cost = (usage.prompt_tokens * prices[0] + usage.completion_tokens * prices[1]) / 1e6
        return Usage(usage.requests, usage.prompt_tokens, usage.completion_tokens, cost)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._failed.wait()
        self._raise_failure()

    def _fail(self, failure: S3Error) -> S3Error:
        """The first failure of all, which from now on everyone gets."""
        if self._failure is None:
            self._failure = failure
            self._failed.set()
            self._idle.set()
            self._balancer.stop(failure)
        return self._failure.with_traceback(None)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _notify(self) -> None:
        if self._observer is not None:
            self._observer(self.status)
