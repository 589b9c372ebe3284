"""The embedded LLM: a GGUF served by llama.cpp on this machine, as OpenAI-compatible HTTP.

There is one single-threaded server process per core. On two idle cores, two processes write as many tokens as one
process with two threads; on two busy cores, more than twice as many. Clients spread requests over `LocalServer.urls`.

With one thread per process and no layers on a GPU, the answer depends only on the request (messages, sampling
settings, seed), not on concurrent requests or the cache; see `llamacpp.py`. It may differ between types of CPU and
builds of llama.cpp.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from s3_hf.errors import LocalError, check_installed
from s3_hf.local.assets import default_gguf


@dataclasses.dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of each server process. The defaults suit a model of about 100 million parameters on a CPU."""

    host: str = "127.0.0.1"
    port: int = 0
    """Port of the first process; the others use the ports that follow. 0 uses any free ports."""
    slots: int = 4
    """Requests that one process handles at once; further requests wait."""
    context: int = 2304
    """Tokens of one request: prompt and answer together."""
    timeout: float = 180.0
    """Seconds within which every process must be ready."""


@dataclasses.dataclass(frozen=True, slots=True)
class LocalServer:
    """A running embedded LLM: one URL per process, all serving the same model."""

    urls: tuple[str, ...]
    model: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    announcement: Path
    log: Path

    def url(self) -> str | None:
        """Return the URL when the worker is ready, else None."""
        text = self.announcement.read_text(encoding="utf-8")
        return str(json.loads(text)["url"]) if text.endswith("\n") else None

    def last_lines(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(line.strip() for line in lines[-4:] if line.strip()) or "no message"


@contextlib.contextmanager
def serve(
    gguf: Path | None = None, processes: int | None = None, options: ServerOptions | None = None
) -> Iterator[LocalServer]:
    """Run the server processes while the block runs; they end with it, even when this process is killed.

    Args:
        gguf: the model file; None for the embedded SmolLM2-135M-Instruct.
        processes: the number of processes; None for one per core that this process may use.
        options: the options of each process.

    Raises:
        LocalError: llama.cpp or the model is not installed, or a process ends or is not ready in time.
    """
    with _running(gguf, processes, options or ServerOptions()) as (server, _):
        yield server


def serve_forever(
    gguf: Path | None = None,
    processes: int | None = None,
    options: ServerOptions | None = None,
    announce: Callable[[LocalServer], None] | None = None,
) -> None:
    """Serve the model until Ctrl-C or SIGTERM. Must be called in the main thread.

    Args:
        gguf: the model file; None for the embedded SmolLM2-135M-Instruct.
        processes: the number of processes; None for one per core that this process may use.
        options: the options of each process.
        announce: called once, when every process is ready.

    Raises:
        LocalError: as in `serve`, and when a process ends later.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with contextlib.suppress(KeyboardInterrupt), _running(gguf, processes, options or ServerOptions()) as running:
            server, workers = running
            if announce:
                announce(server)
            while all(worker.process.poll() is None for worker in workers):
                time.sleep(0.5)
            raise _died(next(worker for worker in workers if worker.process.poll() is not None))
    finally:
        signal.signal(signal.SIGTERM, before)


def available_cores() -> int:
    """Return the number of cores that this process may use, within the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))  # "max" without a quota
    return cores


@contextlib.contextmanager
def _running(
    gguf: Path | None, processes: int | None, options: ServerOptions
) -> Iterator[tuple[LocalServer, list[_Worker]]]:
    if not hasattr(socket, "AF_UNIX"):
        raise LocalError(
            f"the embedded LLM needs Unix sockets, found that Python has none on {sys.platform!r}; name an endpoint "
            "by --llm, such as that of Ollama or llama.cpp's server on this machine"
        )
    check_installed("the embedded LLM needs", "local", "xllamacpp")
    gguf = gguf or default_gguf()
    count = available_cores() if processes is None else processes
    if not gguf.is_file() or count < 1:
        raise LocalError(f"a GGUF file and at least one process are needed, found {str(gguf)!r} and {count!r}")
    workers: list[_Worker] = []
    with tempfile.TemporaryDirectory(prefix="s3-hf-llm-", ignore_cleanup_errors=True) as folder:
        try:
            for index in range(count):
                workers.append(_start(gguf, index, options, Path(folder)))
            yield LocalServer(_wait(workers, options.timeout), gguf.stem), workers
        finally:
            for worker in workers:
                _stop(worker.process)


def _start(gguf: Path, index: int, options: ServerOptions, folder: Path) -> _Worker:
    command = [sys.executable, "-P", "-m", "s3_hf.local.llamacpp", "--gguf", str(gguf), "--host", options.host]
    command += ["--port", str(options.port + index if options.port else 0), "--socket", str(folder / f"{index}.sock")]
    command += ["--slots", str(options.slots), "--context", str(options.context)]
    if threading.current_thread() is threading.main_thread():
        # Linux treats the end of the starting thread as the end of the parent, so only the main thread may use this.
        # Other threads rely on the end of standard input, which a process forked from this one can delay.
        command.append("--die-with-parent")
    announcement, log = folder / f"{index}.json", folder / f"{index}.log"
    with announcement.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)  # noqa: S603
    return _Worker(process, announcement, log)


def _wait(workers: list[_Worker], timeout: float) -> tuple[str, ...]:
    deadline = time.monotonic() + timeout
    while True:
        for worker in workers:
            if worker.process.poll() is not None:
                raise _died(worker)
        urls = [url for worker in workers if (url := worker.url())]
        if len(urls) == len(workers):
            return tuple(urls)
        if time.monotonic() > deadline:
            raise LocalError(
                f"{len(workers)} processes of the embedded LLM had to start within {timeout:g} s, "
                f"{len(urls)} did; set a longer timeout, or fewer processes or slots"
            )
        time.sleep(0.02)


def _died(worker: _Worker) -> LocalError:
    return LocalError(
        f"a process of the embedded LLM ended with code {worker.process.returncode} ({worker.last_lines()}); "
        "check the GGUF file, the port and the free memory"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


def _interrupt(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt
