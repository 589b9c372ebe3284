"""Read CSV, JSON, JSON lines and Parquet files row by row, each row with its place for error messages."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from s3_hf.errors import TaskError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

PlacedRow = tuple[str, dict[str, Any]]
"""The place of a row, such as `gold data 'a.csv', line 3`, and its columns."""

LONGEST_CELL = 1_000_000
"""Longest cell, in characters; a longer one is refused, since it usually comes from a quote that is not closed."""

_CSV_CELL = 32 * LONGEST_CELL
_NOT_TEXT = re.compile("[\ud800-\udfff]")
_BATCH = 1_000


@dataclass(frozen=True)
class OpenSplit:
    """One split of a file, folder or dataset, opened for reading.

    `where` names it in messages. `rows` keeps a file open until it is exhausted or closed. `features` are those that
    the data declares, None for CSV and JSON.
    """

    where: str
    rows: Generator[PlacedRow]
    features: Features | None = None


def shorten(value: object) -> str:
    """Return `repr(value)`, cut to 60 characters, for a message."""
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}…"


@contextlib.contextmanager
def as_task_error(source: str, kind: str) -> Iterator[None]:
    """Raise errors of `datasets` and pyarrow as a `TaskError` of one sentence.

    Args:
        source: path or Hub id of the data that is read.
        kind: noun for the data in the message, such as "gold data".
    """
    from datasets.exceptions import DatasetGenerationError

    try:
        yield
    except (DatasetGenerationError, OSError, ValueError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
        detail = " ".join(str(cause).split())[:300]
        if "corresponds to no data" in detail:  # the words of `datasets` for a split without rows
            raise TaskError(
                f"{kind} {source!r} must have rows in each split, found an empty one ({detail}); give data with rows"
            ) from error
        raise TaskError(
            f"{kind} {source!r} cannot be read ({type(cause).__name__}: {detail}); check its name, configuration "
            "and splits, and HF_ENDPOINT, or give other data"
        ) from error


def _csv_rows(path: Path, where: str) -> Generator[PlacedRow]:
    """Yield the rows; columns without a name are dropped, unless there is only one, such as pandas' index."""
    csv.field_size_limit(max(csv.field_size_limit(), _CSV_CELL))  # the default refuses cells of 128 KiB
    header: list[str] | None = None
    with path.open("rb") as file:
        for place, cells in _records(file, where):
            if header is None:
                header = _header(place, cells)
            elif cells:
                if len(cells) != len(header):
                    wanted = "1 cell" if len(header) == 1 else f"{len(header)} cells"
                    raise TaskError(
                        f"{place}, must have {wanted}, for the columns {header}, found {len(cells)}: "
                        f"{shorten(cells)}; put quotes around cells with commas, or complete the line"
                    )
                row = {name: cell for name, cell in zip(header, cells, strict=True) if name or header.count("") == 1}
                yield place, _check_utf8(place, row)


