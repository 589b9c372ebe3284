"""Read what an endpoint answers with HTTP 200: a chat completion, an error all the same, or its list of models."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import httpx2
from huggingface_hub.errors import HfHubHTTPError

from s3_hf.records import Completion, Request, Token, Usage

LONGEST_TEXT = 2**16
"""Characters after which an answer is cut, unless more than a tenth as many tokens were asked for."""

CHARACTERS_PER_TOKEN = 4
"""Estimate for an endpoint that reports no token counts."""

MOST_TOKENS, LONGEST_TOKEN = 32, 100
"""Tokens of an answer whose log-probabilities are kept, and characters of each."""

_LARGEST = 2**53
"""Token counts from here on are not counts."""

_NAMED = {"rate_limit_exceeded": 429, "insufficient_quota": 429, "invalid_api_key": 401, "model_not_found": 404}
"""Statuses of errors that have a name in place of a number."""


class MalformedAnswerError(ValueError):
    """The answer is not of the form that was asked for."""


def read_error(body: Any) -> int | None:
    """Return the HTTP status of an error in a body that arrived with status 200, or None if it holds none.

    OpenRouter answers so where a model behind it fails, in the body or in its only choice.
    """
    error = _get(body, "error") or _get(_first(_get(body, "choices")), "error")
    if not isinstance(error, Mapping):
        return None
    for code in (error.get("code"), error.get("status"), error.get("type")):
        if isinstance(code, int | str) and code in _NAMED:
            return _NAMED[str(code)]
        if isinstance(code, int) or (isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3):
            return status if 400 <= (status := int(code)) < 600 else None
    return None


def answered(status: int, headers: Iterable[tuple[str, str]], content: bytes) -> HfHubHTTPError:
    """Return the error of an answer with this status; `content` is its body, decoded."""
    left_out = ("content-encoding", "content-length", "transfer-encoding")
    kept = [(name, value) for name, value in headers if name.lower() not in left_out]
    request = httpx2.Request("POST", "http://endpoint")  # the real one may hold a key
    return HfHubHTTPError(
        f"HTTP {status}", response=httpx2.Response(status, headers=kept, content=content, request=request)
    )


def read_answer(body: Any, request: Request, sent: Mapping[str, Any]) -> Completion:
    """Return the completion in the parsed body of an answer.

    Args:
        body: the answer.
        request: what was asked for.
        sent: the body of the request, which may lack `stop`; the text then ends where an endpoint would end it.

    Raises:
        HfHubHTTPError: the body is an error.
        MalformedAnswerError: it is neither an error with a status nor a completion.
    """
    if (status := read_error(body)) is not None:
        raise answered(status, (), json.dumps(body).encode())
    completion = read_completion(body, request)
    if request.stop and "stop" not in sent:
        completion = replace(completion, text=ended_at(completion.text, request.stop))
    return completion


def read_completion(body: Any, request: Request) -> Completion:
    """Return the completion in the parsed body of a chat-completions answer.

    Its text is empty where the model wrote none, and cut where it is far longer than was asked for. Its token counts
    are estimated where `reports_usage` is false, its model is the one that the server names, and its cost is 0.

    Raises:
        MalformedAnswerError: the body holds no choice with a message of text.
    """
    choice = _first(_get(body, "choices"))
    message = _get(choice, "message")
    if not isinstance(message, Mapping):
        raise MalformedAnswerError(_shown(body))
    text = _text(message.get("content"))
    finish_reason = _plain(choice.get("finish_reason"))[:40]
    limit = max(LONGEST_TEXT, 10 * request.max_tokens)
    if len(text) > limit:
        text, finish_reason = text[:limit], "length"
    if reports_usage(body):
        usage = body["usage"]
        spent = Usage(1, _count(usage, "prompt_tokens") or 0, _count(usage, "completion_tokens") or 0)
    else:
        thoughts = message.get("reasoning_content") or message.get("reasoning")
        written = len(text) + len(thoughts if isinstance(thoughts, str) else "")
        asked = sum(len(str(each.get("content"))) for each in request.messages)
        spent = Usage(1, *(math.ceil(size / CHARACTERS_PER_TOKEN) for size in (asked, written)))
    tokens = _tokens(_get(_get(choice, "logprobs"), "content"), request.top_logprobs) if request.top_logprobs else ()
    return Completion(request.slot, text, finish_reason, spent, _plain(_get(body, "model"))[:200], tokens)


def _tokens(content: Any, most: int) -> tuple[Token, ...]:
    """Return the first tokens after the thoughts with up to `most` choices each; they end before a malformed place."""
    places = content if isinstance(content, list) else []
    thoughts = [number for number, place in enumerate(places) if "</think>" in _plain(_get(place, "token"))]
    tokens: list[Token] = []
    for place in places[thoughts[-1] + 1 if thoughts else 0 :][:MOST_TOKENS]:
        listed = _get(place, "top_logprobs")
        choices = dict(filter(None, map(_choice, listed[:most] if isinstance(listed, list) else ())))
        if (own := _choice(place)) is None or not choices:
            break
        tokens.append(Token(own[0], tuple((choices | {own[0]: own[1]}).items())))
    return tuple(tokens)


def _choice(place: Any) -> tuple[str, float] | None:
    """Return a token and its log-probability; None if it has none."""
    value = _get(place, "logprob")
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return _plain(_get(place, "token"))[:LONGEST_TOKEN], float(value)


def lacks_logprobs(body: Any) -> bool:
    """Return whether the choice of an answer has no log-probabilities at all, not even of no token."""
    return _get(_first(_get(body, "choices")), "logprobs") is None


def reports_usage(body: Any) -> bool:
    """Return whether an answer reports token counts."""
    usage = _get(body, "usage")
    return any(_count(usage, name) is not None for name in ("prompt_tokens", "completion_tokens"))


def ended_at(text: str, stops: tuple[str, ...]) -> str:
    """Return the text up to the first stop text after its thoughts, as an endpoint that knows `stop` answers it."""
    thoughts, end, answer = text.rpartition("</think>")
    answer = answer.lstrip()
    for stop in stops:
        answer = answer.partition(stop)[0]
    return thoughts + end + answer


def read_models(body: Any) -> tuple[str, ...]:
    """Return the names in the parsed body of a list of models; none if the body is no such list."""
    listed = _get(body, "data")
    names = (one.get("id") for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()
    return tuple(dict.fromkeys(_plain(name) for name in names if isinstance(name, str) and 0 < len(name) <= 1000))


def _text(content: Any) -> str:
    """Return the text of a message: a string, none, or a list of parts, of which thoughts are left out."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        if not parts or not all(isinstance(part, Mapping) for part in content):
            raise MalformedAnswerError(f"content {_shown(content)}")
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str | None):
        raise MalformedAnswerError(f"content {_shown(content)}")
    return _plain(content)


def _shown(value: Any) -> str:
    try:
        return repr(value)[:1000]
    except RecursionError:
        return "JSON that is nested too deeply"


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _count(usage: Any, field: str) -> int | None:
    value = _get(usage, field)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST else None


def _plain(text: Any) -> str:
    """The text without lone surrogates, which JSON can carry and neither SQLite nor Parquet can hold."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else ""
