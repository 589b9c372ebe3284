"""Log what a push does, and that it still does, so that a slow upload is not taken for one that hangs."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

logger = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two lines about the same step."""


@contextlib.contextmanager
def doing(step: str) -> Iterator[None]:
    """Log the step, and again every `EVERY` seconds until the block ends."""
    logger.info("%s", step)
    began, ended = time.monotonic(), threading.Event()

    def repeat() -> None:
        while not ended.wait(EVERY):
            logger.info("%s: %.0f s so far", step, time.monotonic() - began)

    thread = threading.Thread(target=repeat, name="s3-hf-push", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def size_text(size: int) -> str:
    """Return a number of bytes as text: `1.2 MB`."""
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
