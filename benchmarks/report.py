"""Time and memory of `s3-hf report` on a large run: `python benchmarks/report.py --n 100000` prints one table.

The run is made by `s3-hf synthesize` with `seed_data`; `--run-dir` keeps it, and uses it again. The encoder is MiniLM.
CPU time and peak memory are those of the process that writes the page, as the system counts them.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEASURED = (
    "import resource, sys\n"
    "from s3_hf.cli import main\n"
    "try:\n"
    "    main()\n"
    "finally:\n"
    "    used = resource.getrusage(resource.RUSAGE_SELF)\n"
    "    print(used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10)\n"
)


def main() -> None:
    """Make the run unless it is there, write its page, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--run-dir", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, page = options.run_dir or Path(temporary) / "run", Path(temporary) / "page.html"
        if not (folder / "round-0" / "round.json").exists():
            make(folder, options.n)
        began = time.monotonic()
        command = [sys.executable, "-c", MEASURED, "report", str(folder), "--out", str(page)]
        shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        wall, (cpu, memory) = time.monotonic() - began, map(float, shown.splitlines()[-1].split())
        print("| rows | wall s | CPU s | memory, MB at most | page, MB |")
        print("|--:|--:|--:|--:|--:|")
        print(f"| {options.n:,} | {wall:.0f} | {cpu:.0f} | {memory:.0f} | {page.stat().st_size / 1e6:.1f} |")


def make(folder: Path, n: int) -> None:
    """Have the loop take over `n` rows of random words, which is faster than asking an endpoint for them."""
    sys.path.insert(0, str(ROOT))
    from tests.llm_server import WORDS

    draw, data = random.Random(0), folder.parent / "rows.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for number in range(n):
            writer.writerow((" ".join(draw.choice(words) for words in WORDS), number % 2))
    command = f"synthesize movie_snippets --set seed_data={data} --set rounds=0 --run-dir {folder}"
    subprocess.run([sys.executable, "-m", "s3_hf", *command.split()], check=True)


if __name__ == "__main__":
    main()
