"""How a dataset comes to be: the paper's method and its baselines, as values of one type in one dict.

A strategy sees the task's gold validation rows and the LLM through a `Synthesizer`; never the store, the
Hub or the trainer. The ablations are settings: S3 without rationales is `synthesis.rationales: false`, S3
without error extrapolation is `rounds: 0`.
"""

from __future__ import annotations

import difflib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from s3_hf.errors import ConfigError
from s3_hf.records import HUMAN, Example, Feedback
from s3_hf.synthesis import Pool, Shown, Synthesizer

TOP_UPS = 8
"""How often a round that is short of rows is topped up; what an LLM rejects half of is complete long before."""

ZEROGEN_PER_NAME, PROGEN_PER_NAME = 32, 2


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to make a dataset.

    `seed` yields the examples of round 0, up to the given number. `grow` yields those of a later round from
    what the last student got wrong, up to the given number or, with None, as many as the method makes;
    a strategy without it is one-shot. `asks_llm` is False where no LLM is needed. With `scores_rows` it learns not
    from what the student got wrong but from `Feedback.helpful`, which there is for labels of single texts only.
    `from_mistakes` is True where a student without mistakes teaches nothing. `per_name` are the rows of each label
    about one name, where ZeroGen's prompts are used.
    """

    name: str
    seed: Callable[[Synthesizer, int], AsyncIterator[Example]]
    grow: Callable[[Synthesizer, Feedback, int | None], AsyncIterator[Example]] | None = None
    asks_llm: bool = True
    scores_rows: bool = False
    from_mistakes: bool = False
    per_name: int | None = None


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


async def _zerogen(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:
    """ZeroGen (Ye et al., EMNLP 2022): names first, then texts about them; a recipe may have neither.

    Its prompts and the cut of the answer at the closing quotation mark are those of its code. Departures: the prompt
    is a user turn of a chat, with the run's temperature and top-p, and may end before the longest length; names may be
    longer, and a recipe may word the prompts otherwise for its LLM (`movie_snippets` does); labels are in turn, and
    contexts drawn for each row, since 32 rows for each would leave a small set few; an answer that ends in `!` or `?`
    is whole too; the longest answer and the fewest words are the recipe's, not 40 tokens and 5 or 10 words; a question
    must not hold the answer's words in a row, where ZeroGen looks for its letters; answers to find are gold ones or
    phrases, not spaCy's entities; no self-debiasing, which needs the LLM's logits; gold validation rows choose the
    epoch, not a tenth of the synthetic ones; and the other checks of this package are on top.
    """
    async for example in synthesizer.zero_shot(n, ZEROGEN_PER_NAME):
        yield example


async def _progen_seed(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:
    """ProGen before its first feedback: as ZeroGen, with two rows of each label about one name."""
    async for example in synthesizer.zero_shot(n, PROGEN_PER_NAME):
        yield example


async def _progen_grow(synthesizer: Synthesizer, feedback: Feedback, n: int | None) -> AsyncIterator[Example]:
    """ProGen (Ye et al., Findings of EMNLP 2022): rows that helped the student are shown before half of the prompts.

    Without a number it grows the data to the next of its checkpoints: 100, 400, 1,200, 3,200, 8,000 rows and so on.
    Departures, besides those of `_zerogen`: whether rows are shown is drawn for each row, not for two at a time; the
    student is the round's own, which learned from the synthetic validation rows too and whose epoch gold data chose;
    influence is that of the last layer unless `synthesis.progen.influence` is `full`, as in ProGen's code;
    and influence chooses the pool from the first round on (`synthesis.progen.influence_from`), since small sets never
    reach the 10,000 rows from which ProGen's code does.
    """
    settings, rows = synthesizer.settings.progen, feedback.rows
    if n is None:
        n = next(size for size in _checkpoints() if size > len(rows)) - len(rows)
    places = {name: place for place, name in enumerate(rows["s3_id"][:])}
    text = synthesizer.task.columns.text

    def shown(name: str) -> Shown:
        row = rows[places[name]]
        return Shown(row[text], row["s3_rationales"][0] if len(row["s3_rationales"]) == 1 else "")

    pool = {label: [shown(name) for name in names] for label, names in feedback.helpful.items()}
    chosen = Pool(pool, settings.examples, settings.feedback_ratio)
    async for example in synthesizer.zero_shot(n, PROGEN_PER_NAME, chosen):
        yield example


def progen_sizes(total: int) -> list[int]:
    """Rows of each of ProGen's rounds, the seed first, on the way to `total` rows."""
    ends = [*itertools.takewhile(lambda size: size < total, _checkpoints()), total]
    return [end - start for start, end in itertools.pairwise([0, *ends])]


