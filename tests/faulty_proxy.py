"""A reverse proxy in front of a real server, which fails each distinct request when it first comes."""

import http.client
import itertools
import json
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.threaded_server import QuietHandler, ThreadedServer

SLOW = 0.7
"""Seconds that a "slow" answer takes."""
HOP = {"transfer-encoding", "connection", "content-length", "date"}


@contextmanager
def faulty_proxy(endpoint, faults, *, only="", always=False, headers=None, repeats=None):
    """Give a proxy with `.endpoint` and `.failed`; `faults` are taken in turn: a status, "reset", "slow", or "lost".

    A request that is lost is carried out, but its answer is not sent. `only` stands in the paths that fail;
    `always` lets them fail every time. `headers` are those of an answer with a status, and `repeats` a header of the
    request that its message repeats. `before` and `after`, if they are set, are called around each request.
    """
    server = _Server(_Handler)
    server.target = urlsplit(endpoint)
    server.faults, server.only, server.always = itertools.cycle(faults), only, always
    server.headers, server.repeats = headers or {"Retry-After": "0"}, repeats
    with server.serving():
        yield server


class _Server(ThreadedServer):
    def __init__(self, handler):
        super().__init__(handler)
        self.endpoint = self.address
        self.failed = 0
        self.before = self.after = lambda: None
        self.seen = set()
        self.lock = threading.Lock()

    def fault(self, request):
        """What is to happen to the request; None lets it through."""
        with self.lock:
            if self.only not in request[1] or (request in self.seen and not self.always):
                return None
            self.seen.add(request)
            self.failed += 1
            return next(self.faults)


class _Handler(QuietHandler):
    def forward(self):
        body = self._body()
        fault = self.server.fault((self.command, urlsplit(self.path).path))
        self.server.before()
        if fault == "reset":
            self.close_connection = True
        elif isinstance(fault, int):
            message = {"error": f"not {self.headers[self.server.repeats]}"} if self.server.repeats else {}
            headers = {"Content-Type": "application/json", **self.server.headers}
            self._answer(fault, headers.items(), json.dumps(message).encode())
        else:
            time.sleep(SLOW if fault == "slow" else 0)
            answer = self._pass_on(body)
            self.server.after()
            if fault == "lost":
                self.close_connection = True
            else:
                self._answer(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_HEAD = do_DELETE = forward  # noqa: N815 - the names that http.server asks for

    def _pass_on(self, body):
        target = http.client.HTTPConnection(self.server.target.hostname, self.server.target.port)
        target.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.lower() not in HOP})
        answer = target.getresponse()
        content = answer.read()
        target.close()
        kept = HOP - {"content-length"} if self.command == "HEAD" else HOP
        return answer.status, [(k, v) for k, v in answer.getheaders() if k.lower() not in kept], content

    def _answer(self, status, headers, content):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body
