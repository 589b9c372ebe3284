"""One HTTP exchange with an endpoint, bounded in size: parsed JSON, or an exception that `failures` classifies."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from s3_hf.keys import without_secrets
from s3_hf.llm.answers import MalformedAnswerError, answered

LONGEST_BODY = 8 * 2**20
"""Bytes from which a body is no answer; most of a long one are thoughts and log-probabilities."""

LONGEST_ERROR = 2**16
"""Bytes of an error's body that are read."""

ACCEPTED = ("", "identity", "gzip", "deflate")
"""Content encodings that grow at most a thousandfold."""


class _WithoutQueries(logging.Filter):
    """Cuts the URLs that httpx logs, since keys may stand in their queries."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                without_secrets(str(one)) if isinstance(one, httpx2.URL) else one for one in record.args
            )
        return True


logging.getLogger("httpx2").addFilter(_WithoutQueries())


async def exchange(
    pool: httpx2.AsyncClient, method: str, url: str, headers: Mapping[str, str], body: Any = None
) -> Any:
    """Send one request and return the parsed JSON of its answer.

    Raises:
        HfHubHTTPError: the status is not 2xx; the response holds the first 64 KB of its body.
        MalformedAnswerError: the answer is no JSON, or too long.
        Exception: another one of `failures.ATTEMPT_ERRORS`.
    """
    async with pool.stream(method, url, json=body, headers=dict(headers)) as response:
        limit = check_begin(response)
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > limit:
                break
    return parsed(response, bytes(content))


def check_begin(response: httpx2.Response) -> int:
    """Return the bytes to read of a response whose headers have arrived: one more than may be parsed.

    Raises:
        MalformedAnswerError: its encoding is not one of `ACCEPTED`.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ACCEPTED:
        raise MalformedAnswerError(f"content-encoding {encoding!r}")
    return LONGEST_BODY if response.is_success else LONGEST_ERROR


def parsed(response: httpx2.Response, content: bytes) -> Any:
    """Return the parsed JSON of a body that was read as `exchange` reads it.

    Raises:
        HfHubHTTPError: the status is not 2xx.
        MalformedAnswerError: the body is no JSON, or too long.
    """
    if not response.is_success:
        raise answered(response.status_code, response.headers.multi_items(), content[:LONGEST_ERROR])
    if len(content) > LONGEST_BODY:
        raise MalformedAnswerError(f"more than {LONGEST_BODY >> 20} MB: {_beginning(content)}")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise MalformedAnswerError(_beginning(content)) from None


def _beginning(content: bytes) -> str:
    return content[:1000].decode(errors="replace")


def bounded(response: httpx2.Response, chunks: Iterator[bytes]) -> bytes:
    """Return the body of a response from its blocking chunks, read as far as `parsed` needs it.

    Raises:
        MalformedAnswerError: see `check_begin`.
    """
    limit = check_begin(response)
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > limit:
            break
    return bytes(content)
