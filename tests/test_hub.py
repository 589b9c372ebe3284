"""Repositories as folders: what they hold, that clients read them, and what never leaves."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from huggingface_hub import DatasetCard, ModelCard
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from s3_hf.errors import HubError, StorageError
from s3_hf.hub import PushOptions, write_folders
from s3_hf.hub.names import RunNames
from s3_hf.hub.privacy import without_paths
from s3_hf.hub.secrets import Secrets
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
    parts = [f"{name}/train-00000-of-00001.parquet" for name in ("data", "rationales")]
    assert files(Path(published[2].url)) == ["README.md", *parts, "s3/run.json"]
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
    assert data.dataset_info[0]["splits"][0]["num_examples"] == 6


def test_the_record_has_what_the_run_was(run, tmp_path):
    published = write_folders(run, tmp_path / "out")
    record = json.loads((Path(published[3].url) / "s3/run.json").read_text())
    assert record["fingerprint"] == run.config.fingerprint()
    assert record["rounds"][1]["prompts"] == {"00ff": PROMPTS["extrapolate"]}
    assert record["rounds"][1]["scores"]["test"]["metrics"]["accuracy"] == 0.8
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
    names = RunNames.of(run, "me")
    for name in (names.dataset(12).id.removeprefix("me/"), names.model(12).id.removeprefix("me/")):
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


def test_a_name_of_the_users_own_begins_all_names(run, tmp_path):
    published = write_folders(run, tmp_path / "out", options=PushOptions(name="films.v2"))
    assert [each.repo for each in published[2:]] == ["local/films.v2-round1", "local/films.v2-round1-tiny-bert"]
    assert "local/films.v2-round1" in (Path(published[3].url) / "README.md").read_text()


@pytest.mark.parametrize("name", ["", "my films", "../x", "a/b", "-x", "a--b", "x.git", "ü"])
def test_a_name_that_no_hub_takes_is_refused(run, tmp_path, name):
    with pytest.raises(HubError, match="must be made of letters, digits"):
        write_folders(run, tmp_path / "out", options=PushOptions(name=name))


STRAY = {
    ".env": b"KEY=1",
    "key.pem": b"-----BEGIN",
    "training_args.bin": b"PK\x03\x04",
    "pytorch_model.bin": b"",
    "optimizer.pt": b"",
    "innocent.json": b"\x80\x04\x95",
    "modeling.py": b"import os",
    "checkpoint/model.safetensors": b"",
}


def test_only_files_that_s3_hf_wrote_leave_and_no_links(run, tmp_path, caplog):
    model, secret = run.round(1).model, tmp_path / "secret.txt"
    secret.write_text("private")
    for name, content in STRAY.items():
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_bytes(content)
    (model / "vocab.txt").symlink_to(secret)
    (model / "merges.txt").symlink_to(tmp_path / "nowhere")
    (model / "vocab.json").mkdir()
    folder = Path(write_folders(run, tmp_path / "out")[3].url)
    assert files(folder) == files(Path(write_folders(run, tmp_path / "out")[1].url))
    told = "".join(caplog.messages)
    assert all(repr(name.split("/")[0]) in told for name in (*STRAY, "vocab.txt", "merges.txt", "vocab.json"))


@pytest.mark.parametrize("kind", ["data", "model"])
def test_what_is_a_link_out_of_the_run_does_not_leave(run, tmp_path, kind):
    path = getattr(run.round(0), kind)
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HubError, match="must stand in the run directory"):
        write_folders(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_directory_that_is_a_link_itself_is_published(run, tmp_path):
    (tmp_path / "latest").symlink_to(run.path)
    assert len(write_folders(open_run(tmp_path / "latest"), tmp_path / "out")) == 4


def truncated(model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])


def lengthened(model):
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"more")


def without_a_shard(model):
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    (model / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})
    )


def a_link(model):
    (model / "model.safetensors").rename(model.parent / "weights")
    (model / "model.safetensors").symlink_to(model.parent / "weights")


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        lengthened,
        without_a_shard,
        a_link,
        lambda model: (model / "model.safetensors").write_bytes(b""),
        lambda model: (model / "model.safetensors").write_bytes(b"\xff" * 100),
        lambda model: (model / "model.safetensors.index.json").write_text("[" * 10_000),
        lambda model: (model / "model.safetensors.index.json").write_text('{"weight_map": null}'),
    ],
)
def test_damaged_weights_do_not_leave(run, tmp_path, damage):
    damage(run.round(0).model)
    with pytest.raises(HubError, match=r"the weights in '.*round-0/model' must be whole to be published"):
        write_folders(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"\x80\x04\x95", b"", b"{", b"[" * 100_000, b"\xff\xfe{"])
def test_a_damaged_configuration_does_not_leave(run, tmp_path, content):
    (run.round(0).model / "tokenizer_config.json").write_bytes(content)
    with pytest.raises(HubError, match=r"'tokenizer_config\.json' must be JSON"):
        write_folders(run, tmp_path / "out")
    assert not any("models" in name for name in files(tmp_path / "out"))


def test_a_full_disk_is_one_sentence(run, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        with pytest.raises(StorageError, match=r"cannot write .* no space left on device"):
            write_folders(run, folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


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
    with pytest.raises(HubError, match="a text shaped like a Hub token in column 'text' of row 1"):
        write_folders(run, tmp_path / "out")


SECRET = "correct-horse-battery"
PLACES = {
    "the key": ({"endpoint": {"api_key_env": "MY_KEY"}}, {"MY_KEY": SECRET}),
    "the Hub token": ({}, {"HF_TOKEN": SECRET}),
    "a password": ({"llm": "http://me:${MY_PASSWORD}@127.0.0.1:1/v1"}, {"MY_PASSWORD": SECRET}),
    "a key in a query": ({"llm": "http://127.0.0.1:1/v1?api_key=${MY_QUERY}"}, {"MY_QUERY": SECRET}),
}


@pytest.mark.parametrize(("settings", "environment"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("where", ["row", "file", "model name"])
def test_a_secret_that_an_answer_repeats_does_not_leave(tmp_path, monkeypatch, settings, environment, where):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = make_run(tmp_path / "run", **settings)
    text, model = {"row": (f"my key is {SECRET} .", "m"), "model name": ("a film .", SECRET)}.get(where, ("a .", "m"))
    add_round(run, 0, [("a bad film .", 0), (text, 1)], model=model)
    add_model(run, 0)
    if where == "file":
        (run.round(0).model / "config.json").write_text(json.dumps({"note": SECRET}))
    with pytest.raises(
        HubError, match=r"found a key, token or password of this run in (column|'config.json')"
    ) as error:
        write_folders(run, tmp_path / "out")
    assert SECRET not in str(error.value)


def test_texts_are_found_in_columns_of_every_shape():
    nested = pa.table(
        {"answers": [{"text": ["fine"], "start": [0]}, {"text": ["x", f"of {SECRET}"], "start": [1, 2]}]}
    )
    spread = pa.table({"kind": pa.array(["a", SECRET]).dictionary_encode(), "n": [1, 2]})
    for table in (nested, spread):
        with pytest.raises(HubError, match="of row 1 of the rows"):
            Secrets(frozenset({SECRET})).check_rows(table)
        Secrets().check_rows(table)


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
