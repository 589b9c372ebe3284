"""`fit` and `predict`, around HF `Trainer`.

The student is built anew from its pretrained weights each time (Algorithm 2, line 3). All processes of
`accelerate launch` call these functions together; the first one writes.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import (
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    set_seed,
)
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import logging as transformers_logging

from s3_hf.config import TrainingConfig
from s3_hf.errors import StorageError
from s3_hf.files import write_json
from s3_hf.records import Columns, Prediction
from s3_hf.scoring import score
from s3_hf.training.arguments import precision, predicting_arguments, training_arguments
from s3_hf.training.heads import ByLength, Head
from s3_hf.training.job import OnStep, TrainingJob
from s3_hf.training.loading import fresh_student, head_of, load_student
from s3_hf.training.memory import in_memory
from s3_hf.training.watching import Watch

if TYPE_CHECKING:
    from datasets import Dataset


def fit(job: TrainingJob, out: Path, work: Path, on_step: OnStep | None = None) -> None:
    """Leave the trained student in `out`: its best epoch on `job.gold`, as safetensors, with `training.json`.

    Args:
        job: rows, gold rows and settings.
        out: folder to write to; only the first process writes.
        work: folder for checkpoints, on a disk that all processes see.
        on_step: told about progress.

    Raises:
        StudentError: the student cannot be loaded, or the GPU has too little memory.
        ConfigError: a training argument has a wrong value.
        StorageError: the disk is full.
    """
    quietly()
    try:
        in_memory(lambda batch: _train(job, out, work, on_step, batch), job.settings.batch_size)
    except SafetensorError as error:
        raise StorageError(
            f"cannot write the student to {str(out.parent)!r}: {error}; make room, then run the same command again: "
            "what was made is kept"
        ) from error


def _train(job: TrainingJob, out: Path, work: Path, on_step: OnStep | None, batch: int) -> None:
    """`fit` with so many rows on the device at once."""
    set_seed(job.seed)
    model, tokenizer = fresh_student(job)
    trainer, head = trainer_of(job, work, tokenizer, batch, model=model)
    if on_step:
        trainer.add_callback(_Progress(on_step))
    if job.settings.early_stopping:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=job.settings.early_stopping))
    watch = Watch(job, head, trainer)
    trainer.add_callback(watch)
    began = time.monotonic()
    trainer.train()
    trainer.accelerator.wait_for_everyone()  # until all have loaded the best checkpoint, which goes then
    report = _report(job, trainer, watch, time.monotonic() - began)
    if trainer.is_world_process_zero():
        trainer.model.config._name_or_path = job.student_name  # the folder it was read from is nobody's business
        trainer.model.save_pretrained(out)
        tokenizer.save_pretrained(out)
        write_json(out / "training.json", report)


def trainer_of(
    job: TrainingJob, work: Path, tokenizer: PreTrainedTokenizerBase, batch: int, **model: Any
) -> tuple[StudentTrainer, Head]:
    """A trainer of the job with its rows encoded, and what encoded them.

    Args:
        job: what is to be trained.
        work: folder for checkpoints.
        tokenizer: the student's.
        batch: rows on the device at once, an even part of `job.settings.batch_size`.
        model: `model` or `model_init`.
    """
    one = model["model"] if "model" in model else model["model_init"]()
    head = head_of(one, tokenizer, job.columns)
    rows, gold = head.encode(job.rows, learned=True).inputs, ByLength(head.encode(job.gold, learned=True))
    references = job.gold[job.columns.label or job.columns.answers][:]

    def metrics(evaluation: Any) -> dict[str, float]:
        said = [one.value for one in gold.decode(evaluation.predictions)]
        return dict(score(job.columns, said, references).metrics)

    trainer = StudentTrainer(
        **model,
        args=training_arguments(job, work, batch),
        data_collator=_collator(tokenizer),
        train_dataset=rows,
        eval_dataset=gold.inputs,
        processing_class=tokenizer,
        compute_metrics=metrics,
    )
    trainer.remove_callback(PrinterCallback)  # progress is told by `on_step`
    if job.settings.head_learning_rate is not None:
        trainer.head_pace = job.settings.head_learning_rate / job.settings.learning_rate
    return trainer, head


def predict(
    folder: str | Path, rows: Dataset, columns: Columns, settings: TrainingConfig, work: Path
) -> list[Prediction]:
    """Return what the student says of each row, in order: a label and its probabilities, or an answer.

    Args:
        folder: model folder or Hub id.
        rows: texts, and contexts where the columns name them; an `s3_id` names the rows, else their number.
        columns: which column holds what; no label or answers are read.
        settings: batch size and precision.
        work: folder that `Trainer` may write to.

    Raises:
        StudentError: there is no such model, or it is of another kind.
    """
    quietly()
    model, tokenizer = load_student(str(folder), columns)
    return predict_with(model, tokenizer, rows, columns, settings, work)


def predict_with(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    columns: Columns,
    settings: TrainingConfig,
    work: Path,
) -> list[Prediction]:
    """As `predict`, with a student that is loaded already."""
    quietly()
    if not len(rows):
        return []
    encoded = ByLength(head_of(model, tokenizer, columns).encode(rows, learned=False))
    args = predicting_arguments(settings, work)
    trainer = StudentTrainer(model=model, args=args, data_collator=_collator(tokenizer))
    trainer.remove_callback(PrinterCallback)
    return encoded.decode(trainer.predict(encoded.inputs).predictions)


class StudentTrainer(Trainer):
    """Trainer whose fresh head may learn faster than the encoder, and that evaluates as many rows at once as fit."""

    head_pace = 1.0
    """Learning rate of the head, as a multiple of the encoder's."""
    compute_metrics: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # a classifier's loss is the mean of its rows, though its `forward` takes `num_items_in_batch`: else the
        # gradients of parts of a batch, and of several processes, would be added and not averaged
        self.model_accepts_loss_kwargs = False

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the optimizer of `Trainer`, with the head in a group of its own."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if self.head_pace != 1 and len({group["lr"] for group in optimizer.param_groups}) == 1:
            prefix = self.model.base_model_prefix + "."
            head = {id(part) for name, part in self.model.named_parameters() if not name.startswith(prefix)}
            for group in list(optimizer.param_groups):
                fast = [part for part in group["params"] if id(part) in head]
                if fast:
                    group["params"] = [part for part in group["params"] if id(part) not in head]
                    rest = {key: value for key, value in group.items() if key not in ("params", "initial_lr")}
                    optimizer.add_param_group({**rest, "params": fast, "lr": group["lr"] * self.head_pace})
        return optimizer

    def evaluation_loop(self, dataloader: DataLoader[Any], *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """That of `Trainer`, with fewer rows at once, now and from here on, if they do not fit the memory."""
        loop = super().evaluation_loop

        def evaluated(batch: int) -> EvalLoopOutput:
            self.args.per_device_eval_batch_size = batch
            return loop(self.get_test_dataloader(dataloader.dataset), *args, **kwargs)

        return in_memory(evaluated, self.args.per_device_eval_batch_size)

    def outputs_of(self, inputs: Dataset) -> Any:
        """The model's outputs for inputs; nothing is scored or logged."""
        metrics, self.compute_metrics = self.compute_metrics, None
        try:
            return self.evaluation_loop(self.get_test_dataloader(inputs), "", prediction_loss_only=False).predictions
        finally:
            self.compute_metrics = metrics

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        """That of `Trainer`; several processes draw the same order, whatever dropout has drawn in each of them."""
        sampler: Sampler[int] | None = super()._get_train_sampler(train_dataset)
        if self.args.world_size > 1 and isinstance(sampler, LengthGroupedSampler):
            sampler.generator = torch.Generator().manual_seed(self.args.seed)
        return sampler

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler[int]:
        """In order: grouped by length as in training, outputs would belong to nobody knows which row."""
        return SequentialSampler(eval_dataset)


class _Progress(TrainerCallback):
    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._on_step(state.global_step, state.max_steps)


def quietly() -> None:
    """From here on `transformers` prints no warnings and no progress bars."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _collator(tokenizer: PreTrainedTokenizerBase) -> DataCollatorWithPadding:
    return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)


def _report(job: TrainingJob, trainer: Trainer, watch: Watch, seconds: float) -> dict[str, Any]:
    epochs: dict[int, dict[str, float]] = {}
    for line in trainer.state.log_history:
        entry = epochs.setdefault(round(line.get("epoch", 0)), {})
        if "loss" in line:
            entry["train_loss"] = round(line["loss"], 5)
        entry |= {name: line[f"eval_{name}"] for name in job.columns.metrics if f"eval_{name}" in line}
    for epoch, scores in watch.found.items():
        epochs[epoch] |= scores
    history = [{"epoch": epoch, **values} for epoch, values in sorted(epochs.items()) if job.metric in values]
    best = max(history, key=lambda line: line[job.metric])["epoch"] if history else math.ceil(trainer.state.epoch or 0)
    done, lengths = trainer.state.epoch or 0, trainer.train_dataset["length"][:]
    return {
        "student": job.student_name,
        "parameters": trainer.model.num_parameters(),
        "rows": len(job.rows),
        "tokens": {"mean": round(sum(lengths) / len(lengths), 1), "seen": round(sum(lengths) * done)},
        "metric": job.metric,
        "best_epoch": best,
        "steps": trainer.state.global_step,
        "epochs": history,
        "settings": job.settings.model_dump(mode="json"),
        "max_length": trainer.processing_class.model_max_length,
        **({"stride": trainer.model.config.s3_stride} if job.columns.answers else {}),
        "seed": job.seed,
        "precision": precision(job.settings),
        "processes": trainer.args.world_size,
        "seconds": round(seconds, 1),
        "samples_per_second": round(len(job.rows) * done / seconds, 1),
    }
