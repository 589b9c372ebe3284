"""A real HTTP endpoint for OpenAI chat completions: answers depend on the payload alone, faults are injected.

In a test: `with LLMServer(faults=[Fault(500), None]) as server: ... server.url ... server.requests`.
As a process of its own: `python tests/llm_server.py --delay 0.2 --busy 0.05 --broken 0.05` prints its URL.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WORDS = (
    ("This", "That", "Every", "Another", "One", "The", "Such a", "Hardly any"),
    ("quiet", "loud", "tender", "clumsy", "daring", "tired", "radiant", "hollow"),
    ("thriller", "comedy", "drama", "musical", "western", "romance", "sequel", "portrait"),
    ("keeps", "loses", "earns", "wastes", "finds", "forgets", "rewards", "tests"),
    ("its", "our", "your", "the director's", "the hero's", "a viewer's", "the writer's", "everyone's"),
    ("patience", "attention", "humour", "courage", "promise", "rhythm", "warmth", "nerve"),
    ("with", "despite", "through", "beyond", "before", "after", "under", "without"),
    ("gorgeous", "wooden", "honest", "lazy", "precise", "muddled", "witty", "endless"),
    ("acting", "dialogue", "editing", "music", "scenery", "plotting", "jokes", "lighting"),
    ("and", "or", "plus", "alongside", "not to mention", "besides", "amid", "next to"),
    ("brisk", "sloppy", "haunting", "cheap", "careful", "dull", "sparkling", "forced"),
    ("pacing", "framing", "twists", "costumes", "effects", "speeches", "endings", "chases"),
    ("tonight", "again", "for once", "at last", "once more", "in the end", "all along", "as ever"),
)


@dataclass(frozen=True)
class Fault:
    """What is sent in place of an answer: a status, a raw 200 body, silence, or a broken connection.

    Without a body (None) the answer itself is sent, after `hang` seconds.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = ""
    hang: float = 0.0
    reset: bool = False


@dataclass(frozen=True)
class Received:
    """A request as it arrived, `at` on the monotonic clock."""

    path: str
    headers: Mapping[str, str]
    payload: Mapping[str, Any]
    at: float


def review(payload: Mapping[str, Any]) -> str:
    """A film-review sentence of at least 12 words that belongs to this payload."""
    digest = int.from_bytes(hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).digest())
    words = []
    for choices in WORDS:
        digest, pick = divmod(digest, len(choices))
        words.append(choices[pick])
    return " ".join(words) + "."


