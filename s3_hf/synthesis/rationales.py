"""The rationales that are kept for each label, out of lists that the LLM writes (Algorithm 1, lines 1 and 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from s3_hf.errors import SynthesisError
from s3_hf.records import Completion, Request
from s3_hf.synthesis.asking import gather_all, gather_answered
from s3_hf.synthesis.composing import Composer
from s3_hf.synthesis.parsing import parse_list
from s3_hf.texts import COPY_RATIO

RATIONALE_LISTS = 4
"""Lists of rationales in one batch of requests; the rationales that most lists name are kept."""
RATIONALE_BATCHES = 6
"""Batches sent at most for one label; a small LLM names few rationales at a time."""
SPARE = 1.5
"""Distinct rationales to collect for each one that is kept, since some will belong to another label."""


@dataclass(frozen=True, slots=True)
class RationaleSearch:
    """Collects the rationales of all labels; `template` asks for a list, `ask` sends a request."""

    composer: Composer
    template: str
    ask: Callable[[Request], Awaitable[Completion]]

    async def run(self) -> dict[str, tuple[str, ...]]:
        """Return up to K rationales for each label name, those that the LLM names most often first.

        A rationale that the LLM names for several labels belongs to the label that it is named for most; in a tie
        it distinguishes nothing and is left out.

        Raises:
            RequestError: the endpoint refuses all requests for a label.
            SynthesisError: a label has fewer distinct rationales than one example draws.
        """
        names = self.composer.planner.task.label_names
        votes = await gather_all(self._votes_for(label) for label in range(len(names)))
        return {name: self._elected(label, votes) for label, name in enumerate(names)}

    async def _votes_for(self, label: int) -> Counter[str]:
        """Return how often each rationale is named for the label; ask until there are K and some to spare."""
        planner = self.composer.planner
        enough = planner.settings.rationales_per_label * SPARE
        votes: Counter[str] = Counter()
        for batch in range(RATIONALE_BATCHES):
            numbers = range(batch * RATIONALE_LISTS, (batch + 1) * RATIONALE_LISTS)
            requests = (self.ask(self.composer.rationales(label, number, self.template)) for number in numbers)
            for answer in await gather_answered(requests, required=not votes):
                for phrase in parse_list(answer.text):
                    if any(word in phrase.split() for word in planner.task.label_words):
                        continue  # talk about the task, such as "a positive impression"
                    votes[_same(phrase, votes) or phrase] += 1
            if len(votes) >= enough:
                break
        return votes

    def _elected(self, label: int, votes: Sequence[Counter[str]]) -> tuple[str, ...]:
        planner = self.composer.planner
        others = [one for number, one in enumerate(votes) if number != label]

        def contested(phrase: str, count: int) -> bool:
            return any(other[_same(phrase, other) or phrase] >= count for other in others)

        kept = [phrase for phrase, count in votes[label].most_common() if not contested(phrase, count)]
        if len(kept) < planner.settings.rationales_per_example:
            raise SynthesisError(
                f"the LLM was asked for {planner.settings.rationales_per_label} rationales for "
                f"{planner.task.label_words[label]!r} as a numbered list, found {len(kept)} that tell it from the "
                "other labels; use an LLM that follows instructions, edit the recipe's prompt 'rationales', or switch "
                "rationales off"
            )
        return tuple(kept[: planner.settings.rationales_per_label])


def _same(phrase: str, known: Iterable[str]) -> str | None:
    """Return the known phrase that equals this one but for a letter or two, if there is one."""
    match = process.extractOne(phrase, list(known), scorer=fuzz.ratio, score_cutoff=COPY_RATIO)
    return str(match[0]) if match else None
