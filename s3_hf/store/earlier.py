"""Scores and predictions as versions before 0.1.0 wrote them: `validation` was the name of two roles.

Without `holdout` these were the same rows. With it, `validation` in `metrics.json` names the selection rows and in
`predictions.parquet` the mined ones, whose scores were not written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from s3_hf.store.facts import MINED, SELECTION, TEST

if TYPE_CHECKING:
    from datasets import Dataset

_ROLES = {"validation": MINED, "selection": SELECTION, "test": TEST}
"""Values of the column `split`, which is now called `role`."""


def current_scoring(values: Mapping[str, Any], *, holdout: bool) -> dict[str, Any]:
    """Return the content of a `metrics.json` of these versions in today's form."""
    parts = {
        name: {"metrics": {metric: value for metric, value in values[name].items() if metric != "n"},
               "n": values[name]["n"]}
        for name in ("validation", "test")
    }  # fmt: skip
    role = SELECTION if holdout else MINED
    return {"scores": {role: parts["validation"], TEST: parts["test"]}, "mistakes": values["mistakes"]}


def roles_of(predictions: Dataset) -> list[str]:
    """Return the role of each row of predictions, as these versions or today's wrote them."""
    if "role" in predictions.column_names:
        return list(predictions["role"])
    return [_ROLES.get(split, split) for split in predictions["split"]]
