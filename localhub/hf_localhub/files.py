"""Content outside git repositories: spooled request bodies, objects by sha256, xorbs of the Xet protocol."""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import shutil
import sys
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
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = None if os.access(path, os.W_OK) else "permission denied"
    except FileExistsError:
        reason = "not a directory"
    except OSError as error:
        reason = str(error.strerror).lower()
    if reason:
        raise StorageError(f"the Hub cannot write its data to {str(path)!r}: {reason}; name another folder")
    return path


def create_private(folder: Path) -> None:
    """Create a folder that only this user may enter, or take others' right to enter it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)


def sync_dir(path: Path) -> None:
    """Sync a folder, so that names created or replaced in it survive a power cut; Windows opens no folders."""
    if sys.platform == "win32":
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Spool:
    """A body while it arrives: in memory while it is small, then in a file. Computes its sha256 if `hashed` is set."""

    def __init__(self, folder: Path, hashed: bool = False) -> None:
        self._folder = folder
        self._hash = hashlib.sha256() if hashed else None
        self.path: Path | None = None
        self.file: BinaryIO = io.BytesIO()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append the bytes."""
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
        """The sha256 of all bytes written, in hex."""
        assert self._hash is not None
        return self._hash.hexdigest()

    def move_to(self, target: Path) -> None:
        """Move the bytes to `target`, durably. The spool cannot be used afterwards."""
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

    def unlink(self) -> None:
        """Remove the name of the file; its bytes last until the file is closed."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close and remove the spool."""
        self.file.close()
        self.unlink()


@dataclass(frozen=True)
class Files:
    """The folders of the data directory for content outside git repositories."""

    data: Path

    @property
    def temporary(self) -> Path:
        """The folder for spooled bodies, on the same file system as the places that they are moved to."""
        return self.data / "tmp"

    def create(self) -> None:
        """Create the folders, and remove what a killed server left in them."""
        for folder in (self.temporary, self.data / "objects", self.data / "xet", self.data / "parts"):
            create_private(folder)
        for folder in (self.temporary, self.data / "parts"):
            for path in folder.iterdir():
                if path.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def spool(self, hashed: bool = True) -> Iterator[Spool]:
        """Open an empty spool for the block; it is removed at the end unless it was moved."""
        spool = Spool(self.temporary, hashed)
        try:
            yield spool
        finally:
            spool.close()

    def object_path(self, sha256: str) -> Path:
        """Return the path of the object with this sha256, whether or not it exists."""
        return self.data / "objects" / sha256[:2] / sha256[2:]

    def store(self, spool: Spool) -> str:
        """Store the spooled bytes as an object and return their sha256."""
        sha256 = spool.sha256
        target = self.object_path(sha256)
        if not target.exists():
            spool.move_to(target)
        return sha256

    def part_path(self, upload: str, number: int) -> Path:
        """Return the path of one part of an unfinished multipart upload."""
        return self.data / "parts" / upload / str(number)

    def xorb_path(self, space: str, name: str) -> Path:
        """Return the path of a xorb. Each account has a space of its own, so that none can damage another's."""
        return self.data / "xet" / space / name[:2] / name
