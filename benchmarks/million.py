"""How memory and speed change over a long run: `python benchmarks/million.py --n 1000000` prints one Markdown table.

One `s3-hf synthesize` against `tests/llm_server.py` in another process. What it made is read from the journal, its
CPU time and memory from the system, so nothing is added to what is measured. CPU seconds tell slowing down on a
machine that is shared; wall time is printed beside them.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from s3_hf.errors import StorageError
from s3_hf.journal import paid

ROOT = Path(__file__).resolve().parent.parent
STEPS = 10


def main() -> None:
    """Run once, and print a line for each tenth of the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    server = [sys.executable, str(ROOT / "tests" / "llm_server.py")]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as endpoint,
    ):
        try:
            assert endpoint.stdout is not None
            report(watched(options, endpoint.stdout.readline().strip(), Path(folder) / "run"), options.n)
        finally:
            endpoint.kill()


def watched(options: argparse.Namespace, url: str, folder: Path) -> np.ndarray:
    """Samples of requests answered, wall seconds, CPU seconds and resident MB, one a second."""
    command = f"synthesize movie_snippets --strategy zerogen --n {options.n} --llm {url} "
    command += f"--concurrency {options.concurrency} --run-dir {folder}"
    samples: list[tuple[float, float, float, float]] = []
    with subprocess.Popen(
        [sys.executable, "-m", "s3_hf", *command.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        began, watched_process = time.monotonic(), psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(1)
            try:
                times, memory = watched_process.cpu_times(), watched_process.memory_info().rss
                done = paid(folder / "journal.sqlite").requests
            except (psutil.NoSuchProcess, StorageError):  # it has ended, or has not begun
                continue
            samples.append((done, time.monotonic() - began, times.user + times.system, memory / 2**20))
        assert process.returncode == 0
    return np.asarray(samples)


def report(samples: np.ndarray, n: int) -> None:
    """Print the table."""
    done, wall, cpu, memory = samples.T
    print("| rows | wall s | CPU s | CPU, against the first tenth | memory, MB at most |")
    print("|--:|--:|--:|--:|--:|")
    edges = np.linspace(0, n, STEPS + 1)
    first = 0.0
    for low, high in itertools.pairwise(edges):
        seconds = np.interp([low, high], done, wall)
        spent = float(np.diff(np.interp([low, high], done, cpu))[0])
        first = first or spent
        peak = memory[(done >= low) & (done <= high)].max(initial=0)
        print(f"| {int(high):,} | {seconds[1] - seconds[0]:.0f} | {spent:.0f} | {spent / first:.2f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
