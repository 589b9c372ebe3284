"""Which model an endpoint serves, for settings that name none: many servers refuse a name that they do not know."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub.errors import HfHubHTTPError

from s3_hf.errors import ConfigError
from s3_hf.llm.balance import Endpoint
from s3_hf.llm.failures import Kind, classify

TIMEOUT = 10.0
"""Seconds that an endpoint has to tell what it serves."""
SHOWN = 12
"""Most names in an error."""


class Served:
    """Asks all endpoints for their models before the first request, and those that were down or busy again later.

    `before` is the model that the journal's completions are of; where there are several, it is asked for again.
    """

    def __init__(self, endpoints: tuple[Endpoint, ...], pool: httpx2.AsyncClient, before: str | None) -> None:
        self._endpoints, self._pool, self._before = endpoints, pool, before
        self._lookup: asyncio.Task[None] | None = None
        self._failed: dict[str, Exception] = {}

    async def name(self, endpoint: Endpoint) -> str | None:
        """The model to ask the endpoint for, or None if it does not tell what it serves.

        Raises:
            ConfigError: there are several, of it or of the endpoints together.
            Exception: it was down or busy, in the words of its client, and no other endpoint tells.
        """
        if endpoint.serves is None and not endpoint.answered_at:
            if self._lookup is None or self._lookup.done():
                self._lookup = asyncio.ensure_future(self._look())
            await asyncio.shield(self._lookup)
        told = endpoint.serves
        if told is None:
            told = next((one.serves for one in self._endpoints if one.serves), ())
            if not told and (failed := self._failed.get(endpoint.url)):
                raise failed
        return told[0] if told else None

    def close(self) -> None:
        """Leave no task behind."""
        if self._lookup is not None:
            self._lookup.cancel()

    async def _look(self) -> None:
        await asyncio.gather(*(self._ask(one) for one in self._endpoints if one.serves is None))
        for one in self._endpoints:
            if one.serves and self._before in one.serves:
                one.serves = (self._before,)
        telling = [(one.address.name, one.serves) for one in self._endpoints if one.serves]
        for where, names in telling:
            if len(names) > 1:
                raise ConfigError(
                    f"llm_model must name one of the models of {where}, found it unset and {shown(names)}; "
                    "choose one with --set llm_model=NAME"
                )
        if len({names for _, names in telling}) > 1:
            found = ", ".join(f"{names[0]!r} at {where}" for where, names in telling)
            raise ConfigError(
                f"all endpoints must serve the same model, found {found}; leave out those that do not, or name what "
                "all of them know with --set llm_model=NAME"
            )

    async def _ask(self, endpoint: Endpoint) -> None:
        key = endpoint.address.key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._pool.get(models_url(endpoint.url), headers=headers)
            endpoint.serves = names_in(answer.json())
        except (HfHubHTTPError, httpx2.HTTPError, OSError, httpx2.InvalidURL, ValueError) as error:
            if classify(error, endpoint.address).kind in (Kind.BUSY, Kind.DOWN):
                self._failed[endpoint.url] = error
            else:
                endpoint.serves = ()


def models_url(url: str) -> str:
    """Where an OpenAI-compatible server whose chat completions are at `url` lists its models."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1")
    return parts._replace(path=f"{path}/v1/models").geturl()


def names_in(body: Any) -> tuple[str, ...]:
    """The names in a server's list of models; none if it is no such list."""
    listed = body.get("data") if isinstance(body, dict) else None
    names = (one.get("id") for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def shown(names: tuple[str, ...]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
