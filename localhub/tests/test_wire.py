"""The protocol byte by byte: headers, ranges, paths, paging, limits, LFS in parts."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import uvicorn

import harness
from hf_localhub import add_user
from hf_localhub.app import HubApp
from hf_localhub.server import _listen
from hf_localhub.state import Hub, Limits

LARGE = bytes(range(256)) * 20_000


def put_large(hub, api, data, token=None, name="big.bin"):
    """One LFS upload by hand, and the commit that names it."""
    page = api.removeprefix("/api/").removeprefix("models/")
    oid = hashlib.sha256(data).hexdigest()
    body = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(data)}]}
    actions = hub.ask("POST", f"/{page}.git/info/lfs/objects/batch", token or hub.alice, body).json["objects"][0][
        "actions"
    ]
    href = actions["upload"]["href"].removeprefix(hub.endpoint)
    assert hub.ask("PUT", href, None, data).status == 200
    verify = actions["verify"]["href"].removeprefix(hub.endpoint)
    assert hub.ask("POST", verify, token or hub.alice, {"oid": oid, "size": len(data)}).status == 200
    large = {"key": "lfsFile", "value": {"path": name, "algo": "sha256", "oid": oid, "size": len(data)}}
    return hub.commit(api, {name: large}, token)


@pytest.fixture(scope="module")
def files(hub):
    api = hub.create("wire")
    assert put_large(hub, api, LARGE).status == 200
    assert hub.commit(api, {"small.txt": "0123456789", "a/b.txt": "b"}).status == 200
    return "/datasets/alice/wire/resolve/main"


def test_a_file_names_its_commit_and_its_content(hub, files):
    head = hub.ask("GET", "/api/datasets/alice/wire").json["sha"]
    answer = hub.ask("HEAD", f"{files}/big.bin", X_Request_Id="req-1")
    sha256 = hashlib.sha256(LARGE).hexdigest()
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["x-repo-commit"] == head
    assert answer.headers["etag"] == answer.headers["x-linked-etag"] == f'"{sha256}"'
    assert answer.headers["content-length"] == answer.headers["x-linked-size"] == str(len(LARGE))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-request-id"] == "req-1"
    assert "x-xet-hash" not in answer.headers
    small = hub.ask("GET", f"{files}/small.txt")
    assert small.body == b"0123456789"
    blob = hashlib.sha1(b"blob 10\0" + small.body).hexdigest()
    assert small.headers["etag"] == f'"{blob}"'
    assert hub.ask("GET", f"{files}/small.txt", If_None_Match=small.headers["etag"]).status == 304
    missing = hub.ask("HEAD", f"{files}/missing.txt")
    assert (missing.status, missing.headers["x-error-code"]) == (404, "EntryNotFound")
    assert missing.headers["x-repo-commit"] == head
    assert hub.ask("GET", f"{files}/big.bin").body == LARGE
    assert hub.ask("GET", "/datasets/ALICE/Wire/raw/main/small.txt").body == small.body


@pytest.mark.parametrize("name", ["small.txt", "big.bin"])
@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("0-0", 0, 1),
        ("2-5", 2, 6),
        ("4-", 4, None),
        ("-3", -3, None),
        ("0-999999999", 0, None),
        ("-999999999", 0, None),
    ],
)
def test_ranges(hub, files, name, asked, start, end):
    whole = LARGE if name == "big.bin" else b"0123456789"
    answer = hub.ask("GET", f"{files}/{name}", Range=f"bytes={asked}")
    wanted = whole[start:end]
    first = start if start >= 0 else len(whole) + start
    assert (answer.status, answer.body) == (206, wanted)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(wanted) - 1}/{len(whole)}"


@pytest.mark.parametrize(("name", "size"), [("small.txt", 10), ("big.bin", len(LARGE))])
def test_ranges_that_cannot_be_satisfied_or_are_ignored(hub, files, name, size):
    for asked in (f"{size}-", f"{size + 89}-{size + 90}", "-0", "5-4"):
        answer = hub.ask("GET", f"{files}/{name}", Range=f"bytes={asked}")
        assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}"), asked
        assert answer.headers["x-error-message"] == "Range Not Satisfiable"
        assert "x-repo-commit" in answer.headers
    for odd in ("bytes=", "bytes=0-1,3-4", "lines=0-1"):
        assert hub.ask("GET", f"{files}/{name}", Range=odd).status == 200
    assert hub.ask("GET", f"{files}/{name}", Range="bytes=0-1", If_Range='"other"').status == 200


def test_curl_reads_headers_and_ranges(hub, files, tmp_path):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    url, out = f"{hub.endpoint}{files}/big.bin", tmp_path / "part"
    subprocess.run(["curl", "-sSf", "-r", "100-1099", "-D", tmp_path / "headers", "-o", out, url], check=True)
    assert out.read_bytes() == LARGE[100:1100]
    headers = (tmp_path / "headers").read_text().lower()
    assert headers.startswith("http/1.1 206")
    assert f"content-range: bytes 100-1099/{len(LARGE)}" in headers
    out.write_bytes(LARGE[:1000])
    subprocess.run(["curl", "-sSf", "-C", "-", "-o", out, url], check=True)
    assert out.read_bytes() == LARGE


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../x", "/x", "a//b", "a/", "", ".", "a/./b", "a\\b", ".git/config", "a/.GIT/x", "a\nb", "x" * 2000],
)
def test_paths_that_leave_the_tree_are_refused(hub, files, path):
    api = "/api/datasets/alice/wire"
    assert hub.ask("POST", f"{api}/preupload/main", hub.alice, {"files": [{"path": path, "size": 1}]}).status == 422
    assert hub.commit(api, {path: "x"}).status == 422
    assert hub.ask("GET", f"{files}/{path.replace(chr(10), '%0A')[:900]}").status in (404, 200)


@pytest.mark.parametrize(
    "rev",
    [
        "..",
        "refs%2F..%2F..%2Fhub",
        "%00",
        "main.lock",
        "-x",
        "@%7B",
        "refs%2Fheads",
        "refs%2Fheads%2F",
        "abcde",
        "0" * 40,
    ],
)
def test_revisions_that_do_not_exist(hub, files, rev):
    answer = hub.ask("GET", f"/api/datasets/alice/wire/revision/{rev}")
    assert (answer.status, answer.headers["x-error-code"]) == (404, "RevisionNotFound")


def test_revisions_quoted_and_unquoted(hub):
    api = hub.create("revs")
    assert hub.ask("POST", f"{api}/branch/feat%2Fx", hub.alice, {}).status == 200
    for clashing in ("feat", "feat/x/y", "main/z"):
        assert hub.ask("POST", f"{api}/branch/{clashing}", hub.alice, {}).status == 409, clashing
        assert hub.ask("GET", f"{api}/revision/{clashing.replace('/', '%2F')}").status == 404
    pull = hub.commit(api, {"d/e.txt": "pr"}, rev="main?create_pr=1")
    for rev in ("main", "HEAD", "feat/x", "feat%2Fx", "refs/pr/1", "refs%2Fpr%2F1", pull.json["commitOid"][:9]):
        assert hub.ask("GET", f"{api}/tree/{rev}").status == 200, rev
    for path in ("refs/pr/1/d", "refs%2Fpr%2F1/d", "refs%2Fpr%2F1/d%2F"):
        assert [item["path"] for item in hub.ask("GET", f"{api}/tree/{path}").json] == ["d/e.txt"], path
    assert hub.ask("GET", "/datasets/alice/revs/resolve/refs/pr/1/d%2Fe.txt").body == b"pr"
    assert hub.ask("GET", f"{api}/tree/main/d").headers["x-error-code"] == "EntryNotFound"


def test_pages_link_to_the_next(hub):
    api = hub.create("pages")
    hub.commit(api, {f"f{number:02}.txt": str(number) for number in range(25)})
    for path in (f"{api}/tree/main?limit=10", "/api/datasets?author=alice&limit=2", f"{api}/commits/main?limit=1"):
        seen, url, pages = [], path, 0
        while url:
            answer = hub.ask("GET", url)
            seen += [item.get("path") or item["id"] for item in answer.json]
            link = answer.headers.get("link")
            assert link is None or link.endswith('>; rel="next"')
            url, pages = link and link[1:].partition(">")[0].removeprefix(hub.endpoint), pages + 1
        assert len(seen) == len(set(seen))
        assert pages > 1
        if "tree" in path:
            assert seen == [".gitattributes", *(f"f{number:02}.txt" for number in range(25))]


def test_which_way_each_file_goes(hub):
    api = hub.create("ways")
    hub.commit(api, {".gitignore": "*.log\n", ".gitattributes": "*.parquet filter=lfs -text\n[ filter=lfs\n"})
    asked = [
        {"path": "data/a.parquet", "size": 1, "sample": "eA=="},
        {"path": "a.txt", "size": 11 << 20, "sample": "eA=="},
        {"path": "b.txt", "size": 3, "sample": "w6k="},
        {"path": "cut.txt", "size": 3, "sample": "w6nD"},
        {"path": "c.txt", "size": 3, "sample": "AAEC"},
        {"path": "d.log", "size": 1, "sample": "eA=="},
        {"path": ".gitignore", "size": 6, "sample": "eA=="},
    ]
    found = hub.ask("POST", f"{api}/preupload/main", hub.alice, {"files": asked}).json["files"]
    assert [item["uploadMode"] for item in found] == ["lfs", "lfs", "regular", "regular", "lfs", "regular", "regular"]
    assert [item["shouldIgnore"] for item in found] == [False] * 5 + [True, False]
    assert found[6]["oid"] == hashlib.sha1(b"blob 6\0*.log\n").hexdigest()
    assert all("oid" not in item for item in found[:6])


def test_commits_that_make_no_sense_change_nothing(hub):
    api = hub.create("nonsense")
    hub.commit(api, {"a.txt": "a", "d/x.txt": "x"})
    head = hub.ask("GET", api).json["sha"]

    def operation(key, **value):
        return {"-": {"key": key, "value": value}}

    for files, status in (
        ({"a.txt/b": "x"}, 400),
        ({"d": "x"}, 400),
        ({"n": "x", "n/m": "y"}, 400),
        (operation("deletedFile", path="missing"), 404),
        (operation("lfsFile", path="x", oid="0" * 64, size=1), 400),
        (operation("lfsFile", path="x", oid="../../x", size=1), 400),
        (operation("file", path="x", content="%%%", encoding="base64"), 400),
        (operation("file", path="x"), 400),
        (operation("nonsense", path="x"), 400),
        (operation("file", path=7, content="x"), 400),
        ({"\ud800": "x"}, 400),
        ({"-": {"key": "file", "value": 7}}, 400),
        ({"README.md": "---\nlicense: [1]\n---\n"}, 400),
        ({"README.md": "---\n{\n---\n"}, 400),
    ):
        assert hub.commit(api, files).status == status, files
    assert hub.commit(api, {"b": "b"}, parentCommit="zzzzz").status == 400
    assert hub.commit(api, {"b": "b"}, parentCommit="0" * 40).status == 412
    assert hub.commit(api, {"b": "b"}, rev=head).status == 404
    assert hub.commit(api, {"b": "b"}, rev="missing").status == 404
    for body in (b"{", b"[]", b'"\xff"', b'{"files": 7}', b'{"files": [7]}', b'{"\\ud800": 1}'):
        assert hub.ask("POST", f"{api}/commit/main", hub.alice, body).status == 400
        assert hub.ask("POST", f"{api}/preupload/main", hub.alice, body).status == 400
    assert hub.ask("GET", api).json["sha"] == head
    assert hub.commit(api, {"b": "b"}, parentCommit=head[:7]).status == 200
    emptied = {"-": {"key": "deletedFolder", "value": {"path": "d/"}}, "d": "now a file"}
    assert hub.commit(api, emptied).status == 200


def test_cards_are_validated(hub):
    def ask(card):
        answer = hub.ask("POST", "/api/validate-yaml", None, {"content": card, "repoType": "model"})
        return answer.status, len(answer.json["errors"]), len(answer.json["warnings"])

    assert ask("---\nlicense: mit\n---\n") == (200, 0, 0)
    assert ask("no yaml") == (200, 0, 1)
    assert ask("---\nlicense: mit\n") == (400, 1, 0)
    assert ask("---\n- a\n---\n") == (400, 1, 0)
    assert ask("---\nlicense: mit\ntags: {a: 1}\nconfigs: x\n---\n") == (400, 2, 0)
    assert ask("---\nlicense: mit\nmodel-index:\n- name: m\n  results:\n  - task: {type: t}\n---\n") == (400, 3, 0)


def test_what_is_not_there(hub):
    for method, path, status in (
        ("GET", "/", 404),
        ("GET", "/api/buckets", 404),
        ("GET", "/api/datasets/imdb", 401),
        ("DELETE", "/api/whoami-v2", 405),
        ("GET", "/datasets/alice/absent/resolve/main/x", 401),
        ("POST", "/v1/telemetry", 200),
        ("PUT", "/lfs/put/a/b/1?signature=9999999999.00", 403),
        ("POST", "/cas/x/y/v1/xorbs/default/z", 401),
    ):
        assert hub.ask(method, path).status == status, path
    wrong = hub.ask("POST", "/api/repos/create", hub.alice, {"name": "x", "type": "bucket"})
    assert (wrong.status, wrong.headers["x-error-message"]) == (
        400,
        "This Hub holds models, datasets and Spaces, no buckets",
    )


@pytest.fixture
def small_hub(hub, tmp_path):
    """A Hub in this process whose limits are small."""
    token = add_user(tmp_path, "alice")
    opened = Hub(tmp_path, Limits(json=4096, commit=20_000, regular=4096, part=60_000))
    with _listen("127.0.0.1", 0) as sock:
        server = uvicorn.Server(uvicorn.Config(HubApp(opened), lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        endpoint = f"http://127.0.0.1:{sock.getsockname()[1]}"
        yield type(hub)(endpoint, tmp_path, tmp_path, token, "", "")
        server.should_exit = True
        thread.join()
    opened.close()


def test_bodies_beyond_the_limits_are_refused_and_leave_nothing(small_hub):
    api = small_hub.create("limits")
    assert small_hub.ask("POST", f"{api}/paths-info/main", None, b"x" * 5000).status == 413
    assert small_hub.commit(api, {"x": "x" * 30_000}).status == 413
    many = small_hub.commit(api, {str(number): "x" * 3000 for number in range(10)})
    assert many.status == 413
    assert list((small_hub.data / "tmp").iterdir()) == []


def test_a_large_file_in_parts(small_hub):
    api, data = small_hub.create("parts"), os.urandom(150_000)
    oid = hashlib.sha256(data).hexdigest()
    body = {"operation": "upload", "transfers": ["basic", "multipart"], "objects": [{"oid": oid, "size": len(data)}]}
    batch = "/datasets/alice/parts.git/info/lfs/objects/batch"
    answer = small_hub.ask("POST", batch, small_hub.alice, body).json
    assert answer["transfer"] == "multipart"
    upload = answer["objects"][0]["actions"]["upload"]
    assert set(upload["header"]) == {"chunk_size", "1", "2", "3"}
    size, parts = int(upload["header"]["chunk_size"]), []
    for number in (3, 1, 2):
        href = upload["header"][str(number)].removeprefix(small_hub.endpoint)
        etag = small_hub.ask("PUT", href, None, data[(number - 1) * size : number * size]).headers["etag"]
        parts.append({"partNumber": number, "etag": etag})
    href = upload["href"].removeprefix(small_hub.endpoint)
    assert small_hub.ask("POST", href, None, {"oid": oid, "parts": parts}).status == 200
    large = {"key": "lfsFile", "value": {"path": "x.bin", "algo": "sha256", "oid": oid, "size": len(data)}}
    assert small_hub.commit(api, {"-": large}).status == 200
    assert small_hub.ask("GET", "/datasets/alice/parts/resolve/main/x.bin").body == data
    again = small_hub.ask("POST", batch, small_hub.alice, body).json["objects"][0]
    assert "actions" not in again
    assert list((small_hub.data / "parts").iterdir()) == []
    code = "from harness import clients; clients.hub_streams_a_file_object('alice/by-client')"
    environment = harness.environment(small_hub, small_hub.alice, False, small_hub.data / "home")
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


def test_wrong_bytes_and_stale_links_store_nothing(small_hub):
    small_hub.create("wrong")
    body = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 3}, {"oid": "x", "size": 1}]}
    objects = small_hub.ask("POST", "/datasets/alice/wrong.git/info/lfs/objects/batch", small_hub.alice, body).json
    href = objects["objects"][0]["actions"]["upload"]["href"].removeprefix(small_hub.endpoint)
    assert objects["objects"][1]["error"]["code"] == 422
    assert small_hub.ask("PUT", href, None, b"abc").status == 422
    assert small_hub.ask("PUT", href.replace("signature=", "signature=1"), None, b"abc").status == 403
    assert small_hub.ask("PUT", href.replace("/3?", "/4?"), None, b"abcd").status == 403
    assert list((small_hub.data / "objects").iterdir()) == []


def test_a_long_commit_body_is_not_held_in_memory(hub, tmp_path):
    api, body, files = hub.create("long"), tmp_path / "body", 10
    with body.open("wb") as file:
        file.write(b'{"key":"header","value":{"summary":"long"}}\n')
        for number in range(files):
            content = base64.b64encode(os.urandom(3 << 20)).decode()
            value = {"path": f"{number}.txt", "content": content, "encoding": "base64"}
            file.write(json.dumps({"key": "file", "value": value}).encode() + b"\n")
    before = peak(hub)
    with body.open("rb") as file:
        assert (
            hub.ask("POST", f"{api}/commit/main", hub.alice, file, Content_Length=str(body.stat().st_size)).status
            == 200
        )
    assert peak(hub) - before < body.stat().st_size / 1024


def peak(hub) -> int:
    """The most memory that the server ever had, in KiB."""
    status = Path(f"/proc/{hub.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0])
