"""Files that one process at a time may hold."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from s3_hf.errors import RunDirError, StorageError


def hold(lock: Path, of: Path) -> int:
    """Hold the file `lock` until the handle is closed; the kernel frees it when the process ends, however it ends.

    Args:
        lock: file, made if it is not there; it holds the number of the process and stays.
        of: what it keeps others from writing, for the message.

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
        pass  # the number is only for the message; the lock is held
    return handle
