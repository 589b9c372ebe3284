"""Classify a failed attempt: what went wrong, what a user can do, and whether to try again."""

from __future__ import annotations

import json
import math
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from s3_hf.llm.access import OTHER_SERVICE, Address
from s3_hf.llm.answers import MalformedAnswerError
from s3_hf.retrying import retry_after

LONGEST_WAIT = 120.0
"""Most seconds of a Retry-After that are waited before an LLM endpoint is asked again."""

HOPELESS_WAIT = 600.0
"""Seconds of a Retry-After from which waiting has no point: a quota of the day or the month is used up."""

LOADING_WAIT = 5.0
"""Seconds between requests to a server that loads its model and does not say for how long."""

ATTEMPT_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError, ValueError, RecursionError)
"""Exceptions that an attempt can end with, all of which `classify` knows."""

_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
"""Codes and types of a 429 that no waiting cures; a message is no sign, since Gemini speaks so of a minute's quota."""

_NO_MODEL = ("model_not_found", "model_not_supported")
"""Codes of a model that is not served, with which the Hub's router answers 400."""


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
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return Failure(FailureKind.FATAL, f"is not a URL ({redacted(str(error), address)})", "correct the setting llm")
    if isinstance(error, TimeoutError):
        advice = "raise endpoint.timeout or lower endpoint.concurrency"
        return Failure(FailureKind.DOWN, "gave no answer in time", advice)
    if isinstance(error, httpx2.DecodingError | UnicodeError | MalformedAnswerError | RecursionError):
        return _garbage(error, address)
    if isinstance(error, ValueError):
        return _garbage(error, address) if address.url else _unusable(str(error), address)
    reason = f"could not be reached ({redacted(str(error) or type(error).__name__, address)})"
    return _untrusted(error) or Failure(FailureKind.DOWN, reason, "check that it runs and can be reached")


def redacted(text: str, address: Address) -> str:
    """Return at most 200 characters of a server's text, on one line, with keys and Hub tokens masked."""
    text = re.sub(r"\bhf_\w{8,}", "hf_***", masked(" ".join(text[:10_000].split()), address))
    return text if len(text) <= 200 else text[:200] + "…"


def masked(text: str, address: Address) -> str:
    """Return the text without the secrets of the address; a secret of a few characters is also an ordinary word."""
    for secret in sorted(
        {one for one in (*address.secrets, address.key or "") if len(one) >= 6}, key=len, reverse=True
    ):
        text = text.replace(secret, "***")
    return text


def _refusal(response: httpx2.Response, address: Address) -> Failure:
    status = response.status_code
    if 300 <= status < 400:
        target = redacted(response.headers.get("location", "nowhere"), address)
        advice = "give the address it redirects to as llm"
        return Failure(FailureKind.FATAL, f"answered HTTP {status} and redirects to {target!r}", advice)
    body = _json(response)
    reason = f"answered HTTP {status} {redacted(error_message(response), address)!r}"
    if (fatal := _fatal_advice(status, body, address)) is not None:
        return Failure(FailureKind.FATAL, reason, fatal)
    wait = retry_after(response.headers, math.inf)
    if status == 503:
        wait = max(wait, _loading(body, response))
    if status == 429 or (status == 503 and wait):
        if wait >= HOPELESS_WAIT:
            reason = f"{reason} and asks to wait {_duration(wait)}"
            return Failure(FailureKind.FATAL, reason, "run the same command again then: all answers so far are kept")
        return Failure(FailureKind.BUSY, reason, "lower endpoint.concurrency", min(wait, LONGEST_WAIT))
    if status == 408 or status >= 500:
        return Failure(FailureKind.DOWN, reason, wait=min(wait, LONGEST_WAIT))
    advice = "correct the prompt or the setting that it complains about (see endpoint.omit and endpoint.extra_body)"
    return Failure(FailureKind.REQUEST, reason, advice)


def _fatal_advice(status: int, body: Any, address: Address) -> str | None:
    """Return what to do about a status that no other request will be spared, or None."""
    if status in (401, 403):
        return address.key_advice
    if status == 402 or (status == 429 and any(name in _NO_CREDIT for name in _codes(body))):
        if address.url:
            return "there is no credit left: add some at the provider, then run the same command again"
        return "pay for more, or set endpoint.bill_to to an organization that pays"
    if status in (404, 405) or any(name in _NO_MODEL for name in _codes(body)):
        if address.url:
            return "the URL or model does not exist there: check llm and llm_model"
        return f"correct llm to a model that Inference Providers serve; {OTHER_SERVICE}"
    return None


def _loading(body: Any, response: httpx2.Response) -> float:
    """Return the seconds after which a server that loads its model may be asked again, 0 if it loads none."""
    seconds = body.get("estimated_time") if isinstance(body, dict) else None
    if isinstance(seconds, int | float) and 0 < seconds < math.inf:
        return max(1.0, min(float(min(seconds, 10**6)), LONGEST_WAIT))
    return LOADING_WAIT if re.search(r"\bloading\b", error_message(response)[:1000], re.IGNORECASE) else 0.0


def _untrusted(error: Exception) -> Failure | None:
    """Return the failure of a TLS handshake that cannot succeed, or None."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"has a certificate that is not trusted ({cause.verify_message})"
            advice = "set SSL_CERT_FILE to a file with the certificates to trust, in PEM form"
            return Failure(FailureKind.FATAL, reason, advice)
        if isinstance(cause, ssl.SSLError) and cause.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return Failure(FailureKind.FATAL, "does not speak TLS", "write http:// in place of https://")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _garbage(error: Exception, address: Address) -> Failure:
    advice = "give the URL of an OpenAI-compatible chat-completions endpoint as llm"
    return Failure(FailureKind.GARBAGE, f"answered something else: {redacted(str(error), address)!r}", advice)


def _unusable(message: str, address: Address) -> Failure:
    """Return the failure of a model id that `huggingface_hub` finds no way to ask."""
    if "hf auth login" in message:
        return Failure(FailureKind.FATAL, "cannot be asked without a token", address.key_advice)
    reason = f"cannot be asked: {redacted(message, address).rstrip('.')}"
    return Failure(FailureKind.FATAL, reason, "correct llm or endpoint")


def _json(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _codes(body: Any) -> list[str]:
    """Return the names of an error in its body."""
    error = body.get("error") if isinstance(body, dict) else None
    return [str(each.get(name)) for each in (body, error) if isinstance(each, dict) for name in ("code", "type")]


def error_message(response: httpx2.Response) -> str:
    """Return the server's error message: OpenAI's `error.message`, other servers' plain fields, or the body."""
    body = _json(response)
    if body is None:
        return response.text
    for field in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(field):
            body = body[field]
    try:
        return body if isinstance(body, str) else json.dumps(body)
    except RecursionError:
        return response.text


def _duration(seconds: float) -> str:
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 10 * 86_400 else "more than ten days"
