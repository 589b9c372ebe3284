"""ProGen's score of synthetic rows: how much each one helps the student (Ye et al., Findings of EMNLP 2022).

A row's influence is how fast the student's mean reverse cross-entropy on a synthetic validation set would
rise if the row counted for more in training: `-<grad CE(row), H^-1 grad RCE(validation)>`, so that **negative
is helpful**. Reverse cross-entropy forgives wrong labels, which synthetic validation rows have.

`full_influence` takes all parameters and approximates H^-1 by the recursion of ProGen's code.
`last_layer_influence` takes the classifier alone, whose Hessian is known exactly, and needs one forward pass.
In both every loss holds `penalty` times the sum of squares of the weights, biases and layer norms left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy, one_hot, pad
from torch.nn.functional import linear as linear_map

from s3_hf.errors import StudentError

POOL = 50
"""Rows of each class that may be shown as in-context examples."""
LARGEST = 10_000
"""Rows that are scored; of more, a random subset of so many."""
ROWS_AT_ONCE = 64
"""Rows in a pass that needs no batches of its own: bounds the memory."""
TOLERANCE = 1e-8
"""Residual, as a share of the right-hand side, at which the solution of a linear system counts as exact."""

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Encoded:
    """Rows as the student reads them: the model's arguments by name and the label ids, a row in each first place."""

    inputs: Mapping[str, Tensor]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, places: Tensor, device: torch.device) -> Encoded:
        """Return some rows on `device`, without the columns that are padding in all of them."""
        inputs = {name: column[places] for name, column in self.inputs.items()}
        mask = inputs.get("attention_mask")
        if mask is not None:
            longest = int(mask.any(dim=0).nonzero().max()) + 1
            inputs = {name: column[:, :longest] for name, column in inputs.items()}
        moved = {name: column.to(device) for name, column in inputs.items()}
        return Encoded(moved, self.labels[places].to(device))

    def in_order(self, device: torch.device) -> Iterator[Encoded]:
        """Yield all rows, a bounded number at once."""
        for start in range(0, len(self), ROWS_AT_ONCE):
            yield self.at(torch.arange(start, min(start + ROWS_AT_ONCE, len(self))), device)

    def shuffled(self, size: int, device: torch.device, seed: int) -> Iterator[Encoded]:
        """Yield random batches without end, each pass over the rows in another order."""
        source = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(self), generator=source)
            for start in range(0, len(self), size):
                yield self.at(order[start : start + size], device)


@dataclass(frozen=True)
class Recursion:
    """Settings of `full_influence`; the defaults are those of ProGen's code.

    The recursion `h <- v + (1 - damping) h - (H h) / scale`, run for `batches` random batches of
    `batch_size` rows, ends near `scale (H + damping * scale)^-1 v`: the defaults damp by 50. `batch_size`
    None is a thousandth of the rows, from 1 to 128. `dropout` keeps dropout on, as ProGen's code does.
    """

    damping: float = 5e-3
    scale: float = 1e4
    batches: int = 1_000
    batch_size: int | None = None
    penalty: float = 5e-3
    dropout: bool = True
    seed: int = 0


@dataclass(frozen=True)
class LastLayer:
    """Settings of `last_layer_influence`: `damping` is added to the diagonal of the Hessian."""

    damping: float = 1e-2
    penalty: float = 5e-3


