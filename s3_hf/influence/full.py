"""The score by all parameters: ProGen's recursion for the inverse Hessian, and its gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from s3_hf.errors import StudentError
from s3_hf.influence.rows import AT_ONCE, TensorRows, finite, reverse_cross_entropy

Parameters = dict[str, Tensor]
RowLosses = Callable[[Parameters, TensorRows, Callable[[Tensor, Tensor], Tensor]], Tensor]


@dataclass(frozen=True)
class Recursion:
    """Settings of `full_influence`; the defaults are those of ProGen's code.

    The recursion `h <- v + (1 - damping) h - (H h) / scale`, divided by `scale`, approaches
    `(H + damping * scale)^-1 v`; the defaults damp by 50.

    Attributes:
        damping: see above.
        scale: see above; a larger scale converges more surely and more slowly.
        batches: steps of the recursion, each on one random batch.
        batch_size: rows of a batch; None takes a thousandth of the rows, from 1 to 128.
        penalty: factor of the sum of squares of the weights in every loss.
        dropout: keep dropout on, as ProGen's code does.
        seed: seed of batches and dropout.
    """

    damping: float = 5e-3
    scale: float = 1e4
    batches: int = 1_000
    batch_size: int | None = None
    penalty: float = 5e-3
    dropout: bool = True
    seed: int = 0


def full_influence(
    model: nn.Module,
    train: TensorRows,
    validation: TensorRows,
    settings: Recursion = Recursion(),
    at_once: int = AT_ONCE,
) -> Tensor:
    """Return the influence of each row of `train` on `validation` by all parameters, of shape (rows,) in float64.

    It differs from ProGen's code in four points: any number of classes; layer norms are recognised by their type,
    not by the name `LayerNorm`, which DistilBERT's do not have; all validation rows have the same weight, those of a
    smaller last batch too; and the recursion passes over few rows again instead of ending.

    Args:
        model: a trained classifier that returns `logits`; its mode and gradients are not changed.
        train: rows to score.
        validation: rows whose loss the score is about.
        settings: settings of the recursion.
        at_once: rows on the device at once, outside of the recursion.

    Raises:
        StudentError: the recursion diverges, or the model's outputs are not finite.
    """
    parameters = {name: part.detach() for name, part in model.named_parameters() if part.requires_grad}
    device = next(iter(parameters.values())).device
    losses = _row_losses(model, settings.penalty)
    with _prepared(model, settings):
        goal = {name: torch.zeros_like(part) for name, part in parameters.items()}
        for batch in validation.batches(device, at_once):
            share = grad(lambda at, rows=batch: losses(at, rows, reverse_cross_entropy).sum())(parameters)
            goal = {name: part + share[name] / len(validation) for name, part in goal.items()}
        direction = _inverse_hessian_times(goal, parameters, losses, train, settings)
        slopes = [_slopes(parameters, direction, losses, batch) for batch in train.batches(device, at_once)]
    return finite(-torch.cat(slopes).cpu().double())


def _row_losses(model: nn.Module, penalty: float) -> RowLosses:
    """Return a function of the parameters and rows with the loss of each row, penalty included."""
    norms = {
        id(part) for module in model.modules() if isinstance(module, nn.LayerNorm) for part in module.parameters()
    }
    shrunk = [name for name, part in model.named_parameters() if "bias" not in name and id(part) not in norms]

    def losses(at: Parameters, rows: TensorRows, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        logits = functional_call(model, at, kwargs=dict(rows.inputs)).logits
        squares = [at[name].square().sum() for name in shrunk if name in at]
        return loss(logits, rows.labels) + penalty * torch.stack(squares).sum()

    return losses


def _inverse_hessian_times(
    goal: Parameters, parameters: Parameters, losses: RowLosses, train: TensorRows, settings: Recursion
) -> Parameters:
    size = settings.batch_size or max(1, min(128, len(train) // 1_000))
    device = next(iter(parameters.values())).device
    first, estimate = _norm(goal), goal

    def slope(at: Parameters, rows: TensorRows, along: Parameters) -> Tensor:
        return _dot(grad(lambda inner: losses(inner, rows, _cross_entropy).mean())(at), along)

    for step, batch in enumerate(islice(train.random_batches(size, device, settings.seed), settings.batches), 1):
        curved = grad(slope)(parameters, batch, estimate)
        estimate = {
            name: (goal[name] + (1 - settings.damping) * part - curved[name] / settings.scale).detach()
            for name, part in estimate.items()
        }
        # a step adds at most the norm of `goal` unless it stretches the estimate: then the recursion diverges
        if not _norm(estimate) <= 2 * (step + 1) * first:
            raise StudentError(
                f"the influence recursion must converge, found that it diverged after {step} of {settings.batches} "
                f"batches at scale={settings.scale!r}, damping={settings.damping!r}; raise the scale or the damping"
            )
    return {name: part / settings.scale for name, part in estimate.items()}


def _slopes(parameters: Parameters, direction: Parameters, losses: RowLosses, rows: TensorRows) -> Tensor:
    """Return the product of each row's gradient with `direction`, as the gradient of a weighted sum by its weights."""

    def slope_of_sum(weights: Tensor) -> Tensor:
        return _dot(grad(lambda at: weights @ losses(at, rows, _cross_entropy))(parameters), direction)

    weights = torch.ones(len(rows), device=rows.labels.device)
    slopes: Tensor = grad(slope_of_sum)(weights)
    return slopes.detach()


@contextmanager
def _prepared(model: nn.Module, settings: Recursion) -> Iterator[None]:
    """Set the model's mode and seed the random source, and restore both on exit."""
    was_training = model.training
    model.train(settings.dropout)
    try:
        # the other attention kernels have no second derivative
        with torch.random.fork_rng(), sdpa_kernel(SDPBackend.MATH):
            torch.manual_seed(settings.seed)
            yield
    finally:
        model.train(was_training)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="none")


def _dot(one: Parameters, other: Parameters) -> Tensor:
    return torch.stack([(part * other[name]).sum() for name, part in one.items()]).sum()


def _norm(parts: Parameters) -> float:
    return math.sqrt(float(_dot(parts, parts)))
