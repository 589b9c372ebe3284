"""Killed at any moment, the Hub has every commit that it acknowledged, and git finds no fault."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import TestHub, environment
from hf_localhub import add_user, running, serve
from hf_localhub.errors import ServerError, StorageError


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_during_concurrent_pushes(tmp_path, kills):
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    data, acknowledged = tmp_path / "data", tmp_path / "acknowledged"
    acknowledged.touch()
    token, home = add_user(data, "alice"), tmp_path / "home"
    home.mkdir()
    with running(data) as server:
        hub = TestHub(server.endpoint, data, home, token, "", "")
        hub.create("crash")
        port = int(server.endpoint.rpartition(":")[2])
    wait = random.Random(7)
    for _ in range(kills):
        before = acknowledged.stat().st_size
        with running(data, port) as server, pushing(environment(hub, token, True, home), acknowledged):
            until(lambda size=before: acknowledged.stat().st_size > size)
            time.sleep(wait.uniform(0.05, 0.6))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
    lines = acknowledged.read_text().splitlines()
    assert len(lines) >= kills
    with running(data, port):
        pass
    check(data, lines)


@contextmanager
def pushing(environment, acknowledged):
    code = "import sys; from harness import clients; clients.hub_pushes_until_stopped(*sys.argv[1:])"
    command = [sys.executable, "-c", code, "alice/crash", str(acknowledged)]
    client = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        client.kill()
        client.wait()


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing was acknowledged"
        time.sleep(0.01)


def check(data: Path, lines: list[str]) -> None:
    (repo,) = (data / "repos").iterdir()

    def git(*arguments):
        return subprocess.run(["git", "-C", repo, *arguments], capture_output=True, check=True).stdout

    git("fsck", "--full", "--strict")
    history = set(git("rev-list", "main").decode().split())
    names = set(git("ls-tree", "-r", "--name-only", "main").decode().split())
    for line in lines:
        oid, name, sha256 = line.split()
        assert oid in history
        assert {f"{name}.txt", f"{name}.bin", f"{name}.lfs.bin"} <= names
        stored = data / "objects" / sha256[:2] / sha256[2:]
        assert hashlib.sha256(stored.read_bytes()).hexdigest() == sha256
    assert list(repo.glob("objects/pack/tmp_*")) == []


def test_the_child_ends_with_its_parent_even_when_that_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from hf_localhub import running\n"
        "with running(Path(sys.argv[1])) as hub:\n"
        "    print(hub.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with parent.stdout as out:
        child = int(out.readline())
    assert Path(f"/proc/{child}").exists()
    parent.kill()
    parent.wait()
    until(lambda: not alive(child), 15)


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def test_sigterm_ends_it_cleanly_and_a_second_server_is_refused(tmp_path):
    with running(tmp_path) as first:
        with pytest.raises(StorageError, match="another Hub is already serving"):
            serve(tmp_path, port=0)
        first.process.terminate()
        assert first.process.wait(20) == 0


def test_what_a_crash_left_behind_is_swept(tmp_path):
    with running(tmp_path):
        pass
    (tmp_path / "repos" / "0123.git" / "objects").mkdir(parents=True)
    with running(tmp_path):
        assert list((tmp_path / "repos").iterdir()) == []


def test_a_port_in_use_is_one_sentence(tmp_path, hub):
    port = int(hub.endpoint.rpartition(":")[2])
    with pytest.raises(ServerError, match="did not start: the Hub cannot listen"), running(tmp_path, port):
        pass