def reverse_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each row `-sum_k p_k log t_k`, p the softmax of its logits and t that of its one-hot label.

    With K classes `log t` is `1 - c` for the label and `-c` for the others, `c = log(e + K - 1)`, so the sum is
    `c - p_label`; ProGen's code is the case K = 2.
    """
    chances = logits.softmax(dim=-1).gather(-1, labels[:, None]).squeeze(-1)
    return math.log(math.e + logits.shape[-1] - 1) - chances


def full_influence(model: nn.Module, train: Encoded, validation: Encoded, how: Recursion = Recursion()) -> Tensor:
    """Return the influence of each row of `train` on `validation`, by all parameters of the model.

    As ProGen's code computes it, but for four things: any number of classes; a layer norm is one by its type,
    not by the name `LayerNorm`, which DistilBERT's do not have; each validation row weighs the same, also those
    of a smaller last batch; and fewer rows than the recursion takes are passed over again, not once.

    Args:
        model: a trained classifier that returns `logits`; its mode and gradients are left as they were.
        train: rows to score.
        validation: rows that they should help with.
        how: settings of the recursion.

    Raises:
        StudentError: the recursion diverged, or the model's outputs are not finite.
    """
    parameters = {name: part.detach() for name, part in model.named_parameters() if part.requires_grad}
    device = next(iter(parameters.values())).device
    losses = _row_losses(model, how.penalty)
    with _prepared(model, how):
        goal = {name: torch.zeros_like(part) for name, part in parameters.items()}
        for batch in validation.in_order(device):
            share = grad(lambda at, rows=batch: losses(at, rows, reverse_cross_entropy).sum())(parameters)
            goal = {name: part + share[name] / len(validation) for name, part in goal.items()}
        direction = _inverse_hessian_times(goal, parameters, losses, train, how)
        slopes = [_slopes(parameters, direction, losses, batch) for batch in train.in_order(device)]
    return _finite(-torch.cat(slopes).cpu().double())


def last_layer_influence(
    model: nn.Module, train: Encoded, validation: Encoded, how: LastLayer = LastLayer()
) -> Tensor:
    """Return the influence of each row of `train` on `validation`, by the classifier's weights and bias alone.

    Dropout is off. The gradient of CE by the logits is `p - y` and that of RCE `p_label (p - y)`; the exact
    Hessian, damped, is solved by conjugate gradients in float64.

    Raises:
        StudentError: the model does not end in a linear layer, or its outputs are not finite.
    """
    features, logits, weight = _last_layer(model, train)
    aims, aim_logits, _ = _last_layer(model, validation)
    chances, aim_chances = logits.softmax(-1), aim_logits.softmax(-1)
    errors = chances - one_hot(train.labels.cpu(), logits.shape[-1])
    truth = one_hot(validation.labels.cpu(), logits.shape[-1])
    forgiving = (aim_chances * truth).sum(-1, keepdim=True) * (aim_chances - truth)
    for_bias = (0, features.shape[1] - weight.shape[1])
    shrink = 2 * how.penalty * pad(weight, for_bias)
    goal = forgiving.T @ aims / len(validation) + shrink
    damping = how.damping + 2 * how.penalty * pad(torch.ones_like(weight), for_bias)

    def hessian(at: Tensor) -> Tensor:
        change = features @ at.T
        weighed = chances * (change - (chances * change).sum(-1, keepdim=True))
        return weighed.T @ features / len(train) + damping * at

    direction = _solved(hessian, goal)
    return _finite(-((features @ direction.T) * errors).sum(-1) - (shrink * direction).sum())


def scored_rows(rows: int, largest: int = LARGEST, seed: int = 0) -> list[int]:
    """Return the places of the rows to score, ascending: all, or a seeded random subset of `largest`."""
    if rows <= largest:
        return list(range(rows))
    chosen = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))[:largest]
    return [int(place) for place in chosen.sort().values]


def helpful_rows(
    scores: Sequence[float], labels: Sequence[int], ids: Sequence[str], pool: int = POOL
) -> dict[int, tuple[str, ...]]:
    """Return for each label the ids of its `pool` rows of lowest influence, if below 0, the most helpful first.

    A label with no helpful row has an empty tuple; rows of one score are in the order of their ids.
    """
    found: dict[int, list[tuple[float, str]]] = {label: [] for label in sorted(set(labels))}
    for score, label, name in zip(scores, labels, ids, strict=True):
        if score < 0:
            found[label].append((float(score), name))
    return {label: tuple(name for _, name in sorted(rows)[:pool]) for label, rows in found.items()}


RowLosses = Callable[[Parameters, Encoded, Callable[[Tensor, Tensor], Tensor]], Tensor]


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
        if not _norm(estimate) <= 1.01 * (step + 1) * first:
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


def _last_layer(model: nn.Module, rows: Encoded) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs (a 1 added for a bias) and outputs of the last linear layer, and its weights."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise _no_last_layer(model)
    layer, seen, logits = linear[-1], [], []
    was_training, device = model.training, layer.weight.device
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().cpu().double()))
    model.eval()
    try:
        with torch.no_grad():
            for batch in rows.in_order(device):
                logits.append(model(**batch.inputs).logits.cpu().double())
    finally:
        hook.remove()
        model.train(was_training)
    features, outputs, weight = torch.cat(seen), torch.cat(logits), layer.weight.detach().cpu().double()
    made = linear_map(features, weight, None if layer.bias is None else layer.bias.detach().cpu().double())
    if made.shape != outputs.shape or not torch.allclose(made, outputs, rtol=1e-3, atol=1e-3, equal_nan=True):
        raise _no_last_layer(model)
    return features if layer.bias is None else pad(features, (0, 1), value=1.0), outputs, weight


def _solved(matrix: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """The x of `matrix(x) = right` by conjugate gradients; the matrix is symmetric and positive definite."""
    x = torch.zeros_like(right)
    residual, direction = right.clone(), right.clone()
    size, enough = residual.square().sum(), (TOLERANCE**2) * right.square().sum()
    for _ in range(10 * right.numel()):
        if not size > enough:  # not a number ends it too, and is told from a solution by its caller
            return x
        curved = matrix(direction)
        step = size / (direction * curved).sum()
        x, residual = x + step * direction, residual - step * curved
        last, size = size, residual.square().sum()
        direction = residual + (size / last) * direction
    raise StudentError("the last layer's damped Hessian must be solvable, found no convergence; raise the damping")


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="none")


def _dot(one: Parameters, other: Parameters) -> Tensor:
    return torch.stack([(part * other[name]).sum() for name, part in one.items()]).sum()


def _norm(parts: Parameters) -> float:
    return math.sqrt(float(_dot(parts, parts)))


def _finite(scores: Tensor) -> Tensor:
    if not bool(scores.isfinite().all()):
        raise StudentError("influence scores must be finite, found some that are not; use a lower learning rate")
    return scores


def _no_last_layer(model: nn.Module) -> StudentError:
    name = type(model).__name__
    return StudentError(f"the student must end in a linear layer that gives its logits, found {name!r}; use another")
