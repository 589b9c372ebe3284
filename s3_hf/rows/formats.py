"""Rows of data in CSV, JSON, JSON lines and Parquet files, each with the words that say where it stands."""

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

Row = tuple[str, dict[str, Any]]
"""Where a row stands, as in `gold data 'a.csv', line 3`, and its columns."""

LONGEST_CELL = 1_000_000
"""Characters of a cell from which it is taken for a mistake."""

_CSV_CELL = 32 * LONGEST_CELL
_NOT_TEXT = re.compile("[\ud800-\udfff]")
_BATCH = 1_000


@dataclass(frozen=True)
class Source:
    """One split of data: `where` names it, `features` are what it says of its columns, if anything.

    `rows` holds a file open until it is exhausted or closed.
    """

    where: str
    rows: Generator[Row]
    features: Features | None = None


def brief(value: object) -> str:
    """The value as Python writes it, cut where it is long."""
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:57]}…"


@contextlib.contextmanager
def readable(source: str, kind: str) -> Iterator[None]:
    """Turn what goes wrong in reading `source`, which is gold data or of another kind, into one sentence."""
    from datasets.exceptions import DatasetGenerationError

    try:
        yield
    except (DatasetGenerationError, OSError, ValueError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
        detail = " ".join(str(cause).split())[:300]
        if "corresponds to no data" in detail:  # how `datasets` says that a split has no rows
            raise TaskError(
                f"{kind} {source!r} must have rows in each split, found an empty one ({detail}); give data with rows"
            ) from error
        raise TaskError(
            f"{kind} {source!r} cannot be read ({type(cause).__name__}: {detail}); check its name, configuration "
            "and splits, and HF_ENDPOINT, or give other data"
        ) from error


def _csv(path: Path, where: str) -> Source:
    return Source(where, _csv_rows(path, where))


def _csv_rows(path: Path, where: str) -> Generator[Row]:
    """Rows without the columns that have no name, unless it is a single one, as that of pandas' index."""
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
                        f"{brief(cells)}; put quotes around cells with commas, or complete the line"
                    )
                row = {name: cell for name, cell in zip(header, cells, strict=True) if name or header.count("") == 1}
                yield place, _text(place, row)


def _records(file: IO[bytes], where: str) -> Iterator[tuple[str, list[str]]]:
    """Each record with its place: it may take several lines, of which this is the first."""
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
            f"{place}, must separate cells by commas, found {other!r} in the header {brief(list(cells))}; "
            "save the file with commas"
        )
    names = [cell if cell.strip() else "" for cell in cells]
    if any(name and names.count(name) > 1 for name in names):
        raise TaskError(
            f"{place}, must name each column once, found {brief(list(cells))}; correct the header of the file"
        )
    _text(place, dict.fromkeys(names))
    return names


def _json_lines(path: Path, where: str) -> Source:
    return Source(where, _json_lines_rows(path, where))


def _json_lines_rows(path: Path, where: str) -> Generator[Row]:
    with path.open("rb") as file:
        yield from _line_rows(_lines(file), where)


def _line_rows(lines: Iterable[str], where: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        place = f"{where}, line {number}"
        if line.strip():
            yield place, _object(place, _parsed(place, line))


def _json(path: Path, where: str) -> Source:
    return Source(where, _json_rows(path, where))


def _json_rows(path: Path, where: str) -> Generator[Row]:
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
            f"{where} must be a list of rows, or have them under 'data', found {brief(found)}; write it like that"
        )
    number = -1
    for item in items:
        for row in _questions(where, item):
            number += 1
            place = f"{where}, row {number}"
            yield place, _object(place, row)


def _questions(where: str, item: Any) -> Iterator[Any]:
    """The rows of an article in SQuAD's layout; any other item is a row itself."""
    if not (isinstance(item, dict) and "paragraphs" in item):
        yield item
        return
    title = item.get("title")
    for number, paragraph in enumerate(item["paragraphs"] or ()):
        if not (isinstance(paragraph, dict) and isinstance(paragraph.get("qas"), list)):
            raise TaskError(
                f"{where}, article {title!r}, paragraph {number}, must have 'context' and a list 'qas', found "
                f"{brief(paragraph)}; correct the file"
            )
        for question in paragraph["qas"]:
            above = {"title": title, "context": paragraph.get("context")}
            yield above | question if isinstance(question, dict) else question


def _parquet(path: Path, where: str) -> Source:
    import pyarrow.parquet as pq
    from datasets import Features

    with readable(str(path), "Parquet file"):
        file = pq.ParquetFile(path)
        return Source(where, _parquet_rows(file, where), Features.from_arrow_schema(file.schema_arrow))


def _parquet_rows(file: Any, where: str) -> Generator[Row]:
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
    """Lines whose bytes that are not UTF-8 stand as surrogates, to be found in their column."""
    for number, line in enumerate(file):
        yield line.decode("utf-8" if number else "utf-8-sig", errors="surrogateescape")


def _parsed(place: str, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TaskError(
            f"{place}, must be one JSON object, found {brief(line.strip())} ({error}); correct the line"
        ) from error


def _object(place: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise TaskError(f"{place}, must be a JSON object of columns, found {brief(row)}; correct the file")
    return _text(place, row)


def _text(place: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row, if all its text is text."""
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


READERS: dict[str, Callable[[Path, str], Source]] = {
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
"""Suffixes of the files that can be read."""
