"""What `--json` prints, by command. `docs/json.md` is written from these classes and those that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_hf.bench import CellResult
from s3_hf.hub import Published, PushPreview
from s3_hf.loop import PromptPreview
from s3_hf.predicting.exporting import Exported
from s3_hf.records import Columns, Usage
from s3_hf.store import FinalResult, JudgingFacts, RoundResult, SynthesisFacts, Verdict
from s3_hf.synthesis import Calibration


@dataclass(frozen=True, slots=True)
class RunOutput:
    """A finished run.

    Attributes:
        run_dir: its folder.
        rounds: everything measured in each round.
        best: number of the round with the best score on the selection rows.
        final: the student that the gold stage trained; null without one.
        verdict: what the synthetic rows add to the gold rows; null without one.
    """

    run_dir: Path
    rounds: tuple[RoundResult, ...]
    best: int
    final: FinalResult | None
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class NextStage:
    """What the same `s3-hf run` does next: a stage of a round, or `final`, the final student and the verdict."""

    round: int | None
    stage: str


@dataclass(frozen=True, slots=True)
class StatusOutput:
    """How far a run is.

    Attributes:
        run_dir: its folder.
        task: task or recipe file.
        strategy: its strategy.
        rounds: everything measured in the finished rounds.
        judging: whether labels are judged, and why; null where that is not decided, or nobody is to judge.
        final: the student that the gold stage trained; null without one.
        verdict: what the synthetic rows add to the gold rows; null without one.
        next: where the run goes on; null if it is complete.
        usage: everything that was paid for.
    """

    run_dir: Path
    task: str
    strategy: str
    rounds: tuple[RoundResult, ...]
    judging: JudgingFacts | None
    final: FinalResult | None
    verdict: Verdict | None
    next: NextStage | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class SynthesizeOutput:
    """A seed dataset: its file, and how its rows were made."""

    data: Path
    facts: SynthesisFacts


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """A task as its recipe and gold data have it.

    Attributes:
        splits: rows of `validation` and `test`.
        held_out: validation rows that only choose epoch and round.
        shared_contexts: contexts of the test split that are in the validation split too.
        shared_rows: test rows that are validation rows too.
        labels: label name to its word in prompts.
    """

    name: str
    pretty_name: str
    description: str
    source: str | None
    splits: Mapping[str, int]
    held_out: int
    shared_contexts: int
    shared_rows: int
    columns: Columns
    metrics: tuple[str, ...]
    labels: Mapping[str, str]
    prompts: Mapping[str, Any]
    license: str | None
    language: str | None
    homepage: str | None
    citation: str | None
    task_category: str
    task_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewTaskOutput:
    """A recipe that was written.

    Attributes:
        recipe: its file.
        splits: role of gold rows to the split of the data that they are from.
        rows: role of gold rows to rows by label, whose name is "null" for questions.
        notes: what to know of the data, in sentences.
    """

    recipe: Path
    splits: Mapping[str, str]
    rows: Mapping[str, Mapping[str | None, int]]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreviewOutput:
    """What a run will send.

    Attributes:
        prompts: the messages, and with `--llm` the answers.
        checks: what the checks of wording do to the gold rows.
        advice: with `--llm`, whether to show gold rows in prompts.
    """

    prompts: tuple[PromptPreview, ...]
    checks: Calibration
    advice: str | None


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a check of `doctor` is passed, and what was found."""

    ok: bool
    found: str


@dataclass(frozen=True, slots=True)
class BenchOutput:
    """A finished bench: its folder, and everything measured in each cell."""

    run_dir: Path
    cells: tuple[CellResult, ...]


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell of a bench: its folder's name, `done`, `begun` or `new`, and the number of rows, null for all gold."""

    name: str
    state: str
    task: str
    arm: str
    student: str
    size: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class PredictedText:
    """A text with its label, or a question with its answer; the other of the two keys is absent.

    Attributes:
        text: text or question.
        score: probability of the label or answer.
        label: empty below `--abstain`.
        answer: empty below `--abstain`.
    """

    text: str
    score: float
    label: str | None = None
    answer: str | None = None


TableLine = dict[str, str | int | float | bool | None]
"""A line of a table: name of the column to value."""

OUTPUTS: dict[str, Any] = {
    "run": RunOutput,
    "synthesize": SynthesizeOutput,
    "status": StatusOutput,
    "bench": BenchOutput,
    "bench --plan": list[PlannedCell],
    "study quality": list[TableLine],
    "study diversity": list[TableLine],
    "study cost": list[TableLine],
    "push": list[Published],
    "push --dry-run": list[PushPreview],
    "export": Exported,
    "predict": list[PredictedText],
    "tasks": dict[str, str],
    "tasks show": TaskOutput,
    "tasks new": NewTaskOutput,
    "tasks preview": PreviewOutput,
    "doctor": dict[str, Check],
}
"""Command to the type of the value that it prints with `--json`."""
