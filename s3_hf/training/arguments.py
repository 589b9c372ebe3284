"""`TrainingArguments` built from the settings."""

from __future__ import annotations

import contextlib
import dataclasses
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from s3_hf.config import TrainingConfig
from s3_hf.errors import ConfigError, did_you_mean, one_line
from s3_hf.files import temporary_folder
from s3_hf.training.job import TrainingJob

RESERVED = {
    "output_dir": "the run directory decides it",
    "seed": "use `seed`",
    "num_train_epochs": "use `training.epochs`",
    "learning_rate": "use `training.learning_rate`",
    "weight_decay": "use `training.weight_decay`",
    "warmup_steps": "use `training.warmup`",
    "per_device_train_batch_size": "use `training.batch_size`",
    "bf16": "use `training.precision`",
    "metric_for_best_model": "use `metric`",
    "greater_is_better": "use `metric`",
    "prediction_loss_only": "scores need the predictions",
    "dataloader_drop_last": "every row is scored",
    "push_to_hub": "use `s3-hf push`",
}
"""Fields of `TrainingArguments` that `training.args` must not set, with the setting to use or the reason."""

CHECKED_STEPS = 100
"""Optimisation steps of the schedule that a check builds."""


def check_arguments(settings: TrainingConfig, metric: str) -> None:
    """Check that `TrainingArguments`, the optimizer and the schedule accept the settings, without using a device.

    Args:
        settings: settings of a training.
        metric: name of the metric that chooses the epoch.

    Raises:
        ConfigError: a field of `training.args` is unknown or has a wrong value.
    """
    with temporary_folder() as work:
        arguments = _arguments(_WithoutDevice, settings, work, 0, metric, settings.batch_size)
    if arguments.optim_target_modules:  # names modules of a student that is not loaded yet
        return
    with _argument_errors(settings):
        for callback in get_reporting_integration_callbacks(arguments.report_to):
            callback()  # raises where its package is not installed
        kind, values = Trainer.get_optimizer_cls_and_kwargs(arguments, torch.nn.Linear(1, 1))
        optimizer = kind([torch.nn.Parameter(torch.zeros(1))], **values)
        get_scheduler(
            arguments.lr_scheduler_type,
            optimizer,
            arguments.get_warmup_steps(CHECKED_STEPS),
            CHECKED_STEPS,
            arguments.lr_scheduler_kwargs,
        )


class _WithoutDevice(TrainingArguments):
    """Training arguments that set up neither a device nor the other processes of a launch."""

    @property
    def device(self) -> torch.device:
        """Return the CPU, where nothing is computed."""
        return torch.device("cpu")


def precision(settings: TrainingConfig) -> str:
    """Return `bf16` or `fp32`: as set, or with `auto` bf16 where the GPU or the processor computes it natively."""
    if settings.precision != "auto":
        return settings.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    features = torch.cpu.get_capabilities()
    return "bf16" if features.get("avx512_bf16") or features.get("amx_bf16") else "fp32"


def training_arguments(job: TrainingJob, work: Path, batch: int, inputs: int) -> TrainingArguments:
    """Return the arguments for training; `training.args` wins over the values set here.

    Args:
        job: rows, settings and student.
        work: folder for checkpoints.
        batch: rows on the device at once, an even part of `training.batch_size`.
        inputs: number of the model's inputs that the rows of the job become.

    Raises:
        ConfigError: a field of `training.args` is unknown or has a wrong value.
    """
    metric = None if job.selection is None else job.metric
    arguments = _on_one_gpu(_arguments(TrainingArguments, job.settings, work, job.seed, metric, batch))
    arguments.num_train_epochs = job.settings.epochs_for(inputs, arguments.world_size)
    return arguments


def predicting_arguments(settings: TrainingConfig, work: Path) -> TrainingArguments:
    """Return the arguments for predicting."""
    return _on_one_gpu(TrainingArguments(**_common(settings, work)))


def _arguments(
    kind: type[TrainingArguments], settings: TrainingConfig, work: Path, seed: int, metric: str | None, batch: int
) -> TrainingArguments:
    """Return the arguments; `metric` chooses the epoch, None keeps the last one and evaluates none."""
    _check_names(settings.args)
    values: dict[str, Any] = {
        **_common(settings, work),
        "seed": seed,
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "warmup_steps": settings.warmup,
        "per_device_train_batch_size": batch,
        "train_sampling_strategy": "group_by_length",
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_only_model": True,
        "save_total_limit": 1,
        "load_best_model_at_end": True,
        "metric_for_best_model": metric,
        "greater_is_better": True,
        "logging_strategy": "epoch",
        **_typed(settings.args),
    }
    steps = values.get("gradient_accumulation_steps", 1)
    if not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"training.args.gradient_accumulation_steps must be 1 or more, found {steps!r}; correct it")
    values["gradient_accumulation_steps"] = steps * settings.batch_size // batch
    if metric is None:
        values |= {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    with _argument_errors(settings):
        return kind(**values)


@contextlib.contextmanager
def _argument_errors(settings: TrainingConfig) -> Iterator[None]:
    """Raise ConfigError, in one sentence, where `transformers` refuses a value."""
    try:
        yield
    except (TypeError, ValueError, KeyError, ImportError, RuntimeError, OSError) as error:
        detail = one_line(error)
        raise ConfigError(f"training.args {dict(settings.args)!r} cannot be used: {detail}; correct them") from error


def _check_names(args: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    for name in args:
        if name in RESERVED:
            raise ConfigError(f"training.args.{name} cannot be set there; {RESERVED[name]}")
        if name not in known:
            hint = did_you_mean(name, known, "see the documentation of transformers.TrainingArguments")
            raise ConfigError(f"training.args.{name} is no field of TrainingArguments; {hint}")


def _typed(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as the types of their fields: YAML reads `no` as false, and `1e-3` as text.

    Raises:
        ConfigError: a value has another type.
    """
    types = typing.get_type_hints(TrainingArguments)
    values: dict[str, Any] = {}
    for name, value in args.items():
        if value is False and name.endswith("_strategy"):
            values[name] = "no"
            continue
        plain = {bool, int, float, str} & {types[name], *typing.get_args(types[name])}
        try:
            values[name] = TypeAdapter(types[name]).validate_python(value) if plain and value is not None else value
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]["msg"].lower()
            raise ConfigError(
                f"training.args.{name} has a wrong type: {fault}, found {value!r}; correct it"
            ) from error
    return values


def _on_one_gpu(arguments: TrainingArguments) -> TrainingArguments:
    """Keep `Trainer` from `nn.DataParallel`, which multiplies the batch size; `accelerate launch` uses all GPUs."""
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1
    return arguments


def _common(settings: TrainingConfig, work: Path) -> dict[str, Any]:
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(work),
        "per_device_eval_batch_size": settings.batch_size * 4,
        "bf16": precision(settings) == "bf16",
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "disable_tqdm": True,
        "report_to": "none",
    }
