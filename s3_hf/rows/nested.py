"""Columns inside of others: `meta.label` is the cell `label` of the object in the column `meta`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SEPARATOR = "."


def lifted(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the row with a column for each dotted name that it lacks and that leads to a cell inside of it.

    On the way, a list of one item stands for the item.
    """
    missing = object()
    found = {name: _inside(row, name, missing) for name in names if SEPARATOR in name and name not in row}
    return {**row, **{name: value for name, value in found.items() if value is not missing}}


def last_part(name: str) -> str:
    """Return the column's own name, without those of the columns that it is inside of."""
    return name.rpartition(SEPARATOR)[2]


def feature_of(features: Mapping[str, Any] | None, name: str) -> Any:
    """Return the feature of a column, which may be inside of another one; None if there is none."""
    if features is None or name in features:
        return (features or {}).get(name)
    feature: Any = features
    for part in name.split(SEPARATOR):
        feature = getattr(feature, "feature", feature)  # of the items of a list
        feature = feature.get(part) if isinstance(feature, Mapping) else None
    return feature


def _inside(row: Mapping[str, Any], name: str, missing: object) -> Any:
    value: Any = row
    for part in name.split(SEPARATOR):
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, Mapping) or part not in value:
            return missing
        value = value[part]
    return value
