"""A real Hub in a child process, real clients in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import HERE, TestHub, environment
from hf_localhub import add_user, running


@pytest.fixture(scope="session")
def hub(tmp_path_factory) -> Iterator[TestHub]:
    data = tmp_path_factory.mktemp("hub")
    alice, bob = add_user(data, "alice"), add_user(data, "bob")
    add_user(data, "team", org=True, token=alice)
    reader = add_user(data, "alice", role="read")
    with running(data) as server:
        yield TestHub(server.endpoint, data, tmp_path_factory.mktemp("home"), alice, bob, reader, server.process.pid)


@pytest.fixture(scope="session")
def client(hub) -> Callable[..., str]:
    """Run a function of `harness/clients.py` in a fresh interpreter with the environment of a client."""

    def run(name: str, *args: str, token: str | None = None, xet: bool = True, anonymous: bool = False) -> str:
        code = f"import sys; from harness import clients; clients.{name}(*sys.argv[1:])"
        env = environment(hub, None if anonymous else token or hub.alice, xet, hub.home)
        done = subprocess.run(
            [sys.executable, "-c", code, *args], env=env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def tree() -> Path:
    """Return a tree of real repositories in the Hub's layout, with `stanfordnlp/imdb` and `nyu-mll/glue`."""
    folder = Path(os.environ.get("HF_LOCALHUB_TREE", HERE.parents[3] / "shared" / "gold" / "hub"))
    if not folder.is_dir():
        pytest.skip("no tree of real repositories: set HF_LOCALHUB_TREE to a folder that holds datasets/OWNER/NAME")
    return folder
