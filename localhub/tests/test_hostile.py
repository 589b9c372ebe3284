"""What a hostile client sends: one repository breaks no list, small requests stay small, odd bodies are 4xx."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from hf_localhub import add_user, import_tree
from hf_localhub.app import ROUTES
from hf_localhub.bounded import BoundError, read_json, read_yaml
from hf_localhub.errors import StorageError
from hf_localhub.file_rules import check_work, ignore_rules, is_ignored, is_large, large_file_rules
from hf_localhub.http_errors import HTTPError
from hf_localhub.origins import Origins
from hf_localhub.repository import GitRepo
from test_parts import chunk
from test_wire import peak

BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
)
CARDS = {
    "alias loop": "a: &a [*a]",
    "alias loop of mappings": "a: &a {b: *a}",
    "alias bomb": BOMB,
    "alias bomb of long texts": f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 500)}]",
    "merge bomb": "a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nc: &c {<<: [*b, *b]}\nd: {<<: [*c, *c]}",
    "half a surrogate pair": 'license: "\\ud800"',
    "half a surrogate pair in a key": '"\\ud800": mit',
    "decimal of 5,000 digits": f"n: {'9' * 5000}",
    "hexadecimal of 5,000 digits": f"n: 0x{'f' * 5000}",
    "sexagesimal of 5,000 parts": f"n: 1{':1' * 5000}",
    "depth in brackets": f"n: {'[' * 100_000}{']' * 100_000}",
    "depth in braces": f"n: {'{a: ' * 5_000}{'}' * 5_000}",
    "depth by indentation": "\n".join(" " * depth + "a:" for depth in range(500)),
    "depth by dashes": "- " * 2000,
    "unknown tag": "a: !!python/object/apply:os.system [true]",
    "damaged date": "a: 2020-99-99",
    "damaged number": "a: !!int x",
    "not closed": "x" * (2 << 20),
    "long": "\n".join(f"k{number}: {'v' * 60}" for number in range(20_000)),
    "a key that is a list": "? [a, b]\n: c",
    "two documents": "a: 1\n... \n%YAML 1.1\n--- b",
}
HARMLESS = {"merge bomb", "not closed"}
CONFIGS = {
    "depth in brackets": "[" * 100_000,
    "depth in objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "decimal of 5,000 digits": '{"a": %s}' % ("9" * 5000),
    "infinite number": '{"architectures": 1e999}',
    "not a number": '{"architectures": NaN}',
    "half a surrogate pair": '{"model_type": "\\ud800"}',
    "many items": "[" + "[]," * 600_000 + "[]]",
}


def front(yaml: str) -> str:
    return f"---\n{yaml}\n---\n"


@pytest.mark.parametrize("name", CARDS)
def test_a_card_that_would_break_lists_is_refused(hub, name):
    api = hub.create(f"card-{list(CARDS).index(name)}")
    answer = hub.commit(api, {"README.md": front(CARDS[name])})
    if name not in HARMLESS:
        assert answer.status == 400, answer.body[:300]
        assert answer.json["error"].startswith("Invalid metadata in README.md: ")
        assert len(answer.body) < 2000
    assert answer.status in (200, 400)
    everything = hub.ask("GET", "/api/datasets?full=1&limit=1000")
    assert (everything.status, hub.ask("GET", api).status) == (200, 200)
    assert any(item["id"] == f"alice/card-{list(CARDS).index(name)}" for item in everything.json)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_that_would_break_lists_is_refused(hub, name):
    made = hub.ask("POST", "/api/repos/create", hub.alice, {"name": f"config-{list(CONFIGS).index(name)}"}).json
    api = f"/api/models/{made['name']}"
    answer = hub.commit(api, {"config.json": CONFIGS[name]})
    assert (answer.status, "Invalid metadata in config.json" in answer.json["error"]) == (400, True)
    assert hub.commit(api, {"config.json": "{", "other.json": CONFIGS[name]}).status == 200
    assert hub.ask("GET", "/api/models?full=1&config=1").status == 200


def test_a_repository_with_a_bad_card_from_elsewhere_is_shown_without_it(tmp_path, hub):
    """An import does not check cards, and older Hubs did not."""
    from hf_localhub import running

    for number, card in enumerate(CARDS.values()):
        folder = tmp_path / f"tree/datasets/o/d{number}"
        folder.mkdir(parents=True)
        (folder / "README.md").write_text(front(card))
    for number, config in enumerate(CONFIGS.values()):
        folder = tmp_path / f"tree/models/o/m{number}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(config)
    import_tree(tmp_path / "tree", tmp_path / "data")
    with running(tmp_path / "data") as server:
        here = type(hub)(server.endpoint, tmp_path / "data", tmp_path, "", "", "")
        for kind, count in (("datasets", len(CARDS)), ("models", len(CONFIGS))):
            answer = here.ask("GET", f"/api/{kind}?full=1&config=1&cardData=1")
            assert (answer.status, len(answer.json)) == (200, count)


def test_a_damaged_repository_is_left_out_of_lists(hub):
    api = hub.create("damaged")
    identity = hub.ask("GET", api).json["_id"]
    hub.create("beside-damaged")
    for pack in (hub.data / "repos" / f"{identity}.git/objects/pack").iterdir():
        pack.chmod(0o600)
        pack.write_bytes(b"junk")
    for number in range(70):  # more than the Hub keeps open
        hub.create(f"other-{number}")
        assert hub.ask("GET", f"/api/datasets/alice/other-{number}").status == 200
    answer = hub.ask("GET", "/api/datasets?author=alice&limit=1000")
    names = {item["id"] for item in answer.json}
    assert "alice/beside-damaged" in names
    assert "alice/damaged" not in names
    shutil.rmtree(hub.data / "repos" / f"{identity}.git")


@pytest.mark.parametrize(
    "text",
    ['{"a": [1, 2.5, -3, "x\\u00e9\\n", null, true, {}]}', '"[[[["', "[]", "1", '"\\\\"', '{"a": "\\"[{,"}', " [1 ] "],
)
def test_bounded_json_is_json(text):
    assert read_json(text) == json.loads(text)
    assert read_json(text.encode()) == json.loads(text)


def test_bounded_yaml_is_yaml():
    text = "a: &a [1, 2]\nb: *a\nc: {<<: {x: 1}, y: 2.5}\nd: 2020-01-01\ne: 0x1f\nf: .nan\n"
    found = read_yaml(text)
    assert (found["b"], found["c"], found["e"]) == ([1, 2], {"x": 1, "y": 2.5}, 31)
    assert read_yaml("") is None
    with pytest.raises(BoundError):
        read_yaml("a: [" + "[" * 100)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.*.*.*.*.*.*.*.*.*.*x", "." * 1000),
        ("*a*a*a*a*a*a*a*a*a*a*a*ab", "a" * 1000),
        ("**/*a/**/*a/**/*a/**/*a/**/*a/b", "/".join("a" * 500)),
        ("a/**/**/**/**/**/**/z", "/".join("a" * 500)),
        ("?*?*?*?*?*?*?*?*?*?*?*?*z", "y" * 1000),
        ("[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*1", "y" * 1000),
        ("*" * 4000 + "b", "a" * 1000),
        ("*" * 5000, "a"),
        ("[", "["),
        ("[[:nonsense:]]", "a"),
    ],
)
def test_patterns_are_matched_in_linear_time(pattern, path):
    assert not is_large(large_file_rules(f"{pattern} filter=lfs"), path)
    assert not is_ignored(ignore_rules(pattern))(path)


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_patterns_mean_what_they_mean_to_git(tmp_path):
    chance = random.Random(7)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)

    def part(letters, most):
        return "".join(chance.choice(letters) for _ in range(chance.randint(1, most)))

    def pattern():
        parts = [chance.choice([part(["a", "b", "*a", "b*", "?", "[ab]", "[!a]"], 3), "**"]) for _ in range(3)]
        ends = chance.choice(["", "/"]), chance.choice(["", "", "/"])
        return f"{ends[0]}{'/'.join(parts[: chance.randint(1, 3)])}{ends[1]}"

    paths = ["/".join(part("abc", 3) for _ in range(chance.randint(1, 4))) for _ in range(50)]
    asked = "\n".join(paths)
    for _ in range(40):
        patterns = [pattern() for _ in range(3)]
        ignore = "\n".join(chance.choice(["", "", "!"]) + item for item in patterns)
        attributes = "\n".join(f"{item} {chance.choice(['filter=lfs', '-filter'])}" for item in patterns)
        (tmp_path / ".gitignore").write_text(ignore)
        (tmp_path / ".gitattributes").write_text(attributes)
        command = ["git", "-C", tmp_path, "check-ignore", "--no-index", "--stdin"]
        found = subprocess.run(command, input=asked, capture_output=True, text=True).stdout.splitlines()
        ignored = is_ignored(ignore_rules(ignore))
        assert [path for path in paths if ignored(path)] == [path for path in paths if path in found], ignore
        command = ["git", "-C", tmp_path, "check-attr", "--stdin", "filter"]
        found = subprocess.run(command, input=asked, capture_output=True, text=True).stdout.splitlines()
        rules = large_file_rules(attributes)
        assert [is_large(rules, path) for path in paths] == [line.endswith(": lfs") for line in found], attributes


def test_more_patterns_than_can_be_matched_are_refused(hub):
    api = hub.create("patterns")
    files = [{"path": "/".join(f"{number:03}" + "a" * 500), "size": 1} for number in range(100)]
    rules = "".join(f"{'*a' * 50}{number} filter=lfs\n" for number in range(300))
    for body in ({"gitAttributes": rules}, {"gitIgnore": rules}, {"gitAttributes": "x" * 300_000}):
        assert hub.ask("POST", f"{api}/preupload/main", hub.alice, {**body, "files": files}).status == 413
    assert hub.commit(api, {".gitattributes": "x" * 300_000}).status == 400
    many = "".join(f"data/train-{number:05}.parquet filter=lfs\n" for number in range(5000))
    check_work(large_file_rules(many), [f"data/train-{number:05}.parquet" for number in range(1000)])
    with pytest.raises(HTTPError):
        check_work(large_file_rules(rules), ["a" * 1000] * 1000)


def test_paths_of_thousands_of_segments_are_not_found(hub):
    hub.create("deep")
    path = "/".join("a" * 8000)
    for page in ("/datasets/alice/deep/resolve", "/api/datasets/alice/deep/tree", "/api/datasets/alice/deep/commits"):
        for start in ("main/", ""):
            assert hub.ask("GET", f"{page}/{start}{path}").status in (200, 404), page
    longest = "/".join("a" * 512)
    assert hub.commit("/api/datasets/alice/deep", {longest: "x"}).status == 200
    assert hub.commit("/api/datasets/alice/deep", {longest: "y"}, rev="main?create_pr=1").status == 200
    assert hub.ask("GET", f"/datasets/alice/deep/resolve/main/{longest}").body == b"x"
    assert hub.ask("GET", "/api/datasets/alice/deep/discussions/1").status == 200
    assert len(hub.ask("GET", "/api/datasets/alice/deep/tree/main?recursive=1&expand=1").json) == 100


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "127.9.9.9"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "evil@localhost"}, 403),
        ({"Host": "10.0.0.1"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "file://localhost"}, 403),
        ({"Origin": "http://localhost@evil.example"}, 403),
    ],
)
def test_only_pages_of_this_machine_are_answered(hub, headers, status):
    assert hub.ask("GET", "/api/models", **headers).status == status


@pytest.mark.parametrize(
    ("origins", "good", "bad"),
    [
        (Origins("192.168.1.5"), ["192.168.1.5:8765", "localhost"], ["192.168.1.6", "hub.example"]),
        (Origins("0.0.0.0"), ["192.168.1.5", "[fe80::1]:80", os.uname().nodename], ["hub.example"]),
        (Origins("127.0.0.1", ["Hub.Example"]), ["hub.example", "127.0.0.1"], ["other.example", "10.0.0.1"]),
    ],
)
def test_the_hosts_that_were_named_are_answered(origins, good, bad):
    for host in good:
        origins.check([host], [f"https://{host}"])
    for host in bad:
        with pytest.raises(HTTPError):
            origins.check([host], [])


def xet(hub, api):
    """Return the path of the store and the token of an upload."""
    token = hub.ask("GET", f"{api}/xet-write-token/main", hub.alice).json
    return token["casUrl"].removeprefix(hub.endpoint), token["accessToken"]


def shard(raw, segments):
    rows = b"".join(struct.pack("<32sIIII", raw, 0, 10, first, last) for first, last in segments)
    header = b"HFRepoMetaData".ljust(48, b"\0")
    return header + struct.pack("<32sIIQ", b"f" * 32, 0, len(segments), 0) + rows + b"\xff" * 48


def test_a_small_shard_does_not_become_a_large_file(hub):
    store, token = xet(hub, hub.create("xet-growth"))
    raw, data = os.urandom(32), os.urandom(1 << 20)
    name = "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))
    body = chunk(data, 0)
    assert hub.ask("POST", f"{store}/v1/xorbs/default/{name}", token, body).status == 200
    refused = hub.ask("POST", f"{store}/v1/shards", token, shard(raw, [(0, 1)] * 1500))
    assert (refused.status, "HF_HUB_DISABLE_XET=1" in refused.json["error"]) == (413, True)
    assert hub.ask("POST", f"{store}/v1/shards", token, shard(raw, [(0, 1)] * 2)).status == 200
    objects = list((hub.data / "objects").rglob("*/*"))
    assert hashlib.sha256(data * 2).hexdigest() in {path.parent.name + path.name for path in objects}
    many = b"".join(chunk(b"", 0) for _ in range(9000))
    assert hub.ask("POST", f"{store}/v1/xorbs/default/{'1' * 64}", token, many).status == 200
    refused = hub.ask("POST", f"{store}/v1/shards", token, shard(b"\x11" * 32, [(0, 1)]))
    assert (refused.status, "more than 8192 chunks" in refused.json["error"]) == (400, True)


def test_what_an_account_stores_is_bounded_by_what_it_sent(hub):
    api, lent = hub.create("xet-account"), add_user(hub.data, "growing")
    api = hub.create("xet-account", lent)
    answer = hub.ask("GET", f"{api}/xet-write-token/main", lent).json
    store, token = answer["casUrl"].removeprefix(hub.endpoint), answer["accessToken"]
    raw = os.urandom(32)
    name = "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))
    assert hub.ask("POST", f"{store}/v1/xorbs/default/{name}", token, chunk(os.urandom(1 << 20), 0)).status == 200
    statuses = [hub.ask("POST", f"{store}/v1/shards", token, shard(raw, [(0, 1)] * 80)).status for number in range(20)]
    assert statuses[0] == 200
    assert statuses[-1] == 413


def test_a_batch_of_huge_objects_is_refused(hub):
    hub.create("huge")
    objects = [{"oid": f"{number:064x}", "size": 1 << 40} for number in range(1000)]
    body = {"operation": "upload", "transfers": ["basic", "multipart"], "objects": objects}
    batch = "/datasets/alice/huge.git/info/lfs/objects/batch"
    answer = hub.ask("POST", batch, hub.alice, body)
    assert (answer.status, len(answer.body) < 1000) == (413, True)
    one = hub.ask("POST", batch, hub.alice, {**body, "objects": objects[:1]})
    assert len(one.json["objects"][0]["actions"]["upload"]["header"]) == 2049
    assert list((hub.data / "parts").iterdir()) == []


def test_an_upload_is_not_received_beyond_the_size_of_its_link(hub):
    hub.create("announced")
    body = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 10}]}
    answer = hub.ask("POST", "/datasets/alice/announced.git/info/lfs/objects/batch", hub.alice, body).json
    href = answer["objects"][0]["actions"]["upload"]["href"].removeprefix(hub.endpoint)
    assert hub.ask("PUT", href, None, b"x" * 11).status == 413
    assert hub.ask("PUT", href, None, b"x" * 10).status == 422


def test_verify_wants_a_size(hub):
    hub.create("verify")
    for body in ({"oid": "0" * 64}, {"oid": "0" * 64, "size": None}, {}):
        assert hub.ask("POST", "/datasets/alice/verify.git/info/lfs/verify", hub.alice, body).status == 404


def test_what_strangers_ask_for_is_not_kept(tmp_path):
    repo = GitRepo.create(tmp_path / "r.git")
    from hf_localhub.packs import TreeEditor
    from hf_localhub.writer import Authorship, writing

    with writing(repo) as writer:
        commit = writer.store_commit(TreeEditor(repo.get, None), [], Authorship("a", "m"), [])
    for number in range(50):
        assert repo.entry(commit, f"{number}/{'x' * 900}") is None
        assert repo.entry(commit, "x" * 60_000) is None
    assert repo._known_entry.cache_info().currsize == 0
    repo.close()


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_clone_is_not_held_in_memory(hub, tmp_path):
    api, size = hub.create("clone-memory"), 2 << 20
    for number in range(4):
        files = {f"{number}-{index}.txt": os.urandom(size // 2).hex() for index in range(5)}
        assert hub.commit(api, files).status == 200
    before = peak(hub)
    subprocess.run(
        ["git", "clone", "-q", f"{hub.endpoint}/datasets/alice/clone-memory", tmp_path / "copy"], check=True
    )
    assert len(list((tmp_path / "copy").glob("*.txt"))) == 20
    assert peak(hub) - before < 20 * size / 1024
    assert list((hub.data / "tmp").iterdir()) == []


def test_a_card_is_validated_without_an_account_up_to_a_size(hub):
    card = {"content": front(f"license: mit\nx: {'y ' * 40_000}")}
    assert hub.ask("POST", "/api/validate-yaml", None, card).status == 401
    assert hub.ask("POST", "/api/validate-yaml", hub.alice, card).status == 200
    for name, yaml in CARDS.items():
        expected = (200, 400) if name in HARMLESS else (400,)
        assert hub.ask("POST", "/api/validate-yaml", hub.alice, {"content": front(yaml)}).status in expected, name


def test_a_reading_token_does_not_ask_for_access(hub):
    api = hub.create("asked", hub.bob)
    assert hub.ask("PUT", f"{api}/settings", hub.bob, {"gated": "auto"}).status == 200
    assert hub.ask("POST", f"{api}/user-access-request", hub.reader, {}).status == 403
    assert hub.ask("POST", f"{api}/user-access-request", hub.alice, {}).status == 200


@pytest.mark.parametrize("path", ["/datasets/alice/old-name/x", "//alice/old-name/x", "///%61lice/old%2Dname/x"])
def test_a_redirect_stays_on_this_host(hub, path):
    for kind in ("model", "dataset"):
        if hub.ask("GET", f"/api/{kind}s/alice/new-name", hub.alice).status == 404:
            hub.ask("POST", "/api/repos/create", hub.alice, {"name": "old-name", "type": kind})
            body = {"fromRepo": "alice/old-name", "toRepo": "alice/new-name", "type": kind}
            assert hub.ask("POST", "/api/repos/move", hub.alice, body).status == 200
    answer = hub.ask("GET", path.replace("/x", "/resolve/main/x%2Fy?a=b"))
    kind = "datasets/" if "datasets" in path else ""
    assert (answer.status, answer.headers["location"]) == (307, f"/{kind}alice/new-name/resolve/main/x%2Fy?a=b")


ODD = [None, True, -1, 10**300, 1.5, "", "\0", "x" * 5000, [], [[]], [None], [1], {}, {"a": {}}, {"type": []}]
FIELDS = (
    "name type organization visibility private gated fromRepo toRepo user status files gitAttributes gitIgnore title",
    "description comment content pullRequest tag message startingPoint operation objects transfers oid size item",
    "namespace theme note position paths expand",
)
OBJECTS = [{"path": "a", "size": odd, "sample": odd, "oid": odd} for odd in ODD] + [
    {"path": odd, "type": odd, "id": odd} for odd in ODD
]


def test_odd_bodies_are_client_errors(hub):
    """Each route with a body, each field with each odd value: never a 500, and the Hub goes on."""
    chance = random.Random(3)
    api = hub.create("odd")
    hub.commit(api, {"a": "1"}, rev="main?create_pr=1")
    collection = hub.ask("POST", "/api/collections", hub.alice, {"title": "odd"}).json["slug"]
    item = {"item": {"type": "dataset", "id": "alice/odd"}}
    added = hub.ask("POST", f"/api/collections/{collection}/items", hub.alice, item).json["items"][0]["_id"]
    known = {"kind": "datasets", "owner": "alice", "name": "odd", "num": "1", "comment": "0" * 24, "status": "pending"}
    known |= {"slug": collection.partition("/")[2], "item": added, "account": "alice", "rev": "main", "rest*": "main"}
    for route in ROUTES:
        if route.methods not in ("POST", "PUT", "PATCH") or not route.accounts:
            continue
        path = route.pattern
        for name, value in known.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, path
        bodies = [{field: chance.choice([*ODD, OBJECTS]) for field in " ".join(FIELDS).split()} for _ in range(12)]
        bodies += [{"files": [item], "objects": [item], "item": item} for item in OBJECTS[::3]]
        lines = [{"key": key, "value": value} for key in ("header", "file", "lfsFile", ["x"]) for value in ODD]
        lines += [{"key": "header", "value": {"summary": odd, "parentCommit": odd}} for odd in ODD]
        for body in [*bodies, *(json.dumps(line).encode() for line in lines if "commit" in path), b"\xff", b"[", b"1"]:
            status = hub.ask(route.methods, path, hub.alice, body).status
            assert status < 500, (route.methods, path, body)
    assert hub.ask("GET", api).status == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/datasets/alice/odder/resolve/main/a", {"Range": f"bytes={'9' * 5000}-"}, None),
        ("GET", "/datasets/alice/odder/resolve/main/a", {"Range": f"bytes=-{'9' * 5000}"}, None),
        ("GET", f"/api/datasets/alice/odder/revision/{'x' * 300}", {}, None),
        ("GET", f"/api/datasets/alice/odder/revision/{'%C3%A9' * 120}", {}, None),
        ("POST", f"/api/datasets/alice/odder/branch/{'%C3%A9' * 120}", {}, b"{}"),
        ("POST", "/datasets/alice/odder.git/git-upload-pack", {"Content_Encoding": "gzip"}, b"no gzip"),
        ("POST", "/datasets/alice/odder.git/git-upload-pack", {"Content_Encoding": "gzip"}, b"\x1f\x8b\x08\0cut"),
        ("POST", "/datasets/alice/odder.git/git-upload-pack", {}, b"no line of git"),
        ("POST", "/datasets/alice/odder.git/git-upload-pack", {}, b"0032want " + b"0" * 40 + b"\n0000"),
        ("POST", "/datasets/alice/odder.git/git-upload-pack", {}, b"0032want " + b"z" * 40 + b"\n0000"),
        ("POST", "/datasets/alice/odder.git/git-upload-pack", {}, b"ffff"),
        ("POST", "/api/datasets/alice/odder/paths-info/main", {}, b"&" * 5000),
        ("POST", "/api/datasets/alice/odder/paths-info/main", {}, b"paths=%00&paths=%ED%A0%80"),
        ("GET", f"/api/datasets?limit={'9' * 5000}&cursor=%D9%A3", {}, None),
        ("GET", "/api/datasets/alice/odder/discussions/%D9%A3", {}, None),
        ("GET", f"/api/datasets/alice/odder/tree/main/{'%00' * 10}", {}, None),
        ("GET", "/lfs/get/a/b/1?signature=%ED%A0%80.x", {}, None),
        ("GET", f"/{'x' * 30_000}", {}, None),
    ],
)  # fmt: skip
def test_odd_requests_are_client_errors(hub, method, path, headers, body):
    hub.ask("POST", "/api/repos/create", hub.alice, {"name": "odder", "type": "dataset"})
    answer = hub.ask(method, path, hub.alice, body, **headers)
    assert answer.status < 500, answer.body
    assert len(answer.headers.get("x-error-message", "")) <= 500


def test_a_diff_that_would_take_long_is_not_computed(hub):
    api = hub.create("diff")
    numbers = [str(number) for number in range(100_000)]
    hub.commit(api, {"a.txt": "\n".join(numbers)})
    hub.commit(api, {"a.txt": "\n".join(reversed(numbers))}, rev="main?create_pr=1")
    assert "is not shown" in hub.ask("GET", f"{api}/discussions/1").json["diff"]


def test_a_long_page_ends_early_and_links_to_the_rest(hub):
    api = hub.create("long-pages")
    for number in range(5):
        header = {"summary": "s", "description": "d" * (7 << 20)}
        assert hub.commit(api, {"n.txt": str(number)}, **header).status == 200
    first = hub.ask("GET", f"{api}/commits/main")
    link = first.headers["link"][1:].partition(">")[0].removeprefix(hub.endpoint)
    rest = hub.ask("GET", link)
    assert 0 < len(first.json) < 6
    assert len(first.json) + len(rest.json) >= 5
    assert len(first.body) < 32 << 20


def test_others_cannot_enter_the_data_directory(tmp_path):
    add_user(tmp_path / "made", "alice")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    (tmp_path / "old/repos").mkdir(parents=True, mode=0o755)
    (tmp_path / "tree/models/o/m").mkdir(parents=True)
    import_tree(tmp_path / "tree", tmp_path / "old")
    folders = [path for path in (tmp_path / "old").iterdir() if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    readable = [path for path in (tmp_path / "old").iterdir() if path.is_file() and path.stat().st_mode & 0o044]
    assert [path for path in readable if path.stat().st_size] == []


@pytest.mark.parametrize("link", ["datasets/o/d/file", "datasets/o/d/folder", "datasets/o/other", "datasets/p"])
def test_an_import_follows_no_link_out_of_the_tree(tmp_path, link):
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "datasets/o/d").mkdir(parents=True)
    (outside / "folder/name").mkdir(parents=True)
    (outside / "file").write_text("secret")
    (tree / "datasets/o/d/own.txt").write_text("own")
    (tree / "datasets/o/d/inside").symlink_to(tree / "datasets/o/d/own.txt")
    assert [repo.files for repo in import_tree(tree, tmp_path / "data")] == [2]
    (tree / link).symlink_to(outside / "file" if link.endswith("file") else outside / "folder")
    with pytest.raises(StorageError, match="is a link that leads out of"):
        import_tree(tree, tmp_path / "data")
    (tree / link).unlink()
    (tree / link).symlink_to(Path("/nowhere"))
    if link.count("/") > 2:
        with pytest.raises(StorageError, match="is a link that leads out of"):
            import_tree(tree, tmp_path / "data")
