"""A first pass over the rows of a split, which may have faults."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import datasets

from s3_hf.errors import ConfigError, did_you_mean
from s3_hf.records import Columns
from s3_hf.rows.nested import lifted
from s3_hf.rows.reading import shorten
from s3_hf.rows.sources import open_split
from s3_hf.task import checking
from s3_hf.task.labels import as_integer, class_names, is_number, label_name, single


@dataclass(slots=True)
class Scan:
    """The facts that a first pass gathers about a split, whose rows may have faults.

    Attributes:
        names: label names that the data declares.
        labels: sort key and name of each label.
        ids: distinct texts in a column `id`.
        hidden: whether all labels or answers are hidden.
        unanswered: number of rows with an empty list of answers.
        placed: whether each answer has a start.
        titled: whether each row has a text in a column `title`.
        named: other columns in which all rows of a label have one text, with this text by label.
    """

    name: str
    columns: Columns
    features: datasets.Features | None
    names: list[str] | None
    rows: int = 0
    labels: set[tuple[float, str]] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    hidden: bool = True
    unanswered: int = 0
    placed: bool = True
    titled: bool = True
    named: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row into account."""
        self.rows += 1
        self.titled = self.titled and isinstance(row.get("title"), str)
        if isinstance(row.get("id"), str):
            self.ids.add(row["id"])
        if self.columns.answers:
            answers = checking.answer_pairs(row.get(self.columns.answers))
            self.hidden = self.hidden and answers == []
            self.unanswered += answers == []
            self.placed = self.placed and all(start is not None for _, start in answers or ())
            return
        value = single(row.get(self.columns.label or ""))
        self.hidden = self.hidden and (value is None or value in (-1, "-1"))
        label = label_name(value, self.names)
        if label is not None and label.strip():
            self.labels.add((_sort_key(as_integer(value)), label))
            self._name(label, row)

    def _name(self, label: str, row: Mapping[str, Any]) -> None:
        if self.rows == 1:
            self.named = {name: {} for name in row if name not in astuple(self.columns)}
        for name, texts in list(self.named.items()):
            if not isinstance(row.get(name), str) or texts.setdefault(label, row[name]) != row[name]:
                del self.named[name]


def scan_split(source: str, config: str | None, split: str, columns: Columns) -> Scan:
    """Return the facts of a split.

    Raises:
        ConfigError: a column does not exist.
        TaskError: the data cannot be read.
    """
    opened = open_split(source, config, split, kind=checking.GOLD)
    scan = Scan(split, columns, opened.features, class_names(opened, columns.label))
    with contextlib.closing(opened.rows):
        for place, cells in opened.rows:
            row = lifted(cells, filter(None, astuple(columns)))
            if not scan.rows:
                _check_columns(place, row, columns)
            scan.add(row)
    scan.hidden = scan.hidden and scan.rows > 0
    return scan


def _sort_key(label: Any) -> float:
    """Return the sort key of a label: the number of a numeric one, 0 for text, which its name then orders."""
    if isinstance(label, int):
        return label
    return float(label) if is_number(label) else 0


def _check_columns(place: str, row: Mapping[str, Any], columns: Columns) -> None:
    for flag in ("text", "context", "label", "answers"):
        column = getattr(columns, flag)
        if column and column not in row:
            inside = (f"{name}.{inner}" for name, value in row.items() if isinstance(value, dict) for inner in value)
            same = next((name for name in inside if name.endswith(f".{column}")), None)
            hint = f"did you mean {same!r}?" if same else did_you_mean(column, row, "name one of them")
            if isinstance(row.get(outer := column.split(".")[0]), dict):
                hint = f"inside {outer!r} are {', '.join(f'{outer}.{name}' for name in row[outer])}"
            raise ConfigError(
                f"--{flag} must name a column of {place}, {shorten(list(row))}, found {column!r}; {hint}"
            )
