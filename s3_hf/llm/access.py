"""Reach an endpoint: its address, its keys and never the Hub token, its HTTP connections, the models it lists."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import get_async_session, get_token

from s3_hf.config import LLMConfig
from s3_hf.errors import ConfigError
from s3_hf.keys import expanded, read_variable, without_secrets
from s3_hf.llm.answers import read_models
from s3_hf.llm.exchange import ACCEPTED, exchange
from s3_hf.llm.limits import Limits
from s3_hf.proxies import LOOPBACK, unusable

CONNECT_TIMEOUT = 15.0
"""Seconds until an address that does not respond at all is given up."""

LISTING_TIMEOUT = 10.0
"""Seconds that an endpoint has to list its models."""

POOL_SIZE = 4
"""Requests per pool: sending one takes time in proportion to the connections of its pool."""

NAMES_SHOWN = 12
"""Most names of models in a message."""

OTHER_SERVICE = "for a model of another service give its URL as llm and its name as llm_model"
"""Advice where a model id is not one of Inference Providers, such as that of another service."""

UNPROXIED = dict.fromkeys(f"all://[{host}]" if ":" in host else f"all://{host}" for host in LOOPBACK)
"""Mounts of an HTTP client that never asks loopback through a proxy."""

_LOOPBACK_URL = r"http://(127\.0\.0\.1|localhost|\[::1\])([:/?#]|$)"
_VERSION = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?(?:/|$)|/openai$")
"""What a path holds that is a base URL as it stands."""

Pools = tuple[httpx2.AsyncClient, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go.

    `name` stands for it in messages and holds no secret, `url` is None for a model id on Inference Providers,
    `headers` are sent with every request, `secrets` are masked in messages and answers, and `key_advice` is what to
    do about a missing or wrong key.
    """

    name: str
    url: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    key_advice: str = "correct the key"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def read_key(variable: str | None, url: str | None = None) -> str | None:
    """Return the key in the environment variable, or None if no variable is named.

    Raises:
        ConfigError: the variable is not set, or holds the Hub token or another secret that `url` must not get.
    """
    return None if variable is None else read_variable(variable, url, "endpoint.api_key_env (--api-key-env)")


def addresses(model: str | None, urls: tuple[str, ...], settings: LLMConfig) -> tuple[Address, ...]:
    """Return one address per URL, or without URLs the one of the model id.

    Raises:
        ConfigError: there is neither a model nor a URL, or a variable that should hold a key is not set or may not be
            sent there.
    """
    if urls:
        return tuple(_url_address(url, settings) for url in urls)
    if model is None:
        raise ConfigError("a model id or the URL of an endpoint is needed as llm, found neither; give one")
    key = read_key(settings.api_key_env)
    advice = (
        f"correct the key in {settings.api_key_env!r}"
        if key
        else "log in with `hf auth login`, or set HF_TOKEN to a token that may call Inference Providers"
    )
    advice += f"; {OTHER_SERVICE}"
    billed = {"X-HF-Bill-To": settings.bill_to} if settings.bill_to else {}
    secrets = tuple(one for one in (key, get_token()) if one)
    return (Address(f"the model {model!r}", None, key, advice, billed, secrets),)


def check_endpoint(model: str | None, urls: tuple[str, ...], settings: LLMConfig) -> None:
    """Check what can be known before anything is sent.

    Raises:
        ConfigError: as `addresses`, or a limit on the cost has no prices.
    """
    addresses(model, urls, settings)
    Limits(settings)


def _url_address(url: str, settings: LLMConfig) -> Address:
    key, variable = read_key(settings.api_key_env, url), settings.api_key_env
    target, secrets = expanded(url, url, "llm", quoted=True)
    headers = {"user-agent": "s3-hf", **({"authorization": f"Bearer {key}"} if key else {})}
    for name, text in settings.headers.items():
        headers[name.lower()], more = expanded(text, url, f"endpoint.headers.{name}")
        secrets += more
    advice = (
        f"correct the key in {variable!r} (endpoint.api_key_env)"
        if key
        else "correct the key in endpoint.headers"
        if settings.headers
        else "set endpoint.api_key_env (--api-key-env) to the environment variable that holds its key"
    )
    name = f"the endpoint {without_secrets(url)!r}"
    return Address(name, target, key, advice, headers, (*secrets, *((key,) if key else ())))


