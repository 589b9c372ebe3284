"""`s3-hf quickstart` on the embedded LLM, MiniLM and the local Hub, as `make quickstart` runs it."""

import subprocess
import sys

import pytest

from s3_hf.store import Stage, open_run


@pytest.mark.slow
def test_quickstart(tmp_path):
    run_dir = tmp_path / "run"
    command = [sys.executable, "-m", "s3_hf", "quickstart", "--run-dir", str(run_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for number in range(3):
        assert open_run(run_dir).round(number).stage() is Stage.DONE
        assert f"datasets/quickstart/s3-movie_snippets-round{number}" in done.stdout
    assert "/quickstart/s3-movie_snippets\n" in done.stdout
    assert open_run(run_dir).final.complete
    assert "s3_rationales" in done.stdout
    assert "An utterly charming film" in done.stdout
    before = (run_dir / "round-2" / "published.json").read_text()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.count("published") == 7
    assert again.stdout.splitlines()[-1].startswith("Synthetic rows ")
    assert (run_dir / "round-2" / "published.json").read_text() == before
