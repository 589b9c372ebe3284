"""What the product adds to a bare client: `python benchmarks/generation.py` prints one Markdown table.

Every arm is a process of its own and asks the same endpoint (`tests/llm_server.py`, also a process of its own,
so its CPU does not count) for the same number of completions at the same concurrency. Wall, CPU and peak
memory are the whole process's, start-up included; "asking" is the time of the requests alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "synthesize movie_snippets --strategy zerogen --n {n} --llm {url} --concurrency {c} --run-dir {folder}"

CLI = """
import json, sys, time
from pathlib import Path
started = time.perf_counter()
try:
    from s3_hf.cli import main
    sys.argv = ["s3-hf", *sys.argv[2:]]
    main()
finally:
    facts = {"asking": time.perf_counter() - started, "torch": "torch" in sys.modules}
    Path(sys.argv[-1]).with_name("benchmark.json").write_text(json.dumps(facts))
"""


@dataclass(frozen=True)
class Result:
    """One row of the table; times in seconds, memory in MB."""

    wall: float
    asking: float
    cpu: float
    rss: float
    rows: int
    torch: bool


def main() -> None:
    """Run all arms and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds that the endpoint takes for an answer")
    parser.add_argument("--no-cli", action="store_true", help="leave out the whole command")
    parser.add_argument("--arm", choices=sorted(ARMS), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        run_arm(options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Measure each arm after the other, the bare loop first and last."""
    with endpoint(options.delay) as url, endpoint(options.delay, busy=0.05, broken=0.05) as faulty:
        results = {
            "bare `AsyncInferenceClient` loop": measure(own(options, "bare", url)),
            "`Client` with journal": measure(own(options, "client", url)),
            "`Client`, 5 % 429 and 5 % 500 at first": measure(own(options, "client", faulty)),
        }
        if not options.no_cli:
            results["the whole command `s3-hf synthesize`"] = measure(command(options, url))
        results["bare loop again"] = measure(own(options, "bare", url))
    base = results["bare `AsyncInferenceClient` loop"], results["bare loop again"]
    wall, asking = (sum(getattr(one, what) for one in base) / 2 for what in ("wall", "asking"))
    print(f"n={options.n}, concurrency={options.concurrency}, delay={options.delay} s; ratios to the mean bare loop\n")
    print("| | wall s | ratio | asking s | ratio | CPU s | peak MB | rows | torch imported |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, one in results.items():
        times = f"{one.wall:.2f} | {one.wall / wall:.2f} | {one.asking:.2f} | {one.asking / asking:.2f}"
        print(f"| {name} | {times} | {one.cpu:.2f} | {one.rss:.0f} | {one.rows} | {'yes' if one.torch else 'no'} |")


@contextlib.contextmanager
def endpoint(delay: float, busy: float = 0.0, broken: float = 0.0) -> Iterator[str]:
    """The URL of an endpoint in a process of its own."""
    server = ROOT / "tests" / "llm_server.py"
    flags = [f"--delay={delay}", f"--busy={busy}", f"--broken={broken}"]
    with subprocess.Popen([sys.executable, server, *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def own(options: argparse.Namespace, arm: str, url: str) -> list[str]:
    """The command line of an arm of this file; the run folder is added by `measure`."""
    flags = [f"--n={options.n}", f"--concurrency={options.concurrency}", f"--arm={arm}", f"--url={url}"]
    return [sys.executable, __file__, *flags, "--folder"]


def command(options: argparse.Namespace, url: str) -> list[str]:
    """The command line of the whole product; the run folder is added by `measure`."""
    words = COMMAND.format(n=options.n, url=url, c=options.concurrency, folder="").split()
    return [sys.executable, "-c", CLI, "--", *words]


def measure(arguments: list[str]) -> Result:
    """Run the process and take its times, its memory and the number of rows it made."""
    with tempfile.TemporaryDirectory(dir=ROOT.parent, prefix=".benchmark-") as parent:
        folder = Path(parent) / "run"
        folder.mkdir()
        environment = {**os.environ, "HF_HOME": f"{parent}/home", "HF_TOKEN": "hf_benchmark"}
        started = time.perf_counter()
        process = subprocess.Popen([*arguments, str(folder)], env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(arguments[3:])} ended with {process.returncode}")
        facts = json.loads(folder.with_name("benchmark.json").read_text())
        rows = facts["rows"] if "rows" in facts else count_rows(folder)
        cpu = used.ru_utime + used.ru_stime
        return Result(wall, facts["asking"], cpu, used.ru_maxrss / 1024, rows, facts["torch"])


def count_rows(folder: Path) -> int:
    """Rows of the seed that the command made."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in folder.rglob("round-0/data.parquet"))


def run_arm(options: argparse.Namespace) -> None:
    """Be an arm: ask, and leave the facts in the folder."""
    started = time.perf_counter()
    rows = asyncio.run(ARMS[options.arm](options))
    facts = {"asking": time.perf_counter() - started, "rows": rows, "torch": "torch" in sys.modules}
    options.folder.with_name("benchmark.json").write_text(json.dumps(facts))


def request(number: int) -> Any:
    """A request about as long as a zero-shot prompt."""
    from s3_hf.records import Request

    prompt = f"Write review {number} of a film that you liked, in one sentence, as a viewer would. " * 5
    return Request(f"r0/seed/{number}", ({"role": "user", "content": prompt},), 64, 0.9, 0.9, ("\n",), number)


async def bare(options: argparse.Namespace) -> int:
    """What a user would write by hand: one client, one semaphore, nothing kept."""
    from huggingface_hub import AsyncInferenceClient

    slots = asyncio.Semaphore(options.concurrency)
    async with AsyncInferenceClient(base_url=options.url, api_key="none", timeout=120) as client:

        async def one(number: int) -> str:
            async with slots:
                answer = await client.chat_completion(**request(number).payload())
            return answer.choices[0].message.content

        return len(set(await asyncio.gather(*(one(number) for number in range(options.n)))))


async def client(options: argparse.Namespace) -> int:
    """The same by the product's client, with every answer on the disk before it counts."""
    from s3_hf.config import LLMConfig
    from s3_hf.journal import Journal
    from s3_hf.llm import Client

    settings = LLMConfig(concurrency=options.concurrency)
    with Journal(options.folder / "journal.sqlite") as journal:
        async with Client(None, (options.url,), settings, journal) as llm:
            answers = await asyncio.gather(*(llm.generate(request(number)) for number in range(options.n)))
        assert journal.usage().requests == options.n
    return len({answer.text for answer in answers})


ARMS = {"bare": bare, "client": client}


if __name__ == "__main__":
    main()
