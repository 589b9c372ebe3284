"""One run from any working folder, with paths written from each."""

import shutil

import pytest
import yaml

from s3_hf import loop
from s3_hf.config import parse_config
from s3_hf.errors import RunDirError
from s3_hf.schema import merge


@pytest.fixture
def work(recipe, gold_folder, tmp_path, monkeypatch):
    """Two folders; the first one holds a recipe, gold data and a seed."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    shutil.copy(recipe, first / "films.py")
    shutil.copytree(gold_folder, first / "gold")
    (first / "seed.csv").write_text("text,label\nthe film was great to watch,pos\nthe film was dull to watch,neg\n")
    monkeypatch.chdir(first)
    return first, second


def settings(films_config, **changed):
    values = {"task": "films.py", "gold": "gold", "seed_data": "seed.csv", "rounds": 0, **changed}
    return parse_config(merge(films_config.model_dump(mode="json"), values))


AWAY = {"task": "../first/films.py", "gold": "../first/gold", "seed_data": "../first/seed.csv"}


def test_a_run_goes_on_and_is_pushed_from_another_folder(films_config, work, typed, monkeypatch):
    first, second = work
    loop.run(settings(films_config), "run")
    monkeypatch.chdir(second)
    loop.run(settings(films_config, **AWAY), first / "run")
    loop.run(settings(films_config, **{name: str(first / path) for name, path in AWAY.items()}), first / "run")
    code, _, err = typed("push", "../first/run", "--to", "out")
    assert code == 0, err
    published = "".join(path.read_text() for path in second.rglob("*.json") if path.name == "run.json")
    assert published
    assert str(first) not in published
    assert len({path.name for path in (first / "run").glob("round-*")}) == 1


def test_data_of_another_file_is_another_run(films_config, work):
    first, second = work
    loop.run(settings(films_config), "run")
    for name in ("films.py", "seed.csv"):
        shutil.copy(first / name, second / name)
    loop.run(settings(films_config, task=str(second / "films.py")), "run")  # a copy, whose digests are the same
    with pytest.raises(RunDirError, match=r"seed_data was .*first/seed\.csv' and is .*second/seed\.csv'"):
        loop.run(settings(films_config, seed_data=str(second / "seed.csv")), "run")
    changed = (second / "films.py").read_text().replace('"negative"', '"bad"')
    (second / "films.py").write_text(changed)
    with pytest.raises(RunDirError, match=r"task was .*first/films\.py' and is .*second/films\.py'"):
        loop.run(settings(films_config, task=str(second / "films.py")), "run")


def test_a_run_that_does_not_name_its_folder_is_known_by_its_digests(films_config, work, monkeypatch):
    """As one of an earlier version."""
    first, second = work
    loop.run(settings(films_config, seed_data=str(first / "seed.csv")), "run")
    facts = yaml.safe_load((first / "run" / "run.yaml").read_text())
    facts.pop("folder")
    (first / "run" / "run.yaml").write_text(yaml.safe_dump(facts))
    monkeypatch.chdir(second)
    loop.run(settings(films_config, **AWAY | {"seed_data": str(first / "seed.csv")}), first / "run")
