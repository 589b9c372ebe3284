"""What the product adds to a bare client: `python benchmarks/generation.py` prints two Markdown tables.

Every arm is a process of its own and asks a new endpoint (`tests/llm_server.py`, also a process of its own, so its
CPU does not count) for the same number of completions at the same concurrency. Wall, CPU and peak
memory are the whole process's, start-up included; "asking" is the time of the requests alone. Under faults 5 % of
first attempts are answered 429 (Retry-After 1) and 5 % are answered 500; the bare loop waits and asks again, too.

The second table has one answer that takes long among few at a low concurrency: how long the others took, from the
first request to the last answer but the late one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.llm_server import Fault, LLMServer  # noqa: E402

LATE_NUMBER = 20
"""Which request is answered late."""
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
    parser.add_argument(
        "--late", type=float, default=40, help="seconds of the late answer; 0 leaves the second table out"
    )
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
    """Measure each arm after the other, the bare loops first and last."""
    arms = {"bare loop": own, "`Client` with journal": own_client, "the whole command `s3-hf synthesize`": command}
    if options.no_cli:
        del arms["the whole command `s3-hf synthesize`"]
    arms["bare loop again"] = own
    plain, faults = (
        {name: measured(options, make, faulty) for name, make in arms.items()} for faulty in (False, True)
    )
    faults = {f"{name}, the same faults": result for name, result in faults.items()}
    print(f"n={options.n}, concurrency={options.concurrency}, delay={options.delay} s; ratios to the mean bare loop\n")
    print("| | wall s | ratio | asking s | ratio | CPU s | peak MB | rows | torch imported |")
    print("|---|---|---|---|---|---|---|---|---|")
    for results in (plain, faults):
        base = [one for name, one in results.items() if name.startswith("bare")]
        wall, asking = (sum(getattr(one, what) for one in base) / len(base) for what in ("wall", "asking"))
        for name, one in results.items():
            times = f"{one.wall:.2f} | {one.wall / wall:.2f} | {one.asking:.2f} | {one.asking / asking:.2f}"
            print(
                f"| {name} | {times} | {one.cpu:.2f} | {one.rss:.0f} | {one.rows} | {'yes' if one.torch else 'no'} |"
            )
    if options.late:
        compare_late(options)


def measured(options: argparse.Namespace, make: Callable[..., list[str]], faulty: bool) -> Result:
    """Measure an arm at an endpoint of its own: only requests that it has not seen before get the faults."""
    share = 0.05 if faulty else 0.0
    with endpoint(options.delay, busy=share, broken=share) as url:
        return measure(make(options, url))


def compare_late(options: argparse.Namespace) -> None:
    """Measure how long the other answers take where one comes late."""
    few = argparse.Namespace(**{**vars(options), "n": 200, "concurrency": 4})
    arms = {"bare loop": own, "the whole command `s3-hf synthesize`": command}
    seconds = {name: others_beside(few, functools.partial(make, few)) for name, make in arms.items()}
    print(f"\nn={few.n}, concurrency={few.concurrency}, delay={few.delay} s, one answer after {options.late:.0f} s\n")
    print("| | the others s | ratio |")
    print("|---|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {each:.2f} | {each / seconds['bare loop']:.2f} |")


def others_beside(options: argparse.Namespace, arguments: Callable[[str], list[str]]) -> float:
    """Return the seconds from the first request to the last answer but the late one."""
    numbers = itertools.count(1)

    def late(*_: object) -> Fault | None:
        return Fault(hang=options.late, body=None) if next(numbers) == LATE_NUMBER else None

    with LLMServer(options.delay, fault_for=late) as server:
        measure(arguments(server.url))
        times = [received.at for received in server.requests]
    return max(times) - min(times) + options.delay


@contextlib.contextmanager
def endpoint(delay: float, busy: float = 0.0, broken: float = 0.0) -> Iterator[str]:
    """The URL of an endpoint in a process of its own."""
    server = ROOT / "tests" / "llm_server.py"
    flags = [f"--delay={delay}", f"--busy={busy}", f"--broken={broken}", "--retry-after=1"]
    with subprocess.Popen([sys.executable, server, *flags], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def own_client(options: argparse.Namespace, url: str) -> list[str]:
    """The command line of the arm `client`."""
    return own(options, url, "client")


def own(options: argparse.Namespace, url: str, arm: str = "bare") -> list[str]:
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
    """What a user would write by hand: one client, one semaphore, another attempt after a pause, nothing kept."""
    from huggingface_hub import AsyncInferenceClient
    from huggingface_hub.errors import HfHubHTTPError

    slots = asyncio.Semaphore(options.concurrency)
    async with AsyncInferenceClient(base_url=options.url, api_key="none", timeout=120) as client:

        async def one(number: int) -> str:
            for attempt in itertools.count():
                try:
                    async with slots:
                        answer = await client.chat_completion(**request(number).payload())
                except HfHubHTTPError as error:
                    await asyncio.sleep(float(error.response.headers.get("retry-after", 0.5 * 2**attempt)))
                else:
                    return answer.choices[0].message.content
            raise AssertionError("unreachable")

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
        assert journal.usage().requests >= options.n
    return len({answer.text for answer in answers})


ARMS = {"bare": bare, "client": client}


if __name__ == "__main__":
    main()
