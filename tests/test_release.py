"""What a release needs: one version, a changelog, workflows, and wheels that work in an empty environment."""

import ast
import datetime
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGES = {"s3-hf": ROOT / "s3_hf", "hf-localhub": ROOT / "localhub" / "hf_localhub"}
SNIPPET = """
from pathlib import Path
import hf_localhub
import s3_hf

print(Path(s3_hf.__file__).parent, Path(hf_localhub.__file__).parent, s3_hf.__version__)
result = s3_hf.run({task!r}, seed_size=8, rounds=1, round_size=4, llm={llm!r}, student={student!r}, judge="none",
                   gold_stage="none", verdict=False, progress=False)
for one in result.rounds:
    print(one.number, one.rows, one.scores["test"].metrics["accuracy"])
"""


def version_of(package):
    tree = ast.parse((PACKAGES[package] / "__init__.py").read_text(encoding="utf-8"))
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    )
    return ast.literal_eval(value)


VERSION = version_of("s3-hf")


def test_both_distributions_have_one_version_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert version_of("hf-localhub") == VERSION
    for folder in (ROOT, ROOT / "localhub"):
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["dynamic"] == ["version"]


def test_a_tag_is_the_version():
    tag = os.environ.get("RELEASE_TAG")
    assert tag in (None, f"v{VERSION}")


def test_the_changelog_begins_with_what_is_unreleased_and_then_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.+)$", text, re.M)
    assert heads[0] == "[Unreleased]"
    version, date = re.fullmatch(r"\[(.+)\] - (\d{4}-\d\d-\d\d)", heads[1]).groups()
    assert version == VERSION
    assert set(re.findall(r"^### (.+)$", text, re.M)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
    dates = [datetime.date.fromisoformat(head[-10:]) for head in heads[1:]]
    assert dates == sorted(dates, reverse=True)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], str(citation["date-released"])) == (version, date)


def test_the_workflows_test_the_versions_that_the_package_names():
    names = [
        line.partition("Python :: 3.")[2]
        for line in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    ]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == [f"3.{name}" for name in names if name]


def test_workflows_are_linted():
    if shutil.which("actionlint") is None:
        pytest.skip("actionlint is not on the PATH")
    files = map(str, (ROOT / ".github" / "workflows").glob("*.yml"))
    done = subprocess.run(["actionlint", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_actions_have_a_tag_and_jobs_the_least_rights():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] in ({}, {"contents": "read"})
        for job in workflow["jobs"].values():
            assert set(job.get("permissions", {}).items()) <= {("contents", "read"), ("id-token", "write")}
            for step in job["steps"]:
                assert re.fullmatch(r"[\w./-]+@v\d+(\.\d+\.\d+)?", step.get("uses", "none@v1"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder with the wheels of both distributions."""
    out = tmp_path_factory.mktemp("wheels")
    for folder in (ROOT / "localhub", ROOT):
        source = tmp_path_factory.mktemp("source") / "copy"
        shutil.copytree(folder, source, ignore=shutil.ignore_patterns(".*", "runs", "*.egg-info", "__pycache__"))
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
        subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.mark.slow
def test_an_index_takes_the_distributions(wheels):
    pytest.importorskip("twine")
    files = sorted(map(str, wheels.iterdir()))
    assert len(files) == 4
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)


@pytest.mark.slow
def test_the_first_snippet_runs_from_the_wheels_alone(wheels, tmp_path, recipe, tiny_student, films_llm):
    """The two wheels come from a folder, the packages of others from the environment of the tests."""
    home = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (site,) = home.glob("lib/*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--find-links", str(wheels), "--no-deps"]
    subprocess.run([*install, "--target", str(site), "s3-hf[local]", "hf-localhub"], check=True, capture_output=True)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(others), encoding="utf-8")
    code = SNIPPET.format(task=str(recipe), llm=films_llm.url, student=str(tiny_student))
    done = subprocess.run(
        [str(home / "bin" / "python"), "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    path, *rounds = done.stdout.splitlines()
    assert path == f"{site / 's3_hf'} {site / 'hf_localhub'} {VERSION}"
    assert [line.split()[:2] for line in rounds] == [["0", "8"], ["1", "12"]]
