"""Scores of other rows after each epoch, for a look at what training does (paper Figure 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from s3_hf.scoring import score
from s3_hf.training.heads import ByLength, Head
from s3_hf.training.job import TrainingJob

if TYPE_CHECKING:
    from s3_hf.training.fit import StudentTrainer


class Watch(TrainerCallback):
    """Notes the scores of `job.watched` after each epoch in `found`: epoch -> `NAME_METRIC` -> score.

    Nothing is chosen by them.
    """

    def __init__(self, job: TrainingJob, head: Head, trainer: StudentTrainer) -> None:
        self._columns = job.columns
        learned = job.columns.label or job.columns.answers
        self._rows = {
            name: (ByLength(head.encode(rows, learned=False)), rows[learned][:]) for name, rows in job.watched.items()
        }
        self._trainer = trainer
        self.found: dict[int, dict[str, float]] = {}

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Called when gold validation has been scored."""
        noted = self.found.setdefault(round(state.epoch), {})
        for name, (encoded, references) in self._rows.items():
            said = [one.value for one in encoded.decode(self._trainer.outputs_of(encoded.inputs))]
            scores = score(self._columns, said, references).metrics
            noted |= {f"{name}_{metric}": value for metric, value in scores.items()}
