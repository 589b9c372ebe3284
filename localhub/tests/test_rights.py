"""Who may see, read and change what, and how a refusal looks to each client."""

from __future__ import annotations

import sqlite3

import pytest

from hf_localhub import add_user
from hf_localhub.errors import AccountError


def test_each_refusal_is_the_clients_own_exception(client, hub, monkeypatch):
    monkeypatch.setenv("BOB", hub.bob)
    monkeypatch.setenv("READER", hub.reader)
    private, gated = hub.create("private", visibility="private"), hub.create("gated")
    for api in (private, gated):
        assert hub.commit(api, {"README.md": "text"}).status == 200
    assert hub.ask("PUT", f"{gated}/settings", hub.alice, {"gated": "manual"}).json["gated"] == "manual"
    client("hub_names_its_errors", "alice/private", "alice/gated")


def test_a_private_repository_looks_like_a_missing_one(hub):
    private, missing = hub.create("hidden", visibility="private"), "/api/datasets/alice/absent"
    routes = {
        "GET": ("", "/tree/main", "/refs", "/commits/main", "/revision/main", "/discussions", "/auth-check"),
        "POST": ("/paths-info/main", "/preupload/main", "/commit/main", "/branch/x", "/tag/main", "/discussions"),
    }
    for token in (None, hub.bob):
        for method, ends in routes.items():
            for end in ends:
                seen, absent = (hub.ask(method, f"{api}{end}", token, {}) for api in (private, missing))
                assert (seen.status, seen.body) == (absent.status, absent.body), end
                assert seen.headers["x-error-code"] == "RepoNotFound"
                assert seen.status == (404 if token else 401)
        pages = [f"/datasets/alice/{name}/resolve/main/.gitattributes" for name in ("hidden", "absent")]
        answers = [hub.ask("GET", page, token) for page in pages]
        assert answers[0].body == answers[1].body
    assert all(item["id"] != "alice/hidden" for item in hub.ask("GET", "/api/datasets?author=alice", hub.bob).json)
    assert hub.ask("GET", private, hub.reader).status == 200


def test_a_token_of_nobody_is_refused_everywhere(hub):
    for path in ("/api/whoami-v2", "/api/datasets", "/api/datasets/alice/absent"):
        answer = hub.ask("GET", path, "hf_nobody")
        assert (answer.status, answer.json["error"]) == (401, "Invalid credentials in Authorization header")


def test_a_reading_token_changes_nothing(hub):
    api = hub.create("read-only")
    for method, path, body in (
        ("POST", "/api/repos/create", {"name": "x", "type": "dataset"}),
        ("DELETE", "/api/repos/delete", {"name": "read-only", "type": "dataset"}),
        ("PUT", f"{api}/settings", {"private": True}),
        ("POST", f"{api}/preupload/main", {"files": []}),
        ("POST", f"{api}/commit/main", {}),
        ("POST", f"{api}/commit/main?create_pr=1", {}),
        ("POST", f"{api}/branch/x", {}),
        ("POST", f"{api}/discussions", {"title": "title"}),
        ("GET", f"{api}/xet-write-token/main", None),
        ("POST", "/datasets/alice/read-only.git/info/lfs/objects/batch", {"operation": "upload"}),
        ("POST", "/api/collections", {"title": "x"}),
    ):
        answer = hub.ask(method, path, hub.reader, body)
        assert (answer.status, "may only read" in answer.json["error"]) == (403, True), path


def test_a_stranger_may_open_a_pull_request_but_not_commit(hub):
    api = hub.create("public")
    assert hub.commit(api, {"x.txt": "x"}, hub.bob).status == 403
    pull = hub.commit(api, {"x.txt": "x"}, hub.bob, "main?create_pr=1")
    assert pull.json["pullRequestUrl"].endswith("/datasets/alice/public/discussions/1")
    assert hub.commit(api, {"y.txt": "y"}, hub.bob, "refs%2Fpr%2F1").status == 200
    assert hub.ask("POST", f"{api}/discussions/1/merge", hub.bob, {}).status == 403
    carol = add_user(hub.data, "carol")
    assert hub.commit(api, {"z.txt": "z"}, carol, "refs%2Fpr%2F1").status == 403
    assert hub.ask("POST", f"{api}/discussions/1/merge", hub.alice, {}).status == 200
    assert {item["path"] for item in hub.ask("GET", f"{api}/tree/main").json} == {".gitattributes", "x.txt", "y.txt"}


