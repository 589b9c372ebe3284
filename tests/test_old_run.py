"""Run directories that version 0.1.0 made (tests/old_run) are opened by `status`, `push` and `run`."""

import json
import shutil
from pathlib import Path

import datasets
import pytest

from s3_hf import loop
from s3_hf.files import read_json, write_json
from s3_hf.store import open_run


@pytest.fixture
def old_run(tmp_path, monkeypatch):
    """A folder with the runs `whole` and `holdout`, and the recipe, gold data and student that they name."""
    folder = shutil.copytree(Path(__file__).parent / "old_run", tmp_path / "old")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "roles"), [("whole", ["mined", "selection", "test"]), ("holdout", ["selection", "test"])]
)
def test_scores_stand_under_the_roles_that_they_are_of(old_run, name, roles):
    """With `holdout` the figures called `validation` were those of the selection rows."""
    (result,) = open_run(old_run / name).results()
    assert sorted(result.scores) == roles
    old = read_json(old_run / name / "round-0" / "metrics.json")
    for role, part in (("selection", "validation"), ("test", "test")):
        assert {"n": result.scores[role].n, **result.scores[role].metrics} == old[part]
    assert result.mistakes == old["mistakes"]
    assert result.training.steps is None
    mined = open_run(old_run / name).round(0).mined_predictions()
    assert len(mined) == (8 if name == "holdout" else 16)
    assert result.holdout == (name == "holdout")


@pytest.mark.parametrize("name", ["whole", "holdout"])
def test_it_is_shown_published_and_continued(old_run, typed, films_llm, name):
    code, out, _ = typed("status", name)
    assert code == 0
    assert ("selection" in out, "validation" in out) == (name == "holdout", name == "whole")
    assert json.loads(typed("status", name, "--json")[1])["rounds"][0]["scores"]["test"]["n"] == 12
    assert typed("push", name, "--to", "hub")[0] == 0
    card = next(Path("hub/models").rglob("README.md")).read_text()
    assert "12" in card
    before = Path(name, "round-0/data.parquet").read_bytes()
    settings = ["--config", f"{name}/run.yaml", "--llm", films_llm.url, "--rounds", "1", "--run-dir", name]
    code, out, _ = typed("run", "films.py", *settings, "--json")
    assert code == 0
    old, new = json.loads(out)["rounds"]
    assert new["added"] == old["mistakes"]
    assert sorted(new["scores"]) == ["mined", "selection", "test"]
    assert Path(name, "round-0/data.parquet").read_bytes() == before
    assert typed("push", name, "--to", "hub")[0] == 0


def test_a_run_on_skewed_labels_keeps_the_metric_of_its_first_round(films_config, recipe, gold_folder, tmp_path):
    """An earlier version chose the epoch by accuracy where no metric was set; now it is macro F1."""
    skewed = datasets.load_dataset(str(gold_folder), split="validation")
    skewed = skewed.select([n for n in range(40) if n % 2 == 0 or n % 8 == 1])  # 20 negative, 5 positive
    for split in ("validation", "test"):
        skewed.to_parquet(str(tmp_path / "skewed" / "data" / f"{split}-00000-of-00001.parquet"))
    (tmp_path / "films.py").write_text(recipe.read_text().replace(str(gold_folder), str(tmp_path / "skewed")))
    config = films_config.model_copy(update={"task": str(tmp_path / "films.py"), "rounds": 1})
    loop.run(config.model_copy(update={"rounds": 0}), tmp_path / "run")
    facts = open_run(tmp_path / "run").round(0).model / "training.json"
    assert read_json(facts)["metric"] == "macro_f1"
    write_json(facts, {**read_json(facts), "metric": "accuracy"})
    loop.run(config, tmp_path / "run")
    assert open_run(tmp_path / "run").round(1).training().metric == "accuracy"
