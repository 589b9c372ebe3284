"""The form of requests: fields added by the settings, and renamed or left out where the endpoint refuses them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import httpx2

from s3_hf.config import LLMConfig
from s3_hf.journal import Journal
from s3_hf.llm.failures import error_message
from s3_hf.records import Request

logger = logging.getLogger(__name__)

OPTIONAL = ("max_tokens", "temperature", "top_p", "stop", "seed")
"""Fields of a request that an endpoint may refuse."""

RENAMED = {"max_tokens": "max_completion_tokens"}
"""Fields that are never left out, since answers would have no limit, but sent by their other name."""

LOGPROBS = ("logprobs", "top_logprobs")
"""Fields of a request that go together: where the endpoint refuses or ignores one, both are left out."""

FEWER_LOGPROBS = 5
"""`top_logprobs` where an endpoint refuses more and does not say how many it takes: the least that common servers do.
"""

REFUSING = frozenset({400, 404, 415, 422, 501})
"""Statuses whose body may name a field."""

_REFUSED = re.compile(
    r"unsupported|not (?:yet |currently )?(?:supported|permitted|allowed|implemented|available)|n[o']t support|"
    r"extra (?:inputs?|fields?)|additional propert|unknown|unrecogni[sz]ed|unexpected|cannot both|"
    r"only (?:use |specify )?one|only the default|deprecated|"
    r"invalid (?:parameter|field|argument|name|key)|no such (?:parameter|field|argument)",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"too (?:large|long|many|big|high|low)|context|exceed|at most|maximum|less than|greater", re.IGNORECASE
)
_LOGPROBS = re.compile(r"log[ _-]?prob", re.IGNORECASE)
_ECHO = re.compile(r"""["'](?:top_)?logprobs["']\s*:\s*(?:true|[0-9]+)""", re.IGNORECASE)
_REFUSED_LOGPROBS = re.compile(rf"{_REFUSED.pattern}|\bnot\b|n['’]t\b|cannot|disabled|invalid", re.IGNORECASE)
_RANGE = re.compile(rf"{_VALUE.pattern}|between|range|[<≤]|above|must be|should be", re.IGNORECASE)
_BOTH = re.compile(r"both|only (?:use |specify )?one|together", re.IGNORECASE)


class Dialect:
    """The form of the requests of a run, one for all its endpoints.

    Args:
        settings: `extra_body` and `omit`.
        journal: keeps what was learned, so that a resumed run asks in the same form.
    """

    def __init__(self, settings: LLMConfig, journal: Journal) -> None:
        omitted = {*settings.omit, *(LOGPROBS if "logprobs" in settings.omit else ())}
        self._extra, self._omit, self._journal = settings.extra_body, omitted, journal
        self._learned = journal.dialect()
        self._inherited = frozenset(self._learned)
        self._most_logprobs: int | None = None

    def body(self, request: Request, model: str | None) -> dict[str, Any]:
        """Return the JSON body of a request."""
        body: dict[str, Any] = {"model": model}
        for field, value in request.payload().items():
            name = "" if field in self._omit else self._learned.get(field, field)
            if name and value is not None:
                body[name] = value
        if self._most_logprobs is not None and "top_logprobs" in body:
            body["top_logprobs"] = min(body["top_logprobs"], self._most_logprobs)
        return {**body, "stream": False, **self._extra}

    def learn(self, response: httpx2.Response, sent: Mapping[str, Any]) -> bool:
        """Return whether the request that was refused can be sent in another form.

        Args:
            response: the refusal.
            sent: the body of the request, as `body` returned it.
        """
        if response.status_code not in REFUSING:
            return False
        if "logprobs" in sent and not {*LOGPROBS} & self._extra.keys() and self._learn_logprobs(response, sent):
            return True
        names = {self._learned.get(field) or field: field for field in OPTIONAL}
        names |= {field: field for field in OPTIONAL} | {RENAMED[field]: field for field in RENAMED}
        own = [name for name in sent if name in names and name not in self._extra]
        refused = refused_field(response.text, own)
        if refused is None:
            return False
        field = names[refused]
        if self._learned.get(field, field) != refused:  # an answer to another request has told so meanwhile
            return True
        renamed = RENAMED.get(field, "")
        if refused != field:  # an earlier start renamed it for another server
            if field not in self._inherited:
                return False
            renamed = field
        self._learned[field] = renamed
        self._journal.keep_dialect(field, renamed)
        logger.warning("the endpoint refuses the field %r: from now on it is %s", field, _sent_as(renamed))
        return True

    def _learn_logprobs(self, response: httpx2.Response, sent: Mapping[str, Any]) -> bool:
        """Return whether a refusal is of log-probabilities: fewer of them are asked for from now on, or none."""
        message = _ECHO.sub("", error_message(response))
        named = not {*LOGPROBS}.isdisjoint(_structured(_parsed(response.text)))
        if not named and not _LOGPROBS.search(message):
            return False
        if _RANGE.search(message):
            if fewer := _fewer(message, sent.get("top_logprobs", 0)):
                self._most_logprobs = min(fewer, self._most_logprobs or fewer)
                return True
        elif not named and not _REFUSED_LOGPROBS.search(message):
            return False
        self.lacks_logprobs()
        return True

    def lacks_logprobs(self) -> None:
        """Ask for no log-probabilities from now on, since the endpoint refuses them or answers without them.

        Raises:
            StorageError: that cannot be recorded.
        """
        if self._learned.get(LOGPROBS[0]) == "":
            return
        for field in LOGPROBS:
            self._learned[field] = ""
            self._journal.keep_dialect(field, "")
        logger.warning("the endpoint gives no log-probabilities: from now on labels are judged by its answers")

    def changes(self) -> str:
        """Return what the endpoint refuses, in words; empty if it takes every field."""
        return ", ".join(
            f"{field!r} is {_sent_as(name)}" for field, name in sorted(self._learned.items()) if name != field
        )

    @property
    def stops(self) -> bool:
        """Whether the endpoint ends its answers at the stop texts."""
        return "stop" not in self._omit and self._learned.get("stop", "stop") == "stop"


def refused_field(body: str, names: list[str]) -> str | None:
    """Return which of the names of fields the body of an error refuses, or None.

    A refusal of a value, such as a prompt that is too long, is none.
    """
    for name in _structured(_parsed(body)):
        if name in names:
            return name
    if not _REFUSED.search(body) or _VALUE.search(body):
        return None
    named = [name for name in names if _names(body, name)]
    if {"temperature", "top_p"} <= {*named} and _BOTH.search(body):
        return "top_p"
    return named[0] if named else None


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _fewer(message: str, sent: int) -> int:
    """Return the most log-probabilities that a refusal of `sent` of them allows; 0 if it allows none."""
    named = [number for number in map(int, re.findall(r"(?<![\w.])[0-9]{1,3}(?![\w])", message)) if 0 < number < sent]
    return max(named, default=FEWER_LOGPROBS if sent > FEWER_LOGPROBS else 0)


def _structured(error: Any) -> list[str]:
    """Return the fields that an error names in fields of its own: OpenAI's `param`, pydantic's `loc`."""
    if not isinstance(error, dict):
        return []
    inner = error.get("error")
    inner = inner if isinstance(inner, dict) else error
    if "unsupported" in str(inner.get("code")) or "unknown_parameter" in str(inner.get("code")):
        return [str(inner.get("param"))]
    faults = error.get("detail")
    faults = inner.get("detail") if not isinstance(faults, list) else faults
    return [
        str(fault["loc"][-1])
        for fault in (faults if isinstance(faults, list) else ())
        if isinstance(fault, dict) and fault.get("type") == "extra_forbidden" and isinstance(fault.get("loc"), list)
        if fault["loc"]
    ]


def _names(text: str, name: str) -> bool:
    """Return whether a message names a field; `stop` and `seed`, which are words too, count where they are marked."""
    plain = rf"(?<![\w]){name}(?![\w])"
    if name not in ("stop", "seed"):
        return re.search(plain, text) is not None
    marked = (
        rf"['\"`‘“\\]{name}['\"`’”\\]|(?:parameters?|arguments?|fields?|supplied|key):? {name}\b|\b{name}:|\.{name}\b"
    )
    return re.search(marked, text) is not None


def _sent_as(name: str) -> str:
    return f"sent as {name!r}" if name else "left out"
