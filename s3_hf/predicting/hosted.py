"""A student that is served elsewhere: an Inference Endpoint, a server of one's own, or Inference Providers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, ClassVar, cast

import httpx2
from huggingface_hub import InferenceClient, get_token
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OfflineModeIsEnabled

from s3_hf.errors import StudentError
from s3_hf.predicting.said import Said

CONCURRENCY = 8
TIMEOUT = 60.0
"""Seconds until one request is given up and tried again."""
PATIENCE = 300.0
"""Seconds that an endpoint may take to wake up: one that was scaled to zero answers 503 until then."""
PAUSE, LONGEST_PAUSE = 0.5, 10.0
TRIES = 5
"""How often a connection that breaks is tried again."""
PASSING = frozenset({408, 429, 500, 502, 503, 504})


class _Hosted(ABC):
    """A model behind HTTP, asked through `InferenceClient`.

    Args:
        model: model id, asked of Inference Providers with the stored Hub token.
        url: where it is served instead; the Hub token is never sent there.
        key: what to authorise with at `url`.

    Raises:
        StudentError: Inference Providers are to be asked, and there is no token.
    """

    task: ClassVar[str]

    def __init__(self, model: str, url: str | None = None, key: str | None = None) -> None:
        self._where = url or f"{model} on Inference Providers"
        if url is None:
            if not get_token():
                raise StudentError(
                    f"a token is needed to ask {self._where}, found none; log in with `hf auth login`, "
                    "set HF_TOKEN, or give the URL of an endpoint"
                )
            self._client = InferenceClient(model, timeout=TIMEOUT)
        else:
            # Without a key and a header of its own, the client would send the user's Hub token to this server.
            headers = None if key else cast(dict[str, str], {"authorization": None})
            self._client = InferenceClient(url, api_key=key or "none", headers=headers, timeout=TIMEOUT)

    @abstractmethod
    def _asked(self, *texts: str) -> Said:
        """Ask once."""

    def _all(self, rows: Iterable[tuple[str, ...]]) -> list[Said]:
        with ThreadPoolExecutor(CONCURRENCY) as pool:
            stopped = Event()
            asked = [pool.submit(self._persistently, row, stopped) for row in rows]
            try:
                return [each.result() for each in asked]
            except BaseException:  # a Ctrl-C too: nothing more is asked
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _persistently(self, row: tuple[str, ...], stopped: Event) -> Said:
        """Ask until there is an answer, an error that does not pass, or nobody who waits for it."""
        began, pause, tries = time.monotonic(), PAUSE, 0
        while True:
            tries += 1
            try:
                return self._ask(row)
            except HfHubHTTPError as error:
                status = error.response.status_code
                if status not in PASSING or time.monotonic() - began > PATIENCE:
                    raise self._refused(f"{status} ({_said(error.server_message or 'no reason given')!r})") from error
                wait = _seconds(error.response.headers.get("retry-after"), pause)
            except (InferenceTimeoutError, httpx2.TransportError) as error:
                if tries == TRIES:
                    raise self._refused(f"{type(error).__name__} ({_said(str(error))})") from error
                wait = pause
            if stopped.wait(min(wait, PATIENCE)):
                raise self._refused("that the others are not asked any more")
            pause = min(2 * pause, LONGEST_PAUSE)

    def _ask(self, row: tuple[str, ...]) -> Said:
        try:
            return self._asked(*row)
        except OfflineModeIsEnabled as error:
            raise self._refused("HF_HUB_OFFLINE set; unset it") from error
        except HfHubHTTPError:
            raise  # a bad request is a ValueError too
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise self._refused(f"something else ({_said(str(error))})") from error

    def _refused(self, found: str) -> StudentError:
        return StudentError(
            f"{self._where} must answer {self.task}, found {found}; check the address, the key and what is "
            "served there"
        )


class HostedClassifier(_Hosted):
    """A text classifier; the API has no place for a context, so classifiers of pairs can only be asked here."""

    task = "text classification"

    def predict(self, texts: Sequence[str]) -> list[Said]:
        """Return the most probable label of each text, in order.

        Raises:
            StudentError: the model cannot be reached, refuses, or answers something else than labels.
        """
        return self._all((text,) for text in texts)

    def _asked(self, *texts: str) -> Said:
        found: Any = self._client.text_classification(texts[0])
        best = max(found, key=lambda one: one.score) if isinstance(found, list) else found
        return Said(str(best.label), float(best.score))


class HostedSpanFinder(_Hosted):
    """A model that finds answers to questions in contexts."""

    task = "question answering (a context cannot be sent to a classifier)"

    def predict(self, questions: Sequence[str], contexts: Sequence[str]) -> list[Said]:
        """Return the answer to each question, in order.

        Raises:
            StudentError: the model cannot be reached, refuses, or answers something else.
        """
        return self._all(zip(questions, contexts, strict=True))

    def _asked(self, *texts: str) -> Said:
        found: Any = self._client.question_answering(question=texts[0], context=texts[1])
        best = max(found, key=lambda one: one.score) if isinstance(found, list) else found
        return Said(str(best.answer), float(best.score))


def _said(text: str) -> str:
    return " ".join(text.split())[:200]


def _seconds(asked: str | None, otherwise: float) -> float:
    try:
        return float(asked or "")
    except ValueError:
        return otherwise
