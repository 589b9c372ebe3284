"""Temperature scaling (Guo et al., 2017), folded into the weights, so that every consumer gets calibrated scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from transformers import PreTrainedModel

from s3_hf.training.loading import load_student

LOWEST, HIGHEST = 0.1, 10.0
"""Bounds of a temperature."""
LEAST = 1e-12
"""Least probability, so that its logarithm is finite."""


def temperature_of(probabilities: NDArray[np.float64], references: Sequence[int]) -> float:
    """Return the temperature at which rows that the student did not learn are most likely.

    Args:
        probabilities: rows x labels, of an uncalibrated student.
        references: label ids.
    """
    places = np.arange(len(references))

    def loss(log_temperature: float) -> float:
        right = scaled(probabilities, np.exp(log_temperature))[places, list(references)]
        return -float(np.log(right + LEAST).mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return round(float(np.exp(found.x)), 4)


def scaled(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities, rows x labels, once the logits behind them are divided by the temperature."""
    found: NDArray[np.float64] = softmax(np.log(np.maximum(probabilities, LEAST)) / temperature, axis=1)
    return found


def calibrate(folder: Path, temperature: float) -> None:
    """Divide the weights of the last linear layer of a classifier in `folder` by the temperature.

    Raises:
        StudentError: the student cannot be loaded.
    """
    model, _ = load_student(str(folder))
    layer = _last_layer(model)
    with torch.no_grad():
        layer.weight.div_(temperature)
        if layer.bias is not None:
            layer.bias.div_(temperature)
    model.save_pretrained(folder)


def _last_layer(model: PreTrainedModel) -> torch.nn.Linear:
    """Return the linear layer that computes the logits: the last one with an output for each label."""
    layers = [part for part in model.modules() if isinstance(part, torch.nn.Linear)]
    return [layer for layer in layers if layer.out_features == model.config.num_labels][-1]
