"""A student that is served elsewhere: by an Inference Endpoint, a server of one's own, or Inference Providers."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import httpx2
from huggingface_hub import InferenceClient, get_session, get_token
from huggingface_hub.errors import InferenceTimeoutError

from s3_hf.errors import StudentError
from s3_hf.keys import check_destination, expanded, without_secrets
from s3_hf.llm.access import UNPROXIED, Address, trusted_certificates
from s3_hf.llm.answers import MalformedAnswerError
from s3_hf.llm.exchange import bounded, parsed
from s3_hf.llm.failures import ATTEMPT_ERRORS, classify
from s3_hf.predicting.result import Result, ResultKind
from s3_hf.retrying import repeat

CONCURRENCY = 8
TIMEOUT = 60.0
"""Seconds until one request is given up and tried again."""
PATIENCE = 300.0
"""Seconds that an endpoint may take to wake up: one that was scaled to zero answers 503 until then."""
LONGEST_VALUE = 2**16
"""Characters of a label or answer that are kept."""
TRIES = 5
"""Attempts of one request over a connection that breaks: an address where nothing listens is reported soon."""


class HostedStudent:
    """A model behind HTTP, called through `InferenceClient`.

    Args:
        model: model id on Inference Providers, which get the stored Hub token.
        url: where the model is served instead; the Hub token is never sent there.
        key: key for `url`.

    Raises:
        StudentError: Inference Providers are to be called, and there is no token.
        ConfigError: the key may not be sent to `url`.
    """

    def __init__(self, model: str, url: str | None = None, key: str | None = None) -> None:
        name = without_secrets(url) if url else f"{model} on Inference Providers"
        if url is None and not get_token():
            raise StudentError(
                f"a token is needed to ask {name}, found none; log in with `hf auth login`, set HF_TOKEN, or give the "
                "URL of an endpoint"
            )
        secrets = tuple(one for one in (key, None if url else get_token()) if one)
        target = url
        if url:
            check_destination(key or "", url, "the key of a hosted model")
            target, more = expanded(url, url, "--hosted", quoted=True)
            secrets += more
        self._address = Address(name, url, key, secrets=secrets)
        self._client = _Client(target or model, timeout=TIMEOUT, **(_credentials(key) if url else {}))

    def predict(self, texts: Sequence[str], contexts: Sequence[str] | None = None) -> list[Result]:
        """Return the most probable label of each text, or with contexts the answer to each question, in order.

        The API has no place for a context of a text to label, so classifiers of pairs only run on this machine.

        Raises:
            StudentError: the model cannot be reached, refuses, or answers something else.
        """
        if contexts is None:
            return self._predict_all("text classification", ((text,) for text in texts))
        task = "question answering (a context cannot be sent to a classifier)"
        return self._predict_all(task, zip(texts, contexts, strict=True))

    def _predict_all(self, task: str, rows: Iterable[tuple[str, ...]]) -> list[Result]:
        stopped = Event()
        with self._session() as session, ThreadPoolExecutor(CONCURRENCY) as pool:
            self._client.session = session
            futures = [pool.submit(self._predict, row, stopped) for row in rows]
            try:
                return [future.result() for future in futures]
            except ATTEMPT_ERRORS as error:
                reason = classify(error, self._address).reason
                raise StudentError(
                    f"{self._address.name} must answer {task}, but it {reason}; check the address, the key and the "
                    "model that is served there"
                ) from error
            finally:  # after an error, and a Ctrl-C too, nothing more is sent
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)

    @contextlib.contextmanager
    def _session(self) -> Iterator[httpx2.Client]:
        """Yield the connections: of `huggingface_hub`, or to a URL own ones, which HF_HUB_OFFLINE does not close."""
        if self._address.url is None:
            yield get_session()
            return
        with httpx2.Client(mounts=UNPROXIED, verify=trusted_certificates()) as session:
            yield session

    def _predict(self, row: tuple[str, ...], stopped: Event) -> Result:
        def sleep(seconds: float) -> None:
            if stopped.wait(seconds):
                raise CancelledError

        return repeat(
            partial(self._send, *row),
            self._address.name,
            broken=(InferenceTimeoutError, httpx2.TransportError),
            tries=TRIES,
            patience=PATIENCE,
            sleep=sleep,
        )

    def _send(self, text: str, context: str | None = None) -> Result:
        """Send one request and read its answer."""
        try:
            if context is None:
                return _best("label", self._client.text_classification(text))
            return _best("answer", self._client.question_answering(question=text, context=context))
        except (AttributeError, IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise MalformedAnswerError(str(error)) from error


class _Client(InferenceClient):
    """An `InferenceClient` that follows no redirect and bounds size and seconds of an answer.

    Texts and keys thus stay at one host. `session` has its connections.
    """

    session: httpx2.Client

    def _inner_post(self, request_parameters: Any, *, stream: bool = False) -> Any:  # noqa: ARG002 - none is streamed
        began = time.monotonic()

        def in_time(chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                if time.monotonic() - began > TIMEOUT:
                    raise InferenceTimeoutError(f"no answer in {TIMEOUT:.0f} s")
                yield chunk

        asked = request_parameters
        headers = {"accept-encoding": "gzip, deflate", **asked.headers}
        with self.session.stream(
            "POST", asked.url, json=asked.json, headers=headers, timeout=self.timeout, follow_redirects=False
        ) as response:
            content = bounded(response, in_time(response.iter_bytes()))
        return json.dumps(parsed(response, content)).encode()


def _credentials(key: str | None) -> dict[str, Any]:
    """Return the arguments that make an inference client send this key, or none, but never the user's Hub token.

    Without a key and a header of its own, the client would send the token to whatever URL it is pointed at.
    """
    return {"api_key": key or "none", "headers": None if key else {"authorization": None}}


def _best(kind: ResultKind, answer: Any) -> Result:
    candidates = answer if isinstance(answer, list) else [answer]
    best = max(candidates, key=lambda one: float(one.score), default=None)
    value = getattr(best, kind, None)
    if best is None or not isinstance(value, str) or not math.isfinite(best.score):
        raise MalformedAnswerError(repr(answer)[:1000])
    return Result(kind, value[:LONGEST_VALUE], float(best.score))
