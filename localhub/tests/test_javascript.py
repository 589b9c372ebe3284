"""The JavaScript client, as npm installs it, publishes to the Hub and reads back."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from harness import HERE

pytestmark = pytest.mark.slow
PACKAGE = "@huggingface/hub@2"


def test_the_javascript_client(hub, tmp_path):
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    (tmp_path / "package.json").write_text("{}")
    install = ["npm", "install", "--no-audit", "--no-fund", PACKAGE]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr[-300:]}")
    shutil.copy(HERE / "client.mjs", tmp_path / "client.mjs")
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.alice}
    done = subprocess.run(["node", "client.mjs"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
