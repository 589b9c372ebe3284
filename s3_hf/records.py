"""The records that stations pass to each other, as frozen dataclasses.

Rows in bulk are a `datasets.Dataset`; these records are single rows and small facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

PROVENANCE = ("s3_id", "s3_round", "s3_origin", "s3_parent", "s3_rationales", "s3_model", "s3_prompt")
"""Columns of a synthetic row besides those of the gold dataset."""
LABEL_P = "s3_label_p"
"""Column of the probability that a row's label or answer is right; it is there where labels were judged."""
OWN_COLUMNS = (*PROVENANCE, LABEL_P)
"""Names that a column of a gold dataset must not have."""
HUMAN = "human"
"""The `origin` of a row that is a gold row itself."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the gold columns: the text that the LLM writes, and its label or answers.

    With a `context`, rows are pairs; with `answers` too, they are questions about spans of it (paper section 2.4).
    """

    text: str
    label: str | None = None
    context: str | None = None
    answers: str | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics of the task; the first one chooses the epoch by default."""
        return ("f1", "exact_match") if self.answers else ("accuracy", "macro_f1")

    @property
    def target(self) -> str | None:
        """Name of the column that a student learns to predict: the label, or the answers."""
        return self.label or self.answers


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of a context: its text, and the character that it starts at."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Context:
    """The context of a row (c in section 2.4).

    `parent` is the id of the gold row that it comes from, `answer` the span that a question must have as its answer,
    and `carried` holds the other gold columns that belong to the context.
    """

    text: str
    parent: str | None = None
    answer: Answer | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the LLM.

    `slot` names the row that the completion is for, such as `r1/error/val-00017/0`; all other fields are the
    payload. `max_tokens` limits the generated tokens. With `top_logprobs` above 0, the log-probabilities of this many
    tokens are asked for at each place.
    """

    slot: str
    messages: tuple[Mapping[str, str], ...]
    max_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...]
    seed: int
    top_logprobs: int = 0

    def payload(self) -> dict[str, Any]:
        """Return the keyword arguments of `chat_completion`."""
        more = {"logprobs": True, "top_logprobs": self.top_logprobs} if self.top_logprobs else {}
        return {
            "messages": [dict(message) for message in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "stop": list(self.stop) or None,
            "seed": self.seed,
            **more,
        }

    def payload_sha(self) -> str:
        """Return the hex SHA-256 of the payload, which is part of the journal's key."""
        text = json.dumps(self.payload(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """Requests, tokens and their cost, in the currency of the prices in the settings."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Token:
    """A generated token, and the log-probabilities of the most probable tokens at its place, itself among them."""

    text: str
    choices: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """The LLM's answer to the request of the same slot, with its usage.

    `tokens` are the first ones of the answer, where their log-probabilities were asked for and given.
    """

    slot: str
    text: str
    finish_reason: str
    usage: Usage
    model: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A synthetic row: its columns, named as in the gold dataset, and its provenance.

    `origin` is `seed`, `error` (extrapolated from a mistake), `gold` (extrapolated from any gold row, GoldGen),
    `feedback` (of a later round of ProGen), `given` (from an existing dataset) or `human` (a gold row itself).
    `parent` is the id, never the text, of the gold row that was extrapolated or has the context. `rationales` are
    the reasons in the prompt, or with ZeroGen's prompts the name that the text is about. `label_p` is the probability
    that its label or answer is right, None where it was not judged.
    """

    id: str
    columns: Mapping[str, Any]
    origin: str
    round: int
    parent: str | None = None
    rationales: tuple[str, ...] = ()
    model: str = ""
    prompt: str = ""
    label_p: float | None = None

    def row(self) -> dict[str, Any]:
        """Return the row of the published dataset: the gold dataset's columns, then `PROVENANCE` and `LABEL_P`."""
        provenance = (
            self.id,
            self.round,
            self.origin,
            self.parent,
            list(self.rationales),
            self.model,
            self.prompt,
        )
        return {**self.columns, **dict(zip(PROVENANCE, provenance, strict=True)), LABEL_P: self.label_p}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says of a row: the probability, in [0, 1], of the label or answer that the row is to have.

    `label` is the id of that label, None in a task with answers. `accepted` is False if the row must not be used.
    """

    p: float
    label: int | None
    accepted: bool = True


@dataclass(frozen=True, slots=True)
class Rejected:
    """A completion that did not become an example, and the reason."""

    slot: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """The student's prediction for the row `id`.

    `value` is a label id, and `scores` the probability of each label; or the text of an answer and the probability
    of its span.
    """

    id: str
    value: int | str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A gold row that the student predicts wrongly: its columns, and the wrong label id or answer."""

    id: str
    row: Mapping[str, Any]
    predicted: int | str


@dataclass(frozen=True, slots=True)
class Scores:
    """Metric -> value in [0, 1], measured on `n` rows."""

    metrics: Mapping[str, float]
    n: int


@dataclass(frozen=True, slots=True)
class Quality:
    """Copies, duplicates and diversity of published rows.

    `copies` counts the rows that equal or nearly equal a gold validation text, `exact` those that equal one, `parts`
    those that share a run of words with one or contain their own gold row, and `duplicates` the rows that equal an
    earlier row. `words` is the mean per text. `distinct` is the share of word
    pairs that are distinct, in `compared` evenly spaced texts of each side, since it falls with their number.
    """

    copies: int
    exact: int
    duplicates: int
    words: float
    gold_words: float
    distinct: float
    gold_distinct: float
    compared: int
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the student of one round teaches about the data: the input of `Strategy.grow` for the next round.

    Attributes:
        rows: the synthetic rows that the student was trained on.
        mined: the gold rows on which its mistakes are found.
        mistakes: those of the gold rows that it got wrong.
        helpful: by label id, the ids of the `rows` that help the student most; empty where no strategy asks for them.
    """

    rows: Dataset
    mined: Dataset
    mistakes: tuple[Mistake, ...]
    helpful: Mapping[int, Sequence[str]] = field(default_factory=dict)
