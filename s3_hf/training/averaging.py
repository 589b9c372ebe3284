"""The average of the weights of students that were trained alike (Wortsman et al., 2022)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from s3_hf.training.loading import load_student


def average(folders: Sequence[Path], target: Path) -> None:
    """Write a student to the new folder `target` whose weights are the means of those in the folders.

    Raises:
        StudentError: a student cannot be loaded.
    """
    models = [load_student(str(folder))[0] for folder in folders]
    states = [model.state_dict() for model in models]
    mean = {
        name: sum(state[name] for state in states) / len(states) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    models[0].load_state_dict(mean)
    shutil.copytree(folders[0], target)
    models[0].save_pretrained(target)
