"""A run to publish, and accounts on a running local Hub."""

import dataclasses
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from hf_localhub import add_user, running
from tests.run_maker import make_full_run


@pytest.fixture
def run(tmp_path):
    return make_full_run(tmp_path / "run")


@dataclasses.dataclass
class Place:
    """A running local Hub and what is needed to push to it."""

    endpoint: str
    data: Path
    name: str
    token: str

    @property
    def login(self):
        return {"endpoint": self.endpoint, "token": self.token}

    @property
    def api(self):
        return HfApi(**self.login)

    def environment(self, home, **more):
        """What keeps a client on this Hub, in a process of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        ours = {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": self.token, "HF_HOME": str(home), "OMP_NUM_THREADS": "1"}
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
        return kept | ours | quiet | more

    def python(self, home, *arguments, cwd=None, **more):
        """Run Python in such a process; its standard output."""
        ran = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=cwd,
            env=self.environment(home, **more),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def commits(self, repo, kind="dataset"):
        return [each.commit_id for each in self.api.list_repo_commits(repo, repo_type=kind)]

    def text(self, repo, name="README.md", kind="dataset"):
        return Path(self.api.hf_hub_download(repo, name, repo_type=kind)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    data = tmp_path_factory.mktemp("hub")
    with running(data) as hub:
        yield hub.endpoint, data


@pytest.fixture
def hub(server, request):
    """A fresh account on the running Hub; tests do not see each other's repositories."""
    endpoint, data = server
    name = f"user{zlib.crc32(request.node.name.encode())}"
    return Place(endpoint, data, name, add_user(data, name))
