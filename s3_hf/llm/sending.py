"""Send one request in the endpoint's dialect and read its answer."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import replace

from huggingface_hub.errors import HfHubHTTPError

from s3_hf.config import LLMConfig
from s3_hf.errors import SynthesisError
from s3_hf.journal import Journal
from s3_hf.llm.access import Address, Pools, complete
from s3_hf.llm.answers import lacks_logprobs, read_answer, reports_usage
from s3_hf.llm.dialect import Dialect
from s3_hf.llm.failures import masked
from s3_hf.llm.fruitless import Fruitless
from s3_hf.records import Completion, Request, Token

logger = logging.getLogger(__name__)


class Sender:
    """Writes requests in the form that the endpoint takes, and learns it from refusals; see `Dialect`.

    Args:
        settings: timeout, provider and the fields of a request.
        pools: connections, used in turn.
        journal: keeps what was learned.
    """

    def __init__(self, settings: LLMConfig, pools: Pools, journal: Journal) -> None:
        self._settings, self._turns = settings, itertools.cycle(pools)
        self._fruitless = Fruitless()
        self._estimates = False
        self.dialect = Dialect(settings, journal)

    async def send(
        self, address: Address, request: Request, model: str | None, again: Callable[[HfHubHTTPError], bool]
    ) -> Completion:
        """Return the completion of a request, whose usage counts what was sent for it.

        Args:
            address: where to send it.
            request: messages and sampling settings.
            model: to ask for; None where none is known.
            again: is called with a refusal before the request is sent in another form; False forbids that.

        Raises:
            SynthesisError: the answers so far are all empty; nothing is sent.
            StorageError: what was learned cannot be recorded.
            Exception: one of `failures.ATTEMPT_ERRORS`.
        """
        if (sentence := self._fruitless.sentence()) is not None:
            raise SynthesisError(sentence)
        for sent in itertools.count(1):
            body = self.dialect.body(request, model or "dummy")
            try:
                async with asyncio.timeout(self._settings.timeout):
                    answer = await complete(address, next(self._turns), self._settings, body, model)
                completion = read_answer(answer, request, body)
            except HfHubHTTPError as error:
                if self.dialect.learn(error.response, body) and again(error):
                    continue
                raise
            self._fruitless.count(completion)
            self._note_estimate(answer)
            if "logprobs" in body and request.top_logprobs and completion.text.strip() and lacks_logprobs(answer):
                self.dialect.lacks_logprobs()
            return replace(
                completion,
                text=masked(completion.text, address),
                tokens=tuple(_masked(token, address) for token in completion.tokens),
                model=masked(completion.model, address),
                usage=replace(completion.usage, requests=sent),
            )
        raise AssertionError("unreachable")

    def _note_estimate(self, answer: object) -> None:
        if not self._estimates and not reports_usage(answer):
            self._estimates = True
            logger.warning("the endpoint reports no token counts: tokens and cost are estimates, characters / 4")


def _masked(token: Token, address: Address) -> Token:
    return Token(masked(token.text, address), tuple((masked(text, address), p) for text, p in token.choices))
