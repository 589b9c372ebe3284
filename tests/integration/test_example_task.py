"""A recipe of another package is found by its entry point."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "s3_hf_example_task"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a process that has the example package besides what is here."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "source")  # a build leaves files beside what it builds
    install = ["install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *install, str(folder / "source")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {**os.environ, "PYTHONPATH": str(folder / "site"), "HF_HOME": str(folder / "cache")}


def said(environment, tmp_path, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_lists_and_shows_it(installed, tmp_path):
    listed = json.loads(said(installed, tmp_path, "-m", "s3_hf", "tasks", "--json"))
    assert listed["plant_questions"] == "Questions to a plant shop, each about water, light or pests."
    shown = json.loads(said(installed, tmp_path, "-m", "s3_hf", "tasks", "show", "plant_questions", "--json"))
    assert shown["splits"] == {"validation": 24, "test": 24}


def test_load_task_finds_it(installed, tmp_path):
    code = (
        "from s3_hf.task import load_task; task = load_task('plant_questions')\n"
        "print(task.label_words, [[rows['topic'][:].count(label) for label in range(3)] "
        "for rows in (task.mined, task.test)])"
    )
    out = said(installed, tmp_path, "-c", code)
    assert out == "('watering', 'light', 'pests and diseases') [[8, 8, 8], [8, 8, 8]]\n"


def test_a_broken_one_is_one_sentence(installed, tmp_path):
    site = Path(installed["PYTHONPATH"])
    shutil.copytree(site, tmp_path / "site")
    recipe = tmp_path / "site" / "s3_hf_example_task" / "plant_questions.py"
    recipe.write_text(recipe.read_text().replace("max_tokens=48", "max_tokns=48"))
    environment = {**installed, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "s3_hf", "tasks", "show", "plant_questions"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert "task 'plant_questions' (s3_hf_example_task.plant_questions:PlantQuestions) cannot be imported" in sentence
    assert "TypeError, line 16" in sentence
