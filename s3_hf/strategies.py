"""Strategies: S3, the method of the paper, and its baselines, as values of one type in `STRATEGIES`.

A strategy sees the task's gold rows and the LLM through a `Synthesizer`; never the store, the Hub or the trainer.
Ablations are settings: S3 without rationales is `synthesis.rationales: false`, S3 without error extrapolation is
`rounds: 0`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from s3_hf.config import SynthesisConfig
from s3_hf.errors import ConfigError, did_you_mean
from s3_hf.records import HUMAN, Example, Feedback
from s3_hf.synthesis import Pool, Rationales, ShownRow, Synthesizer, Turn, in_proportion
from s3_hf.task import Prompts

TOP_UPS = 8
"""Times that a round which is short of rows is topped up; a few are enough if half of the texts are rejected."""
ZEROGEN_PER_NAME, PROGEN_PER_NAME = 32, 2
"""Rows of each label about one name, as in the code of their authors."""
FEWEST_NAMES = 300
"""Names that ZeroGen asks for in small datasets, where 32 rows about each would leave few."""


@dataclass(frozen=True, slots=True)
class StrategyPrompts:
    """The prompt templates that a strategy sends for a task; empty ones are not sent.

    Attributes:
        seed: template of the rows of round 0, and with ProGen of later rounds.
        extrapolate: template that extrapolates a gold row.
        rationales: template that asks for rationales; set if one of the two above has a field for them.
        names: prompt that asks for one name to write about.
    """

    seed: str = ""
    extrapolate: str = ""
    rationales: str = ""
    names: str = ""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to write a dataset.

    Attributes:
        name: the value of the setting `strategy`.
        prompts: returns the templates that `seed` and `grow` send for a task's prompts and the settings.
        seed: yields the examples of round 0, up to the number wanted.
        grow: yields the examples of a later round, up to the number wanted; with None, as many as the method
            writes. A strategy without it has round 0 only.
        asks_llm: False if the strategy needs no LLM.
        scores_rows: True if `grow` learns from `Feedback.helpful`, which exists for labels of single texts only.
        from_mistakes: True if `grow` yields nothing when the student makes no mistakes.
    """

    name: str
    prompts: Callable[[Prompts, SynthesisConfig], StrategyPrompts]
    seed: Callable[[Synthesizer, int], AsyncIterator[Example]]
    grow: Callable[[Synthesizer, Feedback, int | None], AsyncIterator[Example]] | None = None
    asks_llm: bool = True
    scores_rows: bool = False
    from_mistakes: bool = False


