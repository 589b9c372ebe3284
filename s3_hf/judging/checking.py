"""What must hold for labels to be judged, checked before anything is paid for."""

from __future__ import annotations

from s3_hf.config import RunConfig
from s3_hf.errors import ConfigError
from s3_hf.judging.folds import fold_count, gold_rows
from s3_hf.task import Task

LLM_JUDGES = ("llm", "both")
"""Values of `judge` that ask the LLM."""


def check_judge(config: RunConfig, task: Task, *, trains: bool, asks: bool) -> None:
    """Check the settings `judge`, `judge_action` and `synthesis.candidates`.

    Args:
        config: settings of the run.
        task: the task with its gold rows.
        trains: False if no student will be trained.
        asks: False if the strategy asks no LLM.

    Raises:
        ConfigError: labels cannot be judged, or texts not be compared.
    """
    if config.judge != "none" and config.judge_action != "drop" and task.columns.answers:
        raise ConfigError(
            f"judge_action {config.judge_action!r} must be used on a task with labels, found {task.name!r} with "
            f"answers in {task.columns.answers!r}; use judge_action drop"
        )
    if config.judge in LLM_JUDGES:
        _check_llm(config, task, asks=asks)
    students = config.judge in ("gold", "both")
    if not trains and (students or config.synthesis.candidates > 1):
        setting = f"judge: {config.judge}" if students else "synthesis.candidates above 1"
        raise ConfigError(
            f"{setting} needs a student, found a command that uses none; use `s3-hf run` with rounds 0, or leave the "
            "setting out"
        )
    if (students or config.judge in LLM_JUDGES) and fold_count(gold_rows(task), task.columns) < 2:
        raise ConfigError(
            f"judge: {config.judge} needs two gold rows of each label or more, about two contexts where there are "
            f"contexts, found fewer in {len(gold_rows(task)):,} rows; give more gold rows, or use judge none"
        )


def _check_llm(config: RunConfig, task: Task, *, asks: bool) -> None:
    if task.columns.answers:
        raise ConfigError(
            f"judge: {config.judge} must be used on a task with labels, found {task.name!r} with answers in "
            f"{task.columns.answers!r}; use judge gold"
        )
    if not asks:
        raise ConfigError(
            f"judge: {config.judge} needs a strategy that asks the LLM, found {config.strategy!r}; use judge none"
        )
