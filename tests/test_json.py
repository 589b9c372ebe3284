"""What commands print with `--json` is one value that agrees with its documented schema, alone on standard output."""

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml

from s3_hf.cli import app
from s3_hf.cli.outputs import OUTPUTS
from tests.outputs import json_page, schema_of

PAGE = Path(__file__).parent.parent / "docs" / "json.md"


@pytest.fixture
def printed(typed):
    """Run a command with `--json`, and return its value after a check by the schema of `name`."""

    def run(name, *arguments):
        code, out, err = typed(*name.split(" --")[0].split(), *arguments, "--json")
        assert code == 0, err
        value = json.loads(out, parse_constant=pytest.fail)
        jsonschema.validate(value, schema_of(name))
        return value

    return run


def test_the_page_is_that_of_the_code():
    """`UPDATE_GOLDEN=1 pytest tests/test_json.py` writes it anew."""
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(json_page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == json_page()


def test_a_run_from_its_task_to_a_prediction(printed, films_config, tmp_path):
    recipe, run = films_config.task, tmp_path / "run"
    settings = tmp_path / "settings.yaml"
    values = films_config.model_dump(mode="json") | {"rounds": 1, "gold_stage": "after", "verdict": True}
    settings.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert printed("tasks show", recipe)["splits"]["test"] == 60
    assert isinstance(printed("tasks preview", recipe, "--n", "1")["checks"]["off"], list)
    printed("synthesize", recipe, "--config", settings, "--run-dir", tmp_path / "seed", "--n", "4")
    done = printed("run", recipe, "--config", settings, "--run-dir", run)
    assert len(done["rounds"]) == 2
    assert done["verdict"]["sentence"]
    assert printed("status", run)["next"] is None
    assert printed("status", tmp_path / "seed")["next"] == {"round": 0, "stage": "train"}
    printed("study cost", run)
    printed("study quality", run)
    printed("study diversity", run)
    assert len(printed("push --dry-run", run, "--dry-run", "--to", tmp_path / "dry")) == 5
    model = next(one for one in printed("push", run, "--to", tmp_path / "hub") if one["kind"] == "model")
    assert len(printed("export", model["url"], "--out", tmp_path / "onnx")["files"]) == 2
    assert printed("predict", model["url"], "the film was great to watch")[0].keys() == {"text", "label", "score"}


def test_tasks_doctor_and_a_new_recipe(printed, tmp_path):
    assert "imdb" in printed("tasks")
    assert set(printed("doctor")["torch"]) == {"ok", "found"}
    rows = "".join(f"text {number},{'ab'[number % 2]}\n" for number in range(20))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows, encoding="utf-8")
    arguments = ("letters", "--data", tmp_path / "rows.csv", "--text", "text", "--label", "label", "--out", tmp_path)
    assert printed("tasks new", *arguments)["recipe"] == str(tmp_path / "letters.py")


def test_a_bench(printed, films_config, tmp_path):
    file, folder = tmp_path / "films.yaml", ("--run-dir", tmp_path / "bench")
    values = {
        "tasks": {"films": {"recipe": films_config.task}},
        "arms": {"s3": {"rounds": 0}, "gold": {}},
        "students": [films_config.student],
        "sizes": [8],
        "seeds": [0],
        "baseline": "s3",
        "settings": {"llm": films_config.llm, "training": {"epochs": 1, "batch_size": 8, "precision": "fp32"}},
    }
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert {one["state"] for one in printed("bench --plan", file, "--plan", *folder)} == {"new"}
    assert len(printed("bench", file, *folder)["cells"]) == 2


def test_every_command_with_json_has_a_schema():
    def commands(group, *above):
        for name, one in group.commands.items():
            if hasattr(one, "commands"):
                yield from commands(one, *above, name)
            if any("--json" in each.opts for each in one.params):
                yield " ".join((*above, name))

    assert {*commands(typer.main.get_command(app))} == {name.split(" --")[0] for name in OUTPUTS}


def test_every_command_is_checked():
    """The tests may run in several processes, so that what they check is read from this file."""
    checked = re.findall(r'printed\(\s*"([^"]+)"', Path(__file__).read_text(encoding="utf-8"))
    assert set(OUTPUTS) == set(checked)
