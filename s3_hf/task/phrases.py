"""Choose answers for contexts that have none: key phrases of the text, where ZeroGen takes entities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from s3_hf.errors import TaskError, check_installed
from s3_hf.records import Answer, Context

LONGEST = 4
"""Length limit of a phrase, in words."""
PER_CONTEXT = 8
"""Most phrases taken from one context."""


def with_phrases(contexts: Sequence[Context], task: str) -> tuple[Context, ...]:
    """Return a copy of each context for each of its key phrases, with the phrase as the answer.

    Raises:
        LocalError: YAKE is not installed.
        TaskError: no context holds a phrase.
    """
    check_installed("synthesis.answers 'phrases' needs", "phrases", "yake")
    import yake

    extractor = yake.KeywordExtractor(n=LONGEST, top=PER_CONTEXT)
    contexts_with_answers = tuple(
        replace(context, answer=answer)
        for context in contexts
        for answer in _located((phrase for phrase, _ in extractor.extract_keywords(context.text)), context.text)
    )
    if not contexts_with_answers:
        raise TaskError(
            f"the contexts of task {task!r} must hold key phrases, found none in {len(contexts)} contexts; give "
            "longer ones, or use gold answers"
        )
    return contexts_with_answers


def _located(phrases: Iterator[str], text: str) -> Iterator[Answer]:
    """Yield the phrases that occur in the text verbatim, each where it first occurs."""
    for phrase in phrases:
        start = text.find(phrase)
        if start >= 0:
            yield Answer(phrase, start)
