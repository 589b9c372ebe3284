"""The client of a run: it answers from the journal first, then from an endpoint, within the limits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from huggingface_hub.errors import HfHubHTTPError

from s3_hf.config import LLMConfig
from s3_hf.errors import BudgetReached, ConfigError, EndpointError, RequestError, S3Error, StorageError, SynthesisError
from s3_hf.journal import Journal
from s3_hf.llm.access import addresses, open_pools
from s3_hf.llm.balance import BUSY_AFTER, MANY, Balancer, Endpoint
from s3_hf.llm.failures import ATTEMPT_ERRORS, Failure, FailureKind, classify
from s3_hf.llm.limits import Limits
from s3_hf.llm.models import ModelChooser
from s3_hf.llm.sending import Sender
from s3_hf.llm.status import ClientStatus
from s3_hf.records import Completion, Request
from s3_hf.retrying import backoff

logger = logging.getLogger(__name__)

KEPT = "every completion so far is kept, and the same command goes on from there"


class Client:
    """Completes requests from the journal or an LLM endpoint: `async with Client(...) as client`.

    A failed attempt is repeated up to `settings.retries` times after a growing pause. An answer that asks to wait
    (429, or 503 with Retry-After) is no failure of the request and is repeated for up to 10 minutes. A request that
    waits to be repeated holds no slot; one that is answered holds its slot until the answer is in the journal, so that
    a killed process repeats at most `concurrency` requests however slow the disk. The client fails when all its
    endpoints are dead, as `Endpoint` defines it.

    Limits count the journal's whole history. `max_requests` counts what is sent, repetitions included, and is exact
    in one start; of earlier starts it counts requests that were answered in the end, with their repetitions. Tokens
    and cost are known only from answers, so `max_tokens` and `max_cost` are passed by what is under way.

    Args:
        model: model id on Inference Providers if `urls` is empty, else the model to ask the URLs for; None asks for
            the only one that they list.
        urls: OpenAI-compatible endpoints; a request goes to the one with the fewest under way.
        settings: concurrency, retries, limits, prices and the variable that holds the key.
        journal: where completions are looked up and recorded.
        observer: is called with the status after every completion and before every pause.
        kept: False if the journal is deleted afterwards, so that no message promises to go on from it.

    Raises:
        ConfigError: there is neither a model nor a URL, a key's variable is not set, or `max_cost` has no price.
    """

    def __init__(
        self,
        model: str | None,
        urls: tuple[str, ...],
        settings: LLMConfig,
        journal: Journal,
        observer: Callable[[ClientStatus], None] | None = None,
        kept: bool = True,
    ) -> None:
        self._model, self._settings, self._journal, self._observer = model, settings, journal, observer
        self._limits, self._kept = Limits(settings, kept), f": {KEPT}" if kept else ""
        targets = addresses(model, urls, settings)
        self._pools = open_pools(urls, settings.concurrency)
        self._sender = Sender(settings, self._pools, journal)
        self._endpoints = tuple(Endpoint(one) for one in targets)
        self._balancer = Balancer(self._endpoints, settings.concurrency)
        self._models = ModelChooser(self._endpoints, self._pools[0], journal.model())
        self._failure: S3Error | None = None
        self._failed = asyncio.Event()
        self._idle = asyncio.Event()
        self._paid_before = self._paid = journal.usage()
        self._admitted = 0
        self._finished = self._replayed = self._sent = self._retries = 0
        self._first_at = self._last_at = 0.0
        self._reason = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._balancer.close()
        self._models.close()
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
            reason=self._reason,
            usage=self._paid,
            requests_per_second=self._finished / seconds,
            tokens_per_second=(self._paid.tokens - self._paid_before.tokens) / seconds,
        )

    @property
    def dialect(self) -> str:
        """What the endpoint refuses, in words; empty if it takes every field."""
        return self._sender.dialect.changes()

    async def generate(self, request: Request) -> Completion:
        """Return the completion of the request, which is in the journal by then.

        Raises:
            RequestError: an endpoint refuses or keeps failing this request; others may go through.
            EndpointError: the endpoints are dead, refuse, or do not answer with chat completions; every later call
                raises the same at once.
            ConfigError: an endpoint serves several models, and the settings name none.
            SynthesisError: the first answers are all empty.
            BudgetReached: a limit is reached; raised for a new request once those under way are in the journal.
            StorageError: the journal cannot be written.
        """
        self._raise_failure()
        recorded = self._journal.get(request.slot, request.payload_sha())
        if recorded is not None:
            self._replayed += 1
            self._notify()
            return recorded
        endpoint = await self._admit()
        try:
            return await self._ask(endpoint, request)
        finally:
            self._admitted -= 1
            if not self._admitted:
                self._idle.set()

    async def _admit(self) -> Endpoint:
        """Wait for a slot and count the request as under way, unless a limit forbids it."""
        while True:
            endpoint = await self._slot()
            limit = self._reached()
            if limit is None:
                break
            self._balancer.give_back(endpoint)
            if not self._admitted:
                raise self._fail(BudgetReached(limit))
            await self._idle.wait()
            self._raise_failure()
        self._admitted += 1
        self._idle.clear()
        return endpoint

    async def _slot(self, *, first: bool = False) -> Endpoint:
        """Wait for a slot; it may have been freed by a request whose failure stops the client."""
        endpoint = await self._balancer.take(first=first)
        if self._failure is not None:
            self._balancer.give_back(endpoint)
            self._raise_failure()
        return endpoint

    async def _ask(self, endpoint: Endpoint, request: Request) -> Completion:
        """Send the request until its answer is in the journal; the caller holds a slot on `endpoint`."""
        began = asyncio.get_running_loop().time()
        failures = 0
        for attempt in itertools.count(1):
            self._sent += 1
            self._retries += attempt > 1
            outcome = await self._attempt(endpoint, request, attempt)
            if isinstance(outcome, Completion):
                return outcome
            self._reason = outcome.reason
            busy = outcome.kind is FailureKind.BUSY
            failures += not busy
            self._check(endpoint, outcome)
            now = asyncio.get_running_loop().time()
            spent = now - began > BUSY_AFTER if busy else failures > self._settings.retries
            if spent or not self._settings.retries:
                raise self._given_up(endpoint, outcome, attempt)
            self._notify()
            await self._pause(max(outcome.wait, backoff(attempt)))
            endpoint = await self._slot(first=True)
            if (limit := self._reached()) is not None:
                self._balancer.give_back(endpoint)
                raise self._fail(BudgetReached(limit))
        raise AssertionError("unreachable")

    def _reached(self) -> str | None:
        """Return a sentence about the limit that is reached, or None."""
        limit = self._limits.reached(self._paid, self._paid_before.requests + self._sent)
        return f"{limit}; the last request that failed {self._reason}" if limit and self._reason else limit

    async def _attempt(self, endpoint: Endpoint, request: Request, attempt: int) -> Completion | Failure:
        """Send the request once, tell the endpoint's breaker how it went, record the answer, give the slot back."""
        clock = asyncio.get_running_loop().time
        sent_at = clock()
        self._first_at = self._first_at or sent_at
        try:
            completion = await self._send(endpoint, request)
        except ATTEMPT_ERRORS as error:
            failure = classify(error, endpoint.address)
            if endpoint.failed(failure, sent_at, clock()) and len(self._endpoints) > 1:
                logger.warning("%s is left out and tried again later: it %s", endpoint.address.name, failure.reason)
            return failure
        except (ConfigError, StorageError, SynthesisError) as error:
            raise self._fail(error) from None
        else:
            endpoint.succeeded(clock())
            spent = replace(completion.usage, requests=completion.usage.requests + attempt - 1)
            completion = replace(completion, usage=spent)
            await self._record(request, completion)
            return completion
        finally:
            self._balancer.give_back(endpoint)

    async def _send(self, endpoint: Endpoint, request: Request) -> Completion:
        """Send the request once, or once more for each field that is refused, and return the answer."""
        model = self._model or await self._models.choose(endpoint)

        def again(error: HfHubHTTPError) -> bool:
            self._reason = classify(error, endpoint.address).reason
            allowed = self._reached() is None
            self._sent += allowed
            self._retries += allowed
            return allowed

        completion = await self._sender.send(endpoint.address, request, model, again)
        usage = self._limits.priced(completion.usage)
        return replace(completion, usage=usage, model=self._model or completion.model or model or "")

    async def _record(self, request: Request, completion: Completion) -> None:
        """Put an answer into the journal; it counts as paid for from now on."""
        self._paid += completion.usage
        try:
            await self._journal.put(request.payload_sha(), completion)
        except S3Error as error:
            self._fail(error)
            raise
        self._finished += 1
        self._last_at = asyncio.get_running_loop().time()
        self._notify()

    def _check(self, endpoint: Endpoint, failure: Failure) -> None:
        """Raise if another attempt has no point."""
        name, reason = endpoint.address.name, failure.reason
        if failure.kind is FailureKind.REQUEST:
            raise RequestError(f"{name} refuses a request: it {reason}; {failure.advice}")
        if failure.kind is FailureKind.FATAL or endpoint.garbage >= MANY:
            raise self._fail(EndpointError(f"{name} should complete chats, but it {reason}; {failure.advice}"))
        now = asyncio.get_running_loop().time()
        if all(one.dead(now) for one in self._endpoints):
            raise self._fail(self._dead(failure))

    def _given_up(self, endpoint: Endpoint, failure: Failure, attempts: int) -> S3Error:
        if len(self._endpoints) == 1 and endpoint.suspect:
            return self._fail(self._dead(failure))
        advice = failure.advice or "see its log"
        return RequestError(
            f"{endpoint.address.name} should answer a request, but after {attempts} attempts it {failure.reason}; "
            f"{advice}{self._kept}"
        )

    def _dead(self, failure: Failure) -> EndpointError:
        names = ", ".join(one.address.name for one in self._endpoints)
        advice = failure.advice or "check that it runs and can be reached"
        return EndpointError(
            f"{names} should complete chats, but every attempt fails, the last because it {failure.reason}; "
            f"{advice}{self._kept}"
        )

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._failed.wait()
        self._raise_failure()

    def _fail(self, failure: S3Error) -> S3Error:
        """Keep the first failure, and return it: every call raises it from now on."""
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
