"""What the prompts of ZeroGen and ProGen need besides a label: names to write about, and rows to show."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from s3_hf.errors import SynthesisError
from s3_hf.records import Completion
from s3_hf.synthesis.asking import answers_of
from s3_hf.synthesis.checks import REFUSAL
from s3_hf.synthesis.parsing import said
from s3_hf.synthesis.plan import Shown

QUOTED = re.compile(r'(?:[^"“]{0,40}:\s*)?["“]([^"“”]+)["”]')
UNOPENED = re.compile(r'([^"“”]*[^"“”\s])["”]')
OPENED = re.compile(r'["“]\S')
NAME_BATCHES = 4
"""How often names are asked for until there are enough distinct ones."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Rows of each label that may be shown before a prompt: with chance `ratio`, `size` of them."""

    rows: Mapping[int, Sequence[Shown]]
    size: int
    ratio: float

    def drawn(self, label: int | None, draw: random.Random) -> tuple[Shown, ...]:
        """Return rows of the label, without repetition, or none."""
        rows = self.rows.get(label, ()) if label is not None else ()
        if draw.random() >= self.ratio:
            return ()
        return tuple(draw.sample(rows, min(self.size, len(rows))))


async def found_names(prompt: str, wanted: int, ask: Callable[[int], Awaitable[Completion]]) -> tuple[str, ...]:
    """Return up to `wanted` distinct names that the LLM gives when asked one at a time, in order.

    Args:
        prompt: what it is asked.
        wanted: names; fewer come if it repeats itself.
        ask: sends the prompt for the name of that number.

    Raises:
        RequestError: all are refused.
        SynthesisError: no answer holds a name.
    """
    names: dict[str, str] = {}
    asked = 0
    for batch in range(1, NAME_BATCHES + 1):
        missing = wanted - len(names)
        requests = (ask(number) for number in range(asked, asked + missing))
        for completion in await answers_of(requests, needed=batch == NAME_BATCHES and not names):
            if (name := _name(completion, prompt)) is not None:
                names.setdefault(name.lower(), name)
        asked += missing
        if len(names) >= wanted:
            break
    if not names:
        raise SynthesisError(
            f"the LLM was asked for {wanted} names by the prompt {prompt!r}, found none in {asked} answers; use "
            "another LLM, or edit the recipe's prompt 'names'"
        )
    return tuple(names.values())


def _name(completion: Completion, prompt: str) -> str | None:
    """The name in the first line: up to the closing quotation mark if there is one; None if it was cut off."""
    line, more, _ = (said(completion.text) or "").removeprefix(prompt.splitlines()[-1]).strip().partition("\n")
    if REFUSAL.search(line):
        return None
    found = QUOTED.match(line) or UNOPENED.match(line)
    if not found and (OPENED.search(line) or (completion.finish_reason == "length" and not more)):
        return None  # a sentence before a name, or the beginning of one
    return (found[1] if found else line).strip(" *_.,;:'\"") or None
