"""Classify a failed attempt: what went wrong, what a user can do, and whether to try again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from s3_hf.llm.access import Address
from s3_hf.llm.answers import MalformedAnswerError
from s3_hf.retrying import retry_after

LONGEST_WAIT = 120.0
"""Most seconds of a Retry-After that are waited before an LLM endpoint is asked again."""

ATTEMPT_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError)
"""Exceptions that an attempt can end with, all of which `classify` knows."""


class FailureKind(Enum):
    """What a failed attempt means for the request and for the run."""

    BUSY = "the server asks to wait"
    DOWN = "no answer"
    GARBAGE = "a malformed answer"
    REQUEST = "this request is refused"
    FATAL = "every request will be refused"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt.

    `reason` continues the sentence "the endpoint …", as in "answered HTTP 500 'out of memory'"; `advice` may be empty;
    `wait` is the Retry-After in seconds, 0 without one.
    """

    kind: FailureKind
    reason: str
    advice: str = ""
    wait: float = 0.0


def classify(error: Exception, address: Address) -> Failure:
    """Return the failure that an exception of `ATTEMPT_ERRORS` stands for."""
    if isinstance(error, HfHubHTTPError):
        return _refusal(error.response, address)
    if isinstance(error, OfflineModeIsEnabled):
        advice = "unset HF_HUB_OFFLINE, or give the URL of a local endpoint as llm"
        return Failure(FailureKind.FATAL, "cannot be asked, because HF_HUB_OFFLINE is set", advice)
    if isinstance(error, httpx2.InvalidURL):
        return Failure(FailureKind.FATAL, f"is not a URL ({error})", "correct the setting llm")
    if isinstance(error, TimeoutError):
        advice = "raise endpoint.timeout or lower endpoint.concurrency"
        return Failure(FailureKind.DOWN, "gave no answer in time", advice)
    if isinstance(error, httpx2.DecodingError | json.JSONDecodeError | UnicodeDecodeError | MalformedAnswerError):
        return _garbage(error, address)
    if isinstance(error, ValueError):
        return _garbage(error, address) if address.url else _unusable(str(error), address)
    return Failure(FailureKind.DOWN, f"could not be reached ({redacted(str(error) or type(error).__name__, address)})")


def redacted(text: str, address: Address) -> str:
    """Return at most 200 characters of a server's text, on one line, with keys and Hub tokens masked."""
    if address.key:
        text = text.replace(address.key, "***")
    text = re.sub(r"\bhf_\w{8,}", "hf_***", " ".join(text.split()))
    return text if len(text) <= 200 else text[:200] + "…"


def _refusal(response: httpx2.Response, address: Address) -> Failure:
    status = response.status_code
    wait = retry_after(response.headers, LONGEST_WAIT)
    reason = f"answered HTTP {status} {redacted(_message(response), address)!r}"
    if status == 429 or (status == 503 and wait):
        return Failure(FailureKind.BUSY, reason, "lower endpoint.concurrency", wait)
    if status == 408 or status >= 500:
        return Failure(FailureKind.DOWN, reason, wait=wait)
    if response.is_redirect:
        target = redacted(response.headers["location"], address)
        return Failure(FailureKind.FATAL, f"redirects to {target!r}", "give the address it redirects to as llm")
    if status in (401, 403):
        return Failure(FailureKind.FATAL, reason, address.key_advice)
    if status == 402:
        advice = "pay for more, or set endpoint.bill_to to an organization that pays"
        return Failure(FailureKind.FATAL, reason, advice)
    if status in (404, 405):
        advice = "the URL or model does not exist there: check llm and llm_model"
        return Failure(FailureKind.FATAL, reason, advice)
    return Failure(FailureKind.REQUEST, reason, "correct the prompt or the setting that it complains about")


def _garbage(error: Exception, address: Address) -> Failure:
    body = error.doc if isinstance(error, json.JSONDecodeError) else str(error)
    advice = "give the URL of an OpenAI-compatible chat-completions endpoint as llm"
    return Failure(FailureKind.GARBAGE, f"answered something else: {redacted(body, address)!r}", advice)


def _unusable(message: str, address: Address) -> Failure:
    """Return the failure of a model id that `huggingface_hub` finds no way to ask."""
    if "hf auth login" in message:
        return Failure(FailureKind.FATAL, "cannot be asked without a token", address.key_advice)
    reason = f"cannot be asked: {redacted(message, address).rstrip('.')}"
    return Failure(FailureKind.FATAL, reason, "correct llm or endpoint")


def _message(response: httpx2.Response) -> str:
    """Return the server's error message: OpenAI's `error.message`, other servers' plain fields, or the body."""
    try:
        body = response.json()
    except ValueError:
        return response.text
    for field in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(field):
            body = body[field]
    return body if isinstance(body, str) else json.dumps(body)
