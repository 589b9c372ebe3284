"""Notice that an endpoint only gives empty answers, before many of them are paid for."""

from __future__ import annotations

from collections import Counter

from s3_hf.records import Completion

FRUITLESS = 10
"""Empty answers, and no other, after which nothing more is asked."""


class Fruitless:
    """Counts the empty answers of an endpoint until the first one with a text."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._has_text = False

    def count(self, completion: Completion) -> None:
        """Count an answer: as empty also where the model is still thinking at its end."""
        _, end, rest = completion.text.rpartition("</think>")
        unfinished = completion.finish_reason == "length" and not end and rest.lstrip().startswith("<think>")
        if rest.strip() and not unfinished:
            self._has_text = True
        elif not self._has_text:
            self._reasons[completion.finish_reason] += 1

    def sentence(self) -> str | None:
        """Return what to do about an endpoint that only gives empty answers, or None if it does not."""
        count = self._reasons.total()
        if self._has_text or count < FRUITLESS:
            return None
        reason, most = self._reasons.most_common(1)[0]
        if reason == "length":
            return (
                f"answers of the LLM must hold a text, but all {count} so far are empty and {most} were cut off at "
                "their limit, as those of a model that thinks first; set synthesis.thinking_tokens to some 2000 more "
                "tokens, or switch its thinking off by endpoint.extra_body"
            )
        if reason == "content_filter":
            return (
                f"answers of the LLM must hold a text, but all {count} so far are empty, and the endpoint withheld "
                f"{most} by its content filter; try other prompts, another LLM, or an endpoint without this filter"
            )
        return (
            f"answers of the LLM must hold a text, but all {count} so far are empty (finish_reason {reason!r}); look "
            "at the endpoint's log, or use another LLM"
        )
