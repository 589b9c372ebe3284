"""Repeat calls of the Hub while their failure may pass, and turn other failures into one sentence."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from s3_hf.config import RunConfig
from s3_hf.errors import HubError
from s3_hf.hub.secrets import Secrets
from s3_hf.keys import without_secrets
from s3_hf.retrying import PASSING, TRIES, clock_in, repeat, too_long_a_wait

T = TypeVar("T")

_BROKEN = (
    httpx2.TransportError,
    LocalEntryNotFoundError,  # a download without an answer
    *(ConnectionError, RuntimeError),  # an upload without an answer
    *(json.JSONDecodeError, KeyError),  # an answer from something other than a Hub, such as a gateway's page
)


def persistently(action: Callable[[], T], api: HfApi, tries: int = TRIES) -> T:
    """Return the value of `action`, called again after conflicts, overload and broken connections.

    Raises:
        HubError: the Hub does not answer.
        HfHubHTTPError: it answers with an error that does not pass.
    """
    endpoint = without_secrets(api.endpoint)
    try:
        return repeat(action, endpoint, broken=_BROKEN, tries=tries)
    except OfflineModeIsEnabled:
        raise
    except _BROKEN as error:
        raise HubError(
            f"the Hub at {endpoint} must be reachable, found {type(error).__name__} "
            f"({secrets_of(api).redacted(str(error))}); check the network and HF_ENDPOINT, then push again: what was "
            "published is kept"
        ) from error


@contextlib.contextmanager
def hub_errors(api: HfApi) -> Iterator[None]:
    """Turn every exception of the Hub's client into one sentence.

    Raises:
        HubError: names the endpoint, its answer and what to do; never a token.
    """
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError(
            f"{without_secrets(api.endpoint)} must be reachable to publish, found HF_HUB_OFFLINE set; unset it, or "
            "write folders with --to"
        ) from error
    except HfHubHTTPError as error:
        raise HubError(_sentence(api, error)) from error


def secrets_of(api: HfApi, config: RunConfig | None = None) -> Secrets:
    """Return the token of the client, the password in its address, and the secrets of a run."""
    return Secrets.of(config, str(api.token or ""), api.endpoint)


def _sentence(api: HfApi, error: HfHubHTTPError) -> str:
    status, wait = error.response.status_code, too_long_a_wait(error)
    reason = secrets_of(api).redacted(error.server_message or "no reason given")
    again = f"wait until {clock_in(wait)}" if wait else "wait"
    advice = {
        401: "log in again with `hf auth login`, or set HF_TOKEN to a valid token",
        403: "use a token that may write to that namespace",
        404: "check the namespace and that the token may see it",
    }.get(
        status,
        f"{again}, then push again, which goes on from there: what was published is kept"
        if status in PASSING
        else "correct it and push again",
    )
    wanted = {401: "must know the token", 403: "must allow the push", 404: "must have the repository"}
    must = wanted.get(status, "must accept the push")
    return f"the Hub at {without_secrets(api.endpoint)} {must}, found {status} ({reason!r}); {advice}"
