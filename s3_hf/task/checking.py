"""Gold and given rows, each one checked when it is read.

This is not in the recipes' module: `datasets` replaces `open`, `os` and others in modules of builders.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import datasets

from s3_hf.errors import TaskError
from s3_hf.rows.formats import LONGEST_CELL, Source, brief
from s3_hf.rows.sources import opened
from s3_hf.rows.splitting import chosen, same
from s3_hf.task.recipe import TaskConfig
from s3_hf.texts import digest_of, row_text

TEST = "test"
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def gold_rows(config: TaskConfig, split: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `validation`, `test` or another split of a recipe, with all gold columns.

    Where validation and test are the same split of the source, it is divided (`splitting.chosen`). A label is given
    by its name: an integer one has the name that a `ClassLabel` of the source gives it, or else its digits.

    Raises:
        TaskError: the source cannot be read, or a row has a fault; names file or dataset, row and column.
    """
    of = config.splits[split]
    if split not in ("validation", TEST) or config.splits["validation"] != config.splits[TEST]:
        yield from checked_rows(config, of)
        return
    rows = list(checked_rows(config, of))
    labels = [row[config.label] if config.label else None for row in rows]
    keys = [[same(row[name]) for row in rows] for name in (config.context, config.text) if name]
    part = chosen(labels, keys, config.test_share, config.split_seed)
    yield from (row for number, row in enumerate(rows) if (number in part) == (split == TEST))


def checked_rows(config: TaskConfig, split: str) -> Iterator[dict[str, Any]]:
    """Yield all rows of the source's own split `split`, or raise at the first one with a fault."""
    source = opened(config.source, config.source_config, split)
    yield from _checked(source, _Check(config, config.gold_features(), _class_names(source, config.label)))


