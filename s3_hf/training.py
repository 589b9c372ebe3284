"""Fine-tuning the student with HF `Trainer`: `fit(job, out)` -> model folder, `predict(folder, rows)` -> predictions.

The student is built anew from its pretrained weights each time (Algorithm 2, line 3). All processes of
`accelerate launch` call these functions together; the first one writes.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from s3_hf.config import TrainingConfig
from s3_hf.errors import ConfigError, StorageError, StudentError
from s3_hf.files import write_json
from s3_hf.records import Prediction
from s3_hf.scoring import score

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

OnStep = Callable[[int, int], None]
"""Told the steps done and the steps in all."""

OURS = {
    "output_dir": "the run directory decides it",
    "seed": "use `seed`",
    "num_train_epochs": "use `training.epochs`",
    "learning_rate": "use `training.learning_rate`",
    "weight_decay": "use `training.weight_decay`",
    "warmup_steps": "use `training.warmup`",
    "per_device_train_batch_size": "use `training.batch_size`",
    "bf16": "use `training.precision`",
    "push_to_hub": "use `s3-hf push`",
}
"""Fields of `TrainingArguments` that have a setting of their own, and which."""


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """What to fit: `text` and `label` name columns of `rows` and `gold`; labels are ids into `label_names`."""

    rows: Dataset
    gold: Dataset
    text: str
    label: str
    label_names: tuple[str, ...]
    student: str
    """Hub id or folder of the encoder."""
    student_name: str
    """How the student is called on cards; never a machine path."""
    max_length: int
    metric: str
    seed: int
    settings: TrainingConfig


def check_arguments(args: Mapping[str, Any]) -> None:
    """Raise ConfigError, by name, for what `TrainingArguments` does not know or has a setting of its own."""
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    for name in args:
        if name in OURS:
            raise ConfigError(f"training.args.{name} cannot be set there; {OURS[name]}")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {close[0]!r}?" if close else "see the documentation of transformers.TrainingArguments"
            )
            raise ConfigError(f"training.args.{name} is no field of TrainingArguments; {hint}")


def check_student(name: str) -> None:
    """Raise StudentError unless `name` is a model that `transformers` knows, before anything is spent on it."""
    try:
        AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _no_student(name, error) from error


def fit(job: TrainingJob, out: Path, work: Path, on_step: OnStep | None = None) -> None:
    """Leave the trained student in `out`: its best epoch on gold validation, as safetensors, with `training.json`.

    Args:
        job: rows, gold validation rows and settings.
        out: folder to write to; only the first process writes.
        work: folder for checkpoints, on a disk that all processes see.
        on_step: told about progress.

    Raises:
        StudentError: the student cannot be loaded.
        ConfigError: a training argument has a wrong value.
        StorageError: the disk is full.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    set_seed(job.seed)
    model, tokenizer = _fresh_student(job)
    encode = _encoder(tokenizer, job.text, tokenizer.model_max_length)
    callbacks: list[TrainerCallback] = [_Progress(on_step)] if on_step else []
    if job.settings.early_stopping:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=job.settings.early_stopping))
    trainer = _StudentTrainer(
        model=model,
        args=_arguments(job, work),
        data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8),
        train_dataset=encode(job.rows, job.label),
        eval_dataset=encode(job.gold, job.label),
        processing_class=tokenizer,
        compute_metrics=_metrics,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)  # progress is told by `on_step`
    trainer.head_learning_rate = job.settings.head_learning_rate
    began = time.monotonic()
    try:
        trainer.train()
        report = _report(job, trainer, time.monotonic() - began)
        if trainer.is_world_process_zero():
            trainer.model.config._name_or_path = job.student_name  # the folder it was read from is nobody's business
            trainer.model.save_pretrained(out)
            tokenizer.save_pretrained(out)
            write_json(out / "training.json", report)
    except SafetensorError as error:
        raise StorageError(
            f"cannot write the student to {str(out.parent)!r}: {error}; make room, then run the same command again: "
            "what was made is kept"
        ) from error


def predict(
    folder: str | Path, texts: Sequence[str], ids: Sequence[str], settings: TrainingConfig, work: Path
) -> list[Prediction]:
    """Return the student's label and label probabilities for each text, in order.

    Args:
        folder: model folder or Hub id.
        texts: inputs, cut to the length that the student was trained with.
        ids: one for each text.
        settings: batch size and precision.
        work: folder that `Trainer` may write to.
    """
    import datasets

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    model, tokenizer = load_student(str(folder))
    rows = _encoder(tokenizer, "text", tokenizer.model_max_length)(datasets.Dataset.from_dict({"text": list(texts)}))
    order = np.argsort(rows["length"][:], kind="stable")[::-1]  # batches of one length need little padding
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_eval_batch_size=settings.batch_size * 4,
        bf16_full_eval=False,
        bf16=precision(settings) == "bf16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="none",
    )
    trainer = Trainer(
        model=model, args=arguments, data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)
    )
    trainer.remove_callback(PrinterCallback)
    logits = trainer.predict(rows.select(order)).predictions
    scores = torch.softmax(torch.from_numpy(np.asarray(logits, dtype=np.float32)), dim=-1).numpy()
    by_place = dict(zip(order.tolist(), scores, strict=True))
    return [
        Prediction(ids[place], int(by_place[place].argmax()), tuple(float(value) for value in by_place[place]))
        for place in range(len(ids))
    ]


