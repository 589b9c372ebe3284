"""The text of a completion: wrapping stripped, cut-off sentences dropped, or rejected for a named reason."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from s3_hf.overlaps import SHARED_RUN, SharedRuns, contains
from s3_hf.records import Completion, Context, Rejected
from s3_hf.synthesis.membership import Membership
from s3_hf.synthesis.parsing import without_thoughts
from s3_hf.synthesis.plan import Plan
from s3_hf.synthesis.stripping import NOUNS, PREAMBLE, cut_back, question_in, strip_wrapping, until_end
from s3_hf.texts import copies, covers, digest_of, normalise, row_text, split_words

REFUSAL = re.compile(
    r"\b(?:can ?not|can['’]?t|won['’]?t|(?:am|['’]m) (?:unable|not able|not going) to|(?:un)?comfortable) "
    r"(?:\w+ ){0,2}?"
    r"(?:(?:help|assist|assisting|helping)(?: you)?(?: with\b|\W*$)|comply with\b|"
    r"(?:writ(?:e|ing)|generat(?:e|ing)|compos(?:e|ing)|creat(?:e|ing)|produc(?:e|ing)|provid(?:e|ing)|fulfil+|"
    r"complet(?:e|ing)|answer|engage) (?:[\w'’-]+ ){0,6}?"
    r"(?:reviews?|sentences?|texts?|content|examples?|responses?|stor(?:y|ies)|questions?|requests?|prompts?|"
    r"descriptions?|statements?|messages?|hypothes[ie]s)\b|(?:write|generate) (?:that|this|it|such)\b)|"
    r"^\W*+(?:(?:i['’]?m |i am )?(?:so |very )?sorry\b[,.;]? ?(?:but )?)?i (?:can ?not|can['’]?t|won['’]?t)"
    r"(?: do (?:that|this|so))?\b\W*+$|"
    r"\b(?:against|violates?) (?:my (?:programming|guidelines)|\w+['’]s (?:use case|content) polic)|"
    r"\bas an? (?:ai|chatbot|virtual assistant|(?:large )?language model)\b(?! \w*(?:er|or|ist)s?\b)|"
    r"\bi(?: am|['’]m) (?:just |only )?an? (?:ai|chatbot|virtual assistant|(?:large )?language model)\b"
    r"(?! \w*(?:er|or|ist)s?\b)",
    re.IGNORECASE,
)
"""Talk about helping, writing or being a model. What a customer or a critic cannot do is no refusal."""
TASK_WORDS = r"(?:\w+ )?(?:reviews?|impression|sentiment)\b"
TASK_EXAMPLE = r"\b(?:this|here|that|following|another|write|writing) (?:\w+ ){0,3}"
SELF_TALK = re.compile(
    r"^\W*+(?:in )?(?:this|these|your) (?:\w+ )?(?:texts?(?! message)|sentences?|reviews?)\b|"
    r"^\W*+this is (?:an?|the) (?:[\w-]+ ){0,3}(?:text|sentence|review)\b|"
    r"\blabel (?:of )?[\"“']",
    re.IGNORECASE,
)
"""A text that is about a text: its first words name one, or it quotes a label."""
CONTEXT_TALK = re.compile(
    r"\b(?:given|above|following|original|this) "
    r"(?:question|context|premise|paragraph|passage|description|statement|sentence|text|prompt)\b|"
    r"\binformation paragraph\b",
    re.IGNORECASE,
)
REFUSAL_WITHIN = 300
"""Characters at the beginning of an answer in which a refusal stands."""
ECHO_WORDS = 6
"""Consecutive words of the prompt in a text that make it an echo of the prompt."""
ECHO_SENTENCE = 4
"""Fewest words of a whole sentence of the prompt, such as "Reply with the text only.", that make a text its echo."""
COPIED_WORDS = 6
"""Fewest words of a question that count as a copy where they stand in the context."""
COPIED_RUN = 12
"""Consecutive words of a gold text that make any text a copy of a part of it; in a shorter one, half of its words."""


@dataclass
class Checks:
    """The checks of one task.

    Attributes:
        label_words: words for the labels; "a positive review" is talk about the task, not a text of it.
        min_words: words that a text must have.
        one_line: keep the first line only.
        question: keep what goes up to the first question mark, and reject a text without one.
        english: whether the texts are English; if not, English talk about the task is not looked for in them.
        off: names of checks that reject nothing, since they reject gold rows of the task (`calibration`).
        changes: checks that are off or relaxed, in words, and the share of the gold rows that each rejects.
        test: digests of the test texts (`texts.digests`).
        gold: digests of the gold rows, contexts included (`texts.row_text`).
        parts: runs of words of the gold texts; None looks for no copies of parts.
        membership: tells texts of the task from talk about it; None lets all pass.
        seen: digests of the rows accepted so far, contexts included; `duplicate` adds to them.
    """

    label_words: tuple[str, ...]
    min_words: int
    one_line: bool = False
    question: bool = False
    english: bool = True
    off: frozenset[str] = frozenset()
    changes: Mapping[str, float] = field(default_factory=dict)
    test: frozenset[int] = frozenset()
    gold: frozenset[int] = frozenset()
    parts: SharedRuns | None = None
    membership: Membership | None = None
    seen: set[int] = field(default_factory=set)

    def text_of(self, completion: Completion, template: str, plan: Plan) -> str | Rejected:
        """Return the text of the completion, or the reason for its rejection.

        Args:
            completion: the LLM's answer.
            template: the prompt template that it answers; a text that repeats its wording is rejected.
            plan: the plan of its slot; a copy of its gold text, context or shown rows is rejected, and a question
                that names its own answer.
        """
        raw = without_thoughts(completion.text)
        if not raw:
            return Rejected(completion.slot, "cut off" if raw is None else "empty", completion.text)
        text = self._stripped(raw, template, cut_off=completion.finish_reason == "length")
        reason = next((fault for fault in self.faults(raw, text, template, plan) if fault not in self.off), None)
        return text or "" if reason is None else Rejected(completion.slot, reason, completion.text)

    def wording_faults(self, text: str, template: str, plan: Plan) -> tuple[str, frozenset[str]]:
        """Return a gold text as an answer would be stripped, and the checks of wording that it fails, on or off."""
        stripped = self._stripped(text.strip(), template, cut_off=False) or ""
        return stripped, frozenset(self._wording(text.strip(), stripped, template, plan))

    def duplicate(self, text: str, plan: Plan) -> bool:
        """Return whether a row with this text and context was accepted before; if not, record it as accepted."""
        if self.seen_before(text, plan):
            return True
        self.seen.add(_row_digest(text, plan))
        return False

    def seen_before(self, text: str, plan: Plan) -> bool:
        """Return whether a row with this text and context was accepted before."""
        return _row_digest(text, plan) in self.seen

    def faults(self, raw: str, text: str | None, template: str, plan: Plan) -> Iterator[str]:
        """Yield the names of the checks that an answer fails; `text` is what is left of it when it is stripped."""
        yield from self._wording(raw, text, template, plan)
        if text is None:
            yield "cut off"
            return
        context, row = plan.context, normalise(text)
        tests = (
            ("copy of the source row", plan.source is not None and copies(text, plan.source)),
            ("the name alone", bool(plan.name) and digest_of(text) == digest_of(plan.name)),
            ("copy of a row shown", any(covers(text, shown) for shown in _shown(plan))),
            ("in the test split", digest_of(text) in self.test),
            ("copy of a gold row", digest_of(row_text(text, context.text if context else None)) in self.gold),
            ("copy of part of a gold row", self._copies_part(row, plan.source)),
            ("off the task", self.membership is not None and self.membership.off_task(text)),
        )
        yield from (reason for reason, failed in tests if failed)

    def _wording(self, raw: str, text: str | None, template: str, plan: Plan) -> Iterator[str]:
        """Yield the names of the checks that gold rows pass too, unless the check does not suit the task."""
        if refuses(raw):
            yield "refusal"
        if self.question and "?" not in (text or ""):
            yield "no question mark"
        if text is None:
            return
        context = plan.context
        if len(text.split()) < self.min_words:
            yield "too short"
        if self._talks_about_the_task(text, context):
            yield "meta talk"
        if _echoes(text, template):
            yield "prompt echo"
        if context is not None and self._copies_context(text, context):
            yield "copy of the context"
        if context is not None and _names_answer(text, context):
            yield "gives the answer away"

    def _stripped(self, raw: str, template: str, *, cut_off: bool) -> str | None:
        """Return the text in an answer; None if the answer is cut off before the end of a sentence."""
        text = strip_wrapping(raw, one_line=self.one_line, cut_off=cut_off)
        if self.question and "?" in text:
            return strip_wrapping(question_in(text), one_line=False, cut_off=True)
        if template.endswith('"') and not self.question:
            return until_end(raw)
        return cut_back(text) if cut_off else text

    def _copies_part(self, row: str, source: str | None) -> bool:
        """Return whether a large part of the text stands in a gold text, or its source row in the text."""
        if source is not None and contains(row, normalise(source)):
            return True
        shared = self.parts.longest(row) if self.parts else 0
        return shared >= min(COPIED_RUN, max(SHARED_RUN, (len(split_words(row)) + 1) // 2))

    def _talks_about_the_task(self, text: str, context: Context | None) -> bool:
        if not self.english:
            return False
        if PREAMBLE.match(text) or re.match(r"here(?:['’]s| is| are) (?:an?|one|the|your) " + NOUNS, text, re.I):
            return True
        if context is not None:
            return bool(CONTEXT_TALK.search(text))
        if SELF_TALK.search(text):
            return True
        words = "|".join(re.escape(word) for word in self.label_words)
        talk = rf"\b(?:{words}) {TASK_WORDS}|{TASK_EXAMPLE}(?:{words}) (?:\w+ )?(?:sentence|example)\b"
        return bool(re.search(talk, text, re.IGNORECASE))

    def _copies_context(self, text: str, context: Context) -> bool:
        if copies(text, context.text):
            return True
        words = normalise(text)
        return self.question and len(words.split()) >= COPIED_WORDS and words in normalise(context.text)


def _shown(plan: Plan) -> list[str]:
    """Return the texts of the rows that stand before the prompt."""
    return [*(row.text for row in plan.shown), *(shot.source or "" for shot in plan.shots)]


def _row_digest(text: str, plan: Plan) -> int:
    return digest_of(row_text(text, plan.context.text if plan.context else None))


def refuses(answer: str) -> bool:
    """Return whether the answer begins with talk about helping, writing or being a model instead of a text."""
    return REFUSAL.search(answer, 0, REFUSAL_WITHIN) is not None


def _echoes(text: str, template: str) -> bool:
    """Return whether the text repeats a sentence or `ECHO_WORDS` consecutive words of the template without fields."""
    padded = f" {normalise(text)} "
    return any(run in padded for run in _echo_runs(template))


@functools.lru_cache(maxsize=64)
def _echo_runs(template: str) -> tuple[str, ...]:
    """Return the runs of words of a template that make a text its echo, each between two spaces."""
    sentences = [each for each in re.split(r"(?<=[.:!?])\s+", template) if "{" not in each]
    runs = [words for each in sentences if len(words := normalise(each).split()) >= ECHO_SENTENCE]
    for literal in re.split(r"\{\w*\}", template):
        words = normalise(literal).split()
        runs += [words[start : start + ECHO_WORDS] for start in range(len(words) - ECHO_WORDS + 1)]
    return tuple(f" {' '.join(run)} " for run in runs)


def _names_answer(text: str, context: Context) -> bool:
    answer = normalise(context.answer.text) if context.answer else ""
    return bool(answer) and f" {answer} " in f" {normalise(text)} "
