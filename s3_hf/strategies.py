"""How a dataset comes to be: the paper's method and its baselines, as values of one type in one dict.

A strategy sees the task's gold validation rows and the LLM through a `Synthesizer`; never the store, the
Hub or the trainer. The ablations are settings: S3 without rationales is `synthesis.rationales: false`, S3
without error extrapolation is `rounds: 0`.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

from s3_hf.errors import ConfigError
from s3_hf.records import Example, Feedback
from s3_hf.synthesis import Synthesizer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to make a dataset.

    `seed` yields the examples of round 0, up to the given number. `grow` yields those of a later round from
    what the last student got wrong, up to the given number or, with None, as many as the method makes;
    a strategy without it is one-shot. `asks_llm` is False where no LLM is needed.
    """

    name: str
    seed: Callable[[Synthesizer, int], AsyncIterator[Example]]
    grow: Callable[[Synthesizer, Feedback, int | None], AsyncIterator[Example]] | None = None
    asks_llm: bool = True


def strategy_named(name: str) -> Strategy:
    """Return the strategy of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in STRATEGIES:
        close = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(STRATEGIES)}"
        raise ConfigError(f"there is no strategy {name!r}; {hint}")
    return STRATEGIES[name]


async def _seed_with_rationales(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:
    async for example in synthesizer.examples(n, rationales=synthesizer.settings.rationales):
        yield example


async def _seed_plain(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:
    """ZeroGen's zero-shot generation with a chat LLM: no rationales, no feedback."""
    async for example in synthesizer.examples(n, rationales=False):
        yield example


async def _gold_rows(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:  # noqa: ARG001
    """The gold validation rows themselves, all of them: the paper's reference row."""
    task = synthesizer.task
    columns = list(task.builder.info.features)
    for row in task.gold:
        yield Example(row["s3_id"], {name: row[name] for name in columns}, "human", 0, parent=row["s3_id"])


async def _extrapolate_mistakes(synthesizer: Synthesizer, feedback: Feedback, n: int | None) -> AsyncIterator[Example]:
    """Error extrapolation: one example, or `per_error`, for each misclassified gold row (Algorithm 2).

    With fewer rows wanted than mistakes times copies, a seeded sample of the mistakes is used.
    """
    copies = synthesizer.settings.per_error
    mistakes = list(feedback.mistakes)
    if n is not None and n < len(mistakes) * copies:
        mistakes = _sample(mistakes, -(-n // copies), synthesizer)
    rows = ({**mistake.row, "s3_id": mistake.id} for mistake in mistakes)
    async for example in _at_most(n, synthesizer.extrapolate(rows, "error", copies)):
        yield example


async def _extrapolate_gold(synthesizer: Synthesizer, feedback: Feedback, n: int | None) -> AsyncIterator[Example]:
    """GoldGen: extrapolates the gold validation data instead of the mistakes (section 3.2).

    It gets as many rows as S3 would; without a number it extrapolates each gold row once.
    """
    gold = feedback.gold
    chosen = list(range(len(gold)))
    if n is not None and n < len(chosen):
        chosen = _sample(chosen, n, synthesizer)
    async for example in _at_most(n, synthesizer.extrapolate((gold[place] for place in chosen), "gold")):
        yield example


def _sample(items: list[T], size: int, synthesizer: Synthesizer) -> list[T]:
    """A seeded sample in the items' own order; another round draws another one."""
    draw = random.Random(f"{synthesizer.seed}/r{synthesizer.round}/sample")
    return [items[place] for place in sorted(draw.sample(range(len(items)), size))]


async def _at_most(n: int | None, examples: AsyncIterator[Example]) -> AsyncIterator[Example]:
    count = 0
    async for example in examples:
        if n is None or count < n:
            count += 1
            yield example


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("s3", _seed_with_rationales, _extrapolate_mistakes),
        Strategy("zerogen", _seed_plain),
        Strategy("goldgen", _seed_with_rationales, _extrapolate_gold),
        Strategy("gold", _gold_rows, asks_llm=False),
    )
}
