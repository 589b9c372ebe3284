"""Repeat a call over HTTP: which failures may pass, how long to wait, and how often to try.

`repeat` is for blocking calls: of the Hub and of hosted models. The client of the LLM endpoint decides by the state of
its endpoints whether to try again, and takes only the pauses from here.
"""

from __future__ import annotations

import email.utils
import itertools
import logging
import math
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

T = TypeVar("T")
logger = logging.getLogger(__name__)

TRIES = 9
"""Calls of one action, the first included: about 35 s with the pauses between them."""

PAUSE = 0.5
"""Seconds of the first pause; each later one is twice as long, up to `LONGEST_PAUSE`."""
LONGEST_PAUSE = 10.0

LONGEST_WAIT = 300.0
"""Most seconds that a server is waited for when it asks to: the window of the Hub's rate limits.

`repeat` gives up at once where a server asks for more, as the Hub does after 128 commits in an hour.
"""

PASSING = frozenset({408, 409, 412, 429, 500, 502, 503, 504})
"""Statuses after which the same call may succeed; 409 and 412 come from commits that race."""


def repeat(
    action: Callable[[], T],
    where: str,
    *,
    broken: tuple[type[Exception], ...],
    tries: int = TRIES,
    patience: float = 0.0,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Call `action` until it returns, and return its value.

    Args:
        action: is called anew each time, so it must itself read the state that it builds on.
        where: name of the server, for the log.
        broken: exceptions that mean that no valid answer arrived; other exceptions are raised at once.
        tries: calls at most.
        patience: seconds for which a server that answers with a passing status is tried again, however many calls
            that takes.
        sleep: waits for the seconds it is passed; may raise to end the calls.

    Raises:
        HfHubHTTPError: the server answers with a status that does not pass, or with a passing one for too long, or it
            asks for a wait of more than `LONGEST_WAIT`.
        Exception: one of `broken`, at the last call.
    """
    began = time.monotonic()
    for attempt in itertools.count(1):
        try:
            return action()
        except OfflineModeIsEnabled:
            raise
        except HfHubHTTPError as error:
            spent = attempt >= tries and time.monotonic() - began >= patience
            if spent or error.response.status_code not in PASSING or too_long_a_wait(error):
                raise
            answer, wait = f"HTTP {error.response.status_code}", retry_after(error.response.headers)
        except broken as error:
            if attempt >= tries:
                raise
            answer, wait = type(error).__name__, 0.0
        seconds = max(wait, backoff(attempt))
        level = logging.WARNING if seconds > LONGEST_PAUSE else logging.INFO
        logger.log(level, "%s answered %s; trying again in %.1f s, at %s", where, answer, seconds, clock_in(seconds))
        sleep(seconds)
    raise AssertionError("unreachable: the last call returns or raises")


def backoff(failures: int) -> float:
    """Return the seconds to wait after this many failures in a row: 0.5 doubling to 10, less up to half at random."""
    return min(LONGEST_PAUSE, PAUSE * 2.0 ** min(failures - 1, 10)) * random.uniform(0.5, 1)


def too_long_a_wait(error: HfHubHTTPError) -> float:
    """Return the seconds that the server asks to wait if they are more than `LONGEST_WAIT`, else 0."""
    seconds = retry_after(error.response.headers, math.inf)
    return seconds if seconds > LONGEST_WAIT else 0.0


def clock_in(seconds: float) -> str:
    """Return the local time after these seconds, with its date where that is another day."""
    now = datetime.now().astimezone()
    then = now + timedelta(seconds=min(seconds, 86_400.0 * 366))
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"


def retry_after(headers: httpx2.Headers, longest: float = LONGEST_WAIT) -> float:
    """Return the seconds to wait, at most `longest`; 0 where the server asks for no wait.

    Reads `Retry-After` (seconds or an HTTP date), and without it the `RateLimit` header.
    """
    try:
        seconds = _asked_wait(headers)
    except (ValueError, OverflowError, TypeError, IndexError):  # a date or number that is none
        seconds = 0.0
    return min(max(seconds, 0.0), longest) if math.isfinite(seconds) else 0.0


def _asked_wait(headers: httpx2.Headers) -> float:
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", value):
        return float(value)
    if 0 < len(value) < 100 and (date := email.utils.parsedate_tz(value)) is not None:
        return email.utils.mktime_tz(date) - datetime.now(UTC).timestamp()
    if len(headers.get("ratelimit", "")) > 1000:
        return 0.0
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else 0.0
