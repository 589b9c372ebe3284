"""How fast the student learns: the product's training against the plain recipe, in one run.

Both fine-tune all-MiniLM-L6-v2 on the 600 gold rows of `movie_snippets` and score the test split, for each
seed in turn. Plain is what a Trainer tutorial does: fp32, every text padded to the maximum length. Time
includes the evaluation and checkpoint of each epoch in both.

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


def ours(task: Task, seed: int, folder: Path) -> tuple[float, float]:
    """Seconds of `fit`, and accuracy on test."""
    settings = TrainingConfig()
    job = TrainingJob(
        rows=task.gold,
        gold=task.gold,
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
    began = time.perf_counter()
    fit(job, folder / "model", folder / "work")
    seconds = time.perf_counter() - began
    said = predict(folder / "model", task.test, task.columns, settings, folder / "work")
    return seconds, score(task.columns, [one.value for one in said], task.test["label"][:]).metrics["accuracy"]


def plain(task: Task, seed: int, folder: Path) -> tuple[float, float]:
    """The same with fp32 and padding to the maximum length."""
    began = time.perf_counter()
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(minilm_dir())
    model = AutoModelForSequenceClassification.from_pretrained(minilm_dir(), num_labels=2, dtype=torch.float32)

    def encoded(rows: Dataset) -> Dataset:
        texts = tokenizer(rows["text"][:], truncation=True, padding="max_length", max_length=task.config.max_length)
        return Dataset.from_dict({**texts, "labels": rows["label"][:]})

    settings = TrainingConfig()
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
    rows = encoded(task.gold)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    seconds = time.perf_counter() - began
    logits = trainer.predict(encoded(task.test)).predictions
    return seconds, score(task.columns, np.asarray(logits).argmax(-1).tolist(), task.test["label"][:]).metrics[
        "accuracy"
    ]


def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    task = load_task("movie_snippets")
    samples = len(task.gold) * TrainingConfig().epochs
    arms = {"plain (fp32, padded)": plain, f"s3-hf ({precision(TrainingConfig())}, by length)": ours}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in arms}
    for seed in range(seeds):
        for name, arm in arms.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(arm(task, seed, Path(folder)))
    print(f"{seeds} seeds, {torch.get_num_threads()} threads, {samples} samples a run\n")
    print("| recipe | samples/s | ratio | test accuracy, mean | per seed |\n|---|---|---|---|---|")
    rates = {name: samples * seeds / sum(seconds for seconds, _ in runs) for name, runs in found.items()}
    base = next(iter(rates.values()))
    for name, runs in found.items():
        accuracies = [accuracy for _, accuracy in runs]
        each = " ".join(f"{accuracy:.1%}" for accuracy in accuracies)
        print(
            f"| {name} | {rates[name]:.1f} | {rates[name] / base:.2f} | {statistics.mean(accuracies):.1%} | {each} |"
        )


if __name__ == "__main__":
    main()
