"""What a run is given, tells and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.errors import S3Error
from s3_hf.files import read_json
from s3_hf.llm import ClientStatus
from s3_hf.store import RoundDir, RunDir, Stage, open_run

if TYPE_CHECKING:
    from s3_hf.hub import Published


@dataclass(frozen=True, slots=True)
class Services:
    """Where services are that the settings name `local`; not part of what a run is.

    `student_name` and `llm_model` are what cards call them.
    """

    llm_urls: tuple[str, ...] = ()
    llm_model: str = ""
    student: str = ""
    student_name: str = ""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One finished round: `rows` it trained on, `added` of them by itself; `scores` are those on test."""

    number: int
    rows: int
    added: int
    validation: Mapping[str, float]
    scores: Mapping[str, float]
    mistakes: int
    model_dir: Path


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run's finished rounds, in order; `push_error` is why the last push of `push_to` failed."""

    path: Path
    rounds: tuple[RoundResult, ...]
    push_error: S3Error | None = None

    def push(self, namespace: str | None = None, *, private: bool = False) -> list[Published]:
        """Publish every round to the Hub and return what was published (`hub.push_run`)."""
        from s3_hf.hub import PushOptions, push_run

        return push_run(open_run(self.path), namespace, PushOptions(private=private))


class Observer:
    """Told what happens while it happens; this one ignores it all."""

    def stage(self, number: int, stage: Stage) -> None:
        """Round `number` begins a stage."""

    def rows(self, made: int, wanted: int | None, status: ClientStatus | None) -> None:
        """So many rows of the round are made."""

    def status(self, status: ClientStatus) -> None:
        """The LLM client sent, got or repeated something."""

    def trial(self, done: int, total: int) -> None:
        """So many trials of the search for training settings are done."""

    def step(self, done: int, total: int) -> None:
        """So many steps of training are done."""

    def scored(self, result: RoundResult) -> None:
        """A round is finished."""


def result_of(run_dir: RunDir, folder: RoundDir) -> RoundResult:
    """The result of a finished round."""
    metrics, facts = read_json(folder.metrics), read_json(folder.facts)
    rows = sum(read_json(run_dir.round(number).facts)["rows"] for number in range(folder.number + 1))
    return RoundResult(
        folder.number,
        rows,
        facts["rows"],
        metrics["validation"],
        metrics["test"],
        metrics["mistakes"],
        folder.model,
    )


def results_of(run_dir: RunDir) -> tuple[RoundResult, ...]:
    """The finished rounds of a run directory."""
    finished = [folder for folder in run_dir.rounds() if folder.stage() is Stage.DONE]
    return tuple(result_of(run_dir, folder) for folder in finished)
