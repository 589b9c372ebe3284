"""The score by the classifier alone: one forward pass that records its inputs, then linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear as linear_map
from torch.nn.functional import one_hot, pad

from s3_hf.errors import StudentError
from s3_hf.influence.rows import AT_ONCE, TensorRows, finite

TOLERANCE = 1e-8
"""Residual, relative to the right-hand side, at which the solution of a linear system counts as exact."""


@dataclass(frozen=True)
class LastLayer:
    """Settings of `last_layer_influence`.

    Attributes:
        damping: added to the diagonal of the Hessian. Scores of less damping are nearer to those of leaving each row
            out, of more damping nearer to `full_influence`, which damps by 50; 0.1 ranks rows as both do
            (docs/experiments.md).
        penalty: factor of the sum of squares of the weights in every loss.
    """

    damping: float = 0.1
    penalty: float = 5e-3


def last_layer_influence(
    model: nn.Module,
    train: TensorRows,
    validation: TensorRows,
    settings: LastLayer = LastLayer(),
    at_once: int = AT_ONCE,
) -> Tensor:
    """Return the influence of each row of `train` on `validation` by the classifier's weights and bias alone.

    The result has shape (rows,) in float64. Dropout is off. The gradient of CE by the logits is `p - y`, that of RCE
    `p_label (p - y)`; the system of the exact, damped Hessian is solved by conjugate gradients. The arguments are
    those of `full_influence`.

    Raises:
        StudentError: the model does not end in a linear layer, or its outputs are not finite.
    """
    features, logits, weight = _last_layer(model, train, at_once)
    aims, aim_logits, _ = _last_layer(model, validation, at_once)
    probabilities, aim_probabilities = logits.softmax(-1), aim_logits.softmax(-1)
    errors = probabilities - one_hot(train.labels.cpu(), logits.shape[-1])
    truth = one_hot(validation.labels.cpu(), logits.shape[-1])
    forgiving = (aim_probabilities * truth).sum(-1, keepdim=True) * (aim_probabilities - truth)
    for_bias = (0, features.shape[1] - weight.shape[1])
    shrink = 2 * settings.penalty * pad(weight, for_bias)
    goal = forgiving.T @ aims / len(validation) + shrink
    damping = settings.damping + 2 * settings.penalty * pad(torch.ones_like(weight), for_bias)

    def hessian(at: Tensor) -> Tensor:
        change = features @ at.T
        weighed = probabilities * (change - (probabilities * change).sum(-1, keepdim=True))
        return weighed.T @ features / len(train) + damping * at

    direction = _solved(hessian, goal)
    return finite(-((features @ direction.T) * errors).sum(-1) - (shrink * direction).sum())


def _last_layer(model: nn.Module, rows: TensorRows, at_once: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs (with a column of ones for a bias) and outputs of the last linear layer, and its weights."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise _no_last_layer(model)
    layer, seen, logits = linear[-1], [], []
    was_training, device = model.training, layer.weight.device
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().cpu().double()))
    model.eval()
    try:
        with torch.no_grad():
            for batch in rows.batches(device, at_once):
                logits.append(model(**batch.inputs).logits.cpu().double())
    finally:
        hook.remove()
        model.train(was_training)
    features, outputs, weight = torch.cat(seen), torch.cat(logits), layer.weight.detach().cpu().double()
    expected = linear_map(features, weight, None if layer.bias is None else layer.bias.detach().cpu().double())
    if expected.shape != outputs.shape or not torch.allclose(expected, outputs, rtol=1e-3, atol=1e-3, equal_nan=True):
        raise _no_last_layer(model)
    return features if layer.bias is None else pad(features, (0, 1), value=1.0), outputs, weight


def _solved(matrix: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """Return the x of `matrix(x) = right` by conjugate gradients, for a symmetric positive definite matrix."""
    x = torch.zeros_like(right)
    residual, direction = right.clone(), right.clone()
    size, enough = residual.square().sum(), (TOLERANCE**2) * right.square().sum()
    for _ in range(10 * right.numel()):
        if not size > enough:  # also true for "not a number", which the caller detects
            return x
        curved = matrix(direction)
        step = size / (direction * curved).sum()
        x, residual = x + step * direction, residual - step * curved
        last, size = size, residual.square().sum()
        direction = residual + (size / last) * direction
    raise StudentError("the last layer's damped Hessian must be solvable, found no convergence; raise the damping")


def _no_last_layer(model: nn.Module) -> StudentError:
    name = type(model).__name__
    return StudentError(f"the student must end in a linear layer that gives its logits, found {name!r}; use another")
