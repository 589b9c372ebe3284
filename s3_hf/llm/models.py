"""Choose the model to ask for where the settings name none: many servers refuse a name that they do not know."""

from __future__ import annotations

import asyncio

import httpx2

from s3_hf.errors import ConfigError
from s3_hf.llm.access import list_models, shortened
from s3_hf.llm.balance import Endpoint
from s3_hf.llm.failures import ATTEMPT_ERRORS, FailureKind, classify


class ModelChooser:
    """Lists the models of all endpoints before the first request, and again of those that were down or busy.

    Of several models it takes `previous`, the one that wrote the journal's completions.
    """

    def __init__(self, endpoints: tuple[Endpoint, ...], pool: httpx2.AsyncClient, previous: str | None) -> None:
        self._endpoints, self._pool, self._previous = endpoints, pool, previous
        self._listing: asyncio.Task[None] | None = None
        self._errors: dict[str | None, Exception] = {}

    async def choose(self, endpoint: Endpoint) -> str | None:
        """Return the model to ask the endpoint for, or None if no endpoint lists any.

        Raises:
            ConfigError: one endpoint lists several models, or two list different ones.
            Exception: one of `ATTEMPT_ERRORS`: this endpoint was down or busy, and no other lists a model.
        """
        if endpoint.serves is None and not endpoint.answered_at:
            if self._listing is None or self._listing.done():
                self._listing = asyncio.ensure_future(self._list_all())
            await asyncio.shield(self._listing)
        names = endpoint.serves
        if names is None:
            names = next((one.serves for one in self._endpoints if one.serves), ())
            if not names and (error := self._errors.get(endpoint.address.url)):
                raise error
        return names[0] if names else None

    def close(self) -> None:
        """Cancel a listing that is under way."""
        if self._listing is not None:
            self._listing.cancel()

    async def _list_all(self) -> None:
        await asyncio.gather(*(self._list(one) for one in self._endpoints if one.serves is None))
        for one in self._endpoints:
            if one.serves and self._previous in one.serves:
                one.serves = (self._previous,)
        listed = [(one.address.name, one.serves) for one in self._endpoints if one.serves]
        for where, names in listed:
            if len(names) > 1:
                raise ConfigError(
                    f"llm_model must name one of the models of {where}, found it unset and {shortened(names)}; "
                    "choose one with --set llm_model=NAME"
                )
        if len({names for _, names in listed}) > 1:
            found = ", ".join(f"{names[0]!r} at {where}" for where, names in listed)
            raise ConfigError(
                f"all endpoints must serve the same model, found {found}; leave out those that do not, or name a "
                "model that all of them know with --set llm_model=NAME"
            )

    async def _list(self, endpoint: Endpoint) -> None:
        try:
            endpoint.serves = await list_models(endpoint.address, self._pool)
        except ATTEMPT_ERRORS as error:
            if classify(error, endpoint.address).kind in (FailureKind.BUSY, FailureKind.DOWN):
                self._errors[endpoint.address.url] = error
            else:
                endpoint.serves = ()
