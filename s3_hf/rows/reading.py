"""Open files of rows for reading: decompressed, decoded, with bounded lines and errors of one sentence."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from s3_hf.errors import TaskError, one_line
from s3_hf.rows.caching import cache_errors

if TYPE_CHECKING:
    from datasets import Features

PlacedRow = tuple[str, dict[str, Any]]
"""The place of a row, such as `gold data 'a.csv', line 3`, and its columns."""

LONGEST_CELL = 1_000_000
"""Longest cell, in characters; a longer one is refused, since it usually comes from a quote that is not closed."""

LONGEST_LINE = 64 * 2**20
"""Longest line, in bytes, after decompression."""

LARGEST = 2**30
"""Most bytes, after decompression, of a file that is read whole."""

COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_CONFIGURATIONS = re.compile(r"(?:BuilderConfig '(.*)' not found\. Available|available configs): \[(.*)\]")
"""How `datasets` lists the configurations of data where an unknown one was named, or none."""
_NOT_TEXT = re.compile("[\ud800-\udfff]")


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

    Raises:
        StorageError: the cache of `datasets` cannot be written.
    """
    from datasets.exceptions import DatasetGenerationError

    try:
        with cache_errors():
            yield
    except (DatasetGenerationError, OSError, ValueError, RuntimeError, TypeError, LookupError) as error:
        cause = error.__cause__ if isinstance(error, DatasetGenerationError) and error.__cause__ else error
        detail = one_line(cause)
        if "corresponds to no data" in detail:  # the words of `datasets` for a split without rows
            raise TaskError(
                f"{kind} {source!r} must have rows in each split, found an empty one ({detail}); give data with rows"
            ) from error
        if found := _CONFIGURATIONS.search(str(cause)):
            unknown, names = found[1], re.findall(r"'([^']*)'", found[2])
            raise TaskError(
                f"{kind} {source!r} must be read in one of its configurations ({', '.join(names)}), found "
                f"{repr(unknown) if unknown else 'none named'}; name one, such as {f'{source}:{names[0]}'!r}"
            ) from error
        raise TaskError(
            f"{kind} {source!r} cannot be read ({type(cause).__name__}: {detail}); check its name, configuration "
            "and splits, and HF_ENDPOINT, or give other data"
        ) from error


@contextlib.contextmanager
def opened(path: Path, where: str) -> Iterator[IO[bytes]]:
    """Open a file, decompressed if its name ends in `.gz`, `.bz2` or `.xz`.

    Raises:
        TaskError: it cannot be read, now or later in the block.
    """
    try:
        with COMPRESSED.get(path.suffix.lower(), Path.open)(path, "rb") as file:
            yield file
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise TaskError(f"{where} cannot be read ({detail}); check the file and its rights") from error


def read_whole(file: IO[bytes], where: str) -> str:
    """Return the decoded text of a file of at most `LARGEST` bytes; see `lines`."""
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise TaskError(f"{where} must have at most {LARGEST:,} bytes, found more; write it as .jsonl or .parquet")
    return content.decode("utf-8-sig", errors="surrogateescape")


def lines(file: IO[bytes], where: str) -> Iterator[str]:
    """Yield decoded lines, which end in a newline, or in a carriage return alone if the file has no newline.

    Bytes that are not UTF-8 become surrogates, which `check_text` reports by column.
    """
    first = file.readline(LONGEST_LINE + 1)
    old_mac = b"\r" in first and not first.endswith(b"\n")  # a file without any newline is a single line
    parts = (part + b"\n" for part in first.split(b"\r")) if old_mac else _from(first, file)
    for number, line in enumerate(parts):
        if len(line) > LONGEST_LINE:
            raise TaskError(
                f"{where}, line {number + 1}, must have at most {LONGEST_LINE:,} bytes, found more; correct the file"
            )
        yield line.decode("utf-8" if number else "utf-8-sig", errors="surrogateescape")


def _from(line: bytes, file: IO[bytes]) -> Iterator[bytes]:
    while line:
        yield line
        line = file.readline(LONGEST_LINE + 1)


def check_text(place: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return the row, or raise if a name or a cell holds bytes that are not UTF-8, or half of a surrogate pair."""
    for name, value in row.items():
        for text in (name, value) if isinstance(value, str) else (name,):
            bad = None if text.isascii() else _NOT_TEXT.search(text)
            if bad:
                shown = name.encode("utf-8", "surrogateescape" if _decoded(name) else "replace")
                before = text[: bad.start()][-20:]
                raise TaskError(not_utf8(place, shown.decode("utf-8", "replace"), ord(bad[0]), before))
    return row


def _decoded(text: str) -> bool:
    """Return whether all surrogates of the text stand for bytes."""
    return all("\udc80" <= found <= "\udcff" for found in _NOT_TEXT.findall(text))


def not_utf8(place: str, column: str, code: int, before: str = "") -> str:
    """Return the message for a byte, or for a surrogate, whether it is one or stands for a byte."""
    after = f" after {before!r}" if before else ""
    if 0xD800 <= code < 0xDC80 or code > 0xDCFF:
        return f"{place}, column {column!r}, must be text, found the half character \\u{code:04x}{after}; correct it"
    return f"{place}, column {column!r}, must be UTF-8, found the byte 0x{code & 0xFF:02x}{after}; save it as UTF-8"
