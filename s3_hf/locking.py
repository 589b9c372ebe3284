"""Locks for writers: the first process of a launch, and one launch at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from s3_hf.errors import RunDirError, StorageError

MOMENT = 0.5
"""Seconds that a writer waits for a lock, since `is_held` takes it for an instant."""
_HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def first_process() -> bool:
    """Return whether this is the first process of `accelerate launch`, or the only process."""
    return int(os.environ.get("RANK", "0")) == 0


def hold(lock: Path, of: Path) -> BaseFileLock:
    """Lock the file `lock` and return the lock; its `release`, or the end of the process, frees it.

    Args:
        lock: file to lock, created if it is missing; it holds the id of the process and is not deleted. A link is
            not followed.
        of: folder or file that the lock protects, for the message.

    Raises:
        RunDirError: another process holds it.
        StorageError: it cannot be written or locked.
    """
    held = FileLock(lock, timeout=MOMENT, mode=0o644, thread_local=False)
    try:
        lock.parent.stat()  # filelock would create it
        held.acquire()
    except Timeout as error:
        raise RunDirError(
            f"{str(of)!r} can be written by one process at a time and {_owner(lock)} has it open; "
            "wait until that one ends, or use another run directory"
        ) from error
    except OSError as error:
        advice = "make room, create the folder or correct the rights, then run the same command again"
        if error.errno == errno.ELOOP:
            advice = "a link stands there: remove it"
        elif error.errno in _WITHOUT_LOCKS:
            advice = "its disk has no locks, name a run directory on another one"
        raise StorageError(f"cannot write {str(lock)!r}: {os.strerror(error.errno or 0)}; {advice}") from error
    with contextlib.suppress(OSError):  # the id is only for the message; the lock is held
        lock.write_text(str(os.getpid()), encoding="utf-8", newline="\n")
    return held


def is_held(lock: Path) -> bool:
    """Return whether a process holds the lock file, which is only read; what cannot be read is held by nobody."""
    try:
        handle = os.open(lock, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # several may look at once
    except OSError as error:
        return error.errno in _HELD
    finally:
        os.close(handle)
    return False


def _owner(lock: Path) -> str:
    try:
        return f"process {str(int(lock.read_bytes()[:20]))!r}"
    except (OSError, ValueError):
        return "another process"
