"""The rationales that are kept for each label, out of lists that the LLM writes (Algorithm 1, lines 1 and 2)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from s3_hf.errors import SynthesisError
from s3_hf.records import Completion, Request
from s3_hf.synthesis.asking import gather_all, gather_answered
from s3_hf.synthesis.composing import Composer
from s3_hf.synthesis.parsing import parse_list
from s3_hf.texts import COPY_RATIO, normalise

logger = logging.getLogger(__name__)

RATIONALE_LISTS = 4
"""Lists of rationales in one batch of requests; the rationales that most lists name are kept."""
RATIONALE_BATCHES = 6
"""Batches sent at most for one label; a small LLM names few rationales at a time."""


Means = Callable[[int, Sequence[str]], Awaitable[Sequence[bool]]]
"""Returns for each phrase whether it can be a reason for the label of this id."""


@dataclass(frozen=True, slots=True)
class RationaleSearch:
    """Collects the rationales of all labels.

    Attributes:
        composer: composes the requests.
        template: prompt template that asks for a list.
        ask: sends a request.
        means: tells which phrases can be reasons for a label; None keeps all.
    """

    composer: Composer
    template: str
    ask: Callable[[Request], Awaitable[Completion]]
    means: Means | None = None

    async def run(self) -> dict[str, tuple[str, ...]]:
        """Return up to K rationales for each label name, those that the LLM names most often first.

        A rationale that the LLM names for several labels belongs to the label that it is named for most; in a tie
        it distinguishes nothing and is left out. So are phrases of the prompt itself, such as its examples, and those
        that `means` takes for reasons of another label. Lists are asked for until each label has K; a label that has
        fewer after `RATIONALE_BATCHES` batches is logged.

        Raises:
            RequestError: the endpoint refuses all requests for a label.
            SynthesisError: a label has fewer distinct rationales than one example draws.
        """
        planner = self.composer.planner
        names, wanted = planner.task.label_names, planner.settings.rationales_per_label
        votes = [Counter[str]() for _ in names]
        short = list(range(len(names)))
        for batch in range(RATIONALE_BATCHES):
            batches = await gather_all(self._named(label, batch, required=not votes[label]) for label in short)
            for label, phrases in zip(short, batches, strict=True):
                votes[label].update(_counted(phrases, votes[label]))
            kept = [await self._meant(label, _uncontested(label, votes)) for label in range(len(names))]
            short = [label for label, phrases in enumerate(kept) if len(phrases) < wanted]
            if not short:
                break
        for label in short:
            kept[label] = self._enough(kept[label], _uncontested(label, votes))
            if len(kept[label]) < wanted:
                self._report_few(label, len(kept[label]))
        for label, phrases in enumerate(kept):
            self._report_left_out(label, phrases, _uncontested(label, votes))
        return {name: tuple(phrases[:wanted]) for name, phrases in zip(names, kept, strict=True)}

    async def _meant(self, label: int, phrases: list[str]) -> list[str]:
        """Return the phrases that can be reasons for the label."""
        if self.means is None or not phrases:
            return phrases
        return [phrase for phrase, fits in zip(phrases, await self.means(label, phrases), strict=True) if fits]

    async def _named(self, label: int, batch: int, *, required: bool) -> list[str]:
        """Return the phrases of one batch of lists for the label, as often as they are named."""
        numbers = range(batch * RATIONALE_LISTS, (batch + 1) * RATIONALE_LISTS)
        requests = (self.ask(self.composer.rationales(label, number, self.template)) for number in numbers)
        answers = await gather_answered(requests, required=required)
        return [phrase for answer in answers for phrase in parse_list(answer.text) if not self._of_the_prompt(phrase)]

    def _of_the_prompt(self, phrase: str) -> bool:
        """Return whether the phrase repeats the prompt: its wording, one of its examples, or the word of a label."""
        task = self.composer.planner.task
        words = normalise(phrase)
        labels = filter(None, map(normalise, task.label_words))
        if any(f" {label} " in f" {words} " for label in labels):
            return True  # talk about the task, such as "a positive impression"
        quoted = " " in words and f" {words} " in f" {normalise(self.template)} "
        return quoted or _same(phrase, parse_list(self.template)) is not None

    def _enough(self, meant: list[str], named: list[str]) -> list[str]:
        """Return the rationales that mean the label; all that are named, if one example draws more than these."""
        return meant if len(meant) >= self.composer.planner.settings.rationales_per_example else named

    def _report_left_out(self, label: int, kept: list[str], named: list[str]) -> None:
        """Log the phrases that are named for the label and mean another one."""
        if left_out := [phrase for phrase in named if phrase not in kept]:
            word = self.composer.planner.task.label_words[label]
            logger.info("left out as reasons of another label than %r: %s", word, ", ".join(left_out))

    def _report_few(self, label: int, count: int) -> None:
        """Log that a label has `count` rationales, which are fewer than wanted.

        Raises:
            SynthesisError: they are fewer than one example draws.
        """
        task, settings = self.composer.planner.task, self.composer.planner.settings
        wanted, word = settings.rationales_per_label, task.label_words[label]
        if count < settings.rationales_per_example:
            raise SynthesisError(
                f"the LLM was asked for {wanted} rationales for {word!r} as a numbered list, found {count} that tell "
                "it from the other labels; use an LLM that follows instructions, edit the recipe's prompt "
                "'rationales', or add --no-rationales"
            )
        logger.warning(
            "%d of %d rationales for %r are left after %d lists: prompts draw from these",
            count, wanted, word, RATIONALE_BATCHES * RATIONALE_LISTS,
        )  # fmt: skip


def _counted(phrases: Iterable[str], known: Iterable[str]) -> Counter[str]:
    """Return how often each phrase is named; a spelling that is known, or comes first, stands for its variants."""
    votes, spellings = Counter[str](), dict.fromkeys(known)
    for phrase in phrases:
        spelling = _same(phrase, spellings) or phrase
        spellings[spelling] = None
        votes[spelling] += 1
    return votes


def _uncontested(label: int, votes: Sequence[Counter[str]]) -> list[str]:
    """Return the phrases that are named for this label more often than for any other, the most frequent first."""
    others = [one for number, one in enumerate(votes) if number != label]

    def contested(phrase: str, count: int) -> bool:
        return any(other[_same(phrase, other) or phrase] >= count for other in others)

    return [phrase for phrase, count in votes[label].most_common() if not contested(phrase, count)]


def _same(phrase: str, known: Iterable[str]) -> str | None:
    """Return the known phrase that equals this one but for a letter or two, if there is one."""
    match = process.extractOne(phrase, list(known), scorer=fuzz.ratio, score_cutoff=COPY_RATIO)
    return str(match[0]) if match else None
