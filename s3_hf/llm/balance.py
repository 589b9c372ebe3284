"""Who is asked next: slots for `concurrency` requests, least outstanding first, failing endpoints left out."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass

from huggingface_hub import AsyncInferenceClient

from s3_hf.errors import S3Error
from s3_hf.llm.failures import Address, Failure, Kind

DEAD_AFTER = 30.0
"""Seconds of failures alone after which an endpoint is dead."""

BUSY_AFTER = 600.0
"""Seconds without a completion after which an endpoint that only says "wait" is dead, too."""

MANY = 3
"""Failures in a row from which on they say something about the endpoint, not about one request."""

LONGEST_BACKOFF = 10.0


def backoff(times: int) -> float:
    """Seconds to wait after the `times`-th failure in a row: 0.5 s doubling to 10 s, less up to half at random."""
    longest: float = min(LONGEST_BACKOFF, 0.5 * 2 ** min(times - 1, 10))
    return longest * random.uniform(0.5, 1)


@dataclass(slots=True)
class Endpoint:
    """One URL or model id, and how it does.

    It is `suspect` when it failed three times in a row, and at least as often as requests are outstanding.
    A suspect endpoint is asked again by one request at a time, after pauses that double to 10 s or that it
    asks for (Retry-After, at most 120 s), until it answers. It is dead when it is suspect and failed all of
    the last 30 s, counted from the sending of the first request that failed; being told to wait (429, or 503
    with Retry-After) is a sign of life and starts the 30 s anew, but only for 10 minutes without a completion.
    """

    address: Address
    inference: AsyncInferenceClient
    url: str = ""
    serves: tuple[str, ...] | None = None
    """Names of its models, as far as it tells; None until it was asked."""
    outstanding: int = 0
    sent: int = 0
    failures: int = 0
    garbage: int = 0
    pauses: int = 0
    resume_at: float = 0.0
    answered_at: float = 0.0
    down_since: float | None = None
    silent_since: float | None = None

    def succeeded(self, now: float) -> None:
        """Every count of failures starts anew."""
        self.failures = self.garbage = self.pauses = 0
        self.resume_at = 0.0
        self.answered_at = now
        self.down_since = self.silent_since = None

    def failed(self, failure: Failure, sent_at: float, now: float) -> bool:
        """Count the failure of a request sent at `sent_at`; true when the endpoint is now first left out."""
        self.failures += 1
        self.garbage += failure.kind is Kind.GARBAGE
        since = max(sent_at, self.answered_at)
        self.silent_since = min(self.silent_since or since, since)
        if failure.kind is Kind.BUSY:
            self.down_since = None
        else:
            self.down_since = since if self.down_since is None else min(self.down_since, since)
        if not self.suspect or now < self.resume_at:
            return False
        self.pauses += 1
        self.resume_at = now + max(failure.wait, backoff(self.pauses))
        return self.pauses == 1

    @property
    def suspect(self) -> bool:
        """Whether the endpoint, not a single request, seems to be at fault."""
        return self.failures >= max(MANY, self.outstanding)

    def dead(self, now: float) -> bool:
        """Whether waiting longer has no point."""
        down = self.down_since is not None and now - self.down_since >= DEAD_AFTER
        silent = self.silent_since is not None and now - self.silent_since >= BUSY_AFTER
        return self.suspect and (down or silent)

    def available(self, now: float) -> bool:
        """Whether a request may be sent now."""
        return now >= self.resume_at and not (self.pauses and self.outstanding)


class Balancer:
    """Hands out at most `concurrency` slots, in order of asking, each on the least busy endpoint available."""

    def __init__(self, endpoints: tuple[Endpoint, ...], concurrency: int) -> None:
        self.endpoints = endpoints
        self._free = concurrency
        self._queue: deque[asyncio.Future[Endpoint]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._failure: S3Error | None = None

    @property
    def outstanding(self) -> int:
        """Requests sent and not yet answered."""
        return sum(endpoint.outstanding for endpoint in self.endpoints)

    async def take(self, *, first: bool = False) -> Endpoint:
        """Wait for a slot; `first` goes ahead of the queue. The slot is returned by `give_back`.

        Raises:
            S3Error: `stop` was called.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        place: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
        if first:
            self._queue.appendleft(place)
        else:
            self._queue.append(place)
        self._serve()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.give_back(place.result())
            raise

    def give_back(self, endpoint: Endpoint) -> None:
        """Free the slot for the next in the queue."""
        endpoint.outstanding -= 1
        self._free += 1
        self._serve()

    def stop(self, failure: S3Error) -> None:
        """Everyone who waits for a slot, now or later, gets `failure`."""
        self._failure = failure
        for place in self._queue:
            if not place.done():
                place.set_exception(failure)
        self._queue.clear()
        self.close()

    def close(self) -> None:
        """Leave no timer behind."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _serve(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._queue and self._free:
            if self._queue[0].done():  # its wait was cancelled
                self._queue.popleft()
                continue
            able = [endpoint for endpoint in self.endpoints if endpoint.available(now)]
            if not able:
                self._serve_later(now)
                return
            endpoint = min(able, key=lambda one: (one.outstanding, one.sent))
            endpoint.outstanding += 1
            endpoint.sent += 1
            self._free -= 1
            self._queue.popleft().set_result(endpoint)

    def _serve_later(self, now: float) -> None:
        """Look again when the next pause is over; an endpoint on trial calls `give_back` by itself."""
        soonest = min((one.resume_at for one in self.endpoints if one.resume_at > now), default=None)
        if soonest is None or (self._timer is not None and self._timer.when() <= soonest):
            return
        self.close()
        self._timer = asyncio.get_running_loop().call_at(soonest, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._serve()
