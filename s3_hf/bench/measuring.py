"""What is measured in a finished cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3_hf.analysis.cost import training_flops
from s3_hf.bench.grid import Cell, cell_name
from s3_hf.loop import RunResult
from s3_hf.records import Scores, Usage
from s3_hf.store import SYNTHETIC, TEST


@dataclass(frozen=True)
class CellResult:
    """Everything measured in a finished cell.

    Attributes:
        task: name of the task in the bench file.
        arm: name of the arm.
        student: Hub id, folder or `local`.
        size: wanted rows as the bench file has them; None for all gold rows.
        seed: seed of every random choice.
        rows: synthetic rows that the scored student was trained on, or the gold rows of a cell without an LLM.
        made: rows of all rounds, of which the best one may have fewer.
        wanted: rows that the last round's student should be trained on; None for all gold rows.
        rounds: number of the last round.
        scores: role of gold rows to the scores of the final student, or without a gold stage, of the last round's.
        requests: LLM requests that the cell needs by itself, whichever cell paid for them; tokens likewise.
        prompt_tokens: tokens of the prompts.
        completion_tokens: tokens of the answers.
        flops: floating-point operations of the trainings of all rounds and of the gold stage.
        row_flops: the same of one row in one epoch, by the mean length of the scored student's last rows.
        synthesis_seconds: wall-clock time as measured.
        training_seconds: wall-clock time as measured.
        epochs: the epochs of the scored student's last training, as in `TrainingFacts`.
    """

    task: str
    arm: str
    student: str
    size: int | None
    seed: int
    rows: int
    made: int
    wanted: int | None
    rounds: int
    scores: Mapping[str, Scores]
    requests: int
    prompt_tokens: int
    completion_tokens: int
    flops: float
    row_flops: float
    synthesis_seconds: float
    training_seconds: float
    epochs: tuple[Mapping[str, int | float], ...]

    @property
    def name(self) -> str:
        """Name of the cell's folder."""
        return cell_name(self.task, self.arm, self.student, self.size, self.seed)

    @property
    def test(self) -> Mapping[str, float]:
        """The scored student's scores on test, by metric."""
        return self.scores[TEST].metrics


def measured(cell: Cell, result: RunResult) -> CellResult:
    """Return the measurements of a cell: its student is that of the gold stage, or without one, of the last round."""
    last, rounds, final = result.rounds[-1], result.rounds, result.final
    usage = sum((each.synthesis.usage for each in rounds), Usage())
    further = final is not None and final.choice.arm != SYNTHETIC  # else it is a round's student
    trained = [each.training for each in rounds] + ([final.training] if final and further else [])
    scored = final.training if final else last.training
    return CellResult(
        task=cell.task,
        arm=cell.arm,
        student=cell.student,
        size=cell.size,
        seed=cell.seed,
        rows=final.facts.rows if final else last.rows,
        made=last.rows,
        wanted=cell.rows,
        rounds=last.number,
        scores=final.scores if final else last.scores,
        requests=usage.requests,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        flops=sum(training_flops(each.parameters, each.tokens.seen) for each in trained),
        row_flops=training_flops(scored.parameters, scored.tokens.mean),
        synthesis_seconds=sum(each.synthesis.seconds for each in rounds),
        training_seconds=sum(each.seconds for each in trained),
        epochs=scored.epochs,
    )
