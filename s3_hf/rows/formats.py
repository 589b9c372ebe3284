"""Read CSV, TSV, JSON, JSON lines and Parquet files row by row, each row with its place for error messages."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from s3_hf.errors import TaskError, one_line
from s3_hf.rows.reading import (
    COMPRESSED,
    LONGEST_CELL,
    OpenSplit,
    PlacedRow,
    as_task_error,
    check_text,
    lines,
    not_utf8,
    opened,
    read_whole,
    shorten,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

_CSV_CELL = 32 * LONGEST_CELL
_BATCH = 1_000
_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def _csv_rows(path: Path, where: str, separator: str = ",") -> Generator[PlacedRow]:
    """Yield the rows; columns without a name are dropped, unless there is only one, such as pandas' index."""
    csv.field_size_limit(max(csv.field_size_limit(), _CSV_CELL))  # the default refuses cells of 128 KiB
    header: list[str] | None = None
    with opened(path, where) as file:
        for place, cells in _records(file, where, separator):
            if header is None:
                header = _header(place, cells, separator)
            elif cells:
                if len(cells) != len(header):
                    wanted = "1 cell" if len(header) == 1 else f"{len(header)} cells"
                    raise TaskError(
                        f"{place}, must have {wanted}, for the columns {header}, found {len(cells)}: "
                        f"{shorten(cells)}; put quotes around cells with {_SEPARATORS[separator]}, or complete the "
                        "line"
                    )
                row = {name: cell for name, cell in zip(header, cells, strict=True) if name or header.count("") == 1}
                yield place, check_text(place, row)


def _records(file: IO[bytes], where: str, separator: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each record with its place, the first of its lines."""
    reader = csv.reader(lines(file, where), delimiter=separator, strict=True)
    while True:
        place = f"{where}, line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TaskError(
                f"{place}, must be CSV with double quotes around cells with quotes, {_SEPARATORS[separator]} or line "
                f"breaks, found: {error}; correct the line"
            ) from error
        yield place, cells


def _header(place: str, cells: Sequence[str], separator: str) -> list[str]:
    other = next((sign for sign in _SEPARATORS if len(cells) == 1 and sign in cells[0]), None)
    if other:
        renaming = {",": ", or name it .csv", "\t": ", or name it .tsv"}.get(other, "")
        raise TaskError(
            f"{place}, must separate cells by {_SEPARATORS[separator]}, found {other!r} in the header "
            f"{shorten(list(cells))}; save the file with {_SEPARATORS[separator]}{renaming}"
        )
    names = [cell if cell.strip() else "" for cell in cells]
    _check_names(place, names, "correct the header of the file")
    check_text(place, dict.fromkeys(names))
    return names


def _check_names(place: str, names: Sequence[str], advice: str) -> None:
    if any(name and names.count(name) > 1 for name in names):
        raise TaskError(f"{place}, must name each column once, found {shorten(list(names))}; {advice}")


def _json_lines_rows(path: Path, where: str) -> Generator[PlacedRow]:
    with opened(path, where) as file:
        yield from _line_rows(lines(file, where), where)


def _line_rows(lines: Iterable[str], where: str) -> Iterator[PlacedRow]:
    for number, line in enumerate(lines, 1):
        place = f"{where}, line {number}"
        if line.strip():
            yield place, _object(place, _parsed(place, line))


def _json_rows(path: Path, where: str) -> Generator[PlacedRow]:
    with opened(path, where) as file:
        text = read_whole(file, where)
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
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{where} must be JSON of rows, found {_unreadable(error)}; correct the file") from error
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
    if not (isinstance(item, dict) and isinstance(item.get("paragraphs"), list)):
        yield item
        return
    title = item.get("title")
    for number, paragraph in enumerate(item["paragraphs"]):
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

    with as_task_error(str(path), "Parquet file"):
        file = pq.ParquetFile(path)
        _check_names(where, file.schema_arrow.names, "rename one of them")
        return OpenSplit(where, _parquet_rows(file, where), _declared(file.schema_arrow))


def _declared(schema: pa.Schema) -> Features:
    """Return the features of the columns, without those of a type that `datasets` lacks, such as a map."""
    import pyarrow as pa
    from datasets import Features

    known = []
    for field in schema:
        try:
            Features.from_arrow_schema(pa.schema([field]))
        except ValueError:
            continue
        known.append(field)
    return Features.from_arrow_schema(pa.schema(known, metadata=schema.metadata))


def _parquet_rows(file: Any, where: str) -> Generator[PlacedRow]:
    start = 0
    for batch in _batches(file, where):
        try:
            rows = batch.to_pylist()
        except UnicodeDecodeError as error:
            number, column = _undecodable(batch)
            raise TaskError(not_utf8(f"{where}, row {start + number}", column, error.object[error.start])) from error
        except (ValueError, OverflowError) as error:  # such as a date after the year 9999
            raise TaskError(
                f"{where}, row {start} or one of the next {len(batch):,}, must hold values that Python can, found: "
                f"{error}; correct it, or leave the column out"
            ) from error
        for number, row in enumerate(rows, start):
            yield f"{where}, row {number}", row
        start += len(rows)


def _batches(file: Any, where: str) -> Iterator[pa.RecordBatch]:
    row = 0
    try:
        for batch in file.iter_batches(_BATCH):
            yield batch
            row += len(batch)
    except (OSError, ValueError, NotImplementedError) as error:
        detail = one_line(error)
        raise TaskError(
            f"{where}, row {row} or one of the next {_BATCH:,}, cannot be read ({detail}); write the file anew"
        ) from error


def _undecodable(batch: pa.RecordBatch) -> tuple[int, str]:
    for number in range(len(batch)):
        for name in batch.schema.names:
            try:
                batch[name][number].as_py()
            except UnicodeDecodeError:
                return number, name
    raise AssertionError("a batch that cannot be decoded has a cell that cannot")


def _parsed(place: str, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TaskError(
            f"{place}, must be one JSON object, found {shorten(line.strip())} ({_unreadable(error)}); correct the line"
        ) from error


def _unreadable(error: Exception) -> str:
    """Return why `json` refuses a text, without advice on the interpreter."""
    if isinstance(error, RecursionError):
        return "lists or objects nested too deep"
    return "a number of thousands of digits" if "digits" in str(error) else str(error)


def _object(place: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise TaskError(f"{place}, must be a JSON object of columns, found {shorten(row)}; correct the file")
    return check_text(place, row)


def _without_features(read: Callable[[Path, str], Generator[PlacedRow]]) -> Callable[[Path, str], OpenSplit]:
    return lambda path, where: OpenSplit(where, read(path, where))


READERS = {
    ".csv": _without_features(_csv_rows),
    ".tsv": _without_features(partial(_csv_rows, separator="\t")),
    ".json": _without_features(_json_rows),
    ".jsonl": _without_features(_json_lines_rows),
    ".ndjson": _without_features(_json_lines_rows),
    ".parquet": _parquet,
}
"""The reader for each suffix; takes a path and the name of the data for messages."""


def reader_of(path: Path) -> Callable[[Path, str], OpenSplit] | None:
    """Return the reader for a file's name, which may also end in the suffix of a compression; None if it has none."""
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    return READERS.get(inner) if suffix in COMPRESSED and inner != ".parquet" else READERS.get(suffix)
