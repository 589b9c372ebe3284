"""The text in an answer: wrapping taken off, and an answer that is cut off ended at a sentence."""

from __future__ import annotations

import re

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
QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "`": "`"}
EMPHASIS = ("***", "**", "__", "*", "_")


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


def question_in(text: str) -> str:
    """Return the text up to its first question mark, or the question that is quoted in talk about it.

    A quotation at the end of a question is a part of it, as in `What means "so what?"`.
    """
    question, _, rest = text.partition("?")
    talk, _, quoted = question.rpartition('"')
    if question.count('"') % 2 and rest.startswith('"'):
        return f"{quoted}?" if rest[1:].strip() or talk.rstrip().endswith(":") else f'{question}?"'
    return f"{question}?"
