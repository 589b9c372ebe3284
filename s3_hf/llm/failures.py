"""What an attempt came to when it brought no completion, and what that means for the run."""

from __future__ import annotations

import email.utils
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

from s3_hf.records import Usage

LONGEST_WAIT = 120.0
"""Most seconds of a Retry-After that are waited before the endpoint is asked again."""

_LARGEST = 2**53


class Kind(Enum):
    """How a failed attempt is answered."""

    BUSY = "told to wait"
    DOWN = "no answer"
    GARBAGE = "not a chat completion"
    REQUEST = "this request is refused"
    FATAL = "every request will be refused"


@dataclass(frozen=True, slots=True)
class Failure:
    """`found` continues the sentence "it ..."; `wait` is the Retry-After in seconds, 0 without one."""

    kind: Kind
    found: str
    advice: str = ""
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Address:
    """Whom to name in an error: `name` shows no secret, `key_advice` says where the key comes from."""

    name: str
    is_url: bool
    key: str | None
    key_advice: str


class NotAChatError(ValueError):
    """The body is JSON, but holds no chat completion."""


def classify(error: Exception, address: Address) -> Failure:
    """What kind of failure the exception of an attempt is."""
    if isinstance(error, HfHubHTTPError):
        return _refusal(error.response, address)
    if isinstance(error, OfflineModeIsEnabled):
        advice = "unset HF_HUB_OFFLINE, or give the URL of a local endpoint as llm"
        return Failure(Kind.FATAL, "cannot be asked, because HF_HUB_OFFLINE is set", advice)
    if isinstance(error, httpx2.InvalidURL):
        return Failure(Kind.FATAL, f"is not a URL ({error})", "correct the setting llm")
    if isinstance(error, TimeoutError):
        return Failure(Kind.DOWN, "gave no answer in time", "raise endpoint.timeout or lower endpoint.concurrency")
    if isinstance(error, httpx2.DecodingError | json.JSONDecodeError | UnicodeDecodeError | NotAChatError):
        return _garbage(error, address)
    if isinstance(error, ValueError):
        if address.is_url:
            return _garbage(error, address)
        if "hf auth login" in str(error):
            return Failure(Kind.FATAL, "cannot be asked without a token", address.key_advice)
        return Failure(
            Kind.FATAL, f"cannot be asked: {said(str(error), address).rstrip('.')}", "correct llm or endpoint"
        )
    return Failure(Kind.DOWN, f"could not be reached ({said(str(error) or type(error).__name__, address)})")


def read(answer: Any) -> tuple[str, str, str, Usage]:
    """Text, finish reason, model and usage of a chat completion; text is "" where the model said nothing.

    Raises:
        NotAChatError: the answer has no choice with a message.
    """
    try:
        choice = answer.choices[0]
        text = choice.message.content
        finish_reason, model, usage = choice.finish_reason, answer.model, answer.usage
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise NotAChatError(f"found {str(answer)!r}") from error
    if not isinstance(text, str | None):
        raise NotAChatError(f"found content {text!r}")
    spent = Usage(1, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    return _plain(text), _plain(finish_reason), _plain(model), spent


def said(text: str, address: Address) -> str:
    """At most 200 characters of what a server said, on one line, without any key."""
    if address.key:
        text = text.replace(address.key, "***")
    text = re.sub(r"\bhf_\w{8,}", "hf_***", " ".join(text.split()))
    return text if len(text) <= 200 else text[:200] + "…"


def _refusal(response: httpx2.Response, address: Address) -> Failure:
    status = response.status_code
    wait = _retry_after(response.headers)
    found = f"answered HTTP {status} {said(_message(response), address)!r}"
    if status == 429 or (status == 503 and wait):
        return Failure(Kind.BUSY, found, "lower endpoint.concurrency", wait)
    if status == 408 or status >= 500:
        return Failure(Kind.DOWN, found, wait=wait)
    if response.is_redirect:
        target = said(response.headers["location"], address)
        return Failure(Kind.FATAL, f"redirects to {target!r}", "give the address it redirects to as llm")
    if status in (401, 403):
        return Failure(Kind.FATAL, found, address.key_advice)
    if status == 402:
        return Failure(Kind.FATAL, found, "pay for more, or set endpoint.bill_to to an organization that pays")
    if status in (404, 405):
        return Failure(Kind.FATAL, found, "the URL or model does not exist there: check llm and llm_model")
    return Failure(Kind.REQUEST, found, "correct the prompt or the setting that it complains about")


def _garbage(error: Exception, address: Address) -> Failure:
    body = error.doc if isinstance(error, json.JSONDecodeError) else str(error)
    found = f"answered something else than a chat completion: {said(body, address)!r}"
    return Failure(Kind.GARBAGE, found, "give the URL of an OpenAI-compatible chat-completions endpoint as llm")


def _message(response: httpx2.Response) -> str:
    """The server's own words: OpenAI's `error.message`, other servers' plain fields, or the body."""
    try:
        body = response.json()
    except ValueError:
        return response.text
    for field in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(field):
            body = body[field]
    return body if isinstance(body, str) else json.dumps(body)


def _retry_after(headers: httpx2.Headers) -> float:
    """Seconds to wait by `Retry-After` (number or HTTP date) or the `RateLimit` header, 0 without either."""
    value = headers.get("retry-after", "").strip()
    limit = parse_ratelimit_headers(headers)
    if re.fullmatch(r"\d+(\.\d+)?", value):
        seconds = float(value)
    elif (date := email.utils.parsedate_tz(value)) is not None:
        seconds = email.utils.mktime_tz(date) - datetime.now(UTC).timestamp()
    else:
        seconds = limit.reset_in_seconds if limit is not None and limit.remaining == 0 else 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _count(usage: Any, field: str) -> int:
    value = getattr(usage, field, None)
    return value if isinstance(value, int) and 0 <= value < _LARGEST else 0


def _plain(text: Any) -> str:
    """The text without lone surrogates, which JSON can carry and neither SQLite nor Parquet can hold."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else ""
