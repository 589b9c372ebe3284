"""The limits on requests, tokens and cost, and the prices that the cost comes from."""

from __future__ import annotations

from dataclasses import dataclass

from s3_hf.config import LLMConfig
from s3_hf.errors import ConfigError
from s3_hf.records import Usage


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the settings.

    `kept` is False where nothing of what was paid for is kept.

    Raises:
        ConfigError: `max_cost` is set, and both prices are 0.
    """

    settings: LLMConfig
    kept: bool = True

    def __post_init__(self) -> None:
        if self.settings.max_cost and not (self.settings.price_prompt or self.settings.price_completion):
            raise ConfigError(
                f"endpoint.max_cost={self.settings.max_cost!r} needs prices, found 0.0 for both; "
                "set endpoint.price_prompt and endpoint.price_completion per million tokens"
            )

    def priced(self, usage: Usage) -> Usage:
        """Return the usage with its cost by the two prices."""
        settings = self.settings
        cost = usage.prompt_tokens * settings.price_prompt + usage.completion_tokens * settings.price_completion
        return Usage(usage.requests, usage.prompt_tokens, usage.completion_tokens, cost / 1e6)

    def reached(self, paid: Usage, sent: int) -> str | None:
        """Return a sentence about the limit that is reached, or None.

        Args:
            paid: everything that the journal's run ever paid for.
            sent: requests of the run that were sent, repeated ones included.
        """
        spent = {"max_requests": sent, "max_tokens": paid.tokens, "max_cost": paid.cost}
        for name, value in spent.items():
            limit = getattr(self.settings, name)
            if limit is not None and value >= limit:
                on = f"all of it is kept, run the same command with a higher {name} to go on"
                return (
                    f"the limit {name}={limit!r} is reached with {sent} requests sent, {paid.tokens} tokens and "
                    f"a cost of {paid.cost:.4f}; {on if self.kept else 'raise it'}"
                )
        return None
