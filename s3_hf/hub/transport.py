"""Repeat calls of the Hub while their failure may pass, and turn other failures into one sentence."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from s3_hf.errors import HubError
from s3_hf.retrying import PASSING, TRIES, repeat

T = TypeVar("T")

_BROKEN = (
    httpx2.TransportError,
    LocalEntryNotFoundError,  # a download without an answer
    ConnectionError,  # and RuntimeError: an upload without an answer
    RuntimeError,
    json.JSONDecodeError,  # and KeyError: an answer from something other than a Hub, such as a gateway's page
    KeyError,
)


def persistently(action: Callable[[], T], endpoint: str, tries: int = TRIES) -> T:
    """Return the value of `action`, called again after conflicts, overload and broken connections.

    Raises:
        HubError: the Hub does not answer.
        HfHubHTTPError: it answers with an error that does not pass.
    """
    try:
        return repeat(action, endpoint, broken=_BROKEN, tries=tries)
    except OfflineModeIsEnabled:
        raise
    except _BROKEN as error:
        raise HubError(
            f"the Hub at {endpoint} must be reachable, found {type(error).__name__} ({_one_line(str(error))}); check "
            "the network and HF_ENDPOINT, then push again: what was published is kept"
        ) from error


@contextlib.contextmanager
def hub_errors(endpoint: str) -> Iterator[None]:
    """Turn every exception of the Hub's client into one sentence.

    Raises:
        HubError: names the endpoint, its answer and what to do; never a token.
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
    reason = _one_line(error.server_message or "no reason given")
    advice = {
        401: "log in again with `hf auth login`, or set HF_TOKEN to a valid token",
        403: "use a token that may write to that namespace",
        404: "check the namespace and that the token may see it",
    }.get(
        status, "wait and push again: what was published is kept" if status in PASSING else "correct it and push again"
    )
    wanted = {401: "must know the token", 403: "must allow the push", 404: "must have the repository"}
    return f"the Hub at {endpoint} {wanted.get(status, 'must accept the push')}, found {status} ({reason!r}); {advice}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
