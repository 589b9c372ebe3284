"""The `Trainer` of a student: its optimizer, its order of rows, and its evaluation within the memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase, PrinterCallback, Trainer, TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput

from s3_hf.scoring import score
from s3_hf.training.arguments import training_arguments
from s3_hf.training.heads import Head, LongestFirst
from s3_hf.training.job import OnStep, TrainingJob
from s3_hf.training.loading import head_of
from s3_hf.training.memory import with_smaller_batches

if TYPE_CHECKING:
    from datasets import Dataset

WEIGHTS = "s3_weight"
"""Column of the inputs with the weight of each row in the loss."""


class StudentTrainer(Trainer):
    """A `Trainer` whose new head has a learning rate of its own, and whose evaluation batches shrink to the memory."""

    head_rate_ratio = 1.0
    """Learning rate of the head, as a multiple of the encoder's."""
    compute_metrics: Any
    _signature_columns: list[str] | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)  # progress is reported by `on_step`
        # a classifier's loss is the mean of its rows, though its `forward` takes `num_items_in_batch`: else the
        # gradients of parts of a batch, and of several processes, would be added and not averaged
        self.model_accepts_loss_kwargs = False

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **more: Any) -> Any:
        """Return the model's loss, or where rows have weights, the mean of their cross-entropies times the weights."""
        weights = inputs.pop(WEIGHTS, None)
        if weights is None:
            return super().compute_loss(model, inputs, return_outputs, **more)
        outputs = model(**inputs)
        losses = torch.nn.functional.cross_entropy(
            outputs.logits.float(),
            inputs["labels"],
            reduction="none",
            label_smoothing=self.args.label_smoothing_factor,
        )
        loss = (weights * losses).mean()
        return (loss, outputs) if return_outputs else loss

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the weights of the rows, too, which the model's `forward` does not take."""
        super()._set_signature_columns_if_needed()
        self._signature_columns = [*(self._signature_columns or ()), WEIGHTS]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Return the optimizer of `Trainer`, with the head in a parameter group of its own."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if self.head_rate_ratio != 1 and len({group["lr"] for group in optimizer.param_groups}) == 1:
            prefix = self.model.base_model_prefix + "."
            head = {id(part) for name, part in self.model.named_parameters() if not name.startswith(prefix)}
            for group in list(optimizer.param_groups):
                fast = [part for part in group["params"] if id(part) in head]
                if fast:
                    group["params"] = [part for part in group["params"] if id(part) not in head]
                    rest = {key: value for key, value in group.items() if key not in ("params", "initial_lr")}
                    optimizer.add_param_group({**rest, "params": fast, "lr": group["lr"] * self.head_rate_ratio})
        return optimizer

    def evaluation_loop(self, dataloader: DataLoader[Any], *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate as `Trainer` does; batches that do not fit the memory shrink, for later evaluations too."""
        loop = super().evaluation_loop

        def evaluated(batch: int) -> EvalLoopOutput:
            self.args.per_device_eval_batch_size = batch
            return loop(self.get_test_dataloader(dataloader.dataset), *args, **kwargs)

        return with_smaller_batches(evaluated, self.args.per_device_eval_batch_size)

    def outputs_of(self, inputs: Dataset) -> Any:
        """Return the model's outputs for encoded rows, without scores or log entries."""
        metrics, self.compute_metrics = self.compute_metrics, None
        try:
            return self.evaluation_loop(self.get_test_dataloader(inputs), "", prediction_loss_only=False).predictions
        finally:
            self.compute_metrics = metrics

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        """Return the sampler of `Trainer`, seeded so that several processes draw the same order of rows."""
        sampler: Sampler[int] | None = super()._get_train_sampler(train_dataset)
        if self.args.world_size > 1 and isinstance(sampler, LengthGroupedSampler):
            sampler.generator = torch.Generator().manual_seed(self.args.seed)
        return sampler

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler[int]:
        """Return a sampler that keeps the order of the rows, so that each output belongs to the row of its place."""
        return SequentialSampler(eval_dataset)


class _Progress(TrainerCallback):
    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._on_step(state.global_step, state.max_steps)


def trainer_of(
    job: TrainingJob,
    work: Path,
    tokenizer: PreTrainedTokenizerBase,
    batch: int,
    on_step: OnStep | None = None,
    **model: Any,
) -> tuple[StudentTrainer, Head]:
    """Return a trainer of the job, with its rows encoded, and the head that encoded them.

    Args:
        job: rows, settings and student.
        work: folder for checkpoints.
        tokenizer: tokenizer of the student.
        batch: rows on the device at once, an even part of `job.settings.batch_size`.
        on_step: called after each optimisation step.
        model: `model`, or `model_init` for a search, as for `Trainer`.
    """
    student = model["model"] if "model" in model else model["model_init"]()
    head = head_of(student, tokenizer, job.columns)
    rows, chooses = head.encode(job.rows, targets=True).inputs, {}
    if (weights := normalised_weights(job)) is not None:
        rows = rows.add_column(WEIGHTS, weights)
    if job.selection is not None:
        chooses = _evaluation(job, head, job.selection)
    trainer = StudentTrainer(
        **model,
        **chooses,
        args=training_arguments(job, work, batch, len(rows)),
        data_collator=padding(tokenizer),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    if on_step:
        trainer.add_callback(_Progress(on_step))
    if job.settings.head_learning_rate is not None:
        trainer.head_rate_ratio = job.settings.head_learning_rate / job.settings.learning_rate
    return trainer, head


def normalised_weights(job: TrainingJob) -> list[float] | None:
    """Return the weight of each row in the loss, with a mean of 1; None if all weigh the same.

    It is the row's own weight, with `class_weights: balanced` divided by the number of rows with its label.
    """
    weights, label = job.weights, job.columns.label
    if label and job.settings.class_weights == "balanced":
        labels = job.rows[label][:]
        counts = Counter(labels)
        own = weights if weights is not None else [1.0] * len(labels)
        weights = [weight / counts[each] for weight, each in zip(own, labels, strict=True)]
    return None if weights is None else [weight * len(weights) / sum(weights) for weight in weights]


def _evaluation(job: TrainingJob, head: Head, rows: Dataset) -> dict[str, Any]:
    """Return the arguments of `Trainer` by which it scores the rows after each epoch."""
    encoded = LongestFirst(head.encode(rows, targets=True))
    references = rows[job.columns.target][:]

    def metrics(evaluation: Any) -> dict[str, float]:
        predicted = [prediction.value for prediction in encoded.decode(evaluation.predictions)]
        return dict(score(job.columns, predicted, references).metrics)

    return {"eval_dataset": encoded.inputs, "compute_metrics": metrics}


def padding(tokenizer: PreTrainedTokenizerBase) -> DataCollatorWithPadding:
    """Return a collator that pads a batch to the longest of its inputs, rounded up to 8 tokens."""
    return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)