def open_pools(urls: tuple[str, ...], concurrency: int) -> Pools:
    """Return HTTP pools that all endpoints share, with a connection kept for each slot; the caller closes them.

    A URL is reached whatever HF_HUB_OFFLINE says, since it is not the Hub and nothing else can be reached through its
    pools (redirects are refused); a model id keeps `huggingface_hub`'s own guard. On loopback no proxy is used, and no
    cookie is kept. Proxies and certificates are otherwise taken from the environment.

    Raises:
        ConfigError: a proxy or the file of certificates cannot be used.
    """
    hooks = {} if urls else get_async_session().event_hooks
    plain = bool(urls) and all(re.match(_LOOPBACK_URL, url) for url in urls)
    certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else trusted_certificates()
    try:
        return tuple(
            httpx2.AsyncClient(
                verify=certificates,
                event_hooks={"request": hooks.get("request", [])},
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=concurrency),
                # Connecting alone has a limit here: the time of a whole request is the caller's to limit.
                timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT),
                headers={"accept-encoding": ", ".join(ACCEPTED[2:])},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                mounts=UNPROXIED,
                trust_env=not plain,
            )
            for _ in range(math.ceil(concurrency / POOL_SIZE))
        )
    except (ImportError, ValueError) as error:
        raise (unusable(error) or error) from error


def trusted_certificates() -> ssl.SSLContext:
    """Return the certificates that the environment says to trust; reading them takes 40 ms.

    Raises:
        ConfigError: SSL_CERT_FILE or SSL_CERT_DIR cannot be read.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        raise ConfigError(
            f"SSL_CERT_FILE and SSL_CERT_DIR must name certificates in PEM form, found {str(error)!r}; correct or "
            "unset them"
        ) from error


async def complete(
    address: Address, pool: httpx2.AsyncClient, settings: LLMConfig, body: Mapping[str, Any], model: str | None
) -> Any:
    """Send one request for a chat completion and return the parsed body of its answer.

    Args:
        address: where to send it.
        pool: connections.
        settings: the provider of a model id.
        body: of the request.
        model: the model id, where the address is no URL.

    Raises:
        Exception: one of `failures.ATTEMPT_ERRORS`.
    """
    if address.url is not None:
        return await exchange(pool, "POST", chat_url(address.url), address.headers, body)
    from huggingface_hub.inference._providers import get_provider_helper  # it takes a sixth of the start-up

    helper = get_provider_helper(settings.provider, task="conversational", model=model)  # type: ignore[arg-type]
    rest = {name: value for name, value in body.items() if name != "messages"}
    asked = helper.prepare_request(
        inputs=body["messages"], parameters=rest, headers=dict(address.headers), model=model, api_key=address.key
    )
    return await exchange(pool, "POST", asked.url, asked.headers, asked.json)


async def list_models(address: Address, pool: httpx2.AsyncClient) -> tuple[str, ...]:
    """Return the names of the models that the endpoint at a URL lists; none if it answers without a list.

    Raises:
        Exception: one of `failures.ATTEMPT_ERRORS`: the endpoint cannot be reached, refuses, or answers no JSON.
    """
    async with asyncio.timeout(LISTING_TIMEOUT):
        return read_models(await exchange(pool, "GET", models_url(str(address.url)), address.headers))


def chat_url(url: str) -> str:
    """Return the URL that completes chats: the URL itself, or the one below its base.

    A path that names a version or ends in `/openai` is a base as it stands; to another one `/v1` is added.
    """
    return _below(url, "/chat/completions")


def models_url(url: str) -> str:
    """Return the URL at which an OpenAI-compatible server lists its models, from the one that `chat_url` takes."""
    return _below(url, "/models")


def _below(url: str, end: str) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    base = path.removesuffix("/chat/completions")
    if base == path and not _VERSION.search(base):
        base += "/v1"
    return parts._replace(path=base + end, fragment="").geturl()


def shortened(names: tuple[str, ...]) -> str:
    """Return the first names for a message, and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(repr(name[:200]) for name in names[:NAMES_SHOWN]) + more
