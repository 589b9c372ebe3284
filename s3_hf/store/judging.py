"""Paths and contents of `judging/`: the students that judge labels, and what was decided by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3_hf.store.facts import read_facts


@dataclass(frozen=True, slots=True)
class JudgingFacts:
    """Whether labels are judged in a run, and why; the content of `decision.json`.

    Attributes:
        acts: True if labels are judged.
        sentence: what was found and what is done, for users.
        figures: what the sentence rests on.
    """

    acts: bool
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgingDir:
    """The files of the judge of a run."""

    path: Path

    @property
    def folds(self) -> Path:
        """JSON file with the fold of each gold row by its `s3_id`."""
        return self.path / "folds.json"

    @property
    def gold(self) -> Path:
        """JSON file of how reliable the students are on gold rows. Proof that all of them are trained."""
        return self.path / "gold.json"

    @property
    def llm(self) -> Path:
        """JSON file of how reliable the LLM is as a judge, and of its calibration on gold rows."""
        return self.path / "llm.json"

    @property
    def trial(self) -> Path:
        """Parquet file of rows that were not judged yet, on which it is decided whether to judge."""
        return self.path / "trial.parquet"

    def judged(self, fold: int) -> Path:
        """Return the JSON file with the judgements of the trial's rows by the student of a fold."""
        return self.path / f"judged-{fold}.json"

    @property
    def decision(self) -> Path:
        """JSON file of `JudgingFacts`. Proof that it is decided whether labels are judged."""
        return self.path / "decision.json"

    @property
    def work(self) -> Path:
        """Folder of trainings under way; deleted after each."""
        return self.path / "work"

    def model(self, fold: int) -> Path:
        """Return the folder of the student that was trained on all gold rows but those of the fold."""
        return self.path / f"fold-{fold}" / "model"

    def decided(self) -> JudgingFacts | None:
        """Return the decision, None if there is none yet.

        Raises:
            RunDirError: the file is damaged.
        """
        return read_facts(self.decision, JudgingFacts) if self.decision.exists() else None
