"""Where keys may stand: settings and URLs name environment variables as `${NAME}`, and never hold a key itself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic_core import PydanticCustomError

from s3_hf.errors import ConfigError

REFERENCE = re.compile(r"\$\{([^}]*)\}")
"""A reference to an environment variable."""

FOREIGN = re.compile(
    "HF_TOKEN|HUGGING_?FACE_HUB_TOKEN|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|G(?:ITHUB|H|ITLAB)_TOKEN|NPM_TOKEN|"
    "TWINE_PASSWORD|UV_PUBLISH_TOKEN|AZURE_CLIENT_SECRET|PGPASSWORD|DATABASE_URL|GOOGLE_APPLICATION_CREDENTIALS"
)
"""Variables that hold secrets for other services; a settings file that someone else wrote must not send them."""

HUGGING_FACE = ("huggingface.co", "hf.co", "hf.space", "huggingface.cloud")
"""Hosts, with those below them, that may get the Hub token."""

_URLS = ("http://", "https://")
_NAMES_SECRET = re.compile(r"auth|key|token|secret|passw|pwd|cookie|sig|credential", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_KNOWN_KEY = re.compile(
    r"\b(?:hf_|sk[-_]|gsk_|xai-|gh[pousr]_|github_pat_|glpat-|nvapi-|r8_|pplx-|AIza|AKIA|eyJ)[\w.-]{12,}"
)
_HUB_TOKEN = re.compile(r"hf_[A-Za-z0-9]{30,}")


def checked_variable(name: Any) -> Any:
    """Return the name of an environment variable unchanged.

    Raises:
        ValueError: it is no such name; the message does not repeat it, since it may be a key.
    """
    if name is None or (isinstance(name, str) and _NAME.fullmatch(name) and not _looks_like_key(name)):
        return name
    raise _hidden(
        "it must be the name of an environment variable, found something else, which is not shown since it may be a "
        "key; export the key as a variable and give the variable's name"
    )


def checked_url(url: str) -> str:
    """Return the URL unchanged if it is an HTTP URL that holds no password and no key.

    Raises:
        ValueError: it is not; the message says why, and repeats no secret.
    """
    if not url.startswith(_URLS):
        raise _wrong_url(url, "an address must begin with http:// or https://")
    if re.search(r"[,\s]https?://", url):
        raise _wrong_url(url, "an address must be one URL: for several, repeat the flag or write a list")
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        raise _wrong_url(url, "a URL must have a host and a port from 1 to 65535") from None
    secrets = [value for name, value in parse_qsl(parts.query) if _NAMES_SECRET.search(name)]
    secrets += [parts.password] if parts.password else []
    if any(not REFERENCE.fullmatch(one) for one in secrets):
        fault = "a URL must hold no password or key, but name an environment variable, such as '?key=${MY_KEY}'"
        raise _wrong_url(url, fault)
    _check_references(url)
    if not parts.hostname or port == 0:
        raise _wrong_url(url, "a URL must name a host, and a port other than 0")
    return url


def checked_headers(headers: Any) -> Any:
    """Return the headers unchanged if keys stand in them only as `${NAME}`.

    Raises:
        ValueError: a name or value cannot be sent, or a value must name a variable; no value is repeated.
    """
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise _hidden("names must be names of HTTP headers, found one that is not")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise _hidden(f"the value of {name!r} must be printable ASCII text, found something else; correct it")
        _check_references(value)
        literal = REFERENCE.sub(" ", value)
        if (_NAMES_SECRET.search(name) and literal == value) or any(map(_looks_like_key, literal.split())):
            raise _hidden(
                f"the value of {name!r} must name the environment variable that holds the key, such as '${{MY_KEY}}' "
                "or 'Bearer ${MY_KEY}', found a value, which is not shown; export it and give the variable's name"
            )
    return headers


def checked_body(fields: Any) -> Any:
    """Return further fields of a request's body unchanged.

    Raises:
        ValueError: they hold a key, or replace the messages or the form of the answer.
    """
    if isinstance(fields, Mapping):
        if taken := {"messages", "stream", "model"} & {*fields}:
            raise _hidden(f"it must leave {min(taken)!r} to the run; remove that field")
        try:
            text = json.dumps(dict(fields), allow_nan=False)
        except (TypeError, ValueError):
            raise _hidden("it must be a mapping of JSON values; correct it") from None
        if _KNOWN_KEY.search(text):
            raise _hidden("it must hold no key, found one, which is not shown; send keys by endpoint.headers")
    return fields


def read_variable(name: str, url: str | None, setting: str) -> str:
    """Return the secret in an environment variable, to be sent to `url`.

    Raises:
        ConfigError: the variable is not set, cannot be sent, or holds a secret for another service.
    """
    try:
        checked_variable(name)
    except ValueError as error:
        raise ConfigError(f"{setting} is wrong: {error}") from None
    value = os.environ.get(name, "").strip()
    if not value:
        raise ConfigError(
            f"{setting} must name an environment variable with a key, found {name!r}, which is not set; export it or "
            "remove the setting"
        )
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"{setting} must name a variable of printable ASCII text, found other text in {name!r}")
    check_destination(value, url, f"{setting} names {name!r}", name)
    return value


def check_destination(value: str, url: str | None, where: str, name: str = "") -> None:
    """Check that a secret may be sent to a URL.

    Raises:
        ConfigError: it is the Hub token and the host is not Hugging Face's, or `name` belongs to another service.
    """
    from huggingface_hub import get_token

    if url is None or _is_hugging_face(url):
        return
    hub = value == get_token() or _HUB_TOKEN.fullmatch(value)
    if hub or FOREIGN.fullmatch(name):
        whose = "the Hub token" if hub else "a secret for another service"
        raise ConfigError(
            f"{where}, which must hold the endpoint's own key, found {whose}, which is never sent to "
            f"{without_secrets(url)!r}; export the endpoint's key as a variable of its own and name that one"
        )


def expanded(text: str, url: str, setting: str, *, quoted: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return the text with its `${NAME}` replaced by the variables' values, and these values.

    Raises:
        ConfigError: see `read_variable`.
    """
    values = {name: read_variable(name, url, setting) for name in REFERENCE.findall(text)}
    shown = {name: quote(value, safe="") if quoted else value for name, value in values.items()}
    return REFERENCE.sub(lambda match: shown[match[1]], text), (*values.values(), *shown.values())


