"""The roles of the processes of one `accelerate launch`.

The first process holds the lock of the run directory, synthesizes, writes every file and publishes. All processes
train and predict together. The others wait for a proof of each stage and not at a barrier, since synthesis may take
days.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from s3_hf.files import replacing
from s3_hf.locking import first_process
from s3_hf.store import locked

POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Launch:
    """The role of this process; `first` is True in the first process of a launch, and in one without a launch.

    `processes` train together.
    """

    first: bool
    processes: int = 1

    @classmethod
    def current(cls) -> Launch:
        """Return the role of the calling process."""
        return cls(first_process(), int(os.environ.get("WORLD_SIZE", "1")))

    @contextlib.contextmanager
    def opening(self, run_dir: Path) -> Iterator[None]:
        """Hold the lock of the run directory; the other processes wait until the first one has created it.

        Raises:
            RunDirError: another launch holds the lock, or the folder is not a run directory.
            StorageError: the folder cannot be written.
        """
        if self.first:
            with locked(run_dir):
                yield
        else:
            _wait_for(run_dir / "run.yaml")
            yield

    def alone(self, work: Callable[[], object], *proofs: Path) -> None:
        """Do work in the first process; the others wait until one of the proofs that it leaves exists.

        Args:
            work: called without arguments.
            proofs: files or folders; without any the others do not wait.
        """
        if self.first:
            work()
        else:
            _wait_for(*proofs)

    def remove(self, *folders: Path) -> None:
        """Remove folders, in the first process; those that are not there are no error."""
        for folder in folders if self.first else ():
            shutil.rmtree(folder, ignore_errors=True)

    def discard(self, folder: Path) -> None:
        """Remove a folder that all have come to; a kill on the way leaves nothing under its name."""
        old = folder.with_name(f".{folder.name}.old")

        def remove() -> None:
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
            shutil.rmtree(old)

        self.together(remove)

    def together(self, work: Callable[[], object]) -> None:
        """Do work in the first process, once all have come here; the others wait until it is done."""
        if self.processes > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()
        if self.first:
            work()
        if self.processes > 1:
            PartialState().wait_for_everyone()

    @contextlib.contextmanager
    def replacing(self, path: Path) -> Iterator[Path]:
        """Yield the path that all processes pass to a call of which only the first one writes.

        When the block ends, the content is at `path` in the first process; the others wait until it is.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        if self.first:
            with replacing(path) as temporary:
                yield temporary
        else:
            yield path
            _wait_for(path)


def _wait_for(*proofs: Path) -> None:
    while proofs and not any(path.exists() for path in proofs):
        time.sleep(POLL_SECONDS)
