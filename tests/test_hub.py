"""Repositories as folders: what they hold, that clients read them, and what never leaves."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from huggingface_hub import DatasetCard, ModelCard
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from s3_hf.errors import HubError
from s3_hf.hub import dataset_name, model_name, write_folders
from s3_hf.hub.privacy import without_paths
from s3_hf.records import PROVENANCE
from s3_hf.store import open_run
from tests.run_maker import FEATURES, LABELS, PROMPTS, add_model, add_round, make_full_run, make_run, recipe


@pytest.fixture
def run(tmp_path):
    return make_full_run(tmp_path / "run")


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def contents(folder):
    return {name: (folder / name).read_bytes() for name in files(folder)}


def test_every_round_becomes_a_dataset_and_a_model(run, tmp_path):
    published = write_folders(run, tmp_path / "out", "me")
    assert [(each.kind, each.round, each.repo) for each in published] == [
        ("dataset", 0, "me/s3-snippets-round0"),
        ("model", 0, "me/s3-snippets-round0-tiny-bert"),
        ("dataset", 1, "me/s3-snippets-round1"),
        ("model", 1, "me/s3-snippets-round1-tiny-bert"),
    ]
    assert files(Path(published[2].url)) == ["README.md", "data/train-00000-of-00001.parquet", "s3/run.json"]
    assert files(Path(published[3].url)) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "s3/run.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_load_dataset_reads_the_folder(run, tmp_path):
    folder = write_folders(run, tmp_path / "out")[2].url
    loaded = datasets.load_dataset(folder, cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    rows = loaded["train"]
    assert rows.features == FEATURES
    assert rows[:] == run.union(1)[:]
    assert rows.column_names == ["text", "label", *PROVENANCE]
    streamed = datasets.load_dataset(folder, split="train", streaming=True)
    assert list(streamed) == list(rows)


def test_transformers_reads_the_folder(run, tmp_path):
    folder = write_folders(run, tmp_path / "out")[3].url
    model = AutoModelForSequenceClassification.from_pretrained(folder, use_safetensors=True)
    assert list(model.config.id2label.values()) == list(LABELS)
    classify = pipeline("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))
    assert classify("a good film .")[0]["label"] in LABELS


def test_the_code_on_the_cards_runs_as_pasted(run, tmp_path):
    """Ids resolve to folders here, as `NAMESPACE/NAME` below the current one."""
    out = tmp_path / "out"
    code = {
        Path(each.url): re.findall(r"^```python\n(.*?)^```", (Path(each.url) / "README.md").read_text(), re.S | re.M)
        for each in write_folders(run, out)[2:]
    }
    assert [len(blocks) for blocks in code.values()] == [1, 1]
    for folder, (block,) in code.items():
        ran = subprocess.run(
            [sys.executable, "-c", block],
            cwd=folder.parent.parent,
            env=os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert "label" in ran.stdout


def test_cards_are_linked(run, tmp_path):
    cards = [(Path(each.url) / "README.md") for each in write_folders(run, tmp_path / "out", "me")]
    first, last = ModelCard(cards[1].read_text()).data, ModelCard(cards[3].read_text()).data
    assert last.datasets == ["me/s3-snippets-round1"]
    assert last.base_model == "someone/tiny-bert"
    assert first.new_version == "me/s3-snippets-round1-tiny-bert"
    assert "new_version" not in last.to_dict()
    assert "me/s3-snippets-round1-tiny-bert" in cards[2].read_text()
    data = DatasetCard(cards[2].read_text()).data
    assert data.source_datasets == ["someone/snippets"]
    assert data.dataset_info["splits"][0]["num_examples"] == 6


def test_the_record_has_what_the_run_was(run, tmp_path):
    published = write_folders(run, tmp_path / "out")
    record = json.loads((Path(published[3].url) / "s3/run.json").read_text())
    assert record["fingerprint"] == run.config.fingerprint()
    assert record["rounds"][1]["prompts"] == {"00ff": PROMPTS["extrapolate"]}
    assert record["rounds"][1]["scores"]["test"]["accuracy"] == 0.8
    assert record["training"]["best_epoch"] == 1
    assert record["dataset"] == {"repo": "local/s3-snippets-round1", "revision": None}


def test_writing_again_changes_nothing(run, tmp_path):
    write_folders(run, tmp_path / "out")
    before = contents(tmp_path / "out")
    write_folders(open_run(run.path), tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_data_without_a_model_is_published_alone(tmp_path):
    run = make_run(tmp_path / "run", strategy="zerogen")
    add_round(run, 0, [("a bad film .", 0), ("a good film .", 1)])
    published = write_folders(run, tmp_path / "out")
    assert [each.repo for each in published] == ["local/zerogen-snippets-round0"]
    assert "accuracy" not in (Path(published[0].url) / "README.md").read_text()


@pytest.mark.parametrize(
    ("answered", "named"), [("qwen3", "qwen3"), ("/srv/llm.gguf", "llm.gguf"), ("dummy", "unnamed")]
)
def test_an_llm_that_was_asked_for_by_url_is_named_as_it_answered(tmp_path, answered, named):
    run = make_run(tmp_path / "run", llm="http://127.0.0.1:1")
    run.facts["llm"] |= {"model": "as served", "endpoint": "url"}
    add_round(run, 0, [("a bad film .", 0), ("a good film .", 1)], model=answered)
    (published,) = write_folders(run, tmp_path / "out")
    assert f"written by the LLM `{named}`" in (Path(published.url) / "README.md").read_text()
    assert b"127.0.0.1" not in b"".join(contents(Path(published.url)).values())


def test_paths_are_named_by_their_last_component(tmp_path):
    for name in ("gold", "students/tiny"):
        (tmp_path / "private" / name).mkdir(parents=True)
    shutil.copytree(recipe().parent, tmp_path / "private", dirs_exist_ok=True)
    run = make_run(
        tmp_path / "run",
        task=str(tmp_path / "private/snippets.py"),
        gold=str(tmp_path / "private/gold"),
        student=str(tmp_path / "private/students/tiny"),
    )
    run.facts["task"]["source"] = str(tmp_path / "private/gold")
    add_round(run, 0, [("a bad film .", 0), ("a good film .", 1)], model=str(tmp_path / "private/llm.gguf"))
    add_model(run, 0)
    published = write_folders(run, tmp_path / "out")
    assert [each.repo for each in published] == ["local/s3-snippets-round0", "local/s3-snippets-round0-tiny"]
    for name, content in contents(tmp_path / "out").items():
        assert b"private" not in content, name
    rows = datasets.load_dataset(published[0].url, split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["s3_model"][:] == ["llm.gguf", "llm.gguf"]


def test_names_are_valid_and_short(tmp_path):
    run = make_run(tmp_path / "run", student="x/" + "long-" * 40)
    run.facts["task"]["name"] = "my  task!" * 20
    for name in (dataset_name(run, 12), model_name(run, 12)):
        assert re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94})[A-Za-z0-9]", name)
        assert "--" not in name
        assert "-round12" in name


def test_a_bad_namespace_is_refused(run, tmp_path):
    with pytest.raises(HubError, match=r"found '\.\./x'"):
        write_folders(run, tmp_path / "out", "../x")
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_finished_round_is_refused(tmp_path):
    with pytest.raises(HubError, match="finished round"):
        write_folders(make_run(tmp_path / "run"), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("training_args.bin", b"PK\x03\x04"),
        ("pytorch_model.bin", b""),
        ("optimizer.pt", b""),
        ("innocent.json", b"\x80\x04\x95"),
        ("archive", b"PK\x03\x04zip"),
    ],
)
def test_pickles_do_not_leave(run, tmp_path, name, content):
    (run.round(1).model / name).write_bytes(content)
    with pytest.raises(HubError, match=re.escape(name)):
        write_folders(run, tmp_path / "out")
    assert not (tmp_path / "out/models/local/s3-snippets-round1-tiny-bert").exists()


@pytest.mark.parametrize("secret", ["hf_" + "a1B2" * 8, "/home/me/secrets", "/Users/me/x", str(Path.home()) + "/x"])
def test_tokens_and_home_paths_do_not_leave(run, tmp_path, secret):
    config = run.round(1).model / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"note": f"see {secret}"}))
    with pytest.raises(HubError, match=r"config\.json") as caught:
        write_folders(run, tmp_path / "out")
    assert "hf_a1B2" not in str(caught.value)


def test_a_token_in_a_row_does_not_leave(tmp_path):
    run = make_run(tmp_path / "run")
    add_round(run, 0, [("a bad film .", 0), ("my token is hf_" + "a1B2" * 8, 1)])
    with pytest.raises(HubError, match="column 'text'"):
        write_folders(run, tmp_path / "out")


@pytest.mark.parametrize(
    ("place", "public"),
    [
        ("/somewhere/My Data/rows.jsonl", "rows.jsonl"),
        ("My Data/rows.csv", "rows.csv"),
        ("data/rows.jsonl", "rows.jsonl"),
        ("My Data/seed/", "seed"),
        ("../films-s3", "films-s3"),
        ("someone/reviews", "someone/reviews"),
        ("imdb", "imdb"),
    ],
)
@pytest.mark.parametrize("name", ["seed_data", "add_data", "contexts", "gold", "task"])
def test_no_folder_of_given_data_is_published(name, place, public):
    assert without_paths({name: place}) == {name: public}
    assert without_paths({"add_data": (place, "someone/reviews")}) == {"add_data": [public, "someone/reviews"]}
