"""Read texts from a file and write it with predictions; the suffix of its name decides on the format."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from s3_hf.errors import ConfigError, one_line
from s3_hf.files import check_place, replacing
from s3_hf.predicting.result import Result
from s3_hf.rows.formats import READERS, reader_of
from s3_hf.rows.reading import COMPRESSED, LARGEST, check_text, lines, opened
from s3_hf.texts import without_formula

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

TABLES = (".csv", ".jsonl", ".json", ".parquet")
"""Formats that results are written in; `rows.formats.READERS` are those that are read."""

STDIN = "-"
TEXT = "text"
"""Column of the texts, unless another one is named."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows to predict for: the whole table, and for each row its text and, for all or none, a context."""

    table: pa.Table
    texts: list[str]
    contexts: list[str] | None


def read_texts(path: Path, column: str, context: str | None = None) -> pa.Table:
    """Return the rows of a file of `READERS`, or of another file, or of standard input (`-`), its lines as `column`.

    Raises:
        ConfigError: the file cannot be read, or lacks a text in that column or in the column of contexts.
        TaskError: a line is not a CSV record or JSON object.
    """
    import pyarrow as pa

    options = {column: "--column"} | ({context: "--context-column"} if context else {})
    try:
        if str(path) != STDIN and path.exists() and not path.is_file():
            raise OSError("it is a folder, device or pipe, and a pipe is read by `--file - < PIPE`")
        table = _read(path, column)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--file must be a readable table ({', '.join(READERS)}; also with {', '.join(COMPRESSED)}) or UTF-8 text "
            f"file, found {str(path)!r} ({one_line(error)}); check it"
        ) from error
    if not table.num_rows:
        raise ConfigError(f"--file must hold rows, found none in {str(path)!r}; give a file with texts")
    if len(set(table.column_names)) < len(table.column_names):
        raise ConfigError(f"{str(path)!r} must name each column once, found {table.column_names}; correct the file")
    for name, option in options.items():
        if name not in table.column_names:
            raise ConfigError(
                f"{str(path)!r} must have the column {name!r}, found {table.column_names}; name the right one by "
                f"{option}"
            )
        kind = table[name].type
        if pa.types.is_dictionary(kind):  # what pandas writes for a categorical column
            kind = kind.value_type
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
        if table[name].null_count or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise ConfigError(
                f"column {name!r} of {str(path)!r} must hold a text in each row, found {kind} with "
                f"{table[name].null_count} empty; correct the file, or name another column by {option}"
            )
    return table


def with_results(table: pa.Table, results: Sequence[Result]) -> pa.Table:
    """Return the rows with `predicted_label` or `predicted_answer` and `predicted_score`; such columns are replaced.

    There is a result for each row, and at least one row.
    """
    import pyarrow as pa

    added: Mapping[str, Any] = {
        f"predicted_{results[0].kind}": pa.array([one.value for one in results], pa.string()),
        "predicted_score": pa.array([one.score for one in results], pa.float64()),
    }
    table = table.drop_columns([name for name in added if name in table.column_names])
    for name, values in added.items():
        table = table.append_column(name, values)
    return table


def read_inputs(
    texts: Sequence[str], context: str | None, file: Path | None, column: str | None, context_column: str | None
) -> Inputs:
    """Return the texts of the command line or the rows of the file, with their contexts.

    A single text `-` stands for the lines of standard input, as `--file -` does.

    Raises:
        ConfigError: there are both texts and a file, or neither, or the file cannot be read.
    """
    import pyarrow as pa

    if list(texts) == [STDIN] and not file:
        texts, file = (), Path(STDIN)
    if bool(texts) == bool(file):
        raise ConfigError(f"predict needs texts, or a file by --file; found {'both' if texts else 'none'}, give one")
    if column and not file:
        raise ConfigError(f"--column {column!r} must stand with --file, found no file; leave it out")
    if context_column and (context is not None or not file):
        found = "--context" if context is not None else "no file"
        raise ConfigError(
            f"--context-column {context_column!r} must stand with --file alone, found {found}; leave one out"
        )
    column = column or TEXT
    table = read_texts(file, column, context_column) if file else pa.table({column: list(texts)})
    contexts = None if context is None else [context] * len(table)
    return Inputs(table, table[column].to_pylist(), table[context_column].to_pylist() if context_column else contexts)


