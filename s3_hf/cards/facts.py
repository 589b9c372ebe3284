"""What a card says, gathered by the caller, without machine paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3_hf.records import Quality, Scores, Usage

HUMAN = "gold"
"""The strategy whose rows are human-labelled data and not synthetic."""

SHARES = ("accuracy", "exact_match")
"""Metrics that are the share of right rows, so that they have an interval."""


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """One round: the rows it added, and how the student trained on all rows so far did on gold data."""

    number: int
    added: int
    labels: Mapping[str, int]
    validation: Scores | None = None
    test: Scores | None = None
    mistakes: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A row to show; `label` is empty where answers are learned."""

    label: str
    text: str
    origin: str
    round: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What both cards say of the run.

    `task` is `Task.facts()`, `settings` a dumped `RunConfig`; `llm` is empty where none was asked, and
    `endpoint` says how it was reached (`local`, `url`, `inference-providers`); `student` is empty where none
    was trained. `rounds` go up to the published one. `license` is the user's choice; None names the terms
    that apply instead.
    """

    task: Mapping[str, Any]
    strategy: str
    llm: str
    endpoint: str
    student: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    rounds: tuple[RoundFacts, ...]
    license: str | None = None

    @property
    def last(self) -> RoundFacts:
        """The published round."""
        return self.rounds[-1]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the task's metrics, the share of right rows first."""
        return tuple(sorted(self.task["metrics"], key=lambda name: name not in SHARES))

    @property
    def title(self) -> str:
        """What the dataset is called in text."""
        name = self.task["pretty_name"]
        return (
            f"{name}, gold rows"
            if self.strategy == HUMAN
            else f"{name} by {method(self.strategy)}, round {self.last.number}"
        )

    @property
    def rows(self) -> int:
        """Rows of all rounds up to the published one."""
        return sum(each.added for each in self.rounds)

    @property
    def given(self) -> Mapping[int, tuple[str, ...]]:
        """The rounds whose rows were taken over from existing datasets, and from which."""
        settings = {0: self.settings["seed_data"], 1: self.settings["add_data"]}
        sources = {
            each: (names,) if isinstance(names, str) else tuple(names or ()) for each, names in settings.items()
        }
        return {each.number: sources[each.number] for each in self.rounds if sources.get(each.number)}

    @property
    def sources(self) -> tuple[str, ...]:
        """The existing datasets that rows were taken over from."""
        return tuple(dict.fromkeys(name for names in self.given.values() for name in names))

    @property
    def taken(self) -> int:
        """Rows that were taken over."""
        return sum(self.rounds[number].added for number in self.given)

    @property
    def written(self) -> int:
        """Rows that the run's LLM wrote."""
        return 0 if self.strategy == HUMAN else self.rows - self.taken

    @property
    def grown(self) -> int:
        """Rounds after the seed whose rows the strategy made."""
        return sum(each.number > 0 and each.number not in self.given for each in self.rounds)


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Everything a dataset card says.

    `structure` holds the `dataset_info` and `configs` of the front matter; `prompts` maps the hash in
    `s3_prompt` to the template; counts, usage and seconds are sums over the run's rounds. `quality` is None for
    human rows. `model` is the id of the model trained on these rows, if there is one.
    """

    repo: str
    run: RunFacts
    structure: Mapping[str, Any]
    samples: tuple[Sample, ...]
    origins: Mapping[str, int]
    rationales: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    given_up: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    quality: Quality | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Everything a model card says.

    `dataset` is the id of the training data and `revision` its commit, None while it is not on a Hub;
    `training` is the model folder's `training.json`, `sample` a text to predict, with its `context` in a task that
    has one, `new_version` the id of the next round's model if there is one.
    """

    repo: str
    run: RunFacts
    dataset: str
    training: Mapping[str, Any]
    sample: str
    context: str | None = None
    revision: str | None = None
    new_version: str | None = None


def method(strategy: str) -> str:
    """The name of a strategy as it is written in text."""
    known = {"s3": "S3", "zerogen": "ZeroGen", "goldgen": "GoldGen", "progen": "ProGen", HUMAN: "gold data"}
    return known.get(strategy, strategy)
