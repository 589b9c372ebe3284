"""Train a student with HF `Trainer`.

The student is built anew from its pretrained weights each time (Algorithm 2, line 3). All processes of
`accelerate launch` call `fit` together; the first one writes.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, Trainer, set_seed

from s3_hf.errors import StudentError
from s3_hf.files import storage_errors, write_json
from s3_hf.training.arguments import precision
from s3_hf.training.job import OnStep, TrainingJob
from s3_hf.training.loading import fresh_student
from s3_hf.training.memory import with_smaller_batches
from s3_hf.training.trainer import trainer_of
from s3_hf.training.watching import Watch


def fit(job: TrainingJob, out: Path, work: Path, on_step: OnStep | None = None) -> None:
    """Train a student and save its best epoch on `job.selection` to `out`, as safetensors, with `training.json`.

    Without selection rows the last epoch is saved.

    Args:
        job: rows, selection rows and settings.
        out: folder to write to; only the first process writes.
        work: folder for checkpoints, on a disk that all processes see.
        on_step: called after each optimisation step.

    Raises:
        StudentError: the student cannot be loaded, its training diverges, or the GPU has too little memory.
        ConfigError: a training argument has a wrong value.
        StorageError: the disk is full.
    """
    with storage_errors(out.parent):
        with_smaller_batches(lambda batch: _train(job, out, work, on_step, batch), job.settings.batch_size)


def _train(job: TrainingJob, out: Path, work: Path, on_step: OnStep | None, batch: int) -> None:
    """Train with `batch` rows on the device at once, and save."""
    set_seed(job.seed)
    model, tokenizer = fresh_student(job)
    trainer, head = trainer_of(job, work, tokenizer, batch, on_step, model=model)
    if job.settings.early_stopping and job.selection is not None:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=job.settings.early_stopping))
    watch = Watch(job, head, trainer)
    trainer.add_callback(watch)
    began = time.monotonic()
    trainer.train()
    trainer.accelerator.wait_for_everyone()  # until all have loaded the best checkpoint, which goes then
    if not all(part.isfinite().all() for part in trainer.model.parameters()):
        raise StudentError(
            "the training of a student must end with finite weights, found that it diverged; set a lower "
            "training.learning_rate (or training.precision=fp32) and name another --run-dir, where copies of this "
            "one's journal.sqlite* keep what was paid for"
        )
    report = _report(job, trainer, watch, time.monotonic() - began)
    if trainer.is_world_process_zero():
        trainer.model.config._name_or_path = job.student_name  # not the folder that it was read from
        trainer.model.save_pretrained(out)
        tokenizer.save_pretrained(out)
        write_json(out / "training.json", report)


def _report(job: TrainingJob, trainer: Trainer, watch: Watch, seconds: float) -> dict[str, Any]:
    epochs: dict[int, dict[str, float]] = {}
    for line in trainer.state.log_history:
        entry = epochs.setdefault(round(line.get("epoch", 0)), {})
        if "loss" in line:
            entry["train_loss"] = round(line["loss"], 5)
        entry |= {name: line[f"eval_{name}"] for name in job.columns.metrics if f"eval_{name}" in line}
    for epoch, scores in watch.scores.items():
        epochs[epoch] |= scores
    history = [{"epoch": epoch, **values} for epoch, values in sorted(epochs.items())]
    scored = [line for line in history if job.metric in line]
    best = max(scored, key=lambda line: line[job.metric])["epoch"] if scored else math.ceil(trainer.state.epoch or 0)
    done, lengths = trainer.state.epoch or 0, trainer.train_dataset["length"][:]
    return {
        "student": job.student_name,
        "parameters": trainer.model.num_parameters(),
        "rows": len(job.rows),
        "tokens": {"mean": round(sum(lengths) / len(lengths), 1), "seen": round(sum(lengths) * done)},
        "metric": job.metric,
        "best_epoch": best,
        "steps": trainer.state.global_step,
        "epochs": scored or history,
        "settings": job.settings.model_dump(mode="json"),
        "max_length": trainer.processing_class.model_max_length,
        **({"stride": trainer.model.config.s3_stride} if job.columns.answers else {}),
        "seed": job.seed,
        "precision": precision(job.settings),
        "processes": trainer.args.world_size,
        "seconds": round(seconds, 1),
        "samples_per_second": round(len(job.rows) * done / seconds, 1),
    }