def _records(file: IO[bytes], where: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each record with its place, the first of its lines."""
    reader = csv.reader(_lines(file), strict=True)
    while True:
        place = f"{where}, line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TaskError(
                f"{place}, must be CSV with double quotes around cells with quotes, commas or line breaks, found: "
                f"{error}; correct the line"
            ) from error
        yield place, cells


def _header(place: str, cells: Sequence[str]) -> list[str]:
    other = next((sign for sign in ";\t" if len(cells) == 1 and sign in cells[0]), None)
    if other:
        raise TaskError(
            f"{place}, must separate cells by commas, found {other!r} in the header {shorten(list(cells))}; "
            "save the file with commas"
        )
    names = [cell if cell.strip() else "" for cell in cells]
    if any(name and names.count(name) > 1 for name in names):
        raise TaskError(
            f"{place}, must name each column once, found {shorten(list(cells))}; correct the header of the file"
        )
    _check_utf8(place, dict.fromkeys(names))
    return names


def _json_lines_rows(path: Path, where: str) -> Generator[PlacedRow]:
    with path.open("rb") as file:
        yield from _line_rows(_lines(file), where)


def _line_rows(lines: Iterable[str], where: str) -> Iterator[PlacedRow]:
    for number, line in enumerate(lines, 1):
        place = f"{where}, line {number}"
        if line.strip():
            yield place, _object(place, _parsed(place, line))


def _json_rows(path: Path, where: str) -> Generator[PlacedRow]:
    with path.open("rb") as file:
        text = "".join(_lines(file))
    if not text.strip():
        return
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            yield from _line_rows(text.split("\n"), where)
            return
        raise TaskError(
            f"{where}, line {error.lineno}, must be JSON, found: {error.msg} at character {error.colno}; correct it"
        ) from error
    items = found.get("data") if isinstance(found, dict) else found
    if not isinstance(items, list):
        raise TaskError(
            f"{where} must be a list of rows, or have them under 'data', found {shorten(found)}; write it like that"
        )
    number = -1
    for item in items:
        for row in _questions(where, item):
            number += 1
            place = f"{where}, row {number}"
            yield place, _object(place, row)


def _questions(where: str, item: Any) -> Iterator[Any]:
    """Yield the questions of an article in SQuAD's layout as rows, or the item itself if it is a row."""
    if not (isinstance(item, dict) and "paragraphs" in item):
        yield item
        return
    title = item.get("title")
    for number, paragraph in enumerate(item["paragraphs"] or ()):
        if not (isinstance(paragraph, dict) and isinstance(paragraph.get("qas"), list)):
            raise TaskError(
                f"{where}, article {title!r}, paragraph {number}, must have 'context' and a list 'qas', found "
                f"{shorten(paragraph)}; correct the file"
            )
        for question in paragraph["qas"]:
            above = {"title": title, "context": paragraph.get("context")}
            yield above | question if isinstance(question, dict) else question


def _parquet(path: Path, where: str) -> OpenSplit:
    import pyarrow.parquet as pq
    from datasets import Features

    with as_task_error(str(path), "Parquet file"):
        file = pq.ParquetFile(path)
        return OpenSplit(where, _parquet_rows(file, where), Features.from_arrow_schema(file.schema_arrow))


def _parquet_rows(file: Any, where: str) -> Generator[PlacedRow]:
    start = 0
    for batch in file.iter_batches(_BATCH):
        try:
            rows = batch.to_pylist()
        except UnicodeDecodeError as error:
            number, column = _undecodable(batch)
            raise TaskError(_not_utf8(f"{where}, row {start + number}", column, error.object[error.start])) from error
        for number, row in enumerate(rows, start):
            yield f"{where}, row {number}", row
        start += len(rows)


def _undecodable(batch: pa.RecordBatch) -> tuple[int, str]:
    for number in range(len(batch)):
        for name in batch.schema.names:
            try:
                batch[name][number].as_py()
            except UnicodeDecodeError:
                return number, name
    raise AssertionError("a batch that cannot be decoded has a cell that cannot")


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Yield decoded lines; bytes that are not UTF-8 become surrogates, which `_check_utf8` reports by column."""
    for number, line in enumerate(file):
        yield line.decode("utf-8" if number else "utf-8-sig", errors="surrogateescape")


def _parsed(place: str, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TaskError(
            f"{place}, must be one JSON object, found {shorten(line.strip())} ({error}); correct the line"
        ) from error


def _object(place: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise TaskError(f"{place}, must be a JSON object of columns, found {shorten(row)}; correct the file")
    return _check_utf8(place, row)


def _check_utf8(place: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return the row, or raise if a name or a cell holds bytes that are not UTF-8."""
    for name, value in row.items():
        for text in (name, value) if isinstance(value, str) else (name,):
            bad = None if text.isascii() else _NOT_TEXT.search(text)
            if bad:
                shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                raise TaskError(_not_utf8(place, shown, ord(bad[0]) & 0xFF, text[: bad.start()][-20:]))
    return row


def _not_utf8(place: str, column: str, byte: int, before: str = "") -> str:
    after = f" after {before!r}" if before else ""
    return f"{place}, column {column!r}, must be UTF-8, found the byte 0x{byte:02x}{after}; save it as UTF-8"


def _without_features(read: Callable[[Path, str], Generator[PlacedRow]]) -> Callable[[Path, str], OpenSplit]:
    return lambda path, where: OpenSplit(where, read(path, where))


READERS = {
    ".csv": _without_features(_csv_rows),
    ".json": _without_features(_json_rows),
    ".jsonl": _without_features(_json_lines_rows),
    ".parquet": _parquet,
}
"""The reader for each suffix; takes a path and the name of the data for messages."""
