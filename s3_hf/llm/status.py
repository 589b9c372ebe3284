"""The progress of a client, as a display shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3_hf.records import Usage


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """Progress of a client, for a display and a forecast.

    `sent` counts attempts, `retries` those after a request's first, `finished` completions that an endpoint gave,
    `replayed` those that the journal had. `reason` is why the last attempt failed, as in "answered HTTP 500 'oops'",
    empty until one does. `usage` is everything that the journal's run ever paid for, tokens estimated where the
    endpoint reports none. Rates are per second since the first request was sent.
    """

    sent: int = 0
    finished: int = 0
    replayed: int = 0
    outstanding: int = 0
    retries: int = 0
    reason: str = ""
    usage: Usage = field(default_factory=Usage)
    requests_per_second: float = 0.0
    tokens_per_second: float = 0.0
