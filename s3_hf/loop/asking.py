"""The client of a run's LLM."""

from __future__ import annotations

from collections.abc import Callable

from s3_hf.config import LOCAL, RunConfig
from s3_hf.journal import Journal
from s3_hf.llm import Client, ClientStatus
from s3_hf.loop.context import Addresses

LOCAL_TIMEOUT = 1800.0
"""Seconds that the embedded LLM has for an answer: on a busy machine it is slow and not dead."""


def client_of(
    config: RunConfig,
    addresses: Addresses,
    journal: Journal,
    on_status: Callable[[ClientStatus], None] | None = None,
    *,
    kept: bool = True,
) -> Client:
    """Return a client of the run's LLM; `on_status` is called with its progress, and `kept` is as for `Client`."""
    endpoint = config.endpoint
    if config.llm == LOCAL:
        endpoint = endpoint.model_copy(update={"timeout": max(endpoint.timeout, LOCAL_TIMEOUT)})
    return Client(addresses.llm_model, addresses.llm_urls, endpoint, journal, on_status, kept)