def _checkpoints() -> Iterator[int]:
    """Sizes at which ProGen trains: the k-th is k times 100 times 2 to the power of k - 1."""
    return (count * 100 * 2 ** (count - 1) for count in itertools.count(1))


async def _gold_rows(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:  # noqa: ARG001
    """The gold validation rows themselves, all of them: the paper's reference row."""
    task = synthesizer.task
    columns = list(task.builder.info.features)
    for row in task.gold:
        yield Example(row["s3_id"], {name: row[name] for name in columns}, HUMAN, 0, parent=row["s3_id"])


async def _extrapolate_mistakes(synthesizer: Synthesizer, feedback: Feedback, n: int | None) -> AsyncIterator[Example]:
    """Error extrapolation: one example, or `per_error`, for each misclassified gold row (Algorithm 2).

    With fewer rows wanted than mistakes times copies, a seeded sample of the mistakes is used.
    """
    rows = [{**mistake.row, "s3_id": mistake.id} for mistake in feedback.mistakes]
    async for example in _extrapolated(synthesizer, rows, "error", n, synthesizer.settings.per_error):
        yield example


async def _extrapolate_gold(synthesizer: Synthesizer, feedback: Feedback, n: int | None) -> AsyncIterator[Example]:
    """GoldGen: extrapolates the gold validation data instead of the mistakes (section 3.2).

    It gets as many rows as S3 would; without a number it extrapolates each gold row once.
    """
    async for example in _extrapolated(synthesizer, list(feedback.gold), "gold", n):
        yield example


async def _extrapolated(
    synthesizer: Synthesizer, rows: list[dict[str, Any]], origin: str, n: int | None, copies: int = 1
) -> AsyncIterator[Example]:
    """Yield `copies` examples like each row, or n like a sample of the rows where that is less.

    With `top_up`, what is missing to n comes from the other rows, then from further copies of all.
    """
    draw = random.Random(f"{synthesizer.seed}/r{synthesizer.round}/sample")
    sample = sorted(draw.sample(range(len(rows)), len(rows) if n is None else min(len(rows), -(-n // copies))))
    missing = n
    async for example in _at_most(n, synthesizer.extrapolate((rows[place] for place in sample), origin, copies)):
        missing = None if missing is None else missing - 1
        yield example
    if not (synthesizer.settings.top_up and missing and rows):
        return
    turns = _turns([place for place in range(len(rows)) if place not in set(sample)], len(rows), copies, draw)
    for _ in range(TOP_UPS):
        for copy, turn in itertools.groupby(itertools.islice(turns, missing), key=lambda one: one[1]):
            chosen = [rows[place] for place, _ in turn]
            async for example in synthesizer.extrapolate(chosen, origin, first=copy):
                missing -= 1
                yield example
        if not missing:
            return


def _turns(unused: list[int], size: int, copies: int, draw: random.Random) -> Iterator[tuple[int, int]]:
    """Places of rows and numbers of their copies, without end: the unused rows first, then all of them again."""
    yield from ((place, 0) for place in draw.sample(unused, len(unused)))
    for copy in itertools.count(copies):
        yield from ((place, copy) for place in draw.sample(range(size), size))


async def _at_most(n: int | None, examples: AsyncIterator[Example]) -> AsyncIterator[Example]:
    count = 0
    async for example in examples:
        if n is None or count < n:
            count += 1
            yield example


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("s3", _seed_with_rationales, _extrapolate_mistakes, from_mistakes=True),
        Strategy("zerogen", _zerogen, per_name=ZEROGEN_PER_NAME),
        Strategy("progen", _progen_seed, _progen_grow, scores_rows=True, per_name=PROGEN_PER_NAME),
        Strategy("goldgen", _seed_with_rationales, _extrapolate_gold),
        Strategy("gold", _gold_rows, asks_llm=False),
    )
}
