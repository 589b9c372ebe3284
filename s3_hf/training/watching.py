"""Score further rows after each epoch, to show how training goes (paper Figure 1)."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from s3_hf.scoring import score
from s3_hf.training.heads import Head, LongestFirst
from s3_hf.training.job import TrainingJob
from s3_hf.training.trainer import StudentTrainer


class Watch(TrainerCallback):
    """Keeps the scores of `job.watched` after each epoch in `scores`: epoch -> `NAME_METRIC` -> score in [0, 1]."""

    def __init__(self, job: TrainingJob, head: Head, trainer: StudentTrainer) -> None:
        self._columns = job.columns
        self._rows = {
            name: (LongestFirst(head.encode(rows, targets=False)), rows[job.columns.target][:])
            for name, rows in job.watched.items()
        }
        self._trainer = trainer
        self.scores: dict[int, dict[str, float]] = {}

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Score the watched rows; `Trainer` calls this after each evaluation."""
        of_epoch = self.scores.setdefault(round(state.epoch), {})
        for name, (encoded, references) in self._rows.items():
            predictions = encoded.decode(self._trainer.outputs_of(encoded.inputs))
            scores = score(self._columns, [one.value for one in predictions], references)
            of_epoch |= {f"{name}_{metric}": value for metric, value in scores.metrics.items()}
