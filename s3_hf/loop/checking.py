"""The checks of a run: those of its task, against its gold rows and the rows of earlier rounds."""

from __future__ import annotations

import logging
from dataclasses import replace

from s3_hf.config import RunConfig
from s3_hf.overlaps import SharedRuns
from s3_hf.strategies import strategy_named
from s3_hf.synthesis import Calibration, Checks, calibrate
from s3_hf.task import Task
from s3_hf.task.languages import recognise
from s3_hf.texts import digests, normalise

logger = logging.getLogger(__name__)


def checks_of(config: RunConfig, task: Task, seen: set[int], *, announce: bool = False) -> Checks:
    """Return the checks of a task against its gold rows, calibrated on them unless the settings say otherwise.

    Args:
        config: settings of the run.
        task: its task.
        seen: digests of the existing rows.
        announce: log which checks are switched off.
    """
    checks = _wording_checks(task)
    if config.synthesis.calibrate_checks and strategy_named(config.strategy).asks_llm:
        calibration = calibrate(checks, task)
        for line in calibration.lines() if announce else ():
            logger.warning("%s", line)
        checks = calibration.applied(checks)
    gold = task.validation_split
    return replace(
        checks,
        test=digests(task.test_split[task.columns.text][:]),
        gold=task.row_digests(gold),
        parts=SharedRuns(map(normalise, gold[task.columns.text][:])),
        seen=seen,
    )


def calibration_of(task: Task) -> Calibration:
    """Return what the checks of wording do to the gold rows of a task; nothing is asked or written."""
    return calibrate(_wording_checks(task), task)


def _wording_checks(task: Task) -> Checks:
    """Return the checks that need no other text than the answer and its prompt."""
    config = task.config
    language = config.language or recognise(task.mined[config.text][:])
    return Checks(
        task.label_words, config.min_words, config.one_line, config.question, english=language in ("en", None)
    )
