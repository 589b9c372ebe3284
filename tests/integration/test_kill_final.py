"""`kill -9` while the final student is chosen, trained and judged: the same command finishes with the same verdict."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from s3_hf.files import read_json
from tests.conftest import film_reply
from tests.llm_server import LLMServer

FEW_STEPS = """
from s3_hf.loop import training

training.GOLD_STEPS = 5
from s3_hf.cli import main
main()
"""


def proofs(run: Path) -> int:
    """The proofs of the final stage that are there."""
    final = run / "final"
    named = [final / name for name in ("choice.json", "model", "metrics.json", "verdict.json")]
    return len([*final.glob("choosing/*/*/*.parquet"), *(path for path in named if path.exists())])


@pytest.mark.parametrize("kills", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_killed_in_the_final_stage(films_config, tmp_path, kills):
    draw, run = random.Random(0), tmp_path / "run"
    settings = {"rounds": 0, "gold_stage": "auto", "verdict": True}
    settings["training"] = {"epochs": 1, "min_steps": 0, "batch_size": 16, "precision": "fp32"}
    with LLMServer(reply=film_reply) as server:
        values = films_config.model_dump(mode="json") | settings | {"llm": server.url}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))

        def start(run):
            command = [sys.executable, "-c", FEW_STEPS, "run", films_config.task, "--config", tmp_path / "config.yaml"]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            with (tmp_path / "log").open("ab") as log:
                return subprocess.Popen(
                    [*map(str, command), "--run-dir", str(run)], env=environment, stdout=log, stderr=log
                )

        done = 0
        while done < kills:
            process, before = start(run), proofs(run)
            wanted = before + draw.randint(1, max(1, 16 // kills))
            while process.poll() is None and proofs(run) < wanted:
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.5))
            if process.poll() is not None:
                break
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
        assert done, (tmp_path / "log").read_text()
        assert start(run).wait() == 0, (tmp_path / "log").read_text()
        asked = len(server.requests)
        whole = tmp_path / "whole"
        shutil.copytree(run, whole)
        shutil.rmtree(whole / "final")
        assert start(whole).wait() == 0, (tmp_path / "log").read_text()
        assert len(server.requests) == asked
    for name in ("choice.json", "metrics.json", "verdict.json"):
        assert read_json(whole / "final" / name) == read_json(run / "final" / name)
    assert not list((run / "final").rglob("*.tmp"))
    assert not (run / "final" / "checkpoints").exists()
