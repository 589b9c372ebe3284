"""Search batch size, learning rate, weight decay and epochs by the score on selection rows (section 3.2.1)."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import set_seed

from s3_hf.config import TrainingConfig
from s3_hf.errors import StudentError, check_installed
from s3_hf.locking import first_process
from s3_hf.training.job import OnStep, TrainingJob
from s3_hf.training.loading import fresh_student
from s3_hf.training.memory import out_of_memory
from s3_hf.training.trainer import trainer_of

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger(__name__)

STUDY = "s3-hf"
TOO_LARGE = "too large"
"""Attribute of the study that counts the trials that did not fit the memory."""


def check_tuning(settings: TrainingConfig) -> None:
    """Raise LocalError if the settings need Optuna and it is not installed."""
    if settings.trials:
        check_installed("training.trials needs", "tune", "optuna")


def tune(
    job: TrainingJob, work: Path, study: Path, on_trial: OnStep | None = None, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Return the best settings on `job.selection` among `job.settings.trials` trials, as names of `TrainingConfig`.

    A trial counts by its best epoch, as in `fit`; the ratio of the head's learning rate to the encoder's stays. The
    trials are kept in `study`, an SQLite file, so that a stopped search goes on. Seeded by the job's seed.

    Args:
        job: as for `fit`.
        work: folder for checkpoints.
        study: SQLite file of the trials.
        on_trial: called before each trial, with the number of those that are finished, and of all.
        on_step: called after each optimisation step of a trial.

    Raises:
        StudentError: the student cannot be loaded, or the GPU has too little memory for every trial.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _, tokenizer = fresh_student(job)
    trainer, _ = trainer_of(
        job, work, tokenizer, job.settings.batch_size, on_step, model_init=lambda: fresh_student(job)[0]
    )
    best = f"eval_{job.metric}"

    def objective(metrics: Mapping[str, float]) -> float:
        earlier = [line[best] for line in trainer.state.log_history if best in line]
        return float(max([metrics[best], *earlier]))

    where: dict[str, Any] = {
        "study_name": STUDY,
        "storage": f"sqlite:///{study}",
        "load_if_exists": True,
        "pruner": optuna.pruners.NopPruner(),
    }
    first = first_process()  # Trainer gives the trials to it alone
    trials = optuna.create_study(direction="maximize", **where) if first else None
    while (done := _from_first_process(trials, _finished)) < job.settings.trials:
        if on_trial:
            on_trial(done, job.settings.trials)
        set_seed(job.seed)
        # one at a time: each trial is on the disk before the next begins, and draws anew from all before it
        try:
            trainer.hyperparameter_search(
                hp_space=_space,
                compute_objective=objective,
                n_trials=1,
                direction="maximize",
                backend="optuna",
                sampler=optuna.samplers.TPESampler(seed=(job.seed * 1_000 + done) % 2**32),
                **where,
            )
        except torch.OutOfMemoryError as error:
            if trials is None or PartialState().num_processes > 1:  # the others would go on
                raise out_of_memory(error, trainer.args.train_batch_size) from error
            logger.warning("a trial is left out: the GPU has too little memory for it")
            trials.set_user_attr(TOO_LARGE, trials.user_attrs.get(TOO_LARGE, 0) + 1)
        PartialState().wait_for_everyone()
        if first:
            shutil.rmtree(work, ignore_errors=True)
    if not _from_first_process(trials, _completed):
        raise StudentError(
            f"a trial must fit the memory of the GPU, found none of {done} that does; lower training.max_length, "
            "take a smaller student, or set training.trials=0"
        )
    chosen = _from_first_process(trials, lambda study: study.best_trial.params)
    ratio = (job.settings.head_learning_rate or job.settings.learning_rate) / job.settings.learning_rate
    return {
        "epochs": chosen["num_train_epochs"],
        "min_steps": 0,  # as in the trials
        "batch_size": chosen["per_device_train_batch_size"],
        "learning_rate": chosen["learning_rate"],
        "head_learning_rate": chosen["learning_rate"] * ratio,
        "weight_decay": chosen["weight_decay"],
    }


def _space(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "num_train_epochs": trial.suggest_int("num_train_epochs", 1, 10),
        "per_device_train_batch_size": trial.suggest_categorical("per_device_train_batch_size", [8, 16, 32]),
        "learning_rate": trial.suggest_float("learning_rate", 5e-6, 3e-4, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-8, 1e-1, log=True),
    }


def _from_first_process(study: optuna.Study | None, read: Callable[[optuna.Study], Any]) -> Any:
    """Return in all processes what `read` returns in the first one, which alone has the study."""
    return broadcast_object_list([read(study) if study else None])[0]


def _completed(study: optuna.Study) -> int:
    return sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))


def _finished(study: optuna.Study) -> int:
    """Return the number of trials that need not run again; a stopped one must."""
    return _completed(study) + int(study.user_attrs.get(TOO_LARGE, 0))
