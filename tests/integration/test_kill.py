"""`kill -9` in every stage: the same command finishes, nothing paid for is asked again, the bytes are the same."""

import collections
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from s3_hf.config import RunConfig
from s3_hf.store import open_run
from tests.conftest import erring_reply, film_reply
from tests.llm_server import LLMServer
from tests.test_llm_judging import chances, judging_reply

CONCURRENCY = 4
STAGES = ("synthesize", "train", "score", "publish")


@dataclass
class Victim:
    """A run that is killed and started again until it is finished."""

    config: RunConfig
    home: Path
    url: str
    draw: random.Random
    kills: collections.Counter[str] = field(default_factory=collections.Counter)

    @property
    def run_dir(self) -> Path:
        return self.home / "run"

    def command(self) -> str:
        settings = {**self.config.model_dump(mode="json"), "llm": self.url, "rounds": 1}
        settings["endpoint"]["concurrency"] = CONCURRENCY
        path = self.home / "config.yaml"
        path.write_text(yaml.safe_dump(settings))
        run = f"{sys.executable} -m s3_hf run {self.config.task} --config {path} --run-dir {self.run_dir}"
        return f"{run} && {sys.executable} -m s3_hf push {self.run_dir} --max-copies 1 --to {self.home / 'hub'}"

    def start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                ["sh", "-c", self.command()], start_new_session=True, env=environment, stdout=log, stderr=log
            )

    def stage(self) -> str | None:
        """The stage that the files show to be under way."""
        if not (self.run_dir / "run.yaml").exists():
            return None
        run = open_run(self.run_dir)
        if (self.home / "hub").exists() and run.round(1).metrics.exists():
            return "publish"
        folder = run.round(1) if run.round(0).metrics.exists() else run.round(0)
        if not folder.facts.exists():
            return "synthesize" if run.journal.exists() else None
        if not folder.model.exists():
            return "train" if (folder.path / "checkpoints").exists() else None
        return None if folder.metrics.exists() else "score"

    def kill_in(self, stage: str) -> bool:
        """Start the command, kill everything in that stage; False if it finished before."""
        process = self.start()
        while process.poll() is None:
            if self.stage() == stage:
                time.sleep(self.draw.uniform(0, 0.3))
                break
            time.sleep(0.005)
        if process.poll() is not None:
            assert process.returncode == 0, (self.home / "log").read_text()
            return False
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.kills[stage] += 1
        return True

    def finish(self) -> None:
        assert self.start().wait() == 0, (self.home / "log").read_text()


def kill_again_and_again(config, tmp_path, wanted):
    """Kill runs until each stage was killed `wanted` times, checking each run when it is finished."""
    kills: collections.Counter[str] = collections.Counter()
    draw = random.Random(0)
    for number in range(6 * wanted):
        missing = [stage for stage in STAGES if kills[stage] < wanted]
        if not missing:
            return kills
        home = tmp_path / f"victim-{number}"
        home.mkdir()
        with LLMServer(delay=0.05, reply=film_reply) as server:
            victim = Victim(config, home, server.url, draw)
            for stage in missing:
                while kills[stage] + victim.kills[stage] < wanted and victim.kills[stage] < 2:
                    if not victim.kill_in(stage):
                        break
            victim.finish()
            check(victim, server)
        kills += victim.kills
    raise AssertionError(f"not every stage could be killed: {kills}")


def check(victim, server):
    asked = collections.Counter(str(sorted(request.payload.items())) for request in server.requests)
    repeated = sum(count - 1 for count in asked.values())
    assert repeated <= CONCURRENCY * victim.kills["synthesize"]
    finished = {path.relative_to(victim.run_dir): path.read_bytes() for path in victim.run_dir.rglob("data.parquet")}
    assert len(finished) == 2
    completions = victim.run_dir / "journal.sqlite"
    before = len(server.requests)
    again = Victim(victim.config, victim.home / "uninterrupted", victim.url, victim.draw)
    again.run_dir.mkdir(parents=True)
    shutil.copy(victim.run_dir / "run.yaml", again.run_dir)
    shutil.copy(completions, again.run_dir)
    again.finish()
    assert len(server.requests) == before
    for name, content in finished.items():
        assert (again.run_dir / name).read_bytes() == content
    assert not list(victim.run_dir.rglob("*.tmp"))
    folders = sorted(path.name for path in (victim.home / "hub").glob("*/*/*"))
    assert folders == sorted(path.name for path in (again.home / "hub").glob("*/*/*"))
    assert len(folders) == 4


def test_killed_once_in_generation(films_config, tmp_path):
    with LLMServer(delay=0.05, reply=film_reply) as server:
        victim = Victim(films_config, tmp_path, server.url, random.Random(1))
        assert victim.kill_in("synthesize")
        victim.finish()
        check(victim, server)


