"""The LLM as a judge: the question about a row, and what the answer says of each label.

Where the endpoint gives log-probabilities, a label has that of the tokens that write its word; else the label that
the answer names is put ahead of the others by `MARGIN`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from s3_hf.judging.calibrating import JudgeCalibration, log_probabilities
from s3_hf.judging.judge import GoldJudge, Row
from s3_hf.records import Completion, Judgement, Request
from s3_hf.rows.nested import last_part
from s3_hf.task import Task

TOP = 20
"""Most probable tokens asked for at each place, the most that common servers give."""
MARGIN = 2.0
"""Log-probability by which the label that an answer names is ahead of the others."""
LONGEST_TEXT = 4_000
"""Characters of a text or context that the LLM is shown."""
FEWEST_TOKENS, MOST_TOKENS = 4, 32
"""Tokens of an answer: enough for the longest label."""
_JUNK = " \t\n\r\"'`*“”‘’"


@dataclass(frozen=True)
class LLMJudge:
    """The LLM's answers as probabilities of the labels, calibrated on gold rows, alone or with the students'.

    Attributes:
        words: the word of each label.
        named: calibration of the labels that answers name, of the LLM alone, or of the students and then the LLM.
        tokens: such a calibration of the log-probabilities of answers; None if too few gold rows had them.
        students: the students, whose action and label column are the judge's; there may be none of them.
    """

    words: Sequence[str]
    named: JudgeCalibration
    tokens: JudgeCalibration | None
    students: GoldJudge

    def judgement(self, row: Row, answer: Completion, values: Sequence[np.ndarray] = ()) -> Judgement:
        """Return the judgement of a row from the LLM's answer to `question`, and the students' values."""
        calibration = self.tokens if answer.tokens and self.tokens else self.named
        scores = label_scores(answer if calibration is self.tokens else without_tokens(answer), self.words)
        judges = [*map(log_probabilities, values), scores]
        return self.students.judgement(row, calibration.probabilities(np.stack(judges)[None])[0])


def question(task: Task, row: Row, slot: str, more_tokens: int = 0) -> Request:
    """Return the request that asks which label a row has; the label of the row is not shown.

    Args:
        task: the task, whose description and label words the prompt holds.
        row: a row with the columns of the gold dataset.
        slot: name of the place in the run.
        more_tokens: tokens added for a model that thinks first.
    """
    columns, words = task.columns, task.label_words
    names = {name: last_part(name) for name in (columns.context, columns.text) if name}
    if len(set(names.values())) < len(names):
        names = {name: name for name in names}
    shown = "\n".join(f"{noun}: {str(row[name])[:LONGEST_TEXT]}" for name, noun in names.items())
    listed = f"{', '.join(words[:-1])} or {words[-1]}"
    about = f"{task.config.description.strip()}\n\n" if task.config.description else ""
    one = "one word" if not any(" " in word for word in words) else "one of these only"
    content = f"{about}{shown}\n\nIs this {names[columns.text]} {listed}? Answer with {one}."
    longest = max(len(word.encode()) for word in words)
    tokens = min(MOST_TOKENS, FEWEST_TOKENS + longest // 2)
    return Request(slot, ({"role": "user", "content": content},), tokens + more_tokens, 0.0, 1.0, (), 0, TOP)


def label_scores(completion: Completion, words: Sequence[str]) -> NDArray[np.float64]:
    """Return the log-probability of each label, whose words are `words`, from an answer to `question`.

    Labels whose words begin with the same tokens are told apart by later tokens of the answer; where it ends before,
    they share their probability. All labels are alike where the answer names none.
    """
    plain = [_plain(word) for word in words]
    scores = _from_tokens(completion, plain)
    if scores is None:
        scores = np.zeros(len(plain))
        if (label := _named(completion.text.rpartition("</think>")[2], plain)) is not None:
            scores[label] = MARGIN
    normal: NDArray[np.float64] = scores - np.logaddexp.reduce(scores)
    return normal


def without_tokens(answer: Completion) -> Completion:
    """Return the answer as an endpoint gives it that has no log-probabilities."""
    return replace(answer, tokens=())


def _from_tokens(completion: Completion, words: Sequence[str]) -> NDArray[np.float64] | None:
    """Return log-probabilities that need not add up to 1; None where no token begins a label."""
    mass = np.full(len(words), -np.inf)
    written, path, least = "", 0.0, 0.0
    fits = list(range(len(words)))
    for token in completion.tokens:
        for text, log_p in token.choices:
            found = _fitting(written + text, words)
            if text == token.text or not _plain(written + text):
                continue  # the answer goes on with it, or it says nothing
            for label in found:
                mass[label] = np.logaddexp(mass[label], path + log_p - math.log(len(found)))
        least = min(least, path + min(log_p for _, log_p in token.choices))
        path += dict(token.choices)[token.text]
        written += token.text
        fits = _fitting(written, words)
        if len(fits) < 2:
            break
    if completion.tokens and _plain(written):
        for label in fits:
            mass[label] = np.logaddexp(mass[label], path - math.log(len(fits)))
    return None if np.isneginf(mass).all() else np.maximum(mass, least)


def _fitting(written: str, words: Sequence[str]) -> list[int]:
    """Return the labels whose word an answer with this beginning names, or may be about to name."""
    text = written.lstrip(_JUNK).casefold()
    begun = [label for label, word in enumerate(words) if word.startswith(text)]
    whole = [label for label, word in enumerate(words) if re.match(rf"{re.escape(word)}(?!\w)", text)]
    return begun or sorted(whole, key=lambda label: len(words[label]))[-1:]


def _named(answer: str, words: Sequence[str]) -> int | None:
    """Return the label that an answer names first, the longest of those at one place; None if it names none."""
    found = [
        (match.start(), -len(word), label)
        for label, word in enumerate(words)
        if (match := re.search(rf"(?<!\w){re.escape(word)}(?!\w)", answer.casefold()))
    ]
    return min(found)[2] if found else None


def _plain(text: str) -> str:
    return text.strip(_JUNK).casefold()
