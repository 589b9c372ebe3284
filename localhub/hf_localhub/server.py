"""The Hub as a process: in the foreground, or as a child that never outlives its parent."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from filelock import FileLock, Timeout

from hf_localhub.app import HubApp
from hf_localhub.errors import LocalHubError, ServerError, StorageError
from hf_localhub.files import create_data_folder
from hf_localhub.origins import Origins
from hf_localhub.state import Hub

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 15


@contextmanager
def _opened(data: Path) -> Iterator[Hub]:
    """Open the data directory for this server alone."""
    lock = FileLock(create_data_folder(data) / "server.lock", timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise StorageError(f"another Hub is already serving {str(data)!r}; stop it or use another folder") from error
    try:
        with contextlib.closing(Hub(data)) as hub:
            hub.sweep()
            yield hub
    finally:
        lock.release()


def _allow_open_files() -> None:
    """Raise the limit of open files as far as the system lets a process raise it; Windows has none."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < min(hard, 65536):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def _listen(host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only when the protocol is explicit; without it each response waits 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(512)
    except OSError as error:
        listening.close()
        raise ServerError(f"the Hub cannot listen on {host}:{port}: {error.strerror}; choose another port") from error
    return listening


def serve_until_stopped(
    data: Path, host: str, port: int, names: Iterable[str] = (), listening: Callable[[int], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, and finish the requests that have begun.

    Args:
        data: the data directory.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        names: further names of the host by which clients may reach the server.
        listening: called with the port as soon as connections are accepted.

    Raises:
        ServerError: the server cannot listen on the port.
        StorageError: the directory cannot be written, or another Hub serves it.
    """
    _allow_open_files()
    with _opened(data) as hub, _listen(host, port) as server_socket:
        # Clients close idle connections after 5 s. If the server closed first, a commit could fail on the closing one.
        config = uvicorn.Config(
            HubApp(hub, Origins(host, names)),
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=120,
            timeout_graceful_shutdown=_STOP_SECONDS - 5,
        )
        server = uvicorn.Server(config)

        def stop(*_: object) -> None:
            server.should_exit = True

        # uvicorn handles these signals while it runs and raises them again after it has stopped.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if listening is not None:
            listening(server_socket.getsockname()[1])
        server.run(sockets=[server_socket])


@dataclass(frozen=True, slots=True)
class RunningHub:
    """A Hub in a child process."""

    endpoint: str
    process: subprocess.Popen[str]


@contextmanager
def run_child(data: Path, port: int) -> Iterator[RunningHub]:
    """Serve `data` on 127.0.0.1 while the block runs; the child ends with this process, even when this is killed.

    Linux ends the child with the thread that started it; on every system a broken pipe from this process ends it.
    """
    command = [sys.executable, "-m", "hf_localhub.server", str(data), str(port)]
    log = create_data_folder(data) / "server.log"
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.strip().isdecimal():
            process.wait()
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise ServerError(f"the local Hub did not start: {last}")
        yield RunningHub(f"http://127.0.0.1:{int(line)}", process)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _follow_parent() -> None:
    """Send SIGTERM to this process when its parent has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _announce(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the child process: write the port to standard output and the log to standard error."""
    data, port = sys.argv[1:]
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _follow_parent()
    try:
        serve_until_stopped(Path(data), "127.0.0.1", int(port), listening=_announce)
    except LocalHubError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