def test_pull_requests_merge_or_name_their_conflicts(hub):
    api = hub.create("merging")
    hub.commit(api, {"same.txt": "old", "gone.txt": "x"})
    pulled = {"same.txt": "theirs", "new.txt": "n", "-": {"key": "deletedFile", "value": {"path": "gone.txt"}}}
    hub.commit(api, pulled, hub.bob, "main?create_pr=1")
    hub.commit(api, {"other.txt": "o"})
    assert hub.ask("GET", f"{api}/discussions/1").json["filesWithConflicts"] == []
    hub.commit(api, {"same.txt": "ours"})
    assert hub.ask("GET", f"{api}/discussions/1").json["filesWithConflicts"] == ["same.txt"]
    assert hub.ask("POST", f"{api}/discussions/1/merge", hub.alice, {}).status == 409
    hub.commit(api, {"same.txt": "old"})
    assert hub.ask("POST", f"{api}/discussions/1/merge", hub.alice, {}).status == 200
    page = "/datasets/alice/merging/resolve/main"
    assert hub.ask("GET", f"{page}/same.txt").body == b"theirs"
    assert hub.ask("GET", f"{page}/other.txt").body == b"o"
    assert hub.ask("GET", f"{page}/gone.txt").status == 404


def test_a_large_file_is_granted_per_repository(hub, client):
    client("hub_streams_a_file_object", "alice/secret-object")
    tree = hub.ask("GET", "/api/models/alice/secret-object/tree/main").json
    sha256 = next(item["lfs"]["oid"] for item in tree if item["path"] == "x.bin")
    mine = hub.create("thief", hub.bob)
    large = {"-": {"key": "lfsFile", "value": {"path": "x.bin", "algo": "sha256", "oid": sha256, "size": 200_000}}}
    assert hub.commit(mine, large, hub.bob).status == 400
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 200000\n"
    assert hub.commit(mine, {"x.bin": pointer}, hub.bob).status == 400
    batch = {"operation": "download", "objects": [{"oid": sha256, "size": 200_000}]}
    answer = hub.ask("POST", "/datasets/bob/thief.git/info/lfs/objects/batch", hub.bob, batch)
    assert answer.json["objects"][0]["error"]["code"] == 404
    answer = hub.ask(
        "POST", "/datasets/bob/thief.git/info/lfs/objects/batch", hub.bob, {**batch, "operation": "upload"}
    )
    assert "upload" in answer.json["objects"][0]["actions"], "known bytes must be sent again, to prove they are had"


def test_tokens_are_kept_as_hashes(hub):
    with sqlite3.connect(hub.data / "hub.sqlite") as registry:
        dump = "\n".join(registry.iterdump())
    registry.close()
    assert hub.alice not in dump
    assert (hub.data / "hub.sqlite").stat().st_mode & 0o077 == 0


def test_names_and_tokens_that_cannot_be_used(tmp_path):
    token = add_user(tmp_path, "dora")
    assert token.startswith("hf_")
    assert add_user(tmp_path, "dora", token="hf_chosen") == "hf_chosen"
    assert add_user(tmp_path, "club", org=True, token=token) == token
    for wrong in ({"name": "api"}, {"name": "a/b"}, {"name": "x", "token": "sk-1"}, {"name": "eve", "token": token}):
        with pytest.raises(AccountError):
            add_user(tmp_path, **wrong)
    with pytest.raises(AccountError, match="already the name of an organisation"):
        add_user(tmp_path, "club")
