"""Reach an endpoint: its address, its key and never the Hub token, its HTTP connections, the models it lists."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import re
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import AsyncInferenceClient, get_async_session
from huggingface_hub.errors import HfHubHTTPError

from s3_hf.config import LLMConfig
from s3_hf.errors import ConfigError
from s3_hf.llm.answers import read_models

CONNECT_TIMEOUT = 15.0
"""Seconds until an address that does not respond at all is given up."""

LISTING_TIMEOUT = 10.0
"""Seconds that an endpoint has to list its models."""

POOL_SIZE = 4
"""Requests per pool: sending one takes time in proportion to the connections of its pool."""

NAMES_SHOWN = 12
"""Most names of models in a message."""

LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")
LOOPBACK_URL = r"http://(127\.0\.0\.1|localhost|\[::1\])[:/]"

Pools = tuple[httpx2.AsyncClient, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go.

    `name` stands for it in messages and holds no secret, `url` is None for a model id on Inference Providers, and
    `key_advice` is what to do about a missing or wrong key.
    """

    name: str
    url: str | None = None
    key: str | None = field(default=None, repr=False)
    key_advice: str = "correct the key"


class PooledClient(AsyncInferenceClient):
    """An `AsyncInferenceClient` that sends its requests through the pools, in turn.

    `set_async_client_factory`, the public way, would change every client of the process.
    """

    def __init__(self, pools: Pools, **settings: Any) -> None:
        super().__init__(**settings)
        self._turns = itertools.cycle(pools)

    async def _get_async_client(self) -> httpx2.AsyncClient:
        return next(self._turns)


def read_key(variable: str | None) -> str | None:
    """Return the key in the environment variable, or None if no variable is named.

    Raises:
        ConfigError: the variable is not set.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"endpoint.api_key_env (--api-key-env) must name an environment variable with a key, found {variable!r}, "
            "which is not set; export it or remove the setting"
        )
    return key


def credentials(key: str | None) -> dict[str, Any]:
    """Return the arguments that make an inference client send this key, or none, but never the user's Hub token.

    Without a key and a header of its own, the client would send the token to whatever URL it is pointed at.
    """
    return {"api_key": key or "none", "headers": None if key else {"authorization": None}}


def addresses(model: str | None, urls: tuple[str, ...], settings: LLMConfig) -> tuple[Address, ...]:
    """Return one address per URL, or without URLs the one of the model id.

    Raises:
        ConfigError: there is neither a model nor a URL, or the variable that should hold the key is not set.
    """
    key, variable = read_key(settings.api_key_env), settings.api_key_env
    if urls:
        advice = (
            f"correct the key in {variable!r} (endpoint.api_key_env)"
            if key
            else "set endpoint.api_key_env (--api-key-env) to the environment variable that holds its key"
        )
        return tuple(Address(f"the endpoint {without_secrets(url)!r}", url, key, advice) for url in urls)
    if model is None:
        raise ConfigError("a model id or the URL of an endpoint is needed as llm, found neither; give one")
    advice = (
        f"correct the key in {variable!r}"
        if key
        else "log in with `hf auth login`, or set HF_TOKEN to a token that may call Inference Providers"
    )
    advice += "; for a model of another service give its URL as llm and its name as llm_model"
    return (Address(f"the model {model!r}", None, key, advice),)


def open_pools(urls: tuple[str, ...], concurrency: int) -> Pools:
    """Return HTTP pools that all endpoints share, with a connection kept for each slot; the caller closes them.

    A URL is reached whatever HF_HUB_OFFLINE says, since it is not the Hub and nothing else can be reached through its
    pools (redirects are refused); a model id keeps `huggingface_hub`'s own guard. On loopback no proxy is used.
    Proxies and certificates are otherwise taken from the environment.
    """
    hooks = {} if urls else get_async_session().event_hooks
    # Reading the certificates takes 40 ms; without any, TLS would be refused.
    plain = urls and all(re.match(LOOPBACK_URL, url) for url in urls)
    certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else httpx2.create_ssl_context()
    return tuple(
        httpx2.AsyncClient(
            verify=certificates,
            event_hooks={"request": hooks.get("request", []), "response": [_raise_for_status]},
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=concurrency),
            mounts=dict.fromkeys(LOOPBACK),
        )
        for _ in range(math.ceil(concurrency / POOL_SIZE))
    )


def open_client(address: Address, model: str | None, settings: LLMConfig, pools: Pools) -> PooledClient:
    """Return the inference client of an address, or of the model id where the address is no URL; nothing is sent."""
    if address.url is not None:
        target: dict[str, Any] = {"model": address.url, **credentials(address.key)}
    else:
        target = {"model": model, "provider": settings.provider, "bill_to": settings.bill_to, "api_key": address.key}
    # Connecting alone has a limit here: the time of a whole request is the caller's to limit.
    return PooledClient(pools, timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT), **target)


async def list_models(address: Address, pool: httpx2.AsyncClient) -> tuple[str, ...]:
    """Return the names of the models that the endpoint at a URL lists; none if it answers without a list.

    Raises:
        Exception: one of `failures.ATTEMPT_ERRORS`: the endpoint cannot be reached, refuses, or answers no JSON.
    """
    headers = {"authorization": f"Bearer {address.key}"} if address.key else {}
    async with asyncio.timeout(LISTING_TIMEOUT):
        answer = await pool.get(models_url(str(address.url)), headers=headers)
    return read_models(answer.json())


def models_url(url: str) -> str:
    """Return the URL at which an OpenAI-compatible server lists its models, from the one that completes chats."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1")
    return parts._replace(path=f"{path}/v1/models").geturl()


def without_secrets(url: str) -> str:
    """Return the URL without user, password and query."""
    return re.sub(r"(?<=://).*@", "", url.partition("?")[0])


def shortened(names: tuple[str, ...]) -> str:
    """Return the first names for a message, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(map(repr, names[:NAMES_SHOWN])) + more


async def _raise_for_status(response: httpx2.Response) -> None:
    """Raise before `huggingface_hub` reads the error body, which it takes for a JSON object."""
    if response.status_code >= 300:
        await response.aread()
        raise HfHubHTTPError(f"HTTP {response.status_code}", response=response)
