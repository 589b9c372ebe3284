"""Publishing to a Hub: unmodified clients against the local one, over HTTP."""

import concurrent.futures
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard

from hf_localhub import add_user
from s3_hf.errors import HubError
from s3_hf.files import read_json
from s3_hf.hub import PushOptions, push_run
from s3_hf.store import open_run
from tests.run_maker import add_model, add_round, make_run


def test_push_makes_one_commit_for_each_repository(run, hub):
    published = push_run(run, hub.name, **hub.login)
    assert [(each.kind, each.round, each.changed) for each in published] == [
        ("dataset", 0, True),
        ("model", 0, True),
        ("dataset", 1, True),
        ("model", 1, True),
    ]
    for each in published:
        commits = hub.commits(each.repo, each.kind)
        assert commits[0] == each.commit
        assert len(commits) <= 2  # the repository's own first commit, and ours
    card = ModelCard(hub.text(published[3].repo, kind="model"))
    assert published[2].commit in card.text
    assert read_json(run.round(1).published) == {
        "dataset": {"repo": published[2].repo, "commit": published[2].commit, "url": published[2].url},
        "model": {"repo": published[3].repo, "commit": published[3].commit, "url": published[3].url},
    }


def test_pushing_again_makes_no_commit(run, hub):
    first = push_run(run, **hub.login)
    again = push_run(open_run(run.path), **hub.login)
    assert [dataclasses.replace(each, changed=False) for each in first] == again


def test_a_push_that_stopped_between_two_repositories_goes_on(run, hub):
    push_run(run, hub.name, **hub.login)
    for number in (0, 1):
        run.round(number).published.unlink()
    hub.api.delete_repo(f"{hub.name}/s3-snippets-round0-tiny-bert")
    changed = [each.repo for each in push_run(run, hub.name, **hub.login) if each.changed]
    assert changed == [f"{hub.name}/s3-snippets-round0-tiny-bert"]
    assert run.round(0).published.exists()


def test_a_later_round_becomes_the_new_version(run, hub):
    half = make_run(run.path.parent / "half")
    add_round(half, 0, [("a bad film .", 0), ("a good film .", 1)])
    add_model(half, 0)
    push_run(half, hub.name, **hub.login)
    assert "new_version" not in hub.text(f"{hub.name}/s3-snippets-round0-tiny-bert", kind="model")
    add_round(half, 1, [("good .", 1)])
    add_model(half, 1)
    changed = {(each.kind, each.round): each.changed for each in push_run(half, hub.name, **hub.login)}
    assert changed == {("dataset", 0): False, ("model", 0): True, ("dataset", 1): True, ("model", 1): True}
    assert "new_version" in hub.text(f"{hub.name}/s3-snippets-round0-tiny-bert", kind="model")


def test_pushed_data_is_read_by_load_dataset(run, hub, tmp_path):
    published = push_run(run, hub.name, **hub.login)[2]
    code = (
        "import sys, datasets\n"
        f"rows = datasets.load_dataset({published.repo!r}, split='train', revision={published.commit!r})\n"
        "print(rows.num_rows, rows.features['label'].names)"
    )
    environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), "HF_TOKEN": hub.token}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "6 ['negative', 'positive']", ran.stderr


def test_the_repositories_are_collected(run, hub):
    push_run(run, hub.name, **hub.login)
    push_run(run, hub.name, **hub.login)
    (collection,) = hub.api.list_collections(owner=hub.name)
    items = hub.api.get_collection(collection.slug).items
    assert [(item.item_type, item.item_id.split("/")[1]) for item in items] == [
        ("dataset", "s3-snippets-round0"),
        ("model", "s3-snippets-round0-tiny-bert"),
        ("dataset", "s3-snippets-round1"),
        ("model", "s3-snippets-round1-tiny-bert"),
    ]


def test_private_repositories_are_private(run, hub):
    published = push_run(run, hub.name, PushOptions(private=True), **hub.login)
    assert all(hub.api.repo_info(each.repo, repo_type=each.kind).private for each in published)


def test_a_public_repository_is_not_mistaken_for_a_private_one(run, hub):
    push_run(run, hub.name, **hub.login)
    with pytest.raises(HubError, match="must be private as asked"):
        push_run(run, hub.name, PushOptions(private=True), **hub.login)


