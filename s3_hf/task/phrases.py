"""Answers for contexts that have none: phrases that stand out in a text, as ZeroGen takes entities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from s3_hf.errors import LocalError, TaskError, installing
from s3_hf.records import Answer, Context

LONGEST = 4
"""Words in a phrase."""
PER_CONTEXT = 8
"""Phrases taken of one context."""


def with_phrases(contexts: Sequence[Context], task: str) -> tuple[Context, ...]:
    """Return each context once for each of its phrases, with the phrase as its answer.

    Raises:
        LocalError: YAKE is not installed.
        TaskError: no context holds a phrase.
    """
    try:
        import yake
    except ImportError as error:
        raise LocalError(
            f"synthesis.answers 'phrases' needs `yake`, which is not installed; {installing('phrases')}"
        ) from error
    extractor = yake.KeywordExtractor(n=LONGEST, top=PER_CONTEXT)
    found = tuple(
        replace(context, answer=answer)
        for context in contexts
        for answer in _located((phrase for phrase, _ in extractor.extract_keywords(context.text)), context.text)
    )
    if not found:
        raise TaskError(
            f"the contexts of task {task!r} must hold phrases to ask for, found none in {len(contexts)} of them; give "
            "longer ones, or use gold answers"
        )
    return found


def _located(phrases: Iterator[str], text: str) -> Iterator[Answer]:
    """The phrases that stand in the text as they are written, where they stand first."""
    for phrase in phrases:
        start = text.find(phrase)
        if start >= 0:
            yield Answer(phrase, start)
