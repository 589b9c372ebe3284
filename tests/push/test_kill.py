"""`kill -9` of `s3-hf push` at any request: the next push completes, with no commit twice and no round by halves."""

import random
import subprocess
import sys

import pytest

from hf_localhub import add_user
from s3_hf.hub import push_run
from tests.faulty_proxy import faulty_proxy
from tests.push.conftest import Place

SHARDS = {
    "dataset": {"README.md", "data/train-00000-of-00001.parquet", "s3/run.json"},
    "model": {"README.md", "config.json", "model.safetensors", "s3/run.json", "tokenizer.json"},
}


def kill_at(hub, run, home, request, *, answered):
    """Push in a process of its own, and kill it at that request: before the Hub gets it, or before its answer is."""
    with faulty_proxy(hub.endpoint, (503,), only="no such path") as proxy:
        environment = hub.environment(home, HF_ENDPOINT=proxy.endpoint)
        process = subprocess.Popen(
            [sys.executable, "-m", "s3_hf", "push", str(run.path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        count = 0

        def tick():
            nonlocal count
            count += 1
            if count == request:
                process.kill()

        setattr(proxy, "after" if answered else "before", tick)
        said = process.communicate()[0].decode()
    assert process.returncode in (-9, 0), said
    return process.returncode == -9


def check_and_finish(hub, run):
    """No repository is half there; the next push completes it."""
    for kind, names in SHARDS.items():
        for found in (
            hub.api.list_datasets(author=hub.name) if kind == "dataset" else hub.api.list_models(author=hub.name)
        ):
            files = set(hub.api.list_repo_files(found.id, repo_type=kind)) - {".gitattributes"}
            assert not files or names <= files
    published = push_run(run, **hub.login)
    assert len(published) == 4
    for each in published:
        assert hub.commits(each.repo, each.kind)[0] == each.commit
        assert len(hub.commits(each.repo, each.kind)) <= 2
    for data, model in (published[:2], published[2:]):
        assert data.commit in hub.text(model.repo, kind="model")
    (collection,) = hub.api.list_collections(owner=hub.name)
    assert len(hub.api.get_collection(collection.slug).items) == 4
    assert not any(each.changed for each in push_run(run, **hub.login))


def kill_and_finish(hub, run, tmp_path, draw, times):
    """Push anew to fresh accounts until so many pushes were killed; a few end before the request that was drawn."""
    killed = 0
    for number in range(2 * times):
        if killed == times:
            break
        name = f"{hub.name}-{number}"
        victim = Place(hub.endpoint, hub.data, name, add_user(hub.data, name))
        for each in run.rounds():
            each.published.unlink(missing_ok=True)
        killed += kill_at(victim, run, tmp_path / "home", draw.randint(2, 45), answered=draw.random() < 0.5)
        check_and_finish(victim, run)
    assert killed == times


def test_killed_twice(hub, run, tmp_path):
    kill_and_finish(hub, run, tmp_path, random.Random(3), 2)


@pytest.mark.slow
def test_killed_twenty_times(hub, run, tmp_path):
    kill_and_finish(hub, run, tmp_path, random.Random(1), 20)