def check_out(path: Path) -> None:
    """Check that a file of that name can be written.

    Raises:
        ConfigError: its suffix names no format.
        StorageError: no file can be created there.
    """
    if _format(path) not in TABLES:
        raise ConfigError(f"--out must end in one of {', '.join(TABLES)}, found {str(path)!r}; rename it")
    check_place(path, folder=False)


def check_columns(path: Path, table: pa.Table) -> None:
    """Check that a file of that name can hold the columns, before predictions are paid for.

    Raises:
        ConfigError: the format cannot hold one of them.
    """
    import pyarrow as pa
    import pyarrow.csv

    if _format(path) == ".csv":
        with _format_errors(path):
            pa.csv.write_csv(table, pa.MockOutputStream())
    elif _format(path) != ".parquet":
        with _format_errors(path):
            _as_json(table)


def write_rows(path: Path, table: pa.Table) -> None:
    """Write the rows to a file, in the format that its suffix names.

    In a CSV file, `'` is put before each text that a spreadsheet would run as a formula; a warning says so.

    Raises:
        ConfigError: the format cannot hold one of the columns.
        StorageError: the disk is full or refuses to be written.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    with _format_errors(path), replacing(path) as temporary:
        if _format(path) == ".parquet":
            pa.parquet.write_table(table, temporary)
        elif _format(path) == ".csv":
            pa.csv.write_csv(_without_formulas(path, table), temporary)
        else:
            rows = _as_json(table)
            text = "\n".join((*rows, "")) if _format(path) == ".jsonl" else "[\n" + ",\n".join(rows) + "\n]\n"
            temporary.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def _format_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, RecursionError) as error:
        others = " or ".join(each for each in (".jsonl", ".parquet") if each != _format(path))
        raise ConfigError(
            f"{str(path)!r} must be of a format that holds every column, found that it cannot ({one_line(error)}); "
            f"write {others}"
        ) from error


def _as_json(table: pa.Table) -> list[str]:
    return [json.dumps(_finite(row), ensure_ascii=False, default=str) for row in table.to_pylist()]


def _without_formulas(path: Path, table: pa.Table) -> pa.Table:
    import pyarrow as pa

    changed = 0
    for place, name in enumerate(table.column_names):
        texts = table[name].to_pylist()
        safe = [without_formula(text) for text in texts]
        if differing := sum(new is not old for new, old in zip(safe, texts, strict=True)):
            changed += differing
            table = table.set_column(place, name, pa.array(safe))
    if changed:
        logger.warning(
            "%s cells of %r begin with ' now, since a spreadsheet would run them as formulas; .jsonl and .parquet "
            "hold them unchanged",
            f"{changed:,}",
            str(path),
        )
    return table.rename_columns([without_formula(name) for name in table.column_names])


def _finite(value: Any) -> Any:
    """Return the value with null in place of NaN and infinite numbers, which JSON lacks."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _format(path: Path) -> str:
    return path.suffix.lower()


def _read(path: Path, column: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet

    if _format(path) == ".parquet":
        return pa.parquet.read_table(path)
    where = f"--file {str(path)!r}"
    if reader := reader_of(path):
        return _table(path, [row for _, row in reader(path, where).rows])
    if str(path) == STDIN:
        return pa.table({column: _texts(sys.stdin.buffer, where)})
    with opened(path, where) as file:
        return pa.table({column: _texts(file, where)})


def _texts(file: IO[bytes], where: str) -> list[str]:
    """Return the lines that are not blank.

    Raises:
        TaskError: a line is not UTF-8.
        ValueError: the file is too large.
    """
    found, size = [], 0
    for number, line in enumerate(lines(file, where), 1):
        size += len(line)
        if size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} characters")
        if "\0" in line or line.startswith("PK\x03\x04"):
            raise ValueError("it is binary, such as a spreadsheet")
        if line.strip():
            row = {"text": line.removesuffix("\n").removesuffix("\r")}
            found.append(check_text(f"{where}, line {number}", row)["text"])
    return found


def _table(path: Path, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return the rows as a table with every column that any of them has; a missing value is null."""
    import pyarrow as pa

    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        try:
            columns[name] = pa.array([row.get(name) for row in rows])
        except (pa.ArrowException, ValueError, OverflowError, RecursionError) as error:
            raise ConfigError(
                f"column {name!r} of {str(path)!r} must hold values of one kind, found others ({one_line(error)}); "
                "correct the file"
            ) from error
    return pa.table(columns)
