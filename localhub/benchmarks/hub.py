"""Speed of the local Hub, next to the raw disk and the raw loopback of the same machine in the same run.

    python localhub/benchmarks/hub.py [--data DIR]

Prints one Markdown table. Clients are unmodified and run in processes of their own, like the server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from hf_localhub import add_user, running

MIB = 1 << 20
LARGE, SMALL_FILES, SMALL_BYTES, READS = 200 * MIB, 1000, 2000, 64
Row = tuple[str, str, str]


def timed(function: Callable[[], object]) -> float:
    """Return the seconds that the function takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def raw_small_files(folder: Path) -> None:
    """Write every small file and sync each."""
    folder.mkdir()
    for number in range(SMALL_FILES):
        with (folder / str(number)).open("wb") as file:
            file.write(os.urandom(SMALL_BYTES))
            file.flush()
            os.fsync(file.fileno())


def raw_large_file(path: Path, data: bytes) -> None:
    """Write the data and sync once."""
    with path.open("wb") as file:
        for start in range(0, len(data), MIB):
            file.write(data[start : start + MIB])
        file.flush()
        os.fsync(file.fileno())


def bare_server(data: bytes) -> tuple[int, Callable[[], None]]:
    """Serve, in threads, the number of bytes that each client sends; return the port and a function that stops it."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)

    def answer(peer: socket.socket) -> None:
        with peer:
            count = int.from_bytes(peer.recv(8), "big")
            peer.sendall(memoryview(data)[:count])

    def accept() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listening.getsockname()[1], lambda: listening.shutdown(socket.SHUT_RDWR)


def bare_read(port: int, count: int) -> None:
    """Read `count` bytes over the loopback."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(count.to_bytes(8, "big"))
        while count:
            count -= len(peer.recv(MIB))


def in_parallel(read: Callable[[int], None]) -> tuple[float, list[float]]:
    """Return the seconds of all reads together and of each."""
    with ThreadPoolExecutor(READS) as pool:
        start = time.perf_counter()
        each = list(pool.map(lambda number: timed(lambda: read(number)), range(READS)))
    return time.perf_counter() - start, each


def client(step: str, folder: str) -> None:
    """Run one step with the real client and print its seconds."""
    from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download

    api, repo = HfApi(), "bench/repo"
    api.create_repo(repo, repo_type="dataset", exist_ok=True)
    if step == "commit":
        texts = [os.urandom(SMALL_BYTES // 2).hex().encode() for _ in range(SMALL_FILES)]
        adds = [CommitOperationAdd(f"{number % 10}/{number}.txt", text) for number, text in enumerate(texts)]
        took = timed(lambda: api.create_commit(repo, adds, commit_message="many", repo_type="dataset"))
    elif step == "up":
        name = f"{os.environ['HF_HUB_DISABLE_XET']}.bin"
        source = Path(folder, name)
        source.write_bytes(os.urandom(LARGE))
        add = [CommitOperationAdd(name, source)]
        took = timed(lambda: api.create_commit(repo, add, commit_message="large", repo_type="dataset"))
    else:
        took = timed(lambda: hf_hub_download(repo, "1.bin", repo_type="dataset"))
    sys.stdout.write(json.dumps(took))


def run_client(step: str, endpoint: str, token: str, folder: Path, xet: bool) -> float:
    """Return the seconds of a step in a fresh interpreter."""
    environment = {
        **os.environ, "HF_ENDPOINT": endpoint, "HF_TOKEN": token, "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "0" if xet else "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }  # fmt: skip
    command = [sys.executable, __file__, "--client", step, "--data", str(folder)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def plain_download(endpoint: str) -> None:
    """Read the large file in one response."""
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(str(address.hostname), address.port)
    connection.request("GET", "/datasets/bench/repo/resolve/main/1.bin")
    answer, buffer, count = connection.getresponse(), bytearray(MIB), 0
    while got := answer.readinto(buffer):
        count += got
    assert count == LARGE
    connection.close()


def range_reader(endpoint: str) -> Callable[[int], None]:
    """Return a function that reads one megabyte of the large file, at an offset by its argument."""
    address = urlsplit(endpoint)

    def read(number: int) -> None:
        connection = http.client.HTTPConnection(str(address.hostname), address.port)
        start = number * 3 * MIB
        headers = {"Range": f"bytes={start}-{start + MIB - 1}"}
        connection.request("GET", "/datasets/bench/repo/resolve/main/1.bin", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 206
        assert len(answer.read()) == MIB
        connection.close()

    return read


def rate(seconds: float, size: int = LARGE) -> str:
    """Return the megabytes per second as text."""
    return f"{size / MIB / seconds:,.0f} MiB/s"


def measure(folder: Path) -> list[Row]:
    """Return all rows of the table."""
    data, rows = os.urandom(LARGE), []

    def row(name: str, seconds: float, speed: str) -> None:
        rows.append((name, f"{seconds:.3f} s", speed))

    took = timed(lambda: raw_small_files(folder / "small"))
    row("raw disk: 1,000 files of 2 kB, fsync each", took, f"{SMALL_FILES / took:,.0f} files/s")
    took = timed(lambda: raw_large_file(folder / "large", data))
    row("raw disk: write 200 MiB, one fsync", took, rate(took))
    port, stop = bare_server(data)
    took = timed(lambda: bare_read(port, LARGE))
    row("raw loopback: 200 MiB over one socket", took, rate(took))
    took, each = in_parallel(lambda _: bare_read(port, MIB))
    row("raw loopback: 64 parallel reads of 1 MiB", took, parallel(took, each))
    stop()
    token = add_user(folder / "hub", "bench")
    with running(folder / "hub") as server:

        def step(name: str, what: str, xet: bool = True) -> None:
            took = run_client(what, server.endpoint, token, folder, xet)
            row(name, took, f"{SMALL_FILES / took:,.0f} files/s" if what == "commit" else rate(took))

        step("huggingface_hub: one commit of 1,000 files of 2 kB", "commit")
        step("huggingface_hub: 200 MiB up, Xet", "up")
        step("huggingface_hub: 200 MiB up, LFS", "up", xet=False)
        step("huggingface_hub: 200 MiB down", "down")
        took = timed(lambda: plain_download(server.endpoint))
        row("HTTP: 200 MiB down, one plain GET", took, rate(took))
        read = range_reader(server.endpoint)
        read(0)
        took, each = in_parallel(read)
        row("HTTP: 64 parallel range reads of 1 MiB", took, parallel(took, each))
    return rows


def parallel(took: float, each: list[float]) -> str:
    """Return the rate of all reads, and the median and longest time of one, as text."""
    return (
        f"{rate(took, READS * MIB)}; median {statistics.median(each) * 1000:.0f} ms, slowest {max(each) * 1000:.0f} ms"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="folder on the disk to be measured; default: the temporary folder")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client(options.client, str(options.data))
        return
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        rows = measure(Path(folder))
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f}\n")
    print("| what | time | rate |\n|---|---:|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