class Judged(Victim):
    """A run whose labels are judged, with the stages in which that is decided."""

    def stage(self) -> str | None:
        if not (self.run_dir / "run.yaml").exists():
            return None
        run = open_run(self.run_dir)
        judging = run.judging
        if judging.decision.exists():
            return None if run.round(0).facts.exists() else "replay"
        if judging.trial.exists():
            return "compare" if judging.work.exists() else None
        if judging.gold.exists():
            return "trial"
        return "students" if judging.work.exists() else None


@pytest.mark.slow
def test_killed_while_it_is_decided_whether_to_judge(judged_config, tmp_path):
    with LLMServer(delay=0.05, reply=erring_reply(1)) as server:
        config = judged_config.model_copy(update={"judge": "auto", "seed_size": 80})
        victim = Judged(config, tmp_path, server.url, random.Random(2))
        stages = ("students", "trial", "compare", "replay")
        for stage in stages:
            assert victim.kill_in(stage), stage
        victim.finish()
        assert open_run(victim.run_dir).judging.decided().acts
        victim.kills["synthesize"] = victim.kills["trial"] + victim.kills["replay"]
        check(victim, server)


class LLMJudged(Victim):
    """A run whose labels the LLM judges: first it is asked about gold rows, then about each text."""

    def stage(self) -> str | None:
        if not (self.run_dir / "run.yaml").exists():
            return None
        run = open_run(self.run_dir)
        if not run.judging.llm.exists():
            return "gold" if run.journal.exists() else None
        return None if run.round(0).facts.exists() else "rows"


@pytest.mark.slow
def test_killed_while_the_llm_judges(judged_config, tmp_path):
    with LLMServer(delay=0.1, reply=judging_reply) as server:
        server.first_token = chances
        config = judged_config.model_copy(update={"judge": "llm"})
        victim = LLMJudged(config, tmp_path, server.url, random.Random(3))
        for stage in ("gold", "gold", "rows", "rows"):
            assert victim.kill_in(stage), stage
        victim.finish()
        victim.kills["synthesize"] = victim.kills.total()
        check(victim, server)


@pytest.mark.slow
def test_killed_in_every_stage(films_config, tmp_path):
    kills = kill_again_and_again(films_config, tmp_path, wanted=6)
    assert kills.total() >= 20


SLOW_DISK = """
import functools, sqlite3, sys, time

class Slow(sqlite3.Connection):
    def __exit__(self, *error):  # nothing of the transaction is on the disk before this time is over
        time.sleep(0.2)
        return super().__exit__(*error)

sqlite3.connect = functools.partial(sqlite3.connect, factory=Slow)
from s3_hf.cli import main
main()
"""


@pytest.mark.parametrize("kills", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_a_kill_repeats_no_more_than_what_was_under_way_on_a_disk_that_is_slow(recipe, tmp_path, kills):
    """An answer holds its slot until it is in the journal: at most `concurrency` answers are lost with the process."""
    concurrency, lost, draw = 64, [], random.Random(0)
    with LLMServer(delay=0.05, reply=film_reply) as server:
        arguments = ["synthesize", str(recipe), "--llm", server.url, "--n", str(300 * kills), "--run-dir"]
        arguments += [str(tmp_path / "run"), "--concurrency", str(concurrency), "--set", "synthesis.rationales=false"]

        def payloads():
            return collections.Counter(str(sorted(request.payload.items())) for request in server.requests)

        with (tmp_path / "log").open("ab") as log:
            for _ in range(kills):
                before = len(server.requests)
                process = subprocess.Popen([sys.executable, "-c", SLOW_DISK, *arguments], stdout=log, stderr=log)
                while len(server.requests) < before + 100:
                    assert process.poll() is None, (tmp_path / "log").read_text()
                    time.sleep(0.01)
                time.sleep(draw.uniform(0, 0.3))
                process.kill()
                process.wait()
                time.sleep(0.2)  # until the server has read what was sent
                with contextlib.closing(sqlite3.connect(tmp_path / "run" / "journal.sqlite")) as journal:
                    lost.append(len(payloads()) - journal.execute("SELECT count(*) FROM completions").fetchone()[0])
            done = subprocess.run([sys.executable, "-m", "s3_hf", *arguments], stdout=log, stderr=log, check=False)
        assert done.returncode == 0, (tmp_path / "log").read_text()
        print(f"lost by each kill: {lost}")  # noqa: T201 - the figure to report
        assert max(lost) <= concurrency
        assert sum(count - 1 for count in payloads().values()) == sum(lost)