def given_rows(config: TaskConfig, source: Source, test: frozenset[int]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a source that is not the recipe's, checked likewise, with label ids in place of names.

    They need no ids of their own, and none may be a row of the test split, whose digests `test` holds. An integer
    label without a name is its number in the task, but its digits where a label of the task is named by a number.
    """
    labels = list(config.labels)
    numbered = any(map(is_number, labels))
    names = _class_names(source, config.label) or (None if numbered else labels)
    check = _Check(replace(config, id=None), config.gold_features(), names, test - {digest_of("")})
    for row in _checked(source, check):
        yield row | {config.label: labels.index(row[config.label])} if config.label else row


def _class_names(source: Source, label: str | None) -> list[str] | None:
    return getattr((source.features or {}).get(label), "names", None)


def _checked(source: Source, check: _Check) -> Iterator[dict[str, Any]]:
    found = False
    with contextlib.closing(source.rows):
        for place, row in source.rows:
            found = True
            yield check.row(place, row)
    if not found:
        raise TaskError(f"{source.where} must have rows, found none; give data with rows")


def columns_missing(place: str, column: str, found: Mapping[str, Any]) -> TaskError:
    """What to say where a column is not among the `found` ones."""
    close = difflib.get_close_matches(column, found, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "correct the recipe or the data"
    return TaskError(f"{place}, must have the column {column!r}, found {brief(list(found))}; {hint}")


@dataclass
class _Check:
    """Makes gold rows out of rows as they stand in the source."""

    config: TaskConfig
    features: datasets.Features
    names: list[str] | None
    test: frozenset[int] = frozenset()
    """Digests of rows that it may not be."""
    seen: dict[str, str] = field(default_factory=dict)

    def row(self, place: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """The gold columns of a row; those that it has none of are null."""
        config = self.config
        for column in (config.context, config.text, config.label, config.answers, config.id):
            if column and column not in row:
                raise columns_missing(place, column, row)
        made = {name: self._extra(place, name, row.get(name)) for name in self.features}
        for column in (config.context, config.text):
            if column:
                made[column] = _text(f"{place}, column {column!r},", row[column])
        if config.label:
            made[config.label] = self._label(f"{place}, column {config.label!r},", row[config.label])
        if config.answers:
            assert config.context is not None
            where = f"{place}, column {config.answers!r},"
            made[config.answers] = _answers(where, row[config.answers], made[config.context])
        if config.id:
            made[config.id] = self._id(place, row[config.id])
        self._no_test_row(place, made)
        return made

    def _no_test_row(self, place: str, made: Mapping[str, Any]) -> None:
        text, context = made[self.config.text], made[self.config.context] if self.config.context else None
        if self.test and digest_of(row_text(text, context)) in self.test:
            raise TaskError(
                f"{place}, column {self.config.text!r}, must not be a text of the gold test split, found "
                f"{brief(text)}; drop the row, and any other of that split"
            )

    def _label(self, where: str, value: Any) -> str:
        if isinstance(value, list | tuple | dict):
            raise TaskError(
                f"{where} must have one label, found {brief(value)}; several labels in a row are not supported: keep "
                "one, or make a task of each"
            )
        if _missing(value):
            raise TaskError(f"{where} must have a label, found {value!r}; write it or drop the row")
        value = whole(value)
        if not isinstance(value, str | int):
            raise TaskError(
                f"{where} must have a label that is text or a whole number, found {brief(value)}; write it so"
            )
        name = label_name(value, self.names)
        if name is not None and name in self.config.labels:
            return name
        known = ", ".join((list(self.config.labels) or self.names or [])[:20])
        if self.names is not None or value == -1:
            hint = "a label of -1 is hidden: use another split" if value == -1 else "correct the row or the recipe"
        elif isinstance(value, int):
            hint = f"integers without names are known by their digits: give {str(value)!r} a word in 'labels'"
        else:
            hint = "correct the row, or give the label a word in 'labels'"
        raise TaskError(f"{where} must have one of the labels {known}, found {brief(name or value)}; {hint}")

    def _id(self, place: str, value: Any) -> str | int:
        where = f"{place}, column {self.config.id!r},"
        if isinstance(value, bool | float) or not isinstance(value, str | int) or _missing(value):
            raise TaskError(f"{where} must have the row's own id, found {brief(value)}; give it one")
        first = self.seen.setdefault(str(value), place)
        if first != place:
            raise TaskError(
                f"{where} must have an id of its own, found {value!r} as in {first.rsplit(', ', 1)[-1]}; "
                "give each row another id, or drop the double"
            )
        return value

    def _extra(self, place: str, name: str, value: Any) -> Any:
        """The value of a column that nothing but its type is asked of."""
        known = (self.config.context, self.config.text, self.config.label, self.config.answers, self.config.id)
        if value is None or name in known:
            return None
        if isinstance(value, str) and len(value) > LONGEST_CELL:
            raise TaskError(_too_long(f"{place}, column {name!r},", value))
        feature = self.features[name]
        try:
            return datasets.Features({name: feature}).encode_example({name: value})[name]
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise TaskError(
                f"{place}, column {name!r}, must fit {feature}, found {brief(value)}; correct the row or 'features'"
            ) from error


def whole(value: Any) -> Any:
    """The integer that a whole float is, as pandas makes of it beside an empty cell; others as they are."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_number(name: str) -> bool:
    """True for a label name that says nothing but a number, such as `-1` or `2.0`."""
    return _NUMBER.fullmatch(name) is not None


def label_name(value: Any, names: list[str] | None) -> str | None:
    """The name of a label as it stands in a row; `names` are those of its `ClassLabel`. None if it can have none."""
    value = whole(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and names and value not in names and value.isdecimal():
        value = int(value)  # a cell of CSV
    if isinstance(value, int):
        if names is None:
            return str(value)
        return names[value] if 0 <= value < len(names) else None
    return value if isinstance(value, str) else None


def answers_of(value: Any) -> Any:
    """SQuAD's two layouts, and JSON text of them, as a list of pairs of text and start; others as they are.

    Plain text is an answer without a start.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return [(value, None)]
    if isinstance(value, str):
        return [(value, None)]
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        value = [value]
    if isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("answer_start"), list):
        texts, starts = value["text"], value["answer_start"]
        return list(zip(texts, starts, strict=True)) if len(texts) == len(starts) else value
    if isinstance(value, list) and all(isinstance(each, dict) and "text" in each for each in value):
        return [(each["text"], each.get("answer_start")) for each in value]
    return value


def _answers(where: str, value: Any, context: str) -> dict[str, list[Any]]:
    found = answers_of(value)
    if not isinstance(found, list) or not all(isinstance(each, tuple) for each in found):
        raise TaskError(
            f"{where} must have answers as in SQuAD, 'text' and 'answer_start' of equal length, found {brief(value)}; "
            "correct the row"
        )
    if not found:
        raise TaskError(f"{where} must have an answer, found {brief(value)}; drop rows without one")
    starts = []
    for text, start in found:
        if not (isinstance(text, str) and text.strip()):
            raise TaskError(f"{where} must have an answer with text, found {brief(text)}; write it or drop the row")
        starts.append(_start(where, text, start, context))
    return {"text": [text for text, _ in found], "answer_start": starts}


def _start(where: str, text: str, start: Any, context: str) -> int:
    """Where the answer stands; one without a start is taken to stand at the first place."""
    place, start = context.find(text), whole(start)
    if start is None and place >= 0:
        return place
    if isinstance(start, int) and start >= 0 and context.startswith(text, start):
        return start
    at = (
        f"at {start!r}, where {brief(context[start : start + len(text)])} stands"
        if isinstance(start, int) and 0 <= start < len(context)
        else f"at {start!r} of {len(context)} characters"
    )
    if isinstance(start, int) and place >= 0:
        while (later := context.find(text, place + 1)) >= 0 and abs(later - start) < abs(place - start):
            place = later
    hint = f"it stands at {place}: correct 'answer_start'" if place >= 0 else "it is not in it: correct the row"
    raise TaskError(f"{where} must have an answer out of the context, found {brief(text)} {at}; {hint}")


def _text(where: str, value: Any) -> str:
    if _missing(value):
        raise TaskError(f"{where} must have text, found {brief(value)}; write it or drop the row")
    if not isinstance(value, str):
        raise TaskError(
            f"{where} must have text, found {brief(value)} ({type(value).__name__}); make all of the column text"
        )
    if len(value) > LONGEST_CELL:
        raise TaskError(_too_long(where, value))
    return value


def _too_long(where: str, value: str) -> str:
    return (
        f"{where} must have at most {LONGEST_CELL:,} characters, found {len(value):,} that begin {value[:30]!r}; "
        "cut it, or look for a quote that is not closed"
    )


def _missing(value: Any) -> bool:
    """True for null, NaN, what pandas writes for it, and text without a character."""
    if isinstance(value, str):
        return not value.strip() or value.strip().lower() == "nan"
    return value is None or value != value
