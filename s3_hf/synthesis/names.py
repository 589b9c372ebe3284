"""Names to write about, such as film titles, read from the LLM's answers (ZeroGen: Ye et al., EMNLP 2022)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from s3_hf.errors import SynthesisError
from s3_hf.records import Completion
from s3_hf.synthesis.asking import gather_answered
from s3_hf.synthesis.checks import refuses
from s3_hf.synthesis.parsing import without_thoughts

QUOTED = re.compile(r'(?:[^"“]{0,40}:\s*)?["“]([^"“”]+)["”]')
UNOPENED = re.compile(r'([^"“”]*[^"“”\s])["”]')
OPENED = re.compile(r'["“]\S')
NAME_BATCHES = 4
"""Batches of requests sent at most until there are enough distinct names."""
FIRST = 8
"""Requests of a batch that are sent before the others, which are not sent if the endpoint refuses all of these."""


async def collect_names(prompt: str, wanted: int, ask: Callable[[int], Awaitable[Completion]]) -> tuple[str, ...]:
    """Return up to `wanted` distinct names, each from an answer of its own, in the order of the requests.

    Args:
        prompt: the prompt that asks for one name; an answer may repeat its last line.
        wanted: distinct names; there are fewer where the LLM repeats itself.
        ask: sends the request for the name of a number and returns the answer.

    Raises:
        RequestError: the endpoint refuses all requests, or the first ones of a batch.
        SynthesisError: no answer holds a name.
    """
    names: dict[str, str] = {}
    sent = 0
    for batch in range(1, NAME_BATCHES + 1):
        missing = wanted - len(names)
        numbers = range(sent, sent + missing)
        for part in (numbers[:FIRST], numbers[FIRST:]):
            required = not names and (batch == NAME_BATCHES or len(part) == FIRST)
            for completion in await gather_answered(map(ask, part), required=required):
                if (name := _name(completion, prompt)) is not None:
                    names.setdefault(name.lower(), name)
        sent += missing
        if len(names) >= wanted:
            break
    if not names:
        raise SynthesisError(
            f"the LLM was asked for {wanted} names by the prompt {prompt!r}, found none in {sent} answers; use "
            "another LLM, or edit the recipe's prompt 'names'"
        )
    return tuple(names.values())


def _name(completion: Completion, prompt: str) -> str | None:
    """Return the name in the answer's first line, or None if the line holds none or is cut off.

    A closing quotation mark ends the name.
    """
    answer = (without_thoughts(completion.text) or "").removeprefix(prompt.splitlines()[-1]).strip()
    line, more, _ = answer.partition("\n")
    if refuses(line):
        return None
    match = QUOTED.match(line) or UNOPENED.match(line)
    if not match and (OPENED.search(line) or (completion.finish_reason == "length" and not more)):
        return None  # a sentence before a name, or the beginning of a name
    return (match[1] if match else line).strip(" *_.,;:'\"") or None
