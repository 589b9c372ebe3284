"""From completion to text: what is stripped, what is cut back, and what is rejected with a named reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from s3_hf.records import Completion, Rejected
from s3_hf.texts import copies, digest_of, normalise

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
    r"(?:review|sentence|answer|example|output|text)\s*:)\s*",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)")
TASK_WORDS = r"(?:\w+ )?(?:review|reviews|impression|sentence|example|label|sentiment)\b"
QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "`": "`"}
ECHO_WORDS = 6


@dataclass
class Checks:
    """The checks of one task, in order; all but `duplicate` look at one text alone."""

    label_words: tuple[str, ...]
    min_words: int
    one_line: bool = False
    test: frozenset[int] = frozenset()
    """Digests of the test texts; see `digests`."""
    gold: frozenset[int] = frozenset()
    seen: set[int] = field(default_factory=set)

    def text_of(self, completion: Completion, template: str, source: str | None = None) -> str | Rejected:
        """Return the text that the completion holds, or why it is rejected.

        Args:
            completion: the LLM's answer.
            template: the prompt template that it answers; its wording must not come back.
            source: the gold text that was extrapolated, if any; a copy of it is rejected.
        """
        raw = completion.text.strip()
        if not raw:
            return Rejected(completion.slot, "empty", completion.text)
        if REFUSAL.search(raw) or SELF.search(raw):
            return Rejected(completion.slot, "refusal", completion.text)
        text: str | None = strip_wrapping(raw, one_line=self.one_line)
        if completion.finish_reason == "length":
            text = cut_back(text or "")
        reason = self._fault(text, template, source)
        return Rejected(completion.slot, reason, completion.text) if reason else text or ""

    def duplicate(self, text: str) -> bool:
        """True if the same text was accepted before; else it counts as accepted from now on."""
        digest = digest_of(text)
        if digest in self.seen:
            return True
        self.seen.add(digest)
        return False

    def _fault(self, text: str | None, template: str, source: str | None) -> str | None:
        if text is None:
            return "cut off"
        digest = digest_of(text)
        tests = (
            ("too short", len(text.split()) < self.min_words),
            ("meta talk", self._talks_about_the_task(text)),
            ("prompt echo", _echoes(text, template)),
            ("copy of the source row", source is not None and copies(text, source)),
            ("in the test split", digest in self.test),
            ("copy of a gold row", digest in self.gold),
        )
        return next((reason for reason, failed in tests if failed), None)

    def _talks_about_the_task(self, text: str) -> bool:
        words = "|".join(re.escape(word) for word in self.label_words)
        return bool(re.search(rf"\b(?:{words}) {TASK_WORDS}", text, re.IGNORECASE) or PREAMBLE.match(text))


def strip_wrapping(text: str, *, one_line: bool) -> str:
    """Return the text without a preamble ("Here is a review:"), markdown emphasis and quotes around it."""
    text = PREAMBLE.sub("", text, count=1).strip()
    if one_line:
        text = text.splitlines()[0].strip() if text else ""
    text = text.strip("*_ \t")
    while len(text) > 1 and QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    if text[:1] in ('"', "“") and not any(mark in text[1:] for mark in '"”'):
        text = text[1:].strip()  # the closing quote was lost to the token limit
    return text


def cut_back(text: str) -> str | None:
    """Return the text up to its last full sentence, or None if it has none."""
    ends = list(SENTENCE_END.finditer(text))
    return text[: ends[-1].end()].strip() if ends else None


def _echoes(text: str, template: str) -> bool:
    """True if six words in a row stand in the prompt's own wording, its filled-in fields left out."""
    spoken = f" {normalise(text)} "
    for literal in re.split(r"\{\w*\}", template):
        words = normalise(literal).split()
        for start in range(len(words) - ECHO_WORDS + 1):
            if f" {' '.join(words[start : start + ECHO_WORDS])} " in spoken:
                return True
    return False
