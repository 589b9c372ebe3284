"""A source with several configurations: the message that lists them, and the form that names one."""

import os
import subprocess
import sys

import datasets
import pytest
from huggingface_hub import HfApi

from hf_localhub import add_user, running
from s3_hf.config import parse_config
from s3_hf.errors import StorageError, TaskError
from s3_hf.rows.sources import divide_source, open_split, split_names
from s3_hf.task import load_task
from tests.full_disk import largest_file

CARD = """---
license: mit
configs:
- config_name: english
  data_files: [{split: validation, path: english.csv}, {split: test, path: english.csv}]
- config_name: deutsch
  data_files: [{split: validation, path: deutsch.csv}, {split: test, path: deutsch.csv}]
---
"""
LINES = "text,label\n" + "".join(f"a film of {n},{'pos' if n % 2 else 'neg'}\n" for n in range(8))
LISTED = r"gold data '.*films' must be read in one of its configurations \(english, deutsch\), found none named; "


@pytest.fixture
def films(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    (folder / "english.csv").write_text(LINES)
    (folder / "deutsch.csv").write_text(LINES.replace("a film", "ein Film"))
    return folder


def first(source, name=None):
    return next(open_split(source, name, "test", kind="gold data").rows)[1]["text"]


def test_the_message_lists_the_configurations_and_the_form_that_it_names_works(films):
    for call in (lambda: first(str(films)), lambda: split_names(str(films), None, kind="gold data")):
        with pytest.raises(TaskError, match=LISTED + r"name one, such as '.*films:english'") as raised:
            call()
        assert "\n" not in str(raised.value)
    with pytest.raises(TaskError, match=r"\(english, deutsch\), found 'dutch'; name one"):
        first(f"{films}:dutch")
    assert first(f"{films}:deutsch") == first(str(films), "deutsch") == "ein Film of 0"
    assert split_names(f"{films}:english", None, kind="gold data") == ["validation", "test"]


def test_a_path_with_a_colon_stays_a_path(tmp_path):
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a.csv").write_text(LINES)
    for source in (f"{tmp_path}/a:b", f"{tmp_path}/a.csv", "owner/name", "C:\\data", f"{tmp_path}/a.csv:x"):
        assert divide_source(source) == (source, None)
    assert divide_source("owner/name:en-US") == ("owner/name", "en-US")


def test_gold_in_one_configuration_of_a_folder_is_found_from_any_folder(films, recipe):
    config = parse_config({"task": str(recipe), "gold": "films:deutsch"}).located(films.parent)
    assert config.gold == f"{films}:deutsch"
    assert load_task(str(recipe), config.gold).test[0]["text"] == "ein Film of 0"


def test_gold_in_one_configuration_of_a_repository(films, recipe, tmp_path):
    with running(tmp_path / "hub") as hub:
        api = HfApi(hub.endpoint, add_user(tmp_path / "hub", "user"))
        api.create_repo("user/films", repo_type="dataset")
        api.upload_folder(repo_id="user/films", folder_path=films, repo_type="dataset")
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}

        def show(gold):
            command = [sys.executable, "-m", "s3_hf", "tasks", "show", recipe, "--gold", gold]
            ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            return ran.returncode, ran.stdout + ran.stderr

        code, text = show("user/films")
        assert code == 2, text
        assert "error: gold data 'user/films' must be read in one of its configurations (english, deutsch)" in text
        code, text = show("user/films:english")
        assert code == 0, text
        assert "split    test: 8 rows" in text


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_DATASETS_CACHE"])
def test_a_cache_that_cannot_be_written_is_one_sentence(recipe, films, monkeypatch, variable):
    monkeypatch.delenv("HF_DATASETS_CACHE", raising=False)
    monkeypatch.setenv(variable, "/proc/nope")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", "/proc/nope/datasets")
    for call in (lambda: load_task(str(recipe)), lambda: first(f"{films}:english")):
        with pytest.raises(StorageError) as raised:
            call()
        assert str(raised.value) == (
            "the cache of datasets must be a folder that can be written, found '/proc/nope/datasets' (no such file or "
            f"directory); make room or correct its rights, or set {variable} to another folder"
        )


def test_a_full_cache_is_one_sentence(recipe, films, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    task = load_task(str(recipe))
    for size in (0, 100):
        for call in (lambda: task.test, lambda: first(f"{films}:english")):
            with (
                largest_file(size),
                pytest.raises(StorageError, match=r"^the cache of datasets must be .* to another"),
            ):
                call()
    assert len(task.test) == 60