class LLMServer:
    """Serves in a thread of its own; `faults` are used up one per request, `fault_for` is asked for each.

    With `models` it lists them and, as vLLM does, knows no other name; without, it does not tell.
    `first_token` returns the probabilities of an answer's first token for a payload that asks for them; None ignores
    these fields.
    """

    def __init__(
        self,
        delay: float = 0.0,
        faults: Iterable[Fault | None] = (),
        fault_for: Callable[[Mapping[str, Any], int], Fault | None] | None = None,
        port: int = 0,
        reply: Callable[[Mapping[str, Any]], str] = review,
        models: Sequence[str] | None = None,
    ) -> None:
        self.delay = delay
        self.requests: list[Received] = []
        self.lookups: list[Received] = []
        self.models = models
        self.lookup_status = 404 if models is None else 200
        self.lookup_faults: list[int] = []
        self.most_outstanding = 0
        self.port = port
        self._faults = list(faults)
        self._fault_for = fault_for
        self._reply = reply
        self.first_token: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None
        self.record = True
        self._outstanding = 0
        self._attempts: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> LLMServer:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve_forever(self) -> None:
        """Serve in this thread and print the URL."""
        self._run(announce=True)

    def _run(self, announce: bool = False) -> None:
        try:
            self._loop.run_until_complete(self._main(announce))
        finally:
            self._loop.close()

    async def _main(self, announce: bool) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        if announce:
            print(self.url, flush=True)  # noqa: T201
        await self._stop.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        payload = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        received = Received(head[0].split(" ")[1], headers, payload, time.monotonic())
        if head[0].startswith("GET "):
            self.lookups.append(received)
            listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models or ()]}
            status = self.lookup_faults.pop(0) if self.lookup_faults else self.lookup_status
            self._send(writer, status, {}, json.dumps(listed))
            return True
        if self.record:
            self.requests.append(received)
        self._outstanding += 1
        self.most_outstanding = max(self.most_outstanding, self._outstanding)
        try:
            fault = self._next_fault(payload)
            if fault is None:
                await asyncio.sleep(self.delay)
                self._send(writer, 200, {}, json.dumps(self._answer(payload)))
                return True
            await asyncio.sleep(fault.hang)
            if fault.reset:
                writer.transport.abort()
                return False
            body = json.dumps(self._answer(payload)) if fault.body is None else fault.body
            self._send(writer, fault.status, fault.headers, body)
            return True
        finally:
            self._outstanding -= 1

    def _next_fault(self, payload: Mapping[str, Any]) -> Fault | None:
        if self._faults:
            return self._faults.pop(0)
        if self.models is not None and payload["model"] not in self.models:
            return Fault(404, {}, json.dumps({"error": {"message": f"The model `{payload['model']}` does not exist"}}))
        if self._fault_for is None:
            return None
        key = json.dumps(payload, sort_keys=True)
        self._attempts[key] = self._attempts.get(key, 0) + 1
        return self._fault_for(payload, self._attempts[key])

    def _answer(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        text = self._reply(payload)
        prompt = sum(len(message["content"].split()) for message in payload.get("messages", ()))
        count = len(text.split())
        more: dict[str, Any] = {}
        if payload.get("logprobs") and self.first_token is not None:
            top = [{"token": token, "logprob": math.log(p)} for token, p in self.first_token(payload).items()]
            first = next((each for each in top if text.startswith(each["token"])), top[0])
            more["logprobs"] = {"content": [{**first, "top_logprobs": top[: payload["top_logprobs"]]}]}
        return {
            "id": "chatcmpl-0",
            "object": "chat.completion",
            "created": 0,
            "model": payload.get("model", "stub"),
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
            ],
            "usage": {"prompt_tokens": prompt, "completion_tokens": count, "total_tokens": prompt + count},
        }

    @staticmethod
    def _send(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str], body: str) -> None:
        lines = [
            f"HTTP/1.1 {status} X",
            "content-type: application/json",
            f"content-length: {len(body.encode())}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


def chat(content: Any, finish: str = "stop", **more: Any) -> str:
    """The body of an answer."""
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    return json.dumps({"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **more})


def error(message: str, **more: Any) -> str:
    """The body of an error, as OpenAI writes it."""
    return json.dumps({"error": {"message": message, **more}})


def first(fault: Fault) -> Callable[[Mapping[str, Any], int], Fault | None]:
    """The fault at the first attempt of each request."""
    return lambda payload, attempt: fault if attempt == 1 else None


def always(fault: Fault) -> Callable[[Mapping[str, Any], int], Fault | None]:
    """The fault at every attempt."""
    return lambda payload, attempt: fault


def refusing(**answers: Fault) -> Callable[[Mapping[str, Any], int], Fault | None]:
    """The fault of the first of these fields that a request holds."""
    return lambda payload, attempt: next((fault for name, fault in answers.items() if name in payload), None)


def _openai(field: str, message: str, code: str) -> Fault:
    return Fault(400, {}, error(message, param=field, code=code, type="invalid_request_error"))


_OPENAI_REASONING = {
    "max_tokens": _openai(
        "max_tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "unsupported_parameter",
    ),
    "temperature": _openai(
        "temperature",
        "Unsupported value: 'temperature' does not support 0.9. Only the default (1) value is supported.",
        "unsupported_value",
    ),
    "top_p": _openai("top_p", "Unsupported parameter: 'top_p' is not supported.", "unsupported_parameter"),
    "stop": _openai("stop", "Unsupported parameter: 'stop' is not supported.", "unsupported_parameter"),
}
_MISTRAL = Fault(
    422, {}, json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs"}]})
)
_NO_CREDIT = Fault(429, {}, error("You exceeded your current quota", code="insufficient_quota"))
_NOT_SERVED = Fault(400, {}, error("The model 'x' is not supported by any provider.", code="model_not_supported"))
_CLAUDE = Fault(400, {}, error("`temperature` and `top_p` cannot both be specified for this model."))


def _claude(payload: Mapping[str, Any], attempt: int) -> Fault | None:
    return _CLAUDE if {"temperature", "top_p"} <= {*payload} else None


BEHAVIOURS: dict[str, Callable[[Mapping[str, Any], int], Fault | None]] = {
    "openrouter: rate limit in 200": first(Fault(200, {}, error("Rate limited upstream", code=429))),
    "openrouter: upstream fault in 200": first(Fault(200, {}, error("Provider returned error", code=502))),
    "openrouter: fault in the choice": first(
        Fault(200, {}, json.dumps({"choices": [{"error": {"code": "502", "message": "cut"}, "message": {}}]}))
    ),
    "openrouter: no credit in 200": always(Fault(200, {}, error("Insufficient credits", code=402))),
    "openai: no credit": always(_NO_CREDIT),
    "hub router: model not served": always(_NOT_SERVED),
    "retry after a day": always(Fault(429, {"retry-after": "86400"}, error("daily quota"))),
    "openai: reasoning model": refusing(**_OPENAI_REASONING),
    "mistral: seed forbidden": refusing(seed=_MISTRAL),
    "claude gateway: not both": _claude,
    "anthropic: extra inputs": refusing(seed=Fault(400, {}, error("seed: Extra inputs are not permitted"))),
    "old gateway: unrecognized argument": refusing(
        seed=Fault(400, {}, error("Unrecognized request argument supplied: seed"))
    ),
    "gemini: unknown name": refusing(
        seed=Fault(
            400, {}, json.dumps([{"error": {"code": 400, "message": 'Unknown name "seed": Cannot find field.'}}])
        )
    ),
    "thinking: budget used up": always(
        Fault(200, {}, chat(None, "length", message={"reasoning_content": "hm " * 99}))
    ),
    "thinking: unfinished tag": always(Fault(200, {}, chat("<think>\nhm", "length"))),
    "everything filtered": always(Fault(200, {}, chat("", "content_filter"))),
    "empty answers": always(Fault(200, {}, chat("", "stop"))),
    "mistral: content in parts": always(
        Fault(200, {}, chat([{"type": "thinking", "thinking": [{"text": "x"}]}, {"type": "text", "text": "Good."}]))
    ),
    "usage null": always(Fault(200, {}, chat("Good film.", usage=None))),
    "transformers: model loading": first(Fault(503, {}, json.dumps({"error": "loading", "estimated_time": 1.0}))),
    "llama.cpp: model loading": first(Fault(503, {}, error("Loading model", code=503, type="unavailable_error"))),
    "redirect without a location": always(Fault(307)),
    "deep json": always(Fault(200, {}, '{"choices":' + "[" * 100_000)),
    "deep json in an error": always(Fault(400, {}, '{"error":' + "[" * 100_000 + "]" * 100_000 + "}")),
    "choices NaN": always(Fault(200, {}, '{"choices": NaN}')),
    "number of 5000 digits": always(Fault(200, {}, '{"choices": ' + "9" * 5000 + "}")),
    "nine megabytes": always(Fault(200, {}, " " * (9 * 2**20))),
    "answer of one megabyte": always(Fault(200, {}, chat("." * 10**6 + "a"))),
    "retry-after nan": first(Fault(429, {"retry-after": "nan"}, "slow")),
    "retry-after negative": first(Fault(429, {"retry-after": "-5"}, "slow")),
    "retry-after of no date": first(Fault(429, {"retry-after": "Mon, 99 Foo 99999 99:99:99 GMT"}, "slow")),
    "retry-after of 5000 digits": first(Fault(429, {"retry-after": "9" * 5000}, "slow")),
    "ratelimit of 5000 digits": first(Fault(429, {"ratelimit": f'"api";r=0;t={"9" * 5000}'}, "slow")),
    "unknown encoding": always(Fault(200, {"content-encoding": "br"}, "xx")),
}
"""What real and hostile servers send, by name."""


def share_of_first_attempts(
    busy: float, broken: float, wait: str = "0"
) -> Callable[[Mapping[str, Any], int], Fault | None]:
    """429 (Retry-After `wait`) for a fixed share of payloads and 500 for another, on their first attempt."""

    def fault_for(payload: Mapping[str, Any], attempt: int) -> Fault | None:
        digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).digest()
        draw = int.from_bytes(digest[-4:]) / 2**32
        if attempt > 1 or draw >= busy + broken:
            return None
        return Fault(429, {"retry-after": wait}, "slow down") if draw < busy else Fault(500, {}, "oops")

    return fault_for


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--busy", type=float, default=0.0)
    parser.add_argument("--broken", type=float, default=0.0)
    parser.add_argument("--retry-after", default="0")
    options = parser.parse_args()
    faulty = None
    if options.busy or options.broken:
        faulty = share_of_first_attempts(options.busy, options.broken, options.retry_after)
    server = LLMServer(options.delay, fault_for=faulty, port=options.port)
    server.record = False
    server.serve_forever()


if __name__ == "__main__":
    main()