def strategy_named(name: str) -> Strategy:
    """Return the strategy of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in STRATEGIES:
        hint = did_you_mean(name, STRATEGIES, f"known are {', '.join(STRATEGIES)}")
        raise ConfigError(f"there is no strategy {name!r}; {hint}")
    return STRATEGIES[name]


def _s3_prompts(prompts: Prompts, settings: SynthesisConfig) -> StrategyPrompts:
    """S3 and GoldGen: rationales, if they are on and the task has them, for seed rows and extrapolations."""
    seed, extrapolate = prompts.seed, prompts.extrapolate
    if not settings.rationales:
        seed, extrapolate = prompts.seed_plain or seed, prompts.extrapolate_plain or extrapolate
    return StrategyPrompts(seed, extrapolate, prompts.rationales if "{rationales}" in seed + extrapolate else "")


def _zerogen_prompts(prompts: Prompts, settings: SynthesisConfig) -> StrategyPrompts:  # noqa: ARG001
    """ZeroGen and ProGen: their own prompts where the recipe has them, else the seed prompt without rationales."""
    return StrategyPrompts(prompts.zerogen or prompts.seed_plain or prompts.seed, names=prompts.names)


async def _rationales_for(synthesizer: Synthesizer, template: str) -> Rationales:
    """Return rationales to draw from if the template has a field for them, else none."""
    return await synthesizer.rationales(synthesizer.task.prompts.rationales) if "{rationales}" in template else {}


async def _s3_seed(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:
    """Seed rows with rationales (Algorithm 1), or in tasks with contexts, about contexts (section 2.4)."""
    prompts = _s3_prompts(synthesizer.task.prompts, synthesizer.settings)
    rationales = await _rationales_for(synthesizer, prompts.seed)
    async for example in synthesizer.examples(n, prompts.seed, rationales):
        yield example


async def _zerogen(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:
    """ZeroGen (Ye et al., EMNLP 2022): names first, then texts about them; a recipe may have neither prompt.

    The prompts and the cut of an answer at its closing quotation mark are those of ZeroGen's code. Departures from it:
    a prompt is a user turn of a chat, sampled with the run's temperature and top-p, whose answer may end before the
    longest length; a small dataset has up to 300 names with fewer rows about each than 32, which are not consecutive
    unless `synthesis.zerogen_per_name` says how many; names may be longer; a recipe may word the prompts for its LLM
    (`movie_snippets` does); labels alternate and each row draws its own context, since 32 rows for each context would
    leave a small dataset few contexts; a text that ends in `!` or `?` counts as complete; the recipe sets the longest
    answer and the fewest words, which are 40 tokens and 5 or 10 words in ZeroGen's code; a question must not contain
    the answer as consecutive words, where ZeroGen compares letters; answers to ask for are gold ones or phrases, not
    entities found by spaCy; there is no self-debiasing, which needs the LLM's logits; gold validation rows choose the
    epoch, not a tenth of the synthetic rows; and all other checks of this package apply.
    """
    per_name, names = synthesizer.settings.zerogen_per_name, None
    if per_name is None:
        per_name, names = 1, zerogen_names(-(-n // max(1, len(synthesizer.task.label_names))))
    async for example in _zero_shot(synthesizer, n, per_name, names=names):
        yield example


def zerogen_names(rows: int) -> int:
    """Return the names that ZeroGen asks for by default, for that many rows of each label."""
    return max(-(-rows // ZEROGEN_PER_NAME), min(FEWEST_NAMES, rows))


async def _progen_seed(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:
    """ProGen before its first feedback: as ZeroGen, with two rows of each label about one name."""
    async for example in _zero_shot(synthesizer, n, PROGEN_PER_NAME):
        yield example


async def _progen_grow(synthesizer: Synthesizer, feedback: Feedback, n: int | None) -> AsyncIterator[Example]:
    """ProGen (Ye et al., Findings of EMNLP 2022): rows that help the student are shown before half of the prompts.

    Without a number the data grows to the next of ProGen's checkpoints: 100, 400, 1,200, 3,200, 8,000 rows and so on.
    Departures from its code, besides those of `_zerogen`: whether rows are shown is drawn for each row, not for two
    at a time; the student is that of the last round, which is trained on the synthetic validation rows too and whose
    epoch is chosen on gold rows; influence is that of the last layer unless `synthesis.progen.influence` is `full`,
    as in ProGen's code; and influence chooses the pool from the first round on (`synthesis.progen.influence_from`),
    since small datasets never reach the 10,000 rows from which it does so in ProGen's code.
    """
    settings, rows = synthesizer.settings.progen, feedback.rows
    if n is None:
        n = next(size for size in _checkpoints() if size > len(rows)) - len(rows)
    places = {name: place for place, name in enumerate(rows["s3_id"][:])}
    text = synthesizer.task.columns.text

    def shown(name: str) -> ShownRow:
        row = rows[places[name]]
        return ShownRow(row[text], row["s3_rationales"][0] if len(row["s3_rationales"]) == 1 else "")

    helpful = {label: [shown(name) for name in names] for label, names in feedback.helpful.items()}
    pool = Pool(helpful, settings.examples, settings.feedback_ratio)
    async for example in _zero_shot(synthesizer, n, PROGEN_PER_NAME, pool):
        yield example


async def _zero_shot(
    synthesizer: Synthesizer, n: int, per_name: int, pool: Pool | None = None, names: int | None = None
) -> AsyncIterator[Example]:
    """Yield up to `n` examples by ZeroGen's prompts, `per_name` of each label about one name.

    `names` is the number of names to ask for, which are used again in turn; None asks for as many as the rows need.
    """
    prompts = _zerogen_prompts(synthesizer.task.prompts, synthesizer.settings)
    rows_per_name = per_name * max(1, len(synthesizer.task.label_names))
    titles = await synthesizer.names(prompts.names, names or -(-n // rows_per_name))
    async for example in synthesizer.zero_shot(n, prompts.seed, titles, rows_per_name, pool):
        yield example


def progen_sizes(total: int) -> list[int]:
    """Return the rows that each of ProGen's rounds adds, the seed first, until there are `total` rows."""
    ends = [*itertools.takewhile(lambda size: size < total, _checkpoints()), total]
    return [end - start for start, end in itertools.pairwise([0, *ends])]


def _checkpoints() -> Iterator[int]:
    """Yield the sizes at which ProGen trains: the k-th is 100 k 2^(k - 1) rows."""
    return (count * 100 * 2 ** (count - 1) for count in itertools.count(1))


async def _gold_rows(synthesizer: Synthesizer, n: int) -> AsyncIterator[Example]:  # noqa: ARG001
    """Yield all mined gold rows themselves: "Gold Data" in the paper's Table 2."""
    task = synthesizer.task
    columns = list(task.builder.info.features)
    for row in task.mined:
        yield Example(row["s3_id"], {name: row[name] for name in columns}, HUMAN, 0, parent=row["s3_id"])


