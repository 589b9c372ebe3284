"""Locks for writers: the first process of a launch, and one launch at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from s3_hf.errors import RunDirError, StorageError


def first_process() -> bool:
    """Return whether this is the first process of `accelerate launch`, or the only process."""
    return int(os.environ.get("RANK", "0")) == 0


def hold(lock: Path, of: Path) -> int:
    """Lock the file `lock` and return its handle; closing the handle, or the end of the process, releases it.

    Args:
        lock: file to lock, created if it is missing; it holds the id of the process and is not deleted.
        of: folder or file that the lock protects, for the message.

    Raises:
        RunDirError: another process holds it.
        StorageError: it cannot be written.
    """
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(
            f"cannot write {str(lock)!r}: {error.strerror}; make room, create the folder or correct the rights, "
            "then run the same command again"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
    except BlockingIOError as error:
        owner = os.read(handle, 20).decode(errors="replace")
        os.close(handle)
        raise RunDirError(
            f"{str(of)!r} can be written by one process at a time and process {owner!r} has it open; "
            "wait until that one ends, or use another run directory"
        ) from error
    except OSError:
        pass  # the id is only for the message; the lock is held
    return handle
