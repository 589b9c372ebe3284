"""Read gold rows and existing rows, and check each row.

This stands apart from `builder`, since `datasets` replaces `open`, `os` and others in modules that define builders.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import datasets

from s3_hf.errors import TaskError, did_you_mean
from s3_hf.rows.nested import lifted
from s3_hf.rows.reading import LONGEST_CELL, OpenSplit, PlacedRow, shorten
from s3_hf.rows.sources import open_split
from s3_hf.rows.splitting import choose_part, text_key
from s3_hf.task.labels import as_integer, class_names, is_number, joins, label_name, single
from s3_hf.task.recipe import TaskConfig, is_divided
from s3_hf.texts import digest_of, row_text

GOLD = "gold data"
ONE_LABEL = "several labels in a row are not supported: keep one, or make a task of each with the labels yes and no"
TEST = "test"
PREDICTED = "predicted_label"
"""Column that `s3-hf predict` adds."""


def read_gold(config: TaskConfig, split: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `validation`, `test` or another split of a recipe, with all gold columns.

    If validation and test are the same splits of the source, these are divided (`splitting.choose_part`). Labels are
    yielded as names: an integer becomes its name in the `ClassLabel` of the source, or its digits if there is none.

    Raises:
        TaskError: the source cannot be read, or a row has a fault; the message names the source, row and column.
    """
    if split not in ("validation", TEST) or not is_divided(config.splits):
        yield from read_split(config, config.splits[split])
        return
    rows = list(read_split(config, config.splits["validation"]))  # `test` may name them in another order
    labels = [row[config.label] if config.label else None for row in rows]
    keys = [[text_key(row[name]) for row in rows] for name in (config.context, config.text) if name]
    part = choose_part(labels, keys, config.test_share, config.split_seed)
    yield from (row for number, row in enumerate(rows) if (number in part) == (split == TEST))


def read_split(config: TaskConfig, source_split: str) -> Iterator[dict[str, Any]]:
    """Yield all rows of a split of the source; raise a `TaskError` at the first row with a fault."""
    opened = open_split(config.source, config.source_config, source_split, kind=GOLD)
    yield from _checked(opened, _RowChecker(config, config.gold_features(), class_names(opened, config.label)))


def read_existing(config: TaskConfig, opened: OpenSplit, test_rows: frozenset[int]) -> Iterator[dict[str, Any]]:
    """Yield the checked rows of data other than the recipe's, with label ids in place of label names.

    These rows need no ids. Where they have no label, the one that `s3-hf predict` gave them is taken, and rows that it
    abstained from are left out. An integer label without a name is a label id, unless a label name of the task is a
    number: then it is that name.

    Raises:
        TaskError: a row has a fault, or it belongs to the test split, whose digests are `test_rows`.
    """
    labels = list(config.labels)
    numbered = any(map(is_number, labels))
    names = class_names(opened, config.label) or (None if numbered else labels)
    checker = _RowChecker(replace(config, id=None), config.gold_features(), names, test_rows - {digest_of("")})
    if config.label:
        opened = replace(opened, rows=_with_predictions(opened, config.label))
    for row in _checked(opened, checker):
        yield row | {config.label: labels.index(row[config.label])} if config.label else row


def _with_predictions(opened: OpenSplit, label: str) -> Generator[PlacedRow]:
    with contextlib.closing(opened.rows) as rows:
        for place, cells in rows:
            row = lifted(cells, [label])
            if label in row:
                yield place, row
            elif PREDICTED not in row:
                hint = "texts without labels are labelled by `s3-hf predict` first"
                raise missing_column(place, label, row, hint)
            elif not _missing(row[PREDICTED]):
                yield place, row | {label: row[PREDICTED]}


def _checked(opened: OpenSplit, checker: _RowChecker) -> Iterator[dict[str, Any]]:
    """Yield the checked rows; those without an answer, as in SQuAD 2.0, are left out."""
    empty, answers = True, checker.config.answers
    named = [name for name in astuple(checker.config.columns) if name]
    with contextlib.closing(opened.rows):
        for place, cells in opened.rows:
            row = lifted(cells, named)
            if answers and answer_pairs(row.get(answers)) == []:
                continue
            empty = False
            yield checker.check(place, row)
    if empty:
        wanted = "rows with answers" if answers else "rows"
        raise TaskError(f"{opened.where} must have {wanted}, found none; give data with {wanted}")


def missing_column(
    place: str, column: str, found: Mapping[str, Any], hint: str = "correct the recipe or the data"
) -> TaskError:
    """Return the error for a column that is not among the columns `found` in a row; `hint` is for one unlike them."""
    hint = did_you_mean(column, found, hint)
    return TaskError(f"{place}, must have the column {column!r}, found {shorten(list(found))}; {hint}")


