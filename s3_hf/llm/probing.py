"""Ask an endpoint one tiny chat, and any server whether it answers: what `s3-hf doctor` shows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx2

from s3_hf.config import RunConfig
from s3_hf.errors import S3Error
from s3_hf.files import temporary_folder
from s3_hf.journal import Journal
from s3_hf.keys import without_secrets
from s3_hf.llm.access import UNPROXIED, chat_url, trusted_certificates
from s3_hf.llm.client import Client
from s3_hf.proxies import unusable
from s3_hf.records import Request

LONGEST = 60.0
"""Seconds that an endpoint has to answer a tiny chat."""

HELLO = Request("doctor", ({"role": "user", "content": "Say hello."},), 16, 0.9, 0.9, ("\n\n\n",), 0)


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of one tiny chat: whether it was answered, and the address, model and answer, or the fault."""

    ok: bool
    detail: str


async def probe(config: RunConfig, url: str | None) -> Probe:
    """Ask the endpoint at a URL, or the model id of the settings if it is None, one tiny chat.

    Args:
        config: model, keys, headers and fields of the request.
        url: of the endpoint.
    """
    asked = f"asked {without_secrets(chat_url(url))}" if url else f"asked {config.llm!r} on Inference Providers"
    patience = min(config.endpoint.timeout, LONGEST)
    settings = config.endpoint.model_copy(update={"retries": 0, "timeout": patience, "concurrency": 1})
    model = config.llm_model if url else str(config.llm)
    with temporary_folder() as folder, Journal(folder / "journal.sqlite") as journal:
        try:
            client = Client(model, (url,) if url else (), settings, journal, kept=False)
            async with asyncio.timeout(2 * LONGEST), client:
                answer = await client.generate(HELLO)
                changes = client.dialect
        except TimeoutError:
            return Probe(False, f"{asked}: no answer in {2 * LONGEST:.0f} s")
        except S3Error as error:
            return Probe(False, f"{asked}: {error}")
    said = f"answers {answer.text[:60]!r}" if answer.text.strip() else f"answers no text ({answer.finish_reason})"
    learned = f"; it refuses fields: {changes}" if changes else ""
    return Probe(True, f"{asked}: {answer.model or 'a model without a name'} {said}{learned}")


async def status_of(url: str, seconds: float) -> int | str:
    """Return the status that a server answers with, or why it does not.

    Args:
        url: of the server; redirects are followed.
        seconds: that it has in all.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            httpx2.AsyncClient(mounts=UNPROXIED, verify=trusted_certificates(), follow_redirects=True) as pool,
            pool.stream("GET", url) as response,
        ):
            return response.status_code
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        return type(error).__name__
    except (ImportError, ValueError, S3Error) as error:
        return str(unusable(error) or error)
