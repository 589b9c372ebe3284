"""Write files that are either whole or absent: temporary file -> fsync -> rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.errors import RunDirError, StorageError

if TYPE_CHECKING:
    from datasets import Dataset, Features

ROW_GROUP = 1_000

_ROOM = "make room, then run the same command again: what was made is kept"
_RIGHTS = "correct the rights, then run the same command again: what was made is kept"
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
    errno.ENOENT: "its folder was removed meanwhile, run the same command again",
}


def write_text(path: Path, text: str) -> None:
    """Write the text to `path`, durably and atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write the value to `path` as indented JSON, durably and atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        RunDirError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
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
        self._file.close()
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
            if temporary.is_dir():
                _remove(path)
            temporary.replace(path)
            _sync(path.parent)
        finally:
            _remove(temporary)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Raise StorageError, in one sentence about `path`, for a full or read-only disk and for an impossible path."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        own = {None, *map(str, (path, _temporary(path), *path.parents))}
        if advice is None or (error.errno == errno.ENOENT and error.filename not in own):
            raise  # that another file is missing is a bug
        at = f" at {str(error.filename)!r}" if error.filename not in (None, str(path)) else ""
        what = os.strerror(error.errno or 0).lower()
        raise StorageError(f"cannot write {str(path)!r}: {what}{at}; {advice}") from error


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
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
