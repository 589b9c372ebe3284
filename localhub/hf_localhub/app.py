"""The ASGI application. A request is routed, authenticated and guarded; its body is spooled; a thread handles it."""

from __future__ import annotations

import base64
import binascii
import errno
import logging
import secrets
import sqlite3
import time

import anyio
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from hf_localhub import (
    routes_account,
    routes_collections,
    routes_commit,
    routes_discussions,
    routes_git,
    routes_lfs,
    routes_lists,
    routes_read,
    routes_refs,
    routes_repos,
    routes_xet,
)
from hf_localhub.accounts import Account, find_account
from hf_localhub.call import Call, Route
from hf_localhub.files import COPY_BYTES, Spool
from hf_localhub.http_errors import HTTPError, unauthorized
from hf_localhub.origins import Origins
from hf_localhub.state import Hub

logger = logging.getLogger(__name__)
_THREADS = 64
ROUTES: list[Route] = [
    *routes_account.ROUTES,
    *routes_lists.ROUTES,
    *routes_collections.ROUTES,
    *routes_repos.ROUTES,
    *routes_read.ROUTES,
    *routes_refs.ROUTES,
    *routes_commit.ROUTES,
    *routes_discussions.ROUTES,
    *routes_xet.ROUTES,
    *routes_lfs.ROUTES,
    *routes_git.ROUTES,
]


class HubApp:
    """Serves the Hub's protocol for one open data directory."""

    def __init__(self, hub: Hub, origins: Origins | None = None) -> None:
        self.hub = hub
        self.origins = origins or Origins()
        self._threads: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, unless the client disconnects before its body is complete."""
        if scope["type"] != "http":
            return
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(_THREADS)
        request, started = Request(scope, receive), time.monotonic()
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        request_id = request.headers.get("x-request-id") or request.headers.get("x-amzn-trace-id", "")
        response.headers["X-Request-Id"] = request_id[:200] or secrets.token_hex(8)
        response.headers["X-Content-Type-Options"] = "nosniff"
        await response(scope, receive, send)
        took = (time.monotonic() - started) * 1000
        # Without the query, which holds the signature of signed links.
        logger.info("%s %s %d %.1f ms", request.method, scope["path"], response.status_code, took)

    async def _answer(self, request: Request) -> Response:
        call = _call(self.hub, request)
        try:
            self.origins.check(request.headers.getlist("host"), request.headers.getlist("origin"))
            route = _route(call)
            await to_thread.run_sync(_admit, route, call, limiter=self._threads)
            call.body = Spool(self.hub.files.temporary, route.hashed)
            await self._receive(request, call.body, _most_bytes(route, call))
            return await to_thread.run_sync(route.handler, call, limiter=self._threads)
        except HTTPError as error:
            return _error_response(error)
        except (OSError, sqlite3.OperationalError) as error:
            if not _disk_full(error):
                raise
            logger.error("cannot write to %s: %s", self.hub.data, error)
            return _error_response(HTTPError(507, "The disk of the Hub is full or read-only: nothing was stored"))
        finally:
            if call.body is not None:
                call.body.close()

    async def _receive(self, request: Request, spool: Spool, limit: int) -> None:
        waiting = bytearray()
        async for chunk in request.stream():
            waiting += chunk
            if spool.size + len(waiting) > limit:
                raise HTTPError(413, f"The body is larger than {limit} bytes")
            if len(waiting) >= COPY_BYTES:
                await to_thread.run_sync(spool.write, waiting, limiter=self._threads)
                waiting = bytearray()
        if waiting:
            await to_thread.run_sync(spool.write, waiting, limiter=self._threads)


def _most_bytes(route: Route, call: Call) -> int:
    # A signed link names the size of what it is for.
    return int(call.params["size"]) if route.limit == "announced" else getattr(call.hub.limits, route.limit)


def _disk_full(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY)


def _call(hub: Hub, request: Request) -> Call:
    host = request.headers.get("host") or "127.0.0.1"
    path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    endpoint = f"{request.url.scheme}://{host}"
    return Call(hub, request.method, path, request.query_params, request.headers, endpoint)


def _route(call: Call) -> Route:
    method = "GET" if call.method == "HEAD" else call.method
    segments = call.path.strip("/").split("/")
    others = set()
    for route in ROUTES:
        match = route.match(segments)
        if match is not None and route.methods == method:
            call.params, call.rest = match
            return route
        if match is not None:
            others.add(route.methods)
    if others:
        raise HTTPError(
            405, f"{call.method} is not allowed at {call.path!r}", headers={"Allow": ", ".join(sorted(others))}
        )
    raise HTTPError(404, f"There is nothing at {call.path!r} on this Hub")


def _admit(route: Route, call: Call) -> None:
    if route.accounts:
        call.account = _account(call)
    if route.guard is not None:
        route.guard(call)


def _account(call: Call) -> Account | None:
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise unauthorized("Invalid credentials in Authorization header") from error
    elif scheme.lower() != "bearer":
        return None
    account = find_account(call.hub.registry, value.strip())
    if account is None:
        raise unauthorized("Invalid credentials in Authorization header")
    return account


def _error_response(error: HTTPError) -> Response:
    message = " ".join(error.message.split())
    response = JSONResponse({"error": message, **error.body}, error.status, error.headers)
    response.headers["X-Error-Message"] = "".join(char if " " <= char <= "~" else "?" for char in message[:500])
    if error.code:
        response.headers["X-Error-Code"] = error.code
    return response
