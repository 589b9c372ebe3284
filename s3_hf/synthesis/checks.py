"""The text of a completion: wrapping stripped, cut-off sentences dropped, or rejected for a named reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from s3_hf.records import Completion, Context, Rejected
from s3_hf.synthesis.parsing import without_thoughts
from s3_hf.synthesis.plan import Plan
from s3_hf.texts import copies, covers, digest_of, normalise, row_text

REFUSAL = re.compile(
    r"^\W*(?:i['’]?m (?:really |very |so )?sorry|sorry|i (?:can ?not|can['’]?t|won['’]?t)|i apologi[sz]e|"
    r"i(?: am|['’]m) (?:unable|not able)|unfortunately, (?:i|as)|as an? (?:ai|(?:large )?language model))\b",
    re.IGNORECASE,
)
SELF = re.compile(r"\bas an? (?:ai|(?:large )?language model)\b|\bi(?: am|['’]m) an ai\b", re.IGNORECASE)
PREAMBLE = re.compile(
    r"^\W*(?:(?:sure|certainly|of course|okay|ok)\b[^:\n]{0,60}?[!,.:]\s*)?"
    r"(?:here(?:['’]s| is| are)\b[^:\n]{0,120}:|"
    r"(?:one|a|the|my)\b[^:\n]{0,60}\b(?:review|sentence|example)\b[^:\n]{0,40}:|"
    r"(?:review|sentence|question|statement|claim|hypothesis|answer|example|output|text)\s*:)\s*",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)")
TASK_WORDS = r"(?:\w+ )?(?:review|reviews|impression|sentence|example|label|sentiment)\b"
QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "`": "`"}
CONTEXT_TALK = re.compile(
    r"\b(?:given|above|following|original|this) "
    r"(?:question|context|premise|paragraph|passage|description|statement|sentence|text|prompt)\b|"
    r"\binformation paragraph\b",
    re.IGNORECASE,
)
ECHO_WORDS = 6
"""Consecutive words of the prompt in a text that make it an echo of the prompt."""
COPIED_WORDS = 6
"""Fewest words of a question that count as a copy where they stand in the context."""


@dataclass
class Checks:
    """The checks of one task.

    Attributes:
        label_words: words for the labels; "a positive review" is talk about the task, not a text of it.
        min_words: words that a text must have.
        one_line: keep the first line only.
        question: keep what goes up to the first question mark, and reject a text without one.
        test: digests of the test texts (`texts.digests`).
        gold: digests of the gold rows, contexts included (`texts.row_text`).
        seen: digests of the rows accepted so far, contexts included; `duplicate` adds to them.
    """

    label_words: tuple[str, ...]
    min_words: int
    one_line: bool = False
    question: bool = False
    test: frozenset[int] = frozenset()
    gold: frozenset[int] = frozenset()
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
        if raw is None:
            return Rejected(completion.slot, "cut off", completion.text)
        if not raw:
            return Rejected(completion.slot, "empty", completion.text)
        if REFUSAL.search(raw) or SELF.search(raw):
            return Rejected(completion.slot, "refusal", completion.text)
        text: str | None = strip_wrapping(raw, one_line=self.one_line)
        if self.question:
            question, mark, _ = (text or "").partition("?")
            if not mark:
                return Rejected(completion.slot, "no question mark", completion.text)
            if question.count('"') % 2:  # the question was quoted in talk about it
                question = question.rpartition('"')[2]
            text = strip_wrapping(f"{question.strip()}?", one_line=False)
        elif template.endswith('"'):
            text = until_end(raw)
        elif completion.finish_reason == "length":
            text = cut_back(text or "")
        reason = self._fault(text, template, plan)
        return Rejected(completion.slot, reason, completion.text) if reason else text or ""

    def duplicate(self, text: str, plan: Plan) -> bool:
        """Return whether a row with this text and context was accepted before; if not, record it as accepted."""
        if self.seen_before(text, plan):
            return True
        self.seen.add(_row_digest(text, plan))
        return False

    def seen_before(self, text: str, plan: Plan) -> bool:
        """Return whether a row with this text and context was accepted before."""
        return _row_digest(text, plan) in self.seen

    def _fault(self, text: str | None, template: str, plan: Plan) -> str | None:
        if text is None:
            return "cut off"
        context = plan.context
        tests = (
            ("too short", len(text.split()) < self.min_words),
            ("meta talk", self._talks_about_the_task(text, context)),
            ("prompt echo", _echoes(text, template)),
            ("copy of the source row", plan.source is not None and copies(text, plan.source)),
            ("the name alone", bool(plan.name) and digest_of(text) == digest_of(plan.name)),
            ("copy of a row shown", any(covers(text, row.text) for row in plan.shown)),
            ("copy of the context", context is not None and self._copies_context(text, context)),
            ("gives the answer away", context is not None and _names_answer(text, context)),
            ("in the test split", digest_of(text) in self.test),
            ("copy of a gold row", digest_of(row_text(text, context.text if context else None)) in self.gold),
        )
        return next((reason for reason, failed in tests if failed), None)

    def _talks_about_the_task(self, text: str, context: Context | None) -> bool:
        if PREAMBLE.match(text):
            return True
        if context is not None:
            return bool(CONTEXT_TALK.search(text))
        words = "|".join(re.escape(word) for word in self.label_words)
        return bool(re.search(rf"\b(?:{words}) {TASK_WORDS}", text, re.IGNORECASE))

    def _copies_context(self, text: str, context: Context) -> bool:
        if copies(text, context.text):
            return True
        words = normalise(text)
        return self.question and len(words.split()) >= COPIED_WORDS and words in normalise(context.text)


def _row_digest(text: str, plan: Plan) -> int:
    return digest_of(row_text(text, plan.context.text if plan.context else None))


def strip_wrapping(text: str, *, one_line: bool) -> str:
    """Return the text without its preamble ("Here is a review:") and surrounding quotes and markdown emphasis."""
    text = PREAMBLE.sub("", text, count=1).strip()
    if one_line:
        text = text.splitlines()[0].strip() if text else ""
    text = text.strip("*_ \t")
    while len(text) > 1 and QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    if text[:1] in ('"', "“") and not any(mark in text[1:] for mark in '"”'):
        text = text[1:].strip()  # the closing quote was lost to the token limit
    return text


def until_end(text: str) -> str | None:
    """Return the answer to a prompt that ends in an open quotation mark, cut off where ZeroGen's code does.

    It goes up to the closing mark, else to the end of the first line, else to the last full sentence; None if it has
    none of these.
    """
    text = PREAMBLE.sub("", text, count=1).strip().lstrip('"“ ')
    end = re.search('["”]', text) or re.search("\n", text)
    return text[: end.start()].strip() if end else cut_back(text)


def cut_back(text: str) -> str | None:
    """Return the text up to its last full sentence, or None if it has none."""
    ends = list(SENTENCE_END.finditer(text))
    return text[: ends[-1].end()].strip() if ends else None


def _echoes(text: str, template: str) -> bool:
    """Return whether the text repeats `ECHO_WORDS` consecutive words of the template, its fields left out."""
    padded = f" {normalise(text)} "
    for literal in re.split(r"\{\w*\}", template):
        words = normalise(literal).split()
        for start in range(len(words) - ECHO_WORDS + 1):
            if f" {' '.join(words[start : start + ECHO_WORDS])} " in padded:
                return True
    return False


def _names_answer(text: str, context: Context) -> bool:
    answer = normalise(context.answer.text) if context.answer else ""
    return bool(answer) and f" {answer} " in f" {normalise(text)} "
