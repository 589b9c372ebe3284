"""Does a text belong to the task at all? A classifier of gold texts against the LLM's talk about the task.

A weak LLM often answers a prompt with talk about it ("I am pleased to provide a review that is…") whose words no list
of phrases foresees. What this LLM says about the task is asked for with a few requests, and what reads like that
instead of like a gold text is rejected. The limit is calibrated on the gold rows by cross-fitting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s3_hf.config import SynthesisConfig
from s3_hf.records import Request
from s3_hf.synthesis.composing import Composer
from s3_hf.synthesis.plan import Planner
from s3_hf.synthesis.shots import Shots
from s3_hf.task import Task
from s3_hf.texts import normalise

QUESTIONS = (
    "Explain what this request asks for:\n\n{request}",
    "A user sent this request. Tell the user how you will help with it:\n\n{request}",
    "Describe in one sentence the text that somebody should write for this request:\n\n{request}",
    "Say what you think of this request:\n\n{request}",
)
"""Prompts whose answers are talk about the task; `{request}` is a prompt of the task."""
TALKS = 32
"""Requests for talk, over all labels and questions."""
FOLDS = 5
GOLD_REJECTED = 0.01
"""Share of the gold rows below the limit."""
HIGHEST_LIMIT = 0.5
"""Highest limit: a text with words of neither kind is not rejected."""
TRIED = 8
"""Answers to prompts with gold rows shown, of which the classifier must accept half."""
LONGEST = 400
"""Characters of a text that are read; talk begins at once."""
DIGITS = 3
"""Decimals of the probabilities, so that the order of a computation decides nothing."""
FEWEST = 20
"""Fewest gold texts, and fewest texts of talk, that a classifier is trained on."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Membership:
    """Tells texts of the task from talk about it.

    Attributes:
        score: returns the probability that a text is one of the task, for each of several texts.
        limit: a text with a lower one is talk; at most 1 % of the gold rows are below it.
        recognised: share of the LLM's talk that is below the limit, when it is left out of the training.
    """

    score: Callable[[Sequence[str]], Scores]
    limit: float
    recognised: float

    def off_task(self, text: str) -> bool:
        """Return whether the text reads like talk about the task."""
        return bool(self.score([text])[0] < self.limit)

    def summary(self) -> str:
        """Return a sentence on how well the two are told apart."""
        return (
            f"the check 'off the task' recognises {self.recognised:.0%} of the LLM's talk about the task, and rejects "
            f"at most {GOLD_REJECTED:.0%} of the gold rows"
        )


def talk_requests(task: Task, settings: SynthesisConfig, seed: int) -> list[Request]:
    """Return the requests whose answers are talk about the task; they are the same in every round."""
    planner = Planner(task, settings, seed, 0)
    composer, labels = Composer(planner), max(1, len(task.label_words))
    return [
        composer.talk(plan, QUESTIONS[number // labels % len(QUESTIONS)])
        for number, plan in enumerate(planner.seeds(planner.labels(TALKS), 0, "talk"))
    ]


def try_requests(task: Task, settings: SynthesisConfig, seed: int) -> list[Request]:
    """Return `TRIED` requests for texts with gold rows shown; they are the same in every round."""
    planner, template = Planner(task, settings, seed, 0), task.prompts.seed_plain or task.prompts.seed
    plans = Shots.of(planner).added(planner.seeds(planner.labels(TRIED), 0, "try"))
    return [Composer(planner).example(plan, template, plan.slot, {})[0] for plan in plans]


def membership_of(gold: Sequence[str], talk: Sequence[str], seed: int) -> Membership | None:
    """Return the classifier of the two kinds of texts; None if there are too few of either.

    Args:
        gold: texts of gold rows.
        talk: what the LLM says about the task.
        seed: seed of the folds.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    talk = [text for text in dict.fromkeys(map(_read, talk)) if text]
    if min(len(gold), len(talk)) < FEWEST:
        return None
    texts = [*map(_read, gold), *talk]
    belongs = np.asarray([1] * len(gold) + [0] * len(talk))
    features = _features().fit(texts)  # it knows words of the fold that is left out, but not which kind they are
    vectors = features.transform(texts)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(_classifier(), vectors, belongs, cv=folds, method="predict_proba")[:, 1]
    limit = round(min(float(np.quantile(scores[belongs == 1], GOLD_REJECTED)), HIGHEST_LIMIT), DIGITS)
    fitted = _classifier().fit(vectors, belongs)

    def score(unseen: Sequence[str]) -> Scores:
        probabilities: Scores = fitted.predict_proba(features.transform([_read(text) for text in unseen]))[:, 1]
        return probabilities.round(DIGITS)

    return Membership(score, limit, float((scores[belongs == 0] < limit).mean()))


def _read(text: str) -> str:
    return normalise(text[:LONGEST])


def _features() -> Any:
    """Return the TF-IDF of words, pairs of words, and parts of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    return make_union(
        TfidfVectorizer(tokenizer=str.split, token_pattern=None, ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=20_000),
    )


def _classifier() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10, class_weight="balanced", max_iter=1_000)
