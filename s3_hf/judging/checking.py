"""What must hold for labels to be judged, checked before anything is paid for."""

from __future__ import annotations

from s3_hf.config import RunConfig
from s3_hf.errors import ConfigError
from s3_hf.judging.folds import fold_count, gold_rows
from s3_hf.task import Task


def check_judge(config: RunConfig, task: Task, *, trains: bool) -> None:
    """Check the settings `judge`, `judge_action` and `synthesis.candidates`.

    Args:
        config: settings of the run.
        task: the task with its gold rows.
        trains: False if no student will be trained.

    Raises:
        ConfigError: labels cannot be judged, or texts not be compared.
    """
    if config.judge != "none" and config.judge_action != "drop" and task.columns.answers:
        raise ConfigError(
            f"judge_action {config.judge_action!r} must be used on a task with labels, found {task.name!r} with "
            f"answers in {task.columns.answers!r}; use judge_action drop"
        )
    if not trains and (config.judge == "gold" or config.synthesis.candidates > 1):
        setting = "judge: gold" if config.judge == "gold" else "synthesis.candidates above 1"
        raise ConfigError(
            f"{setting} needs a student, found a command that uses none; use `s3-hf run` with rounds 0, or leave the "
            "setting out"
        )
    if config.judge == "gold" and fold_count(gold_rows(task), task.columns) < 2:
        raise ConfigError(
            f"judge: gold needs two gold rows of each label or more, about two contexts where there are contexts, "
            f"found fewer in {len(gold_rows(task)):,} rows; give more gold rows, or use judge none"
        )