async def _extrapolate_mistakes(synthesizer: Synthesizer, feedback: Feedback, n: int | None) -> AsyncIterator[Example]:
    """Extrapolate each misclassified gold row once, or `per_error` times (Algorithm 2).

    A seeded sample of the mistakes is used if fewer examples are wanted. With `labels: missing`, the mistakes of a
    label are taken as often as the share of its gold rows that the student gets wrong is large.
    """
    rows = [{**mistake.row, "s3_id": mistake.id} for mistake in feedback.mistakes]
    label, settings = synthesizer.task.columns.label, synthesizer.settings
    if not (rows and label and settings.labels == "missing"):
        async for example in _extrapolated(synthesizer, rows, "error", n, settings.per_error):
            yield example
        return
    draw = synthesizer.planner.random(f"r{synthesizer.round}/sample")
    turns = _by_need(rows, label, synthesizer.task.label_counts, draw)
    first = list(itertools.islice(turns, len(rows) * settings.per_error if n is None else n))
    async for example in _written(synthesizer, "error", first, turns, n):
        yield example


def _by_need(rows: list[dict[str, Any]], label: str, sizes: Sequence[int], draw: random.Random) -> Iterator[Turn]:
    """Yield mistakes without end, those of a label in proportion to their number divided by its `sizes`.

    All mistakes of a label are taken, in an order that `draw` decides, before one is taken again.
    """
    wrong: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        wrong.setdefault(row[label], []).append(row)
    names = sorted(wrong)
    turns = [_again_and_again(wrong[name], 0, draw) for name in names]
    return (next(turns[place]) for place in in_proportion([len(wrong[name]) / sizes[name] for name in names]))


async def _extrapolate_gold(synthesizer: Synthesizer, feedback: Feedback, n: int | None) -> AsyncIterator[Example]:
    """Extrapolate the mined gold rows instead of the mistakes (GoldGen, section 3.2); without a number, each once."""
    async for example in _extrapolated(synthesizer, list(feedback.mined), "gold", n):
        yield example


async def _extrapolated(
    synthesizer: Synthesizer, rows: list[dict[str, Any]], origin: str, n: int | None, copies: int = 1
) -> AsyncIterator[Example]:
    """Yield `copies` examples like each row, or n examples like a sample of the rows if n is less.

    With `top_up`, examples that are missing to n extrapolate the rows outside of the sample, then all rows again.
    """
    draw = synthesizer.planner.random(f"r{synthesizer.round}/sample")
    sample = sorted(draw.sample(range(len(rows)), len(rows) if n is None else min(len(rows), -(-n // copies))))
    first = [(rows[place], copy) for place in sample for copy in range(copies)][:n]
    unused = [rows[place] for place in sorted({*range(len(rows))} - {*sample})]
    others = ((row, 0) for row in draw.sample(unused, len(unused)))
    more = itertools.chain(others, _again_and_again(rows, copies, draw))
    async for example in _written(synthesizer, origin, first, more, n):
        yield example


async def _written(
    synthesizer: Synthesizer, origin: str, first: Sequence[Turn], more: Iterator[Turn], n: int | None
) -> AsyncIterator[Example]:
    """Yield an example for each turn of `first`, at most n; with `top_up`, for further turns until there are n."""
    template = _s3_prompts(synthesizer.task.prompts, synthesizer.settings).extrapolate
    rationales, missing = await _rationales_for(synthesizer, template), n
    async for example in synthesizer.extrapolate(first, origin, template, rationales):
        missing = None if missing is None else missing - 1
        yield example
    for _ in range(TOP_UPS if synthesizer.settings.top_up and first else 0):
        if not missing:
            return
        async for example in synthesizer.extrapolate(itertools.islice(more, missing), origin, template, rationales):
            missing -= 1
            yield example


def _again_and_again(rows: list[dict[str, Any]], start: int, draw: random.Random) -> Iterator[Turn]:
    """Yield all rows again and again, each time in another order, with numbers of examples from `start` on."""
    for number in itertools.count(start):
        yield from ((row, number) for row in draw.sample(rows, len(rows)))


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("s3", _s3_prompts, _s3_seed, _extrapolate_mistakes, from_mistakes=True),
        Strategy("zerogen", _zerogen_prompts, _zerogen),
        Strategy("progen", _zerogen_prompts, _progen_seed, _progen_grow, scores_rows=True),
        Strategy("goldgen", _s3_prompts, _s3_seed, _extrapolate_gold),
        Strategy("gold", lambda *_: StrategyPrompts(), _gold_rows, asks_llm=False),
    )
}
