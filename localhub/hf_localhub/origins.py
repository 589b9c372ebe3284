"""Which hosts a request may name: without this check, a page on the web could reach the Hub through a browser.

By DNS rebinding, a name of the page's own comes to mean this machine; its requests show that name in `Host`. Requests
to the true address from a page elsewhere show it in `Origin`.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence

from hf_localhub.http_errors import HTTPError

_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")


class Origins:
    """The hosts that the Hub answers to: loopback, the address that it listens on, and further names.

    On a wildcard address, these are all IP addresses and the name of the machine.
    """

    def __init__(self, host: str = "127.0.0.1", names: Iterable[str] = ()) -> None:
        self._names = {"localhost", host.lower(), *(name.lower() for name in names)}
        self._everywhere = host in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
        if self._everywhere:
            self._names.add(socket.gethostname().lower())

    def check(self, hosts: Sequence[str], origins: Sequence[str]) -> None:
        """Check the `Host` and `Origin` headers of a request.

        Raises:
            HTTPError: 403 when one of them names another host.
        """
        for origin in origins:
            scheme, _, authority = origin.partition("://")
            if scheme not in ("http", "https") or not self._answers_to(authority):
                raise HTTPError(403, f"This Hub does not answer pages of {origin[:200]!r}")
        for host in hosts:
            if not self._answers_to(host):
                raise HTTPError(
                    403, f"This Hub does not answer to the host {host[:200]!r}: start it with `--name` and that name"
                )

    def _answers_to(self, authority: str) -> bool:
        match = _AUTHORITY.fullmatch(authority)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return address.is_loopback or self._everywhere or name in self._names
