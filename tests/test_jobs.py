"""The script of the jobs: its dependencies can be installed, and its command runs, with a stand-in for vLLM."""

import re
import subprocess
import sys
import tomllib

import pytest
from huggingface_hub import HfApi

from tests.documents import ROOT
from tests.test_docs import environment  # noqa: F401 - a fixture

SCRIPT = ROOT / "examples" / "jobs" / "s3_run.py"
VLLM = """#!{python}
import sys, threading
sys.path.insert(0, {root!r})
from tests.llm_server import LLMServer
from tests.test_docs import reply
assert sys.argv[1:4] == ["serve", "writer", "--host"] and sys.argv[7:] == ["--gpu-memory-utilization", "0.7"]
with LLMServer(reply=reply, models=["writer"], port=int(sys.argv[6])):
    threading.Event().wait()
"""
"""A program in the place of vLLM, which serves what the endpoint of the documents serves."""

SETTINGS = (
    "seed_size=16", "rounds=0", "judge=none", "gold_stage=none", "verdict=false", "training.epochs=1",
    "training.precision=fp32", "synthesis.rationales=false",
)  # fmt: skip


def metadata():
    """The block of PEP 723."""
    (block,) = re.findall(r"^# /// script\n((?:#.*\n)+?)# ///$", SCRIPT.read_text(), re.M)
    return tomllib.loads("".join(line.removeprefix("#").removeprefix(" ") for line in block.splitlines(keepends=True)))


def job(recipe, environment, folder, *more):  # noqa: F811
    chosen = [word for setting in SETTINGS for word in ("--set", setting)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(recipe), *chosen, *map(str, more)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_metadata_names_the_product_and_python():
    read = metadata()
    assert (
        read["requires-python"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    )
    assert [name.partition(" ")[0] for name in read["dependencies"]] == ["s3-hf[onnx,report]"]


@pytest.mark.slow
def test_its_dependencies_can_be_installed_together():
    extras = re.match(r"s3-hf(\[.*\])", metadata()["dependencies"][0])[1]
    words = ["install", "--dry-run", "--ignore-installed", "--quiet", "-c", "constraints.txt", f".{extras}"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], cwd=ROOT, capture_output=True, text=True)
    if "No matching distribution" in done.stderr and "setuptools" in done.stderr:
        pytest.skip(f"no package index: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr


def test_it_runs_pushes_and_continues_a_run_that_was_kept(recipe, environment, spelling_student, tmp_path):  # noqa: F811
    """The second job is on another machine, and serves the LLM itself."""
    kept, programs = tmp_path / "bucket" / "films", tmp_path / "bin"
    programs.mkdir()
    (programs / "vllm").write_text(VLLM.format(python=sys.executable, root=str(ROOT)))
    (programs / "vllm").chmod(0o755)
    environment = environment | {"PATH": f"{programs}:{environment['PATH']}"}
    given = ["--student", spelling_student, "--keep", kept]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    out = job(recipe, environment, tmp_path / "first", "--llm", environment["LLM_URL"], *given)
    assert "/datasets/user/s3-films-report" in out
    api = HfApi(environment["HF_ENDPOINT"], environment["HF_TOKEN"])
    assert api.repo_info("user/s3-films-report", repo_type="dataset").private
    assert api.file_exists("user/s3-films-report", "report.html", repo_type="dataset")
    (model,) = [each.id for each in api.list_models(author="user") if each.id.startswith("user/s3-films-")]
    assert api.file_exists(model, "onnx/model_quantized.onnx")
    rows = (kept / "round-0" / "data.parquet").read_bytes()
    job(recipe, environment, tmp_path / "second", "--serve", "writer", *given, "--set", "rounds=1")
    assert (kept / "round-0" / "data.parquet").read_bytes() == rows
    assert (kept / "round-1" / "metrics.json").exists()
