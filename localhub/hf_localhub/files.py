"""Large content on disk: request bodies as they arrive, objects by sha256, xorbs of the Xet protocol."""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hf_localhub.errors import StorageError

HEX64 = re.compile(r"[0-9a-f]{64}")
_IN_MEMORY = 1 << 20
_LEFTOVER_SECONDS = 3600
COPY_BYTES = 1 << 20


def create_data_folder(path: Path) -> Path:
    """Create the data directory if it is missing, and return it.

    Raises:
        StorageError: the directory cannot be created or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(path, os.W_OK) else "permission denied"
    except FileExistsError:
        reason = "not a directory"
    except OSError as error:
        reason = str(error.strerror).lower()
    if reason:
        raise StorageError(f"the Hub cannot write its data to {str(path)!r}: {reason}; name another folder")
    return path


def sync_dir(path: Path) -> None:
    """Names made or replaced in the folder survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Spool:
    """A body while it arrives: in memory while small, then a file of its own; its sha256 when asked."""

    def __init__(self, folder: Path, hashed: bool = False) -> None:
        self._folder = folder
        self._hash = hashlib.sha256() if hashed else None
        self.path: Path | None = None
        self.file: BinaryIO = io.BytesIO()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """The bytes are appended, and hashed when the spool hashes."""
        if self.path is None and self.size + len(data) > _IN_MEMORY:
            self._to_disk()
        if self._hash is not None:
            self._hash.update(data)
        self.file.write(data)
        self.size += len(data)

    def _to_disk(self) -> None:
        self.path = self._folder / f"body-{secrets.token_hex(12)}"
        file = self.path.open("w+b")
        self.file.seek(0)
        shutil.copyfileobj(self.file, file)
        self.file = file

    @property
    def sha256(self) -> str:
        """The sha256 of everything written, in hex."""
        assert self._hash is not None
        return self._hash.hexdigest()

    def move_to(self, target: Path) -> None:
        """The bytes stand under `target`, durably; the spool is spent."""
        if self.path is None:
            self._to_disk()
        assert self.path is not None
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            sync_dir(target.parent.parent)
        self.path.replace(target)
        self.path = None
        sync_dir(target.parent)

    def close(self) -> None:
        """Nothing of the spool is left."""
        self.file.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Files:
    """The folders of the data directory that hold content which is not in a git repository."""

    data: Path

    @property
    def temporary(self) -> Path:
        """Where bodies are spooled: on the same file system as everything they are moved to."""
        return self.data / "tmp"

    def create(self) -> None:
        """The folders exist, and what a killed server left behind is gone."""
        for folder in (self.temporary, self.data / "objects", self.data / "xet", self.data / "parts"):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.temporary, self.data / "parts"):
            for path in folder.iterdir():
                if path.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def spool(self, hashed: bool = True) -> Iterator[Spool]:
        """An empty spool, removed at the end unless it was moved to its place."""
        spool = Spool(self.temporary, hashed)
        try:
            yield spool
        finally:
            spool.close()

    def object(self, sha256: str) -> Path:
        """Where the object of this sha256 is, or would be."""
        return self.data / "objects" / sha256[:2] / sha256[2:]

    def keep(self, spool: Spool) -> str:
        """The spooled bytes are an object under their sha256, which is returned."""
        sha256 = spool.sha256
        target = self.object(sha256)
        if not target.exists():
            spool.move_to(target)
        return sha256

    def part(self, upload: str, number: int) -> Path:
        """Where one part of a multipart upload waits for the others."""
        return self.data / "parts" / upload / str(number)

    def xorb(self, space: str, name: str) -> Path:
        """Where a xorb of this hash is; each account has its own space, so none can spoil another's."""
        return self.data / "xet" / space / name[:2] / name
