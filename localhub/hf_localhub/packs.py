"""Durable writes of git objects: one pack per commit, and new trees only where files changed."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import Blob, ObjectID, ShaFile, Tree
from dulwich.pack import full_unpacked_object, iter_sha1, load_pack_index, write_pack_data, write_pack_index_v2

from hf_localhub.files import sync_dir

FILE_MODE = 0o100644
TREE_MODE = 0o040000
_SMALL_PACK = 32 << 20
_MANY_PACKS = 32
Get = Callable[[ObjectID], ShaFile]


@dataclass(frozen=True, slots=True)
class NewBlob:
    """A blob to be written: its id, and a function that reads its bytes."""

    oid: ObjectID
    read: Callable[[], bytes]

    @classmethod
    def of(cls, data: bytes) -> NewBlob:
        """Return a blob whose bytes are in memory."""
        return cls(Blob.from_string(data).id, lambda: data)

    def load(self) -> Blob:
        """Read the blob.

        Raises:
            OSError: its bytes have changed since its id was computed.
        """
        blob = Blob.from_string(self.read())
        if blob.id != self.oid:
            raise OSError(f"a file changed while it was committed: blob {self.oid.decode()}")
        return blob


def write_pack(folder: Path, objects: Iterable[ShaFile], count: int) -> Path:
    """Write `count` objects into one pack, durably, and return its path. One object is in memory at a time."""
    pack, index = (folder / f"tmp_{secrets.token_hex(8)}{suffix}" for suffix in (".pack", ".idx"))
    records = (full_unpacked_object(item) for item in objects)
    try:
        with pack.open("wb") as file:
            entries, checksum = write_pack_data(file.write, records, DEFAULT_OBJECT_FORMAT, num_records=count)
            file.flush()
            os.fsync(file.fileno())
        ordered = sorted((sha, offset, crc) for sha, (offset, crc) in entries.items())
        with index.open("wb") as file:
            write_pack_index_v2(file, ordered, checksum)
            file.flush()
            os.fsync(file.fileno())
        # Readers look for the index, so the pack is renamed first.
        name = f"pack-{iter_sha1(sha for sha, _, _ in ordered).decode()}"
        pack.replace(folder / f"{name}.pack")
        index.replace(folder / f"{name}.idx")
        sync_dir(folder)
        return folder / f"{name}.pack"
    finally:
        pack.unlink(missing_ok=True)
        index.unlink(missing_ok=True)


def merge_packs(folder: Path, get: Get) -> bool:
    """Merge small packs into one when there are many; return whether that was done.

    The new pack is durable before the old ones are removed, so a crash leaves at most duplicate objects.
    """
    packs = [path for path in folder.glob("pack-*.pack") if path.stat().st_size < _SMALL_PACK]
    packs = [path for path in packs if path.with_suffix(".idx").exists()]
    if len(packs) < _MANY_PACKS:
        return False
    names: set[ObjectID] = set()
    for path in packs:
        with closing(load_pack_index(path.with_suffix(".idx"), DEFAULT_OBJECT_FORMAT)) as index:
            names.update(index)
    # After a crash, one of the old packs may already be the merged one.
    merged = write_pack(folder, (get(name) for name in sorted(names)), len(names))
    for path in set(packs) - {merged}:
        path.with_suffix(".idx").unlink()
        path.unlink()
    return True


class TreeEditor:
    """A tree under change. `get` reads stored objects; new trees stay in memory until they are packed."""

    def __init__(self, get: Get, root: ObjectID | None) -> None:
        self._get = get
        self._new: dict[ObjectID, Tree] = {}
        # A path of 500 parts is looked up once for each of its folders.
        self._read: dict[ObjectID, Tree] = {}
        self.root = root

    def _tree(self, oid: ObjectID | None) -> Tree:
        if oid is None:
            return Tree()
        known = self._new.get(oid) or self._read.get(oid)
        if known is not None:
            return known
        tree = self._get(oid)
        assert isinstance(tree, Tree)
        self._read[oid] = tree
        return tree

    def find(self, path: str) -> tuple[int, ObjectID] | None:
        """Return the mode and the id of the entry at the path, or None."""
        entry: tuple[int, ObjectID] | None = None
        oid = self.root
        for part in path.encode().split(b"/"):
            tree = self._tree(oid)
            if part not in tree:
                return None
            entry = tree[part]
            oid = entry[1] if stat.S_ISDIR(entry[0]) else None
        return entry

    def apply(self, changes: Mapping[str, tuple[int, ObjectID] | None]) -> None:
        """Apply changes by path: a mode and an id, or None to remove a file or a folder."""
        nested: dict[bytes, object] = {}
        for path, leaf in changes.items():
            *parents, last = path.encode().split(b"/")
            level = nested
            for part in parents:
                below = level.setdefault(part, {})
                if not isinstance(below, dict):
                    below = level[part] = {}
                level = below
            level[last] = leaf
        self.root = self._edit(self.root, nested)

    def _edit(self, base: ObjectID | None, level: Mapping[bytes, object]) -> ObjectID | None:
        tree = self._tree(base).copy() if base else Tree()
        assert isinstance(tree, Tree)
        for part, change in level.items():
            if isinstance(change, dict):
                mode, oid = tree[part] if part in tree else (0, None)  # noqa: SIM401 - Tree.get wants more
                below = self._edit(oid if stat.S_ISDIR(mode) else None, change)
                change = (TREE_MODE, below) if below else None
            if isinstance(change, tuple):
                tree[part] = change
            elif part in tree:
                del tree[part]
        if not len(tree):
            return None
        self._new[tree.id] = tree
        return tree.id

    def new_trees(self) -> list[ShaFile]:
        """Return the new trees below the root. When no file is left, the root is a new empty tree."""
        if self.root is None:
            empty = Tree()
            self._new[empty.id] = empty
            self.root = empty.id
        trees: dict[ObjectID, Tree] = {}
        waiting = [self.root]
        while waiting:
            tree = self._new.get(waiting.pop())
            if tree is not None and tree.id not in trees:
                trees[tree.id] = tree
                waiting += [entry.sha for entry in tree.iteritems() if entry.mode and stat.S_ISDIR(entry.mode)]
        return list(trees.values())
