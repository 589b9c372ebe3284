"""Pushes that change nothing, or nothing yet: `--dry-run` and `--create-pr`."""

import json
import os
from pathlib import Path

import pytest

from hf_localhub import add_user
from s3_hf.errors import HubError
from s3_hf.hub import PushOptions, preview_push, push_run
from tests.run_maker import add_model, add_round, make_run

DATASET, MODEL = "s3-snippets-round0", "s3-snippets-round0-tiny-bert"
PULLS = PushOptions(create_pr=True)


@pytest.fixture
def half(tmp_path):
    """A run of one round."""
    made = make_run(tmp_path / "half")
    add_round(made, 0, [("a bad film .", 0), ("a good film .", 1)])
    add_model(made, 0)
    return made


def test_a_dry_run_tells_what_is_new_and_makes_nothing(half, hub, tmp_path):
    found = preview_push(half, tmp_path / "out", **hub.login)
    assert [(each.repo, each.new, each.changes.any) for each in found] == [
        (f"{hub.name}/{DATASET}", True, True),
        (f"{hub.name}/{MODEL}", True, True),
    ]
    parts = [f"{name}/train-00000-of-00001.parquet" for name in ("data", "rationales")]
    assert found[0].changes.added == ("README.md", *parts, "s3/run.json")
    assert all((Path(found[0].folder) / name).is_file() for name in found[0].changes.added)
    assert not list(hub.api.list_datasets(author=hub.name))
    assert not list(hub.api.list_models(author=hub.name))
    assert not half.round(0).published.exists()


def test_a_dry_run_after_a_push_finds_nothing_to_change(half, hub, tmp_path):
    published = push_run(half, **hub.login)
    card = hub.text(published[0].repo) + "\nMine.\n"
    hub.api.upload_file(
        path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=published[0].repo, repo_type="dataset"
    )
    push_run(half, **hub.login)  # the model's card names the dataset's commit
    found = preview_push(half, tmp_path / "out", **hub.login)
    assert [(each.new, each.changes.any) for each in found] == [(False, False), (False, False)]
    assert "model.safetensors" in found[1].changes.unchanged


def test_a_dry_run_names_what_a_push_then_changes(half, hub, tmp_path):
    first = push_run(half, **hub.login)
    stale = "data/train-00001-of-00002.parquet"
    hub.api.upload_file(path_or_fileobj=b"x", path_in_repo=stale, repo_id=first[0].repo, repo_type="dataset")
    add_round(half, 0, [("a bad film .", 0), ("a very good film .", 1)])
    heads = [hub.commits(each.repo, each.kind) for each in first]
    data, model = preview_push(half, tmp_path / "out", **hub.login)
    assert data.changes.changed == ("README.md", "data/train-00000-of-00001.parquet", "s3/run.json")
    assert data.changes.removed == (stale,)
    assert model.changes.changed == ("README.md", "s3/run.json")
    assert [hub.commits(each.repo, each.kind) for each in first] == heads
    push_run(half, **hub.login)
    assert not any(each.changes.any for each in preview_push(half, tmp_path / "out", **hub.login))


@pytest.mark.parametrize("to", [(), ("--to", "out")])
def test_a_dry_run_without_a_token_writes_the_folders(half, tmp_path, typed, monkeypatch, caplog, to):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    code, out, _ = typed("push", half.path, "--dry-run", *to)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [line[:4] for line in lines] == [
        ["dataset", f"local/{DATASET}", "not", "compared"],
        ["model", f"local/{MODEL}", "not", "compared"],
    ]
    assert all((Path(line[-1]) / "README.md").is_file() for line in lines)
    assert "only the folders are written: to compare them with" in caplog.text
    assert json.loads(typed("push", half.path, "--dry-run", *to, "--json")[1])[0]["changes"] is None


def test_a_dry_run_stops_where_the_push_would(half, hub, tmp_path):
    with pytest.raises(HubError, match="found 'somebody'"):
        preview_push(half, tmp_path / "out", "somebody", **hub.login)


def test_pull_requests_leave_the_main_branch_alone(half, hub):
    data, model = push_run(half, options=PULLS, **hub.login)
    for each in (data, model):
        assert each.pull_request == f"{each.url}/discussions/1"
        assert each.changed
        assert hub.api.list_repo_files(each.repo, repo_type=each.kind) == [".gitattributes"]
        assert "README.md" in hub.api.list_repo_files(each.repo, repo_type=each.kind, revision="refs/pr/1")
    assert not half.round(0).published.exists()
    for each in (data, model):
        hub.api.merge_pull_request(each.repo, 1, repo_type=each.kind)
    assert data.commit in hub.text(model.repo, kind="model")
    again = push_run(half, **hub.login)
    assert not again[0].changed


def test_a_repeated_pull_request_is_the_same_one(half, hub):
    first = push_run(half, options=PULLS, **hub.login)
    again = push_run(half, options=PULLS, **hub.login)
    assert [(each.pull_request, each.commit, each.changed) for each in again] == [
        (each.pull_request, each.commit, False) for each in first
    ]
    add_round(half, 0, [("a bad film .", 0), ("a very good film .", 1)])
    more = push_run(half, options=PULLS, **hub.login)
    assert [(each.pull_request, each.changed) for each in more] == [(each.pull_request, True) for each in first]
    for each in more:
        assert len(list(hub.api.get_repo_discussions(each.repo, repo_type=each.kind))) == 1


def test_where_nothing_changed_no_pull_request_is_opened(half, hub):
    push_run(half, **hub.login)
    again = push_run(half, options=PULLS, **hub.login)
    assert [(each.pull_request, each.changed) for each in again] == [(None, False)] * 2


def test_somebody_elses_repository_gets_a_pull_request(half, hub):
    push_run(half, **hub.login)
    guest = add_user(hub.data, f"{hub.name}-guest")
    add_round(half, 0, [("a bad film .", 0), ("a very good film .", 1)])
    with pytest.raises(HubError, match=f"found '{hub.name}'"):
        push_run(half, hub.name, endpoint=hub.endpoint, token=guest)
    asked = push_run(half, hub.name, PULLS, endpoint=hub.endpoint, token=guest)
    assert [each.pull_request for each in asked] == [f"{each.url}/discussions/1" for each in asked]


def test_the_command_line_says_so(half, hub, tmp_path):
    out = hub.python(tmp_path, "-m", "s3_hf", "push", half.path, "--dry-run", "--to", tmp_path / "out")
    assert f"dataset {hub.name}/{DATASET}  new  {tmp_path}" in out
    assert "\n  + data/train-00000-of-00001.parquet\n" in out
    opened = json.loads(hub.python(tmp_path, "-m", "s3_hf", "push", half.path, "--create-pr", "--json"))
    assert [os.path.basename(each["pull_request"]) for each in opened] == ["1", "1"]  # noqa: PTH119 - an address
    pushed, again = (hub.python(tmp_path, "-m", "s3_hf", "push", half.path) for _ in range(2))
    assert (pushed.count("  unchanged\n"), again.count("  unchanged")) == (0, 2)