def test_what_the_owner_wrote_below_the_card_is_kept(run, hub):
    repo = push_run(run, hub.name, **hub.login)[0].repo
    card = hub.text(repo) + "\n## News\n\nMine.\n"
    hub.api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo, repo_type="dataset")
    assert not push_run(run, hub.name, **hub.login)[0].changed
    push_run(run, hub.name, PushOptions(license="mit"), **hub.login)
    assert hub.text(repo).endswith("\n## News\n\nMine.\n")
    assert DatasetCard(hub.text(repo)).data.license == "mit"


def test_an_edited_card_stops_the_push(run, hub):
    repo = push_run(run, hub.name, **hub.login)[0].repo
    card = hub.text(repo).replace("license: other", "license: mit")
    hub.api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=repo, repo_type="dataset")
    with pytest.raises(HubError, match="found it edited on the Hub"):
        push_run(run, hub.name, **hub.login)
    assert hub.text(repo) == card


def test_stale_shards_are_removed(run, hub):
    repo = push_run(run, hub.name, **hub.login)[0].repo
    kept = {"notes.md", "extra/dev.parquet", "data/validation-00000-of-00001.parquet", "probe.safetensors"}
    stale = ("data/train-00001-of-00002.parquet", "rejected/train-00000-of-00001.parquet", "figures/map.png")
    for name in (*stale, *kept):
        hub.api.upload_file(path_or_fileobj=b"x", path_in_repo=name, repo_id=repo, repo_type="dataset")
    push_run(run, hub.name, **hub.login)
    assert set(hub.api.list_repo_files(repo, repo_type="dataset")) - {".gitattributes"} == {
        "README.md",
        "data/train-00000-of-00001.parquet",
        "rationales/train-00000-of-00001.parquet",
        "s3/run.json",
        *kept,
    }


def test_an_organisation_can_be_pushed_to(run, hub):
    add_user(hub.data, f"{hub.name}-org", org=True, token=hub.token)
    assert push_run(run, f"{hub.name}-org", **hub.login)[0].repo == f"{hub.name}-org/s3-snippets-round0"


def test_no_token(run, hub, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(HubError, match="found none; log in with `hf auth login`, set HF_TOKEN, or"):
        push_run(run, hub.name, endpoint=hub.endpoint)


def test_wrong_token(run, hub):
    with pytest.raises(HubError, match="must know the token, found 401") as caught:
        push_run(run, hub.name, endpoint=hub.endpoint, token="hf_wrongwrongwrongwrongwrong")
    assert "hf_wrong" not in str(caught.value)


def test_read_only_token(run, hub):
    token = add_user(hub.data, hub.name, role="read")
    with pytest.raises(HubError, match="may only read"):
        push_run(run, hub.name, endpoint=hub.endpoint, token=token)


def test_foreign_namespace(run, hub):
    with pytest.raises(HubError, match=f"found 'somebody'; use one of {hub.name}"):
        push_run(run, "somebody", **hub.login)


def test_unreachable_server(run, monkeypatch):
    monkeypatch.setattr("s3_hf.retrying.PAUSE", 0.001)
    with pytest.raises(HubError, match=r"the Hub at http://127\.0\.0\.1:9 must be reachable"):
        push_run(run, "me", endpoint="http://127.0.0.1:9", token="hf_" + "x" * 30)


def test_a_card_that_the_hub_refuses(run, hub):
    run.facts["task"]["language"] = 5
    with pytest.raises(HubError, match=r"must accept the card of .*\"language\" must be a string"):
        push_run(run, hub.name, **hub.login)


def test_concurrent_pushes_make_one_commit(run, hub, tmp_path):
    """Four machines push the same run at once."""
    copies = [open_run(Path(shutil.copytree(run.path, tmp_path / f"copy{number}"))) for number in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        pushed = list(pool.map(lambda copy: push_run(copy, hub.name, **hub.login), copies))
    heads = {(each.kind, each.repo, each.commit) for published in pushed for each in published}
    assert len(heads) == 4
    for kind, repo, commit in heads:
        assert hub.commits(repo, kind)[0] == commit
        assert len(hub.commits(repo, kind)) <= 2
