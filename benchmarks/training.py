"""How fast the student learns: the product's training against the plain recipe, in one run.

Both fine-tune all-MiniLM-L6-v2 on the 600 gold rows of `movie_snippets` and score the test split, for each
seed in turn. Plain is what a Trainer tutorial does: fp32, every text padded to the maximum length. Time
includes the evaluation and checkpoint of each epoch in both. On a machine that does other work too, compare
by CPU seconds. `--epochs 1` is quicker; accuracies then say little.

    python benchmarks/training.py --seeds 3
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it; see s3_hf.cli
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from s3_hf.config import TrainingConfig
from s3_hf.local.assets import MINILM_ID, minilm_dir
from s3_hf.scoring import score
from s3_hf.task import Task, load_task
from s3_hf.training import TrainingJob, fit, precision, predict


@dataclass(frozen=True)
class Timed:
    """What one training took, over all threads, and how good its student is on test."""

    seconds: float
    cpu: float
    accuracy: float


def timed(train: Callable[[], Callable[[], list[int]]], task: Task) -> Timed:
    """Train, then score what the student that came out predicts on test."""
    began, cpu = time.perf_counter(), time.process_time()
    predicted = train()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Timed(seconds, cpu, score(task.columns, predicted(), task.test["label"][:]).metrics["accuracy"])


def ours(task: Task, seed: int, settings: TrainingConfig, folder: Path) -> Callable[[], list[int]]:
    """Train as `s3-hf run` does."""
    job = TrainingJob(
        rows=task.mined,
        selection=task.selection,
        columns=task.columns,
        label_names=task.label_names,
        student=str(minilm_dir()),
        student_name=MINILM_ID,
        max_length=task.config.max_length,
        stride=task.config.stride,
        metric="accuracy",
        seed=seed,
        settings=settings,
    )
    fit(job, folder / "model", folder / "work")
    return lambda: [
        int(one.value) for one in predict(folder / "model", task.test, task.columns, settings, folder / "work")
    ]


def plain(task: Task, seed: int, settings: TrainingConfig, folder: Path) -> Callable[[], list[int]]:
    """Train with fp32 and padding to the maximum length."""
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(minilm_dir())
    model = AutoModelForSequenceClassification.from_pretrained(minilm_dir(), num_labels=2, dtype=torch.float32)

    def encoded(rows: Dataset) -> Dataset:
        texts = tokenizer(rows["text"][:], truncation=True, padding="max_length", max_length=task.config.max_length)
        return Dataset.from_dict({**texts, "labels": rows["label"][:]})

    arguments = TrainingArguments(
        output_dir=str(folder / "work"),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        save_only_model=True,
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
    )
    rows = encoded(task.mined)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return lambda: np.asarray(trainer.predict(encoded(task.test)).predictions).argmax(-1).tolist()


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=TrainingConfig().epochs)
    options = parser.parse_args()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    task, settings = load_task("movie_snippets"), TrainingConfig(epochs=options.epochs, min_steps=0)
    arms = {"plain (fp32, padded)": plain, f"s3-hf ({precision(settings)}, by length)": ours}
    found: dict[str, list[Timed]] = {name: [] for name in arms}
    for seed in range(options.seeds):
        for name, arm in arms.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(timed(partial(arm, task, seed, settings, Path(folder)), task))
    samples = len(task.mined) * settings.epochs
    print(f"{options.seeds} seeds, {torch.get_num_threads()} threads, {samples} samples a run\n")
    print("| recipe | samples/s | ratio | samples per CPU s | ratio | test accuracy, mean | per seed |")
    print("|---|---|---|---|---|---|---|")
    rates = {
        name: [samples * len(runs) / sum(getattr(run, clock) for run in runs) for clock in ("seconds", "cpu")]
        for name, runs in found.items()
    }
    base = next(iter(rates.values()))
    for name, runs in found.items():
        shown = " | ".join(f"{rate:.1f} | {rate / of:.2f}" for rate, of in zip(rates[name], base, strict=True))
        each = " ".join(f"{run.accuracy:.1%}" for run in runs)
        print(f"| {name} | {shown} | {statistics.mean(run.accuracy for run in runs):.1%} | {each} |")


if __name__ == "__main__":
    main()