def load_student(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return a trained student and its tokenizer, from a folder or the Hub; safetensors only.

    Raises:
        StudentError: there is no such model, or it holds no sequence classifier.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = AutoModelForSequenceClassification.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise _no_student(name, error) from error
    return model, tokenizer


def precision(settings: TrainingConfig) -> str:
    """`bf16` or `fp32`: as set, or by itself bf16 where the GPU or the processor computes it natively."""
    if settings.precision != "auto":
        return settings.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    features = torch.cpu.get_capabilities()
    return "bf16" if features.get("avx512_bf16") or features.get("amx_bf16") else "fp32"


class _StudentTrainer(Trainer):
    """Trainer whose freshly initialised head may learn faster than the pretrained encoder."""

    head_learning_rate: float | None = None

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if self.head_learning_rate is not None and len({group["lr"] for group in optimizer.param_groups}) == 1:
            prefix = self.model.base_model_prefix + "."
            head = {id(part) for name, part in self.model.named_parameters() if not name.startswith(prefix)}
            for group in list(optimizer.param_groups):
                fast = [part for part in group["params"] if id(part) in head]
                if fast:
                    group["params"] = [part for part in group["params"] if id(part) not in head]
                    rest = {key: value for key, value in group.items() if key not in ("params", "initial_lr")}
                    optimizer.add_param_group({**rest, "params": fast, "lr": self.head_learning_rate})
        return optimizer


class _Progress(TrainerCallback):
    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._on_step(state.global_step, state.max_steps)


def _arguments(job: TrainingJob, work: Path) -> TrainingArguments:
    settings = job.settings
    check_arguments(settings.args)
    gpu = torch.cuda.is_available()
    values: dict[str, Any] = {
        "output_dir": str(work),
        "seed": job.seed,
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "warmup_steps": settings.warmup,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size * 4,
        "bf16": precision(settings) == "bf16",
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "train_sampling_strategy": "group_by_length",
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_only_model": True,
        "save_total_limit": 1,
        "load_best_model_at_end": True,
        "metric_for_best_model": job.metric,
        "greater_is_better": True,
        "logging_strategy": "epoch",
        "disable_tqdm": True,
        "report_to": "none",
    }
    try:
        return TrainingArguments(**{**values, **settings.args})
    except (TypeError, ValueError) as error:
        detail = " ".join(str(error).split())
        raise ConfigError(f"training.args {dict(settings.args)!r} cannot be used: {detail}; correct them") from error


def _fresh_student(job: TrainingJob) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(job.student, trust_remote_code=False)
        config = AutoConfig.from_pretrained(
            job.student,
            num_labels=len(job.label_names),
            id2label=dict(enumerate(job.label_names)),
            label2id={name: number for number, name in enumerate(job.label_names)},
            trust_remote_code=False,
        )
        model = AutoModelForSequenceClassification.from_pretrained(
            job.student, config=config, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise _no_student(job.student, error) from error
    longest = getattr(config, "max_position_embeddings", None) or job.max_length
    # saved with the tokenizer, so that prediction cuts where training did
    tokenizer.model_max_length = min(job.max_length, longest, tokenizer.model_max_length)
    return model, tokenizer


def _no_student(name: str, error: Exception) -> StudentError:
    detail = str(error).strip().splitlines()[0][:200]
    return StudentError(
        f"the student must be an encoder with safetensors weights on the Hub or in a folder, found {name!r} "
        f"({detail}); check the name, HF_ENDPOINT and your access"
    )


def _encoder(tokenizer: PreTrainedTokenizerBase, text: str, max_length: int) -> Callable[..., Dataset]:
    def encode(rows: Dataset, label: str | None = None) -> Dataset:
        encoded = tokenizer(rows[text][:], truncation=True, max_length=max_length)
        columns: dict[str, Any] = {name: encoded[name] for name in tokenizer.model_input_names if name in encoded}
        columns["length"] = [len(ids) for ids in encoded["input_ids"]]
        if label is not None:
            columns["labels"] = rows[label][:]
        return type(rows).from_dict(columns)

    return encode


def _metrics(evaluation: Any) -> dict[str, float]:
    predicted = np.asarray(evaluation.predictions).argmax(axis=-1)
    return dict(score(predicted.tolist(), evaluation.label_ids.tolist()).metrics)


def _report(job: TrainingJob, trainer: Trainer, seconds: float) -> dict[str, Any]:
    epochs: dict[int, dict[str, float]] = {}
    for line in trainer.state.log_history:
        entry = epochs.setdefault(round(line.get("epoch", 0)), {})
        if "loss" in line:
            entry["train_loss"] = round(line["loss"], 5)
        entry |= {key.removeprefix("eval_"): line[key] for key in ("eval_accuracy", "eval_macro_f1") if key in line}
    history = [{"epoch": epoch, **values} for epoch, values in sorted(epochs.items()) if job.metric in values]
    best = max(history, key=lambda line: line[job.metric])["epoch"] if history else math.ceil(trainer.state.epoch or 0)
    return {
        "student": job.student_name,
        "rows": len(job.rows),
        "best_epoch": best,
        "epochs": history,
        "settings": job.settings.model_dump(mode="json"),
        "max_length": trainer.processing_class.model_max_length,
        "seed": job.seed,
        "precision": precision(job.settings),
        "processes": trainer.args.world_size,
        "parameters": trainer.model.num_parameters(),
        "tokens": round(sum(trainer.train_dataset["length"][:]) * (trainer.state.epoch or 0)),
        "seconds": round(seconds, 1),
        "samples_per_second": round(len(job.rows) * (trainer.state.epoch or 0) / seconds, 1),
    }
