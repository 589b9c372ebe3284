"""What flows through the product: one frozen dataclass per thing that is passed on.

A bulk of rows is a `datasets.Dataset`; what stands here is a row in the hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

PROVENANCE = ("s3_id", "s3_round", "s3_origin", "s3_parent", "s3_rationales", "s3_model", "s3_prompt")
"""Columns that a synthetic row has besides the gold dataset's own."""
HUMAN = "human"
"""The `origin` of a row that is a gold row itself."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which gold column holds what: the text that is written anew, and beside it a label or answers.

    A task with a `context` is about pairs, or with `answers` about spans of it (paper section 2.4).
    """

    text: str
    label: str | None = None
    context: str | None = None
    answers: str | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics of such a task, the one that chooses an epoch first."""
        return ("f1", "exact_match") if self.answers else ("accuracy", "macro_f1")


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of a context: its text, and where it starts, in characters."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Context:
    """What a row of a task with contexts is about (c in section 2.4).

    `parent` is the id of the gold row that gave it, `answer` the span of it to ask for, `carried` the other gold
    columns that belong to it.
    """

    text: str
    parent: str | None = None
    answer: Answer | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the LLM.

    `slot` names the place that the answer is for, such as `r1/error/val-00017/0`; the payload is
    everything else. `max_tokens` counts generated tokens.
    """

    slot: str
    messages: tuple[Mapping[str, str], ...]
    max_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...]
    seed: int

    def payload(self) -> dict[str, Any]:
        """The keyword arguments for `chat_completion`."""
        return {
            "messages": [dict(message) for message in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "stop": list(self.stop) or None,
            "seed": self.seed,
        }

    def payload_sha(self) -> str:
        """Hex sha256 of the payload: changes whenever the answer could."""
        text = json.dumps(self.payload(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent; `cost` is in the currency that the prices were given in."""

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
class Completion:
    """The LLM's answer to the request of the same slot."""

    slot: str
    text: str
    finish_reason: str
    usage: Usage
    model: str


@dataclass(frozen=True, slots=True)
class Example:
    """A synthetic row: the gold dataset's columns, and where they come from.

    `origin` is `seed`, `error` (extrapolated from a mistake), `gold` (extrapolated from any gold row, GoldGen),
    `feedback` (of a later round of ProGen), `given` (added from an existing dataset) or `human` (a gold row itself);
    `parent` is the id of the gold row that was extrapolated or gave the context, never its text; `rationales` are
    what the prompt named: reasons, or with ZeroGen's prompts the name that the text is about.
    """

    id: str
    columns: Mapping[str, Any]
    origin: str
    round: int
    parent: str | None = None
    rationales: tuple[str, ...] = ()
    model: str = ""
    prompt: str = ""

    def row(self) -> dict[str, Any]:
        """The example as a row of the published dataset: its columns, then `PROVENANCE`."""
        provenance = (
            self.id,
            self.round,
            self.origin,
            self.parent,
            list(self.rationales),
            self.model,
            self.prompt,
        )
        return {**self.columns, **dict(zip(PROVENANCE, provenance, strict=True))}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A completion that did not become an example, and why."""

    slot: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the student said of the row `id`.

    A label id and the probability of each label, or the text of an answer and the probability of its span.
    """

    id: str
    value: int | str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A gold row that the student got wrong: `row` holds its columns, `predicted` the wrong label id or answer."""

    id: str
    row: Mapping[str, Any]
    predicted: int | str


@dataclass(frozen=True, slots=True)
class Scores:
    """Metric name to value in [0, 1], over `n` rows."""

    metrics: Mapping[str, float]
    n: int


@dataclass(frozen=True, slots=True)
class Quality:
    """How published rows relate to each other and to the gold data.

    `copies` counts rows that equal or nearly equal a gold validation text, `exact` those that equal one, and
    `duplicates` rows that equal an earlier row. `words` is the mean per text; `distinct` the share of distinct
    word pairs among `compared` evenly spread texts of each side, since it falls with their number.
    """

    copies: int
    exact: int
    duplicates: int
    words: float
    gold_words: float
    distinct: float
    gold_distinct: float
    compared: int


@dataclass(frozen=True, slots=True)
class Feedback:
    """What round `round` - 1 teaches about the data: input of a strategy's `grow` for round `round`.

    `helpful` has, for a strategy that asks for it, the ids of the `rows` of each label that help the student most.
    """

    round: int
    rows: Dataset
    gold: Dataset
    predictions: tuple[Prediction, ...]
    mistakes: tuple[Mistake, ...]
    model_dir: Path = field(default_factory=Path)
    helpful: Mapping[int, Sequence[str]] = field(default_factory=dict)
