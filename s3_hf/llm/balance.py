"""Give requests their slots: `concurrency` in all, each on the least busy endpoint, failing endpoints left out."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from s3_hf.errors import S3Error
from s3_hf.llm.access import Address
from s3_hf.llm.failures import Failure, FailureKind
from s3_hf.retrying import backoff

DEAD_AFTER = 30.0
"""Seconds of nothing but failures after which an endpoint is dead."""

BUSY_AFTER = 600.0
"""Seconds without a completion after which an endpoint that only asks to wait is dead, too."""

MANY = 3
"""Failures in a row that point to the endpoint, not to one request."""


@dataclass(slots=True)
class Endpoint:
    """One URL or model id, and the state of its circuit breaker.

    An endpoint is `suspect` when it failed three times in a row, and at least as often as requests are outstanding.
    It then gets one request at a time, after pauses that double to 10 s or that it asks for (Retry-After, at most
    120 s), until it answers. It is dead when it is suspect and every attempt of the last 30 s failed, counted from the
    sending of the first request that failed. An answer that asks to wait (429, or 503 with Retry-After) is a sign of
    life and starts the 30 s anew, but only for 10 minutes without a completion.
    """

    address: Address
    serves: tuple[str, ...] | None = None
    """Names of the models that it lists; None until it was asked."""
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
        """Reset every count of failures."""
        self.failures = self.garbage = self.pauses = 0
        self.resume_at = 0.0
        self.answered_at = now
        self.down_since = self.silent_since = None

    def failed(self, failure: Failure, sent_at: float, now: float) -> bool:
        """Count the failure of a request sent at `sent_at`; return True if the endpoint is left out from now on."""
        self.failures += 1
        self.garbage += failure.kind is FailureKind.GARBAGE
        since = max(sent_at, self.answered_at)
        self.silent_since = min(self.silent_since or since, since)
        if failure.kind is FailureKind.BUSY:
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
        """True if the endpoint, not a single request, seems to be at fault."""
        return self.failures >= max(MANY, self.outstanding)

    def dead(self, now: float) -> bool:
        """Return True if waiting longer has no point."""
        down = self.down_since is not None and now - self.down_since >= DEAD_AFTER
        silent = self.silent_since is not None and now - self.silent_since >= BUSY_AFTER
        return self.suspect and (down or silent)

    def available(self, now: float) -> bool:
        """Return True if a request may be sent now."""
        return now >= self.resume_at and not (self.pauses and self.outstanding)


class Balancer:
    """Grants at most `concurrency` slots, in the order of the calls, each on the least busy endpoint available."""

    def __init__(self, endpoints: tuple[Endpoint, ...], concurrency: int) -> None:
        self.endpoints = endpoints
        self._free = concurrency
        self._queue: deque[asyncio.Future[Endpoint]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._failure: S3Error | None = None

    @property
    def outstanding(self) -> int:
        """Requests sent whose answer has not arrived or is not recorded yet."""
        return sum(endpoint.outstanding for endpoint in self.endpoints)

    async def take(self, *, first: bool = False) -> Endpoint:
        """Wait for a slot and return its endpoint; `first` goes ahead of the queue. `give_back` frees the slot.

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
        """Free a slot for the next in the queue."""
        endpoint.outstanding -= 1
        self._free += 1
        self._serve()

    def stop(self, failure: S3Error) -> None:
        """Raise `failure` in every call of `take`, now and later."""
        self._failure = failure
        for place in self._queue:
            if not place.done():
                place.set_exception(failure)
        self._queue.clear()
        self.close()

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _serve(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._queue and self._free:
            if self._queue[0].done():  # its wait was cancelled
                self._queue.popleft()
                continue
            available = [endpoint for endpoint in self.endpoints if endpoint.available(now)]
            if not available:
                self._serve_later(now)
                return
            endpoint = min(available, key=lambda one: (one.outstanding, one.sent))
            endpoint.outstanding += 1
            endpoint.sent += 1
            self._free -= 1
            self._queue.popleft().set_result(endpoint)

    def _serve_later(self, now: float) -> None:
        """Serve the queue again when the next pause is over; a request under way ends in `give_back`."""
        soonest = min((one.resume_at for one in self.endpoints if one.resume_at > now), default=None)
        if soonest is None or (self._timer is not None and self._timer.when() <= soonest):
            return
        self.close()
        self._timer = asyncio.get_running_loop().call_at(soonest, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._serve()