@dataclass
class _RowChecker:
    """Checks rows of a source and turns them into gold rows.

    `names` are the label names of the source, `test_rows` the digests of rows that are refused, and `seen` the place
    of each row id so far.
    """

    config: TaskConfig
    features: datasets.Features
    names: list[str] | None
    test_rows: frozenset[int] = frozenset()
    seen: dict[str, str] = field(default_factory=dict)

    def check(self, place: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the gold columns of a row, null where the row lacks one that is optional."""
        config = self.config
        for column in (config.context, config.text, config.label, config.answers, config.id):
            if column and column not in row:
                raise missing_column(place, column, row)
        checked = {name: self._extra(place, name, row.get(name)) for name in self.features}
        for column in (config.context, config.text):
            if column:
                checked[column] = _text(f"{place}, column {column!r},", row[column])
        if config.label:
            checked[config.label] = self._label(f"{place}, column {config.label!r},", row[config.label])
        if config.answers:
            assert config.context is not None
            where = f"{place}, column {config.answers!r},"
            checked[config.answers] = _answers(where, row[config.answers], checked[config.context])
        if config.id:
            checked[config.id] = self._id(place, row[config.id])
        self._refuse_test_row(place, checked)
        return checked

    def _refuse_test_row(self, place: str, row: Mapping[str, Any]) -> None:
        text, context = row[self.config.text], row[self.config.context] if self.config.context else None
        if self.test_rows and digest_of(row_text(text, context)) in self.test_rows:
            raise TaskError(
                f"{place}, column {self.config.text!r}, must not be a text of the gold test split, found "
                f"{shorten(text)}; drop the row, and any other of that split"
            )

    def _label(self, where: str, value: Any) -> str:
        value = single(value)
        if isinstance(value, dict):
            inner = f"{self.config.label}.{next(iter(value), 'name')}"
            raise TaskError(
                f"{where} must have a label, found {shorten(value)}; name the column inside of it, such as {inner!r}"
            )
        if isinstance(value, list | tuple):
            raise TaskError(f"{where} must have one label, found {shorten(value)}; {ONE_LABEL}")
        if _missing(value):
            raise TaskError(f"{where} must have a label, found {value!r}; write it or drop the row")
        value = as_integer(value)
        if not isinstance(value, str | int):
            raise TaskError(
                f"{where} must have a label that is text or a whole number, found {shorten(value)}; write it so"
            )
        name = label_name(value, self.names)
        if name is not None and name in self.config.labels:
            return name
        if name is not None and joins(name, self.config.labels):
            raise TaskError(f"{where} must have one label, found {shorten(name)}; {ONE_LABEL}")
        known = ", ".join((list(self.config.labels) or self.names or [])[:20])
        if self.names is not None or value == -1:
            hint = "a label of -1 is hidden: use another split" if value == -1 else "correct the row or the recipe"
        elif isinstance(value, int):
            hint = f"integers without names are known by their digits: give {str(value)!r} a word in 'labels'"
        else:
            hint = "correct the row, or give the label a word in 'labels'"
        raise TaskError(f"{where} must have one of the labels {known}, found {shorten(name or value)}; {hint}")

    def _id(self, place: str, value: Any) -> str | int:
        where = f"{place}, column {self.config.id!r},"
        if isinstance(value, bool | float) or not isinstance(value, str | int) or _missing(value):
            raise TaskError(f"{where} must have the row's own id, found {shorten(value)}; give it one")
        first = self.seen.setdefault(str(value), place)
        if first != place:
            raise TaskError(
                f"{where} must have an id of its own, found {value!r} as in {first.rsplit(', ', 1)[-1]}; "
                "give each row another id, or drop the double"
            )
        return value

    def _extra(self, place: str, name: str, value: Any) -> Any:
        """Return the value of a column that only has to fit its feature."""
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
                f"{place}, column {name!r}, must fit {feature}, found {shorten(value)}; correct the row or 'features'"
            ) from error


def answer_pairs(value: Any) -> list[tuple[Any, Any]] | None:
    """Return answers as pairs of text and start, which is None for plain text; None if the layout is unknown."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [(value, None)]
    if isinstance(value, str):
        return [(value, None)]
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        value = [value]
    if isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("answer_start"), list):
        texts, starts = value["text"], value["answer_start"]
        return list(zip(texts, starts, strict=True)) if len(texts) == len(starts) else None
    if isinstance(value, list) and all(isinstance(each, dict) and "text" in each for each in value):
        return [(each["text"], each.get("answer_start")) for each in value]
    return None


def _answers(where: str, value: Any, context: str) -> dict[str, list[Any]]:
    pairs = answer_pairs(value)
    if pairs is None:
        raise TaskError(
            f"{where} must have answers as in SQuAD, 'text' and 'answer_start' of equal length, "
            f"found {shorten(value)}; correct the row"
        )
    starts = []
    for text, start in pairs:
        if not (isinstance(text, str) and text.strip()):
            raise TaskError(f"{where} must have an answer with text, found {shorten(text)}; write it or drop the row")
        starts.append(_start(where, text, start, context))
    return {"text": [text for text, _ in pairs], "answer_start": starts}


def _start(where: str, text: str, start: Any, context: str) -> int:
    """Return where the answer starts in the context; without a start, where its text first occurs."""
    first, start = context.find(text), as_integer(start)
    if start is None and first >= 0:
        return first
    if isinstance(start, int) and start >= 0 and context.startswith(text, start):
        return start
    at = (
        f"at {start!r}, where {shorten(context[start : start + len(text)])} stands"
        if isinstance(start, int) and 0 <= start < len(context)
        else f"at {start!r} of {len(context)} characters"
    )
    nearest = first
    if isinstance(start, int) and first >= 0:
        while (later := context.find(text, nearest + 1)) >= 0 and abs(later - start) < abs(nearest - start):
            nearest = later
    hint = (
        f"it stands at {nearest}: correct 'answer_start'"
        if first >= 0
        else "the context does not contain it: correct the row"
    )
    raise TaskError(f"{where} must have an answer out of the context, found {shorten(text)} {at}; {hint}")


def _text(where: str, value: Any) -> str:
    if _missing(value):
        raise TaskError(f"{where} must have text, found {shorten(value)}; write it or drop the row")
    if not isinstance(value, str):
        raise TaskError(
            f"{where} must have text, found {shorten(value)} ({type(value).__name__}); make all of the column text"
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
    """Return whether a value is null, NaN, the text "nan" that pandas writes for it, or blank text."""
    if isinstance(value, str):
        return not value.strip() or value.strip().lower() == "nan"
    return value is None or value != value
