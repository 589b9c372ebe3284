"""Trying again what may pass, and saying in one sentence what does not."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from s3_hf.errors import HubError

T = TypeVar("T")
logger = logging.getLogger(__name__)

TRIES = 8
PAUSE = 0.25
"""Seconds before the second try; each later pause is twice as long, up to `LONGEST_BACKOFF`."""
LONGEST_BACKOFF = 8.0
LONGEST_PAUSE = 300.0
"""Longest wait that a server may ask for, in seconds: the window of the Hub's rate limits."""
PASSING = frozenset({408, 409, 412, 429, 500, 502, 503, 504})
_BROKEN = (
    httpx2.TransportError,
    LocalEntryNotFoundError,  # a download that got no answer
    ConnectionError,  # and RuntimeError: what an upload that got none raises
    RuntimeError,
    json.JSONDecodeError,  # and KeyError: an answer that is no Hub's, such as a gateway's page
    KeyError,
)


def persistently(action: Callable[[], T], endpoint: str, tries: int = TRIES) -> T:
    """Return what `action` returns, trying again after conflicts, overload and broken connections.

    `action` is called anew each time, so it must read the state it builds on itself. `Retry-After` is honoured.

    Raises:
        HubError: the Hub does not answer.
        HfHubHTTPError: it answers with an error that does not pass.
    """
    for attempt in range(1, tries + 1):
        try:
            return action()
        except OfflineModeIsEnabled:
            raise
        except HfHubHTTPError as error:
            if attempt == tries or error.response.status_code not in PASSING:
                raise
            reason, asked = str(error.response.status_code), error.response.headers.get("retry-after")
        except _BROKEN as error:
            if attempt == tries:
                raise HubError(
                    f"the Hub at {endpoint} must be reachable, found {type(error).__name__} "
                    f"({' '.join(str(error).split())[:300]}); check the network and HF_ENDPOINT, then push again: "
                    "what was published is kept"
                ) from error
            reason, asked = type(error).__name__, None
        pause = _pause(attempt, asked)
        logger.info("%s answered %s; trying again in %.1f s", endpoint, reason, pause)
        time.sleep(pause)
    raise AssertionError("unreachable: the last try returns or raises")


@contextlib.contextmanager
def hub_errors(endpoint: str) -> Iterator[None]:
    """Turn whatever the Hub's client raises into one clear sentence.

    Raises:
        HubError: with the endpoint, what it answered and what to do; never with a token.
    """
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(
            f"{endpoint} must be reachable to publish, found HF_HUB_OFFLINE set; unset it, or write folders with --to"
        ) from error
    except HfHubHTTPError as error:
        raise HubError(_sentence(endpoint, error)) from error


def _sentence(endpoint: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    said = " ".join((error.server_message or "no reason given").split())[:300]
    advice = {
        401: "log in again with `hf auth login`, or set HF_TOKEN to a valid token",
        403: "use a token that may write to that namespace",
        404: "check the namespace and that the token may see it",
    }.get(
        status, "wait and push again: what was published is kept" if status in PASSING else "correct it and push again"
    )
    wanted = {401: "must know the token", 403: "must allow the push", 404: "must have the repository"}
    return f"the Hub at {endpoint} {wanted.get(status, 'must accept the push')}, found {status} ({said!r}); {advice}"


def _pause(attempt: int, asked: str | None) -> float:
    try:
        return min(float(asked or ""), LONGEST_PAUSE)
    except ValueError:
        doubled = min(PAUSE * 2.0 ** (attempt - 1), LONGEST_BACKOFF)
        return doubled * (1 + random.random())
