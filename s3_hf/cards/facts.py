"""Facts -> what a card is rendered from: gathered by the caller, without machine paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3_hf.records import Quality, Scores, Usage
from s3_hf.store import GOLD as GOLD_ARM
from s3_hf.store import TEST, FinalResult, Verdict

GOLD = "gold"
"""The strategy whose rows are the gold rows themselves: human-labelled, not synthetic."""

SHARES = ("accuracy", "exact_match")
"""Metrics that are the share of right rows, so that they have an interval."""

STRATEGIES = {"s3": "S3", "zerogen": "ZeroGen", "goldgen": "GoldGen", "progen": "ProGen", GOLD: "gold data"}
"""Names of the strategies as they are written in text."""


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """One round: the rows it added, and the scores on gold rows of the student trained on all rows so far.

    `selection` are the scores on the rows that chose the epoch; `mistakes` counts the errors on the mined rows.
    """

    number: int
    added: int
    labels: Mapping[str, int]
    selection: Scores | None = None
    test: Scores | None = None
    mistakes: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A row to show; `label` is empty in a task with answers."""

    label: str
    text: str
    origin: str
    round: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a card: the PNG file `figures/NAME.png` of the repository, and what it shows."""

    name: str
    caption: str
    png: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The facts of a run that both cards need.

    `task` is `Task.facts()`, `settings` a dumped `RunConfig`. `llm` is the model's name, empty where no LLM wrote
    rows, and `endpoint` how it was reached (`local`, `url`, `inference-providers`); `student` is empty where none
    was trained. `rounds` end with the published one. `license` is the publisher's choice; None names the terms that
    apply instead. `judging` says whether labels were judged, and why; it is empty where nobody was to judge them.
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
    judging: str = ""

    @property
    def last(self) -> RoundFacts:
        """The published round."""
        return self.rounds[-1]

    @property
    def human(self) -> bool:
        """True if the rows are the gold rows themselves."""
        return self.strategy == GOLD

    @property
    def method(self) -> str:
        """Name of the strategy as it is written in text."""
        return STRATEGIES.get(self.strategy, self.strategy)

    @property
    def columns(self) -> Mapping[str, str | None]:
        """Names of the gold columns `text`, `label`, `context` and `answers`; None for one that the task lacks."""
        columns: Mapping[str, str | None] = self.task["columns"]
        return columns

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the task's metrics, the share of right rows first."""
        return tuple(sorted(self.task["metrics"], key=lambda name: name not in SHARES))

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the metrics that stand in tables by round: all in a task with answers, else the first."""
        return self.metrics if self.columns["answers"] else self.metrics[:1]

    @property
    def selection(self) -> str:
        """Name of the gold rows that choose the epoch: `selection` where others are mined, else `validation`."""
        return "selection" if self.task["held_out"] else "validation"

    @property
    def extrapolates(self) -> bool:
        """True if rows were extrapolated from gold rows."""
        return self.strategy in ("s3", "goldgen") and bool(self.grown_rounds)

    @property
    def title(self) -> str:
        """Title of the dataset."""
        name = self.task["pretty_name"]
        return f"{name}, gold rows" if self.human else f"{name} by {self.method}, round {self.last.number}"

    @property
    def rows(self) -> int:
        """Rows of all rounds up to the published one."""
        return sum(each.added for each in self.rounds)

    @property
    def existing(self) -> Mapping[int, tuple[str, ...]]:
        """For each round whose rows come from existing datasets, the names of those datasets."""
        settings = {0: self.settings["seed_data"], 1: self.settings["add_data"]}
        sources = {
            each: (names,) if isinstance(names, str) else tuple(names or ()) for each, names in settings.items()
        }
        return {each.number: sources[each.number] for each in self.rounds if sources.get(each.number)}

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the existing datasets that rows come from."""
        return tuple(dict.fromkeys(name for names in self.existing.values() for name in names))

    @property
    def existing_rows(self) -> int:
        """Rows that come from existing datasets."""
        return sum(self.rounds[number].added for number in self.existing)

    @property
    def synthetic_rows(self) -> int:
        """Rows that the run's LLM wrote."""
        return 0 if self.human else self.rows - self.existing_rows

    @property
    def grown_rounds(self) -> int:
        """Rounds after the seed whose rows the strategy wrote."""
        return sum(each.number > 0 and each.number not in self.existing for each in self.rounds)


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The facts of a dataset card.

    `structure` holds the `dataset_info` and `configs` of the front matter; `prompts` maps the hash in
    `s3_prompt` to the template; counts, usage and seconds are sums over the run's rounds. `checks_off` names the
    checks that were switched off or relaxed for the task, with the share of its gold rows that each rejects. `quality`
    is None for human rows. `model` is the id of the model trained on these rows, if there is one. `judged` is True if
    the rows have a column with the probability of their labels. `figures` stand in the repository.
    """

    repo: str
    run: RunFacts
    structure: Mapping[str, Any]
    samples: tuple[Sample, ...]
    origins: Mapping[str, int]
    rationales: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    checks_off: Mapping[str, float] = field(default_factory=dict)
    given_up: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    quality: Quality | None = None
    model: str | None = None
    judged: bool = False
    figures: tuple[Figure, ...] = ()

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the configurations beside `default`."""
        names = (str(each["config_name"]) for each in self.structure.get("configs", ()))
        return tuple(name for name in names if name != "default")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The facts of a model card.

    `dataset` is the id of the training data and `revision` its commit, None while it is not on a Hub;
    `training` is the model folder's `training.json`, `sample` a text to predict, with its `context` in a task that
    has one, `new_version` the id of the final student or of the next round's model if there is one. On the card of the
    final student, `final` says how it was trained, and `verdict` what the synthetic rows are worth. `onnx` is True if
    the model is there for ONNX Runtime and transformers.js too. `figures` stand in the repository.
    """

    repo: str
    run: RunFacts
    dataset: str
    training: Mapping[str, Any]
    sample: str
    context: str | None = None
    revision: str | None = None
    new_version: str | None = None
    final: FinalResult | None = None
    verdict: Verdict | None = None
    onnx: bool = False
    figures: tuple[Figure, ...] = ()

    @property
    def test(self) -> Scores | None:
        """Scores of this model on the test rows."""
        return self.final.scores[TEST] if self.final else self.run.last.test

    @property
    def gold_alone(self) -> bool:
        """True if the gold stage chose a student of gold rows alone, which learned no row of the run."""
        return self.final is not None and self.final.choice.arm == GOLD_ARM
