"""The text of a completion: wrapping stripped, cut-off sentences dropped, or rejected for a named reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from s3_hf.records import Completion, Context, Rejected
from s3_hf.synthesis.parsing import without_thoughts
from s3_hf.synthesis.plan import Plan
from s3_hf.texts import copies, covers, digest_of, normalise, row_text

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
NOUNS = (
    r"(?:review|sentence|question|statement|claim|hypothesis|answer|example|output|text|paragraph|message|version)s?"
)
PREAMBLE = re.compile(
    r"\W*+(?:(?i:sure|certainly|of course|okay|ok)\b[^:\n]{0,60}?[!,.:]\s*+)?"
    rf"(?:(?i:here(?:['’]s| is| are)|one|a|an|the|my)\b[^:\n]{{0,80}}\b(?i:{NOUNS})\b[^:\n]{{0,80}}:"
    r"(?:[ *]*\n|\s*(?=[\"“]))|"
    r"(?:Review|Sentence|Question|Statement|Claim|Hypothesis|Answer|Example|Output|Text)\s*:)\s*+"
)
"""A line that introduces the text, a text in quotes behind such words, or the name of the field alone."""
SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s|$)")
TASK_WORDS = r"(?:\w+ )?(?:reviews?|impression|sentiment)\b"
TASK_EXAMPLE = r"\b(?:this|here|that|following|another|write|writing) (?:\w+ ){0,3}"
QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "`": "`"}
EMPHASIS = ("***", "**", "__", "*", "_")
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
        if refuses(raw):
            return Rejected(completion.slot, "refusal", completion.text)
        cut_off = completion.finish_reason == "length"
        text: str | None = strip_wrapping(raw, one_line=self.one_line, cut_off=cut_off)
        if self.question:
            question, mark, _ = (text or "").partition("?")
            if not mark:
                return Rejected(completion.slot, "no question mark", completion.text)
            if question.count('"') % 2:  # the question was quoted in talk about it
                question = question.rpartition('"')[2]
            text = strip_wrapping(f"{question.strip()}?", one_line=False, cut_off=True)
        elif template.endswith('"'):
            text = until_end(raw)
        elif cut_off:
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
        if PREAMBLE.match(text) or re.match(r"here(?:['’]s| is| are) (?:an?|one|the|your) " + NOUNS, text, re.I):
            return True
        if context is not None:
            return bool(CONTEXT_TALK.search(text))
        words = "|".join(re.escape(word) for word in self.label_words)
        talk = rf"\b(?:{words}) {TASK_WORDS}|{TASK_EXAMPLE}(?:{words}) (?:\w+ )?(?:sentence|example)\b"
        return bool(re.search(talk, text, re.IGNORECASE))

    def _copies_context(self, text: str, context: Context) -> bool:
        if copies(text, context.text):
            return True
        words = normalise(text)
        return self.question and len(words.split()) >= COPIED_WORDS and words in normalise(context.text)


def _row_digest(text: str, plan: Plan) -> int:
    return digest_of(row_text(text, plan.context.text if plan.context else None))


def refuses(answer: str) -> bool:
    """Return whether the answer begins with talk about helping, writing or being a model instead of a text."""
    return REFUSAL.search(answer, 0, REFUSAL_WITHIN) is not None


def strip_wrapping(text: str, *, one_line: bool, cut_off: bool) -> str:
    """Return the text without its preamble ("Here is a review:") and the quotes and emphasis around all of it.

    Marks are taken off in pairs, and emphasis around several words only (`*sigh*` and `__init__` stay). An opening
    quote alone goes where its closing one was cut off, by `one_line` or with the end of the answer (`cut_off`).
    """
    if match := PREAMBLE.match(text):
        text = text[match.end() :]
    text = _unwrapped(text.strip())
    if one_line:
        text, more, _ = text.partition("\n")
        text, cut_off = _unwrapped(text.strip()), cut_off or bool(more)
    if cut_off and text[:1] in ('"', "“") and not any(mark in text[1:] for mark in '"”'):
        text = text[1:].strip()
    return text


def _unwrapped(text: str) -> str:
    """Return the text without the pairs of marks around it; marks that occur inside of it, too, are no such pair."""
    while True:
        pairs = [(mark, mark) for mark in EMPHASIS] if " " in text else []
        for first, last in (*pairs, *QUOTES.items()):
            inner = text[len(first) : -len(last)]
            if inner and text.startswith(first) and text.endswith(last) and first not in inner and last not in inner:
                text = inner.strip()
                break
        else:
            return text


def until_end(text: str) -> str | None:
    """Return the answer to a prompt that ends in an open quotation mark, cut off where ZeroGen's code does.

    It goes up to the closing mark, else to the end of the first line, else to the last full sentence; None if it has
    none of these.
    """
    if match := PREAMBLE.match(text):
        text = text[match.end() :]
    text = text.strip().lstrip('"“ ')
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