def without_secrets(url: str) -> str:
    """Return the URL without user, password and query; where these cannot be told apart, its scheme alone."""
    try:
        urlsplit(url).port  # noqa: B018 - a port that is no number may be the beginning of a password
    except ValueError:
        return f"{url.partition('://')[0][:10]}://…"
    return re.sub(r"(?<=://)[^/]*@", "", re.split(r"[?#]", url, maxsplit=1)[0])


def _wrong_url(url: str, fault: str) -> PydanticCustomError:
    return _hidden(f"{fault}, found {without_secrets(url)!r}; correct it")


def _check_references(text: str) -> None:
    for name in REFERENCE.findall(text):
        checked_variable(name)


def _is_hugging_face(url: str) -> bool:
    host = (urlsplit(url).hostname or "").lower()
    return url.startswith("https://") and any(host == one or host.endswith(f".{one}") for one in HUGGING_FACE)


def _looks_like_key(text: str) -> bool:
    """Return whether a word is rather a key than a name: by its prefix, or by its length, letters and digits."""
    mixed = re.search(r"[a-z]", text) and re.search(r"\d", text)
    return bool(_KNOWN_KEY.search(text)) or bool(len(text) >= 24 and mixed and re.fullmatch(r"[\w-]+", text))


def _hidden(message: str) -> PydanticCustomError:
    """Return a ValueError of a setting whose value must not be repeated in the message."""
    return PydanticCustomError("hidden", "{text}", {"text": message})
