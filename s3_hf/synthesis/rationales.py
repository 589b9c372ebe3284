"""Which of the rationales that the LLM names are kept for each label (Algorithm 1, lines 1 and 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from s3_hf.config import SynthesisConfig
from s3_hf.errors import SynthesisError
from s3_hf.records import Completion
from s3_hf.synthesis.asking import all_of, answers_of
from s3_hf.synthesis.parsing import parse_list
from s3_hf.task import Task
from s3_hf.texts import COPY_RATIO

RATIONALE_LISTS = 4
"""Lists of rationales asked for at once; the rationales named most often are kept."""
RATIONALE_BATCHES = 6
"""How often lists are asked for until there are enough rationales; a small LLM gives few at a time."""
SPARE = 1.5
"""So many times the wanted rationales are looked for, since some will go to another label."""


@dataclass(frozen=True, slots=True)
class RationaleSearch:
    """Asks for lists of rationales; `ask` takes a slot and the text of a prompt."""

    task: Task
    settings: SynthesisConfig
    ask: Callable[[str, str], Awaitable[Completion]]

    async def found(self) -> dict[str, tuple[str, ...]]:
        """Return up to K rationales for each label name.

        Those that the LLM names most often are kept. One that it names for several labels belongs to the label
        that it names it for most; in a draw it tells nothing and is left out.

        Raises:
            SynthesisError: the answers hold fewer distinct rationales than one example draws.
        """
        numbers = range(len(self.task.label_names))
        votes = await all_of(self._votes_for(number) for number in numbers)
        return {self.task.label_names[number]: self._elected(number, votes) for number in numbers}

    async def _votes_for(self, label: int) -> Counter[str]:
        """Ask for lists of rationales until there are K distinct ones, and count how often each is named."""
        name, word = self.task.label_names[label], self.task.label_words[label]
        wanted = self.settings.rationales_per_label
        content = self.task.prompts.rationales.format(count=wanted, label=word)
        votes: Counter[str] = Counter()
        for batch in range(RATIONALE_BATCHES):
            numbers = range(batch * RATIONALE_LISTS, (batch + 1) * RATIONALE_LISTS)
            asked = (self.ask(f"rationales/{name}/{number}", content) for number in numbers)
            for answer in await answers_of(asked, needed=not votes):
                for phrase in parse_list(answer.text):
                    if any(word in phrase.split() for word in self.task.label_words):
                        continue  # talk about the task, such as "a positive impression"
                    votes[_same(phrase, votes) or phrase] += 1
            if len(votes) >= wanted * SPARE:
                break
        return votes

    def _elected(self, label: int, votes: Sequence[Counter[str]]) -> tuple[str, ...]:
        others = [one for number, one in enumerate(votes) if number != label]

        def contested(phrase: str, count: int) -> bool:
            return any(other[_same(phrase, other) or phrase] >= count for other in others)

        kept = [phrase for phrase, count in votes[label].most_common() if not contested(phrase, count)]
        if len(kept) < self.settings.rationales_per_example:
            raise SynthesisError(
                f"the LLM was asked for {self.settings.rationales_per_label} rationales for "
                f"{self.task.label_words[label]!r} as a numbered list, found {len(kept)} that tell it from the other "
                "labels; use an LLM that follows instructions, edit the recipe's prompt 'rationales', or switch "
                "rationales off"
            )
        return tuple(kept[: self.settings.rationales_per_label])


def _same(phrase: str, known: Iterable[str]) -> str | None:
    """The known phrase that is the same but for a letter or two, if there is one."""
    found = process.extractOne(phrase, list(known), scorer=fuzz.ratio, score_cutoff=COPY_RATIO)
    return str(found[0]) if found else None
