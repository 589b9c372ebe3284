"""How endpoints are connected: one `AsyncInferenceClient` each over one pool, and no Hub token to a URL."""

from __future__ import annotations

import itertools
import math
import os
import re
import ssl
from typing import Any, cast

import httpx2
from huggingface_hub import AsyncInferenceClient, get_async_session
from huggingface_hub.errors import HfHubHTTPError

from s3_hf.config import LLMConfig
from s3_hf.errors import ConfigError
from s3_hf.llm.balance import Endpoint
from s3_hf.llm.failures import Address

CONNECT_TIMEOUT = 15.0
"""Seconds until an address that says nothing at all is given up."""

POOL_SIZE = 4
"""Requests per pool: sending one takes time in proportion to the connections of its pool."""

LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")
LOOPBACK_URL = r"http://(127\.0\.0\.1|localhost|\[::1\])[:/]"


Pools = tuple[httpx2.AsyncClient, ...]


class Inference(AsyncInferenceClient):
    """An `AsyncInferenceClient` over pools that are ours.

    `set_async_client_factory`, the public way, would change every client of the process.
    """

    def __init__(self, pools: Pools, model: str, **settings: Any) -> None:
        super().__init__(model, **settings)
        self._turns = itertools.cycle(pools)

    async def _get_async_client(self) -> httpx2.AsyncClient:
        return next(self._turns)


def check_limits(settings: LLMConfig) -> None:
    """Refuse a limit that could never be reached.

    Raises:
        ConfigError: `max_cost` is set, and both prices are 0.
    """
    if settings.max_cost and not (settings.price_prompt or settings.price_completion):
        raise ConfigError(
            f"endpoint.max_cost={settings.max_cost!r} needs prices, found 0.0 for both; "
            "set endpoint.price_prompt and endpoint.price_completion per million tokens"
        )


def connect(model: str | None, urls: tuple[str, ...], settings: LLMConfig, pools: Pools) -> tuple[Endpoint, ...]:
    """One endpoint per URL, or one for the model id; nothing is sent yet.

    Raises:
        ConfigError: neither a model nor a URL is given, or the variable that holds the key is not set.
    """
    key = _key(settings)
    if urls:
        return tuple(_url_endpoint(url, key, settings, pools) for url in urls)
    if model is None:
        raise ConfigError("a model id or the URL of an endpoint is needed as llm, found neither; give one")
    inference = Inference(
        pools,
        model,
        provider=cast(Any, settings.provider),
        bill_to=settings.bill_to,
        api_key=key,
        timeout=_timeout(),
    )
    advice = (
        f"correct the key in {settings.api_key_env!r}"
        if key
        else "log in with `hf auth login`, or set HF_TOKEN to a token that may call Inference Providers"
    )
    return (Endpoint(Address(f"the model {model!r}", is_url=False, key=key, key_advice=advice), inference),)


def open_pools(urls: tuple[str, ...], concurrency: int) -> Pools:
    """Pools for all endpoints together, with a connection kept for each slot; the caller closes them.

    A URL endpoint is reached whatever HF_HUB_OFFLINE says, since it is not the Hub and nothing else can be
    reached through its pools (redirects are refused); a model id keeps `huggingface_hub`'s own guard. On
    loopback no proxy is used. Proxies and certificates are otherwise taken from the environment.
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


async def _raise_for_status(response: httpx2.Response) -> None:
    """Raise before `huggingface_hub` reads the error body, which it takes for a JSON object."""
    if response.status_code >= 300:
        await response.aread()
        raise HfHubHTTPError(f"HTTP {response.status_code}", response=response)


def _url_endpoint(url: str, key: str | None, settings: LLMConfig, pools: Pools) -> Endpoint:
    # Without a key and a header of its own, the client would send the user's Hub token to this server.
    headers = None if key else cast(dict[str, str], {"authorization": None})
    inference = Inference(pools, url, api_key=key or "none", headers=headers, timeout=_timeout())
    advice = (
        f"correct the key in {settings.api_key_env!r} (endpoint.api_key_env)"
        if key
        else "set endpoint.api_key_env (--api-key-env) to the environment variable that holds its key"
    )
    address = Address(f"the endpoint {_shown(url)!r}", is_url=True, key=key, key_advice=advice)
    return Endpoint(address, inference, url)


def _timeout() -> Any:
    """Limits connecting only: the time of a whole request is the client's to limit."""
    return httpx2.Timeout(None, connect=CONNECT_TIMEOUT)


def _key(settings: LLMConfig) -> str | None:
    if settings.api_key_env is None:
        return None
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        raise ConfigError(
            f"endpoint.api_key_env should name an environment variable with a key, found {settings.api_key_env!r}, "
            "which is not set; export it or remove the setting"
        )
    return key


def _shown(url: str) -> str:
    """The URL without user, password and query, which may be secret."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
