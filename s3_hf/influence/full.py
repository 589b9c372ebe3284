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
from s3_hf.influence.rows import AT_ONCE, Encoded, finite, reverse_cross_entropy

Parameters = dict[str, Tensor]
RowLosses = Callable[[Parameters, Encoded, Callable[[Tensor, Tensor], Tensor]], Tensor]


@dataclass(frozen=True)
class Recursion:
    """Settings of `full_influence`; the defaults are those of ProGen's code.

    The recursion `h <- v + (1 - damping) h - (H h) / scale`, run for `batches` random batches of
    `batch_size` rows and divided by `scale`, nears `(H + damping * scale)^-1 v`: the defaults damp by 50. `batch_size`
    None is a thousandth of the rows, from 1 to 128. `dropout` keeps dropout on, as ProGen's code does.
    """

    damping: float = 5e-3
    scale: float = 1e4
    batches: int = 1_000
    batch_size: int | None = None
    penalty: float = 5e-3
    dropout: bool = True
    seed: int = 0


def full_influence(
    model: nn.Module, train: Encoded, validation: Encoded, how: Recursion = Recursion(), at_once: int = AT_ONCE
) -> Tensor:
    """Return the influence of each row of `train` on `validation`, by all parameters of the model.

    As ProGen's code computes it, but for four things: any number of classes; a layer norm is one by its type,
    not by the name `LayerNorm`, which DistilBERT's do not have; each validation row weighs the same, also those
    of a smaller last batch; and fewer rows than the recursion takes are passed over again, not once.

    Args:
        model: a trained classifier that returns `logits`; its mode and gradients are left as they were.
        train: rows to score.
        validation: rows that they should help with.
        how: settings of the recursion.
        at_once: rows on the device at once, outside of the recursion.

    Raises:
        StudentError: the recursion diverged, or the model's outputs are not finite.
    """
    parameters = {name: part.detach() for name, part in model.named_parameters() if part.requires_grad}
    device = next(iter(parameters.values())).device
    losses = _row_losses(model, how.penalty)
    with _prepared(model, how):
        goal = {name: torch.zeros_like(part) for name, part in parameters.items()}
        for batch in validation.in_order(device, at_once):
            share = grad(lambda at, rows=batch: losses(at, rows, reverse_cross_entropy).sum())(parameters)
            goal = {name: part + share[name] / len(validation) for name, part in goal.items()}
        direction = _inverse_hessian_times(goal, parameters, losses, train, how)
        slopes = [_slopes(parameters, direction, losses, batch) for batch in train.in_order(device, at_once)]
    return finite(-torch.cat(slopes).cpu().double())


def _row_losses(model: nn.Module, penalty: float) -> RowLosses:
    """The loss of each row, penalty included, as a function of the parameters."""
    norms = {
        id(part) for module in model.modules() if isinstance(module, nn.LayerNorm) for part in module.parameters()
    }
    shrunk = [name for name, part in model.named_parameters() if "bias" not in name and id(part) not in norms]

    def losses(at: Parameters, rows: Encoded, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        logits = functional_call(model, at, kwargs=dict(rows.inputs)).logits
        squares = [at[name].square().sum() for name in shrunk if name in at]
        return loss(logits, rows.labels) + penalty * torch.stack(squares).sum()

    return losses


def _inverse_hessian_times(
    goal: Parameters, parameters: Parameters, losses: RowLosses, train: Encoded, how: Recursion
) -> Parameters:
    size = how.batch_size or max(1, min(128, len(train) // 1_000))
    device = next(iter(parameters.values())).device
    first, estimate = _norm(goal), goal

    def slope(at: Parameters, rows: Encoded, along: Parameters) -> Tensor:
        return _dot(grad(lambda inner: losses(inner, rows, _cross_entropy).mean())(at), along)

    for step, batch in enumerate(islice(train.shuffled(size, device, how.seed), how.batches), 1):
        curved = grad(slope)(parameters, batch, estimate)
        estimate = {
            name: (goal[name] + (1 - how.damping) * part - curved[name] / how.scale).detach()
            for name, part in estimate.items()
        }
        # each step adds at most the norm of `goal` unless it stretches the estimate, which is what divergence is
        if not _norm(estimate) <= 2 * (step + 1) * first:
            raise StudentError(
                f"the influence recursion must converge, found that it diverged after {step} of {how.batches} batches "
                f"at scale={how.scale!r}, damping={how.damping!r}; raise the scale or the damping"
            )
    return {name: part / how.scale for name, part in estimate.items()}


def _slopes(parameters: Parameters, direction: Parameters, losses: RowLosses, rows: Encoded) -> Tensor:
    """The product of each row's gradient with `direction`: the gradient of their weighted sum by the weights."""

    def slope_of_sum(weights: Tensor) -> Tensor:
        return _dot(grad(lambda at: weights @ losses(at, rows, _cross_entropy))(parameters), direction)

    weights = torch.ones(len(rows), device=rows.labels.device)
    slopes: Tensor = grad(slope_of_sum)(weights)
    return slopes.detach()


@contextmanager
def _prepared(model: nn.Module, how: Recursion) -> Iterator[None]:
    """The model's mode set and the random source seeded while this is open."""
    was_training = model.training
    model.train(how.dropout)
    try:
        # the other attention kernels have no second derivative
        with torch.random.fork_rng(), sdpa_kernel(SDPBackend.MATH):
            torch.manual_seed(how.seed)
            yield
    finally:
        model.train(was_training)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="none")


def _dot(one: Parameters, other: Parameters) -> Tensor:
    return torch.stack([(part * other[name]).sum() for name, part in one.items()]).sum()


def _norm(parts: Parameters) -> float:
    return math.sqrt(float(_dot(parts, parts)))
