"""The parts that are easier to break alone: Xet formats, names, metadata, imports."""

from __future__ import annotations

import os
import struct

import lz4.frame
import pytest

from hf_localhub import import_tree, metadata, running
from hf_localhub.errors import StorageError
from hf_localhub.http_errors import HTTPError
from hf_localhub.names import check_repo_name
from hf_localhub.repository import pointer_text, read_pointer
from hf_localhub.xet import Segment, XetError, Xorb, hash_text, read_shard


def chunk(data, scheme, stored=None):
    if stored is None:
        grouped = b"".join(data[start::4] for start in range(4)) if scheme == 2 else data
        stored = lz4.frame.compress(grouped) if scheme else grouped
    return (
        struct.pack("<B3sB3s", 0, len(stored).to_bytes(3, "little"), scheme, len(data).to_bytes(3, "little")) + stored
    )


@pytest.fixture
def xorb(tmp_path):
    def make(data):
        path = tmp_path / "xorb"
        path.write_bytes(data)
        return Xorb(path)

    return make


def test_a_xorb_gives_its_chunks_in_every_scheme(xorb):
    parts = [os.urandom(1001), b"abc" * 500, struct.pack("<300f", *range(300)) + b"xyz"]
    found = xorb(b"".join(chunk(part, scheme) for scheme, part in enumerate(parts)) + b"XETBLOB\x00 a footer")
    assert list(found.read(0, 3)) == parts
    assert list(found.read(1, 2)) == parts[1:2]
    with pytest.raises(XetError, match="does not have"):
        list(found.read(2, 4))
    found.close()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (chunk(b"x" * 100, 0)[:-1], "damaged"),
        (b"\1" + chunk(b"x", 0)[1:], "damaged"),
        (chunk(b"x" * 100, 1, b"no lz4 frame"), "decompressed"),
        (chunk(b"x" * 100, 1, lz4.frame.compress(b"x" * 1_000_000)), "length"),
        (chunk(b"x" * 100, 3, b"?"), "scheme 3"),
    ],
)
def test_damaged_xorbs_are_refused(xorb, data, fault):
    with pytest.raises(XetError, match=fault):
        list(xorb(data).read(0, 1))


def test_a_shard_names_files_with_and_without_extras():
    raw = bytes(range(32))
    header = b"HFRepoMetaData".ljust(48, b"\0")
    row = struct.pack("<32sIIII", raw, 0, 10, 2, 5)

    def entry(flags, *extras):
        return (
            struct.pack("<32sIIQ", b"f" * 32, flags, 1, 0) + row + b"".join(extra.ljust(48, b"\0") for extra in extras)
        )

    body = entry(0) + entry(1 << 31, b"verify") + entry(1 << 31 | 1 << 30, b"verify", raw)
    found = list(read_shard(header + body + b"\xff" * 48))
    assert [file.sha256 for file in found] == [None, None, hash_text(raw)]
    assert all(file.segments == [Segment(hash_text(raw), 2, 5)] for file in found)
    assert hash_text(raw)[:16] == "0706050403020100"
    for wrong in (b"", b"x" * 100, header + body, header + body[:-1]):
        with pytest.raises(XetError):
            list(read_shard(wrong))


@pytest.mark.parametrize(
    "name", ["", ".", "-a", "a-", "a.", "a..b", "a--b", "a.git", "a b", "a/b", "é", "x" * 97, "x.ipynb"]
)
def test_names_that_are_refused(name):
    with pytest.raises(HTTPError):
        check_repo_name("alice", name)


def test_pointers_are_read_back_and_nothing_else_is_one():
    assert read_pointer(pointer_text("a" * 64, 12)) == ("a" * 64, 12)
    assert read_pointer(pointer_text("a" * 64, 12) + b" ") is None
    assert read_pointer(b"version https://git-lfs.github.com/spec/v1\n") is None


def test_tags_come_from_the_card():
    card = (
        "---\nlicense: mit\ntags: [synthetic, x]\ntask_categories: [text-classification]\nlanguage: en\nn: .nan\n---\n"
    )
    found = metadata.read_card(card)
    assert found["n"] is None
    assert metadata.card_tags(found, "datasets") == [
        "synthetic", "x", "language:en", "license:mit", "task_categories:text-classification",
    ]  # fmt: skip
    assert "en" in metadata.card_tags({"language": "en", "pipeline_tag": "p"}, "models")
    assert metadata.read_card("---\n!!python/object:os.system {}\n---\n") == {}


def test_a_tree_is_imported_once_and_can_be_added_to(hub, tmp_path):
    tree, data = tmp_path / "tree", tmp_path / "data"
    (tree / "datasets/o/d/data").mkdir(parents=True)
    (tree / "models/o/m/.git").mkdir(parents=True)
    (tree / "datasets/o/d/README.md").write_text("---\nlicense: mit\n---\n")
    (tree / "datasets/o/d/data/x.parquet").write_bytes(b"PAR1" * 100)
    (tree / "models/o/m/model.safetensors").write_bytes(os.urandom(1000))
    (tree / "models/o/m/.git/config").write_text("not wanted")
    first = import_tree(tree, data)
    assert [(item.kind, item.name, item.files, item.changed) for item in first] == [
        ("models", "o/m", 1, True), ("datasets", "o/d", 2, True),
    ]  # fmt: skip
    with running(data) as server:
        here = type(hub)(server.endpoint, data, tmp_path, "", "", "")
        assert here.ask("GET", "/datasets/o/d/resolve/main/data/x.parquet").body == b"PAR1" * 100
        (tree / "datasets/o/d/more.txt").write_text("more")
        assert [item.changed for item in import_tree(tree, data)] == [False, True]
        assert here.ask("GET", "/datasets/o/d/resolve/main/more.txt").body == b"more"
    with pytest.raises(StorageError, match="found none"):
        import_tree(tmp_path / "nothing", data)
    (tree / "datasets/o/d/bad\\name").write_text("x")
    with pytest.raises(StorageError, match="Invalid file path"):
        import_tree(tree, data)
