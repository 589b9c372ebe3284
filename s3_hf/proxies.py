"""Proxies: loopback is never asked through one, and a proxy that cannot be used is one sentence."""

from __future__ import annotations

import os

from s3_hf.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def exempt_loopback() -> None:
    """Add the loopback names to NO_PROXY, for the Hub's client and for processes that are started from here."""
    name = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"  # the lower-case one wins where both are set
    hosts = [one.strip() for one in os.environ.get(name, "").split(",") if one.strip()]
    if missing := [one for one in LOOPBACK if one not in hosts]:
        os.environ[name] = ",".join([*hosts, *missing])


def unusable(error: Exception) -> ConfigError | None:
    """Return one sentence about a proxy that the HTTP client cannot use, or None if the error is another one."""
    text = str(error)
    if isinstance(error, ImportError) and "socksio" in text:
        return ConfigError(
            "a SOCKS proxy needs the package 'socksio', found that it is not installed; pip install socksio, or unset "
            "ALL_PROXY, HTTPS_PROXY and HTTP_PROXY"
        )
    if isinstance(error, ValueError) and text.startswith(("Unknown scheme for proxy", "Proxy protocol must be")):
        return ConfigError(
            "a proxy must be named by an http://, https:// or socks5:// URL, found another one; correct ALL_PROXY, "
            "HTTPS_PROXY and HTTP_PROXY"
        )
    return None
