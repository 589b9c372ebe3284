"""Write files that are either whole or absent: temporary file -> fsync -> rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.errors import RunDirError, S3Error, StorageError, one_line

if TYPE_CHECKING:
    from datasets import Dataset, Features

ROW_GROUP = 1_000
MOST_JSON_BYTES = 64 * 2**20

_AGAIN = "then run the same command again: what was made is kept"
_ROOM = f"make room, {_AGAIN}"
_RIGHTS = f"correct the rights, {_AGAIN}"
_DISK = f"check the disk and its mount, {_AGAIN}"
_BUSY = f"close the program that uses it, {_AGAIN}"
_FILE = "a file stands where a folder must be, name another path"
_ADVICE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOTDIR: _FILE,
    errno.EEXIST: _FILE,
    errno.EISDIR: "a folder stands where a file must be, name another path",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.ENOENT: "its folder is missing or was removed, create it and run the same command again",
    errno.EIO: _DISK,
    errno.ESTALE: _DISK,
    errno.ENXIO: _DISK,
    errno.ENODEV: _DISK,
    errno.EXDEV: _DISK,
    errno.ENOLCK: "its disk has no locks, name a folder on another one",
    errno.EBUSY: _BUSY,
    errno.ETXTBSY: _BUSY,
    errno.ENOTEMPTY: _BUSY,
    errno.EFBIG: "files must not be that large there, name a folder on another disk",
    errno.ELOOP: "a link stands there, remove it or name another path",
    errno.EMFILE: f"raise the limit of open files (`ulimit -n`), {_AGAIN}",
}
_WRITER = re.compile(
    r"failed writing|enforce fail at inline_container|disk (i/o error|is full)|readonly database", re.I
)
"""What torch and SQLite say where a file cannot be written; they have no error number."""
_NUMBER = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust give the error number of the system."""


def write_text(path: Path, text: str) -> None:
    """Write the text to `path`, durably and atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write the value to `path` as indented JSON, durably and atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise ValueError(f"it has more than {MOST_JSON_BYTES:,} bytes")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunDirError(
            f"{str(path)!r} cannot be read ({error}); restore it, or delete it to redo the stage"
        ) from error


def read_rows(path: Path) -> Dataset:
    """Return the rows of a Parquet file, without a copy in the cache of `datasets`.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    import datasets
    import pyarrow.parquet as pq

    try:
        return datasets.Dataset(pq.read_table(path, memory_map=True))
    except (OSError, ValueError) as error:
        raise RunDirError(
            f"{str(path)!r} cannot be read ({error}); restore it, or delete the round to redo it"
        ) from error


class RowWriter:
    """Writes rows to a Parquet file one by one; memory holds one row group.

    Equal rows give equal bytes. Nothing appears at `path` before `commit`.
    """

    def __init__(self, path: Path, features: Features) -> None:
        import pyarrow.parquet as pq

        self.count = 0
        self._features = features
        self._path = path
        self._temporary = _temporary(path)
        self._pending: list[dict[str, Any]] = []
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = pq.ParquetWriter(self._temporary, features.arrow_schema)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row with the columns of `features`; a ClassLabel is its id."""
        self._pending.append(dict(row))
        self.count += 1
        if len(self._pending) >= ROW_GROUP:
            self._flush()

    def commit(self, path: Path | None = None) -> None:
        """Put all rows at the writer's path, or at `path`, durably and atomically."""
        target = path or self._path
        with storage_errors(target):
            self._flush()
            self._file.close()
            _sync(self._temporary)
            self._temporary.replace(target)
            _sync(target.parent)

    def discard(self) -> None:
        """Delete the rows."""
        with contextlib.suppress(OSError):  # a full disk
            self._file.close()
        with storage_errors(self._path):
            self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow as pa

        if self._pending:
            with storage_errors(self._path):
                self._file.write_table(pa.Table.from_pylist(self._pending, schema=self._features.arrow_schema))
            self._pending.clear()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path, whose file or folder replaces `path` when the block succeeds.

    Raises:
        StorageError: the disk is full or read-only, or the path cannot exist.
    """
    temporary = _temporary(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        try:
            yield temporary
            for file in [temporary, *temporary.rglob("*")] if temporary.is_dir() else [temporary]:
                _sync(file)
            _put(temporary, path)
            _sync(path.parent)
        finally:
            _remove(temporary)


def _put(temporary: Path, path: Path) -> None:
    """Rename to `path`; a folder takes the place of an old one, which stays if it cannot."""
    old = path.with_name(f".{path.name}.old")
    if not temporary.is_dir() or not os.path.lexists(path):
        temporary.replace(path)
        return
    _remove(old)
    path.replace(old)
    try:
        temporary.replace(path)
    except OSError:
        old.replace(path)
        raise
    _remove(old)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise StorageError, in one sentence about `path`, for a full or read-only disk and for an impossible path."""
    try:
        yield
    except S3Error:
        raise
    except Exception as error:
        if (told := storage_error(path, error)) is None:
            raise
        raise told from error


def storage_error(path: Path, error: Exception, verb: str = "write") -> StorageError | None:
    """Return the sentence about `path` for an error of any library that the disk is to blame for, else None."""
    filename = getattr(error, "filename", None)
    number = error_number(error)
    if number is None and isinstance(error, Exception) and _WRITER.search(str(error)):
        detail = one_line(error)
        return StorageError(f"cannot {verb} {str(path)!r}: {detail}; {_ROOM}")
    own = {None, *map(str, (path, _temporary(path), *path.parents))}
    if number == errno.ENOENT and filename not in own and (path.exists() or not _is_below(filename, path)):
        return None  # that another file is missing is a bug
    if (advice := _ADVICE.get(number or 0)) is None:
        return None
    at = f" at {str(filename)!r}" if filename not in (None, str(path)) else ""
    return StorageError(f"cannot {verb} {str(path)!r}: {os.strerror(number or 0).lower()}{at}; {advice}")


def error_number(error: BaseException) -> int | None:
    """Return the error number of the system that an error of any library stands for, None if it has none."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := _NUMBER.search(str(error))):
        number = int(found[1])
    return number


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder that is removed after the block.

    Raises:
        StorageError: there is no folder for temporary files, or it is full.
    """
    try:
        place = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StorageError(
            f"a folder for temporary files is needed, found none: {error.strerror}; set TMPDIR"
        ) from error
    with storage_errors(place), tempfile.TemporaryDirectory(prefix="s3-hf-") as folder:
        yield Path(folder)


def check_place(path: Path, *, folder: bool) -> None:
    """Check that a file, or a folder, can be written at `path`, without creating it.

    Raises:
        StorageError: a file stands where a folder must be or the reverse, rights are missing, or the name is too long.
    """
    with storage_errors(path):
        for place in (path, *path.absolute().parents):
            try:
                is_folder = stat.S_ISDIR(place.stat().st_mode)
            except FileNotFoundError:
                continue
            if is_folder != (folder or place is not path):
                raise OSError(errno.EISDIR if is_folder else errno.ENOTDIR, "", str(place))
            if not os.access(place, os.W_OK):
                raise OSError(errno.EACCES, "", str(place))
            return


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    folder = path.is_dir()
    if folder and os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows syncs only what may be written
    try:
        os.fsync(handle)
    except OSError as error:
        if not folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks cannot
            raise
    finally:
        os.close(handle)


def _is_below(name: Any, folder: Path) -> bool:
    return isinstance(name, str | Path) and Path(name).is_relative_to(folder)
