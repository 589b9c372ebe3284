"""Read what an endpoint answers with HTTP 200: a chat completion, or its list of models."""

from __future__ import annotations

from typing import Any

from s3_hf.records import Completion, Usage

_LARGEST = 2**53
"""Token counts from here on are not counts."""


class MalformedAnswerError(ValueError):
    """The answer is not of the form that was asked for."""


def read_completion(answer: Any, slot: str) -> Completion:
    """Return the completion in the parsed body of a chat-completions answer.

    Its text is empty where the model wrote none, its token counts are 0 where the server reports none, its model is
    the one that the server names, and its cost is 0.

    Raises:
        MalformedAnswerError: the body holds no choice with a message of text.
    """
    try:
        choice = answer.choices[0]
        text, finish_reason = choice.message.content, choice.finish_reason
        model, usage = answer.model, answer.usage
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise MalformedAnswerError(str(answer)) from error
    if not isinstance(text, str | None):
        raise MalformedAnswerError(f"content {text!r}")
    spent = Usage(1, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))
    return Completion(slot, _plain(text), _plain(finish_reason), spent, _plain(model))


def read_models(body: Any) -> tuple[str, ...]:
    """Return the names in the parsed body of a list of models; none if the body is no such list."""
    listed = body.get("data") if isinstance(body, dict) else None
    names = (one.get("id") for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def _count(usage: Any, field: str) -> int:
    value = getattr(usage, field, None)
    return value if isinstance(value, int) and 0 <= value < _LARGEST else 0


def _plain(text: Any) -> str:
    """The text without lone surrogates, which JSON can carry and neither SQLite nor Parquet can hold."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else ""
