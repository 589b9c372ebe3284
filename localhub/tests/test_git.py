"""git itself clones from the Hub and reads its repositories."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from dulwich.objects import Blob

from hf_localhub.packs import merge_packs, write_pack
from hf_localhub.repository import GitRepo

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def git(*arguments, check=True):
    environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "PATH": "/usr/bin:/bin:/usr/local/bin"}
    return subprocess.run(["git", *arguments], env=environment, capture_output=True, text=True, check=check)


@pytest.mark.parametrize("suffix", ["", ".git"])
def test_clone_and_fetch(hub, tmp_path, suffix):
    name = f"clone{suffix or '-plain'}".replace(".", "-")
    api = hub.create(name)
    hub.commit(api, {f"d/{number}.txt": f"text {number}\n" for number in range(30)})
    hub.ask("POST", f"{api}/tag/main", hub.alice, {"tag": "v1", "message": "first"})
    copy = tmp_path / "copy"
    git("clone", f"{hub.endpoint}/datasets/alice/{name}{suffix}", copy)
    assert (copy / "d/7.txt").read_text() == "text 7\n"
    hub.commit(api, {"new.txt": "new"})
    git("-C", copy, "pull")
    assert (copy / "new.txt").read_text() == "new"
    assert git("-C", copy, "tag").stdout.split() == ["v1"]
    assert git("-C", copy, "log", "--format=%an %s").stdout.splitlines() == ["alice test"] * 2 + [
        "alice initial commit"
    ]
    git("-C", copy, "fsck", "--strict")


def test_a_private_clone_wants_a_token_and_push_is_refused(hub, tmp_path):
    hub.create("secret-clone", private=True)
    page = "datasets/alice/secret-clone"
    assert git("clone", f"{hub.endpoint}/{page}", tmp_path / "no", check=False).returncode != 0
    url = f"{hub.endpoint.replace('://', f'://alice:{hub.alice}@')}/{page}"
    git("clone", url, tmp_path / "yes")
    pushed = git("-C", tmp_path / "yes", "push", "origin", "main:other", check=False)
    assert pushed.returncode != 0
    assert "403" in pushed.stderr


def test_many_commits_do_not_leave_many_packs(hub, tmp_path):
    api = hub.create("many")
    for number in range(40):
        assert hub.commit(api, {f"{number}.txt": str(number)}).status == 200
    repo = hub.data / "repos" / f"{hub.ask('GET', api).json['_id']}.git"
    assert len(list(repo.glob("objects/pack/*.pack"))) < 15
    assert len(hub.ask("GET", f"{api}/commits/main").json) == 41
    git("-C", repo, "fsck", "--full", "--strict")
    git("clone", f"{hub.endpoint}/datasets/alice/many", tmp_path / "copy")
    assert len(list((tmp_path / "copy").glob("*.txt"))) == 40


def test_a_merge_of_packs_that_was_killed_halfway_loses_nothing(tmp_path):
    repo = GitRepo.create(tmp_path / "r.git")
    folder, blobs = repo.path / "objects" / "pack", [Blob.from_string(b"%d" % number) for number in range(40)]
    for blob in blobs:
        write_pack(folder, [blob], 1)
    write_pack(folder, sorted(blobs, key=lambda blob: blob.id), len(blobs))
    assert merge_packs(folder, repo.get)
    repo.reopen()
    assert len(list(folder.glob("*.pack"))) == len(list(folder.glob("*.idx"))) == 1
    assert all(repo.get(blob.id) == blob for blob in blobs)
    assert not merge_packs(folder, repo.get)
    repo.close()


def test_the_repository_on_disk_is_sound(hub):
    api = hub.create("sound")
    for number in range(5):
        hub.commit(api, {f"a/{number % 2}/{number}.txt": str(number)})
    hub.ask("POST", f"{api}/tag/main", hub.alice, {"tag": "t", "message": "m"})
    hub.ask("POST", f"{api}/super-squash/main", hub.alice, {"message": "one"})
    identity = hub.ask("GET", api).json["_id"]
    assert git("-C", hub.data / "repos" / f"{identity}.git", "fsck", "--full", "--strict").returncode == 0
