"""Whether influence scores tell the truth: against retraining without each row, and one form against the other.

First a convex toy problem (logistic regression with noisy labels, trained to its optimum), where leaving a
row out and training again is the truth. Then all-MiniLM-L6-v2, fine-tuned on gold rows of `movie_snippets`
of which a tenth got a wrong label: the last-layer scores against the full ones, and where the wrong labels
stand in each ranking.

    python benchmarks/influence.py
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line sets it; see s3_hf.cli
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from s3_hf.influence import (
    LastLayer,
    Recursion,
    TensorRows,
    full_influence,
    last_layer_influence,
    reverse_cross_entropy,
)

PENALTY = 5e-3
CONVERGED = Recursion(damping=0, scale=4, batches=3_000, batch_size=1_000, dropout=False)
"""Settings with which the recursion reaches the toy problem's inverse Hessian: whole batches, no damping."""


class Logistic(nn.Module):
    """A linear classifier that answers like a model of transformers."""

    def __init__(self, inputs: int, labels: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(inputs, labels)

    def forward(self, points: Tensor) -> SimpleNamespace:
        """Return the logits of each point."""
        return SimpleNamespace(logits=self.classifier(points))


def toy(labels: int, seed: int = 0) -> tuple[TensorRows, TensorRows]:
    """Return 90 training and 60 validation points of `labels` overlapping clouds; some labels are wrong."""
    source = torch.Generator().manual_seed(seed)
    middles = torch.randn(labels, 6, generator=source)

    def points(n: int) -> TensorRows:
        truth = torch.arange(n) % labels
        places = middles[truth] + 1.5 * torch.randn(n, 6, generator=source)
        noisy = torch.rand(n, generator=source) < 0.15
        said = torch.where(noisy, (truth + 1) % labels, truth)
        return TensorRows({"points": places}, said)

    return points(90), points(60)


def fitted(train: TensorRows, labels: int, without: int | None = None) -> Logistic:
    """Return the model at the optimum of the mean over all rows of CE plus penalty; row `without` adds nothing."""
    torch.manual_seed(0)
    model = Logistic(train.inputs["points"].shape[1], labels).double()
    points = train.inputs["points"].double()
    counts = torch.ones(len(train), dtype=torch.float64)
    if without is not None:
        counts[without] = 0
    solver = torch.optim.LBFGS(
        model.parameters(), max_iter=500, tolerance_grad=1e-10, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        rows = cross_entropy(model(points).logits, train.labels, reduction="none") + penalty(model)
        value = (counts * rows).sum() / len(train)
        value.backward()
        return value

    solver.step(loss)
    return model


def penalty(model: Logistic) -> Tensor:
    """Return what every loss of a score holds besides its cross-entropy."""
    return PENALTY * model.classifier.weight.square().sum()


def leave_one_out(train: TensorRows, validation: TensorRows, labels: int) -> tuple[Logistic, list[float]]:
    """Return the model of all rows, and for each row how much lower validation RCE would be for having it.

    In the units of an influence: the fall, times the number of rows, with the sign of a rise.
    """
    model = fitted(train, labels)

    @torch.no_grad()
    def goal(one: Logistic) -> float:
        logits = one(validation.inputs["points"].double()).logits
        return float(reverse_cross_entropy(logits, validation.labels).mean() + penalty(one))

    base = goal(model)
    changes = [len(train) * (base - goal(fitted(train, labels, without=row))) for row in range(len(train))]
    return model.float(), changes


def compared(one: Any, other: Any) -> str:
    """Two cells of a table: Pearson's and Spearman's correlation."""
    return f"{pearsonr(one, other).statistic:.3f} | {spearmanr(one, other).statistic:.3f}"


def toy_table() -> None:
    """Print how every form fares against leaving each row out."""
    print("| scores against leave-one-out retraining | classes | Pearson | Spearman |\n|---|---|---|---|")
    forms: dict[str, Callable[[Logistic, TensorRows, TensorRows], Tensor]] = {
        "full, recursion run to its end without damping": lambda *of: full_influence(*of, CONVERGED),
        "full, ProGen's settings (damping 50)": lambda *of: full_influence(*of),
    }
    for damping in (1e-6, 1e-2, 1e-1, 1.0, 50.0):
        forms[f"last layer, damping {damping:g}"] = lambda *of, damping=damping: last_layer_influence(
            *of, LastLayer(damping=damping)
        )
    for labels in (2, 3):
        train, validation = toy(labels)
        model, truth = leave_one_out(train, validation, labels)
        for name, form in forms.items():
            print(f"| {name} | {labels} | {compared(form(model, train, validation), truth)} |")


def student(rows: int) -> tuple[nn.Module, TensorRows, TensorRows, Tensor]:
    """Return MiniLM fine-tuned on `rows` rows of which a tenth is wrong, its data, and which rows are wrong."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    from s3_hf.config import TrainingConfig
    from s3_hf.local.assets import minilm_dir
    from s3_hf.task import load_task

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    task = load_task("movie_snippets")
    settings = TrainingConfig()
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(minilm_dir(), num_labels=2, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(minilm_dir())
    wrong = torch.rand(rows) < 0.1

    def encoded(split: Any, n: int, flipped: Tensor | None = None) -> TensorRows:
        texts, labels = split["text"][:n], torch.tensor(split["label"][:n])
        inputs = tokenizer(texts, truncation=True, max_length=64, padding=True, return_tensors="pt")
        return TensorRows(dict(inputs), labels if flipped is None else torch.where(flipped, 1 - labels, labels))

    train, validation = encoded(task.mined, rows, wrong), encoded(task.test, rows // 2)
    groups = [
        {"params": model.base_model.parameters(), "lr": settings.learning_rate},
        {"params": model.classifier.parameters(), "lr": settings.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    model.train()
    batches = train.random_batches(settings.batch_size, torch.device("cpu"), 0)
    for _ in range(settings.epochs * -(-rows // settings.batch_size)):
        batch = next(batches)
        loss = cross_entropy(model(**batch.inputs).logits, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), train, validation, wrong


def student_table(rows: int, batches: int) -> None:
    """Print how the last-layer scores of a real student go with its full ones.

    The recursion damps by 50 and ends within 1 % of its limit, as with ProGen's settings, but in `batches` batches.
    """
    model, train, validation, wrong = student(rows)
    found: dict[str, tuple[Tensor, float]] = {}
    same = Recursion(damping=5 / batches, scale=10 * batches, batches=batches, batch_size=8)
    forms: dict[str, Callable[[], Tensor]] = {
        "full": lambda: full_influence(model, train, validation, same),
        "full, dropout off": lambda: full_influence(model, train, validation, replace(same, dropout=False)),
    }
    for damping in (1e-3, 1e-2, 1e-1, 1.0, 10.0, 50.0):
        forms[f"last layer, damping {damping:g}"] = lambda damping=damping: last_layer_influence(
            model, train, validation, LastLayer(damping=damping)
        )
    for name, form in forms.items():
        began = time.perf_counter()
        found[name] = form(), time.perf_counter() - began
    reference, quiet = (scores for scores, _ in list(found.values())[:2])
    print("\n| scores of MiniLM | Spearman with full | with full, dropout off | wrong labels in the best half | s |")
    print("|---|---|---|---|---|")
    for name, (scores, seconds) in found.items():
        best = scores.argsort()[: rows // 2]
        share = float(wrong[best].sum() / wrong.sum())
        against = [spearmanr(scores, other).statistic for other in (reference, quiet)]
        print(f"| {name} | {against[0]:.3f} | {against[1]:.3f} | {share:.1%} | {seconds:.1f} |")


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--batches", type=int, default=100)
    given = parser.parse_args()
    toy_table()
    student_table(given.rows, given.batches)


if __name__ == "__main__":
    main()
