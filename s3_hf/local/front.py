"""The TCP side of an embedded LLM: answers only requests that name this machine in `Host` and `Origin`.

llama.cpp answers any page that a browser has open, also one whose name was made to mean this machine (DNS rebinding).
It listens on a Unix socket instead; each TCP connection carries one request to it, whose head is checked first.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import re
import socket
import sys
from pathlib import Path

_LARGEST_HEAD = 64 << 10
_COPY_BYTES = 64 << 10
_HEAD_SECONDS = 60
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(:[0-9]{1,5})?")


class Front:
    """Forwards requests from a TCP address to a Unix socket."""

    def __init__(self, host: str, port: int, target: Path) -> None:
        """Listen on the address.

        Raises:
            OSError: the address cannot be used.
        """
        self._target = target
        self._names = {"localhost", host.lower()}
        self._everywhere = host in ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
        if self._everywhere:
            self._names.add(socket.gethostname().lower())
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=512)
        name = f"[{host}]" if family == socket.AF_INET6 else host
        self.url = f"http://{name}:{self._socket.getsockname()[1]}"

    async def serve(self) -> None:
        """Answer requests until the task is cancelled."""
        server = await asyncio.start_server(self._answer, sock=self._socket, limit=_LARGEST_HEAD)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            try:
                async with asyncio.timeout(_HEAD_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                await self._forward(self._checked(head), reader, writer)
            except (asyncio.LimitOverrunError, ValueError) as error:
                writer.write(_refusal(str(error)))
            finally:
                writer.close()

    def _checked(self, head: bytes) -> bytes:
        """Return the head of the request, changed so that the server closes the connection after its answer.

        Raises:
            ValueError: it is malformed, or names another host.
        """
        request, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        kept = [request]
        for line in lines:
            name, colon, value = line.partition(":")
            name, value = name.lower(), value.strip().lower()
            if not colon or not _NAME.fullmatch(name) or re.search(r"[\r\n\0]", line):
                raise ValueError("a line of the request is not a header")
            if name == "host" and not self._answers_to(value):
                raise ValueError(f"the embedded LLM does not answer to the host {value[:200]!r}")
            if name == "origin" and not self._answers_to(value.partition("://")[2]):
                raise ValueError(f"the embedded LLM does not answer pages of {value[:200]!r}")
            if name not in ("connection", "keep-alive"):
                kept.append(line)
        return "\r\n".join([*kept, "Connection: close", "", ""]).encode("latin-1")

    def _answers_to(self, authority: str) -> bool:
        match = _AUTHORITY.fullmatch(authority)
        if match is None:
            return False
        name = match[1].strip("[]")
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return address.is_loopback or self._everywhere or name in self._names

    async def _forward(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if sys.platform == "win32":  # where no server is started: see `s3_hf.local.llm`
            raise NotImplementedError
        from_server, to_server = await asyncio.open_unix_connection(str(self._target))
        to_server.write(head)
        sending = asyncio.create_task(_copy(reader, to_server))
        # A client that goes away closes this connection too, so that llama.cpp writes no answer for nobody.
        sending.add_done_callback(lambda _: to_server.close())
        try:
            await _copy(from_server, writer)
        finally:
            sending.cancel()
            to_server.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_COPY_BYTES):
            target.write(data)
            await target.drain()


def _refusal(reason: str) -> bytes:
    body = json.dumps({"error": {"message": reason, "type": "forbidden", "code": 403}}).encode()
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
