"""One bare git repository as it is read: refs, revisions, trees, history."""

from __future__ import annotations

import re
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from dulwich.diff_tree import tree_changes
from dulwich.errors import NotGitRepository, RefFormatError
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree
from dulwich.patch import write_tree_diff
from dulwich.refs import Ref
from dulwich.repo import Repo

from hf_localhub.answers import entry_not_found, revision_not_found
from hf_localhub.packs import TreeEditor

MAIN = Ref(b"refs/heads/main")
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]{1,19})\n"
)
_HEX = re.compile(r"[0-9a-f]{5,40}")


def pointer_text(sha256: str, size: int) -> bytes:
    """What git holds in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def read_pointer(data: bytes) -> tuple[str, int] | None:
    """The sha256 and size that a pointer names; None when the bytes are no pointer."""
    found = _POINTER.fullmatch(data) if len(data) < 256 else None
    return (found[1].decode(), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder at a revision; `sha256` is set for large files, whose `size` is the real one."""

    path: str
    folder: bool
    oid: str
    size: int = 0
    sha256: str | None = None
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        """What names the content: the sha256 of a large file, the blob id of another."""
        return self.sha256 or self.oid


class GitRepo:
    """One handle behind one lock; everything below a commit id is immutable and cached by it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.repo = Repo(str(path))
        except NotGitRepository as error:
            raise FileNotFoundError(f"{path.name} is not a repository, or not any more") from error
        self._lock = threading.RLock()
        self.listing = lru_cache(maxsize=64)(self._listing)
        self.history = lru_cache(maxsize=64)(self._history)
        self.entry = lru_cache(maxsize=4096)(self._entry)

    @classmethod
    def create(cls, path: Path) -> GitRepo:
        """An empty bare repository exists at the path, with `main` as its branch."""
        path.mkdir(parents=True)
        Repo.init_bare(str(path), default_branch=b"main").close()
        return cls(path)

    def close(self) -> None:
        """No file of the repository is held open."""
        self.repo.close()

    def reopen(self) -> None:
        """Packs that are no longer there are not held open; the others are opened again when they are read."""
        with self._lock:
            self.repo.object_store.close()

    def get(self, oid: ObjectID) -> ShaFile:
        """The object of this id.

        Raises:
            KeyError: the repository has no such object.
        """
        with self._lock:
            found: ShaFile = self.repo.object_store[oid]
        return found

    def has(self, oid: ObjectID) -> bool:
        """The repository holds the object."""
        with self._lock:
            return oid in self.repo.object_store

    def commit_at(self, oid: str) -> Commit:
        """The commit of this id."""
        found = self.get(ObjectID(oid.encode()))
        assert isinstance(found, Commit)
        return found

    def tree_of(self, oid: str) -> ObjectID:
        """The root tree of a commit."""
        tree: ObjectID = self.commit_at(oid).tree
        return tree

    def refs(self, prefix: str) -> dict[str, str]:
        """Names below the prefix (`refs/heads/`) and the commits they stand for, tags peeled."""
        with self._lock:
            names = self.repo.refs.subkeys(Ref(prefix.rstrip("/").encode()))
        found = ((name.decode(), self.read_ref(f"{prefix}{name.decode()}")) for name in sorted(names))
        return {name: oid for name, oid in found if oid}

    def read_ref(self, ref: str) -> str | None:
        """The commit a full ref stands for; None when there is no such ref."""
        with self._lock:
            try:
                oid = self.repo.refs[Ref(ref.encode())]
            except (KeyError, ValueError, RefFormatError):
                return None
        return self._peel(oid)

    def _peel(self, oid: ObjectID) -> str | None:
        found = self.get(oid)
        while isinstance(found, Tag):
            found = self.get(found.object[1])
        return found.id.decode() if isinstance(found, Commit) else None

    def ref_of(self, rev: str) -> str | None:
        """The full name of the branch, tag or ref that a revision names; None for commit ids."""
        if rev == "HEAD":
            return MAIN.decode()
        candidates = [rev] if rev.startswith("refs/") else [f"refs/heads/{rev}", f"refs/tags/{rev}"]
        return next((ref for ref in candidates if self.read_ref(ref)), None)

    def resolve(self, rev: str) -> str:
        """The commit id of a branch, tag, ref, full id or unambiguous start of one.

        Raises:
            AnswerError: 404 when nothing has this name.
        """
        ref = self.ref_of(rev)
        found = self.read_ref(ref) if ref else self._by_prefix(rev)
        if found is None:
            raise revision_not_found(rev)
        return found

    def _by_prefix(self, rev: str) -> str | None:
        if not _HEX.fullmatch(rev):
            return None
        with self._lock:
            store = self.repo.object_store
            try:
                matches = [ObjectID(rev.encode())] if len(rev) == 40 else list(store.iter_prefix(rev.encode()))
                commits = {oid for oid in matches if isinstance(store[oid], Commit)}
            except KeyError:
                return None
        return commits.pop().decode() if len(commits) == 1 else None

    def split(self, parts: list[str]) -> tuple[str, str]:
        """Commit id and path of `rev/path`, where an unquoted revision may itself hold slashes."""
        for count in range(1, len(parts) + 1):
            rev = "/".join(parts[:count])
            if self.ref_of(rev) or (count == 1 and self._by_prefix(rev)):
                return self.resolve(rev), "/".join(parts[count:]).strip("/")
        raise revision_not_found(parts[0] if parts else "")

    def _entry(self, commit: str, path: str) -> Entry | None:
        found = TreeEditor(self.get, self.tree_of(commit)).find(path)
        return self._describe(path, *found) if found else None

    def _describe(self, path: str, mode: int, oid: ObjectID) -> Entry:
        if stat.S_ISDIR(mode):
            return Entry(path, True, oid.decode())
        data = self.blob(oid.decode())
        pointer = read_pointer(data)
        if pointer:
            return Entry(path, False, oid.decode(), pointer[1], pointer[0], len(data))
        return Entry(path, False, oid.decode(), len(data))

    def blob(self, oid: str) -> bytes:
        """The bytes of a blob."""
        found = self.get(ObjectID(oid.encode()))
        assert isinstance(found, Blob)
        return found.as_raw_string()

    def text(self, commit: str, path: str) -> str | None:
        """A small file as text; None when it is missing, large or a folder."""
        entry = self.entry(commit, path)
        if entry is None or entry.folder or entry.sha256:
            return None
        return self.blob(entry.oid).decode("utf-8", "replace")

    def _listing(self, tree: ObjectID, prefix: str) -> tuple[Entry, ...]:
        found = self.get(tree)
        assert isinstance(found, Tree)
        return tuple(self._describe(prefix + name.decode(), mode, oid) for name, mode, oid in found.items())

    def walk(self, commit: str, path: str = "", recursive: bool = True) -> Iterator[Entry]:
        """Files and folders below a folder, in git's order.

        Raises:
            AnswerError: 404 when the path is no folder.
        """
        if path:
            entry = self.entry(commit, path)
            if entry is None or not entry.folder:
                raise entry_not_found(f"{path} does not exist on this revision", commit)
            tree = ObjectID(entry.oid.encode())
        else:
            tree = self.tree_of(commit)
        waiting = [iter(self.listing(tree, f"{path}/" if path else ""))]
        while waiting:
            item = next(waiting[-1], None)
            if item is None:
                waiting.pop()
                continue
            yield item
            if item.folder and recursive:
                waiting.append(iter(self.listing(ObjectID(item.oid.encode()), f"{item.path}/")))

    def _history(self, commit: str) -> tuple[str, ...]:
        with self._lock:
            walker = self.repo.get_walker(include=[ObjectID(commit.encode())])
            return tuple(step.commit.id.decode() for step in walker)

    def last_changes(self, commit: str, paths: set[str]) -> dict[str, str]:
        """For each path the newest commit that touched it, along first parents."""
        wanted, found = set(paths), {}
        while wanted:
            current = self.commit_at(commit)
            parent = current.parents[0].decode() if current.parents else None
            for path in self.changed(parent, commit) & wanted:
                found[path] = commit
                wanted.discard(path)
            if parent is None:
                break
            commit = parent
        return found

    def changed(self, old: str | None, new: str) -> set[str]:
        """Paths of files and folders that differ between two commits."""
        before = self.tree_of(old) if old else None
        with self._lock:
            changes = tree_changes(self.repo.object_store, before, self.tree_of(new), include_trees=True)
            sides = [side for change in changes for side in (change.old, change.new)]
        return {side.path.decode() for side in sides if side is not None and side.path is not None}

    def difference(self, old: str, new: str) -> str:
        """A unified diff between two commits."""
        out = BytesIO()
        with self._lock:
            write_tree_diff(out, self.repo.object_store, self.tree_of(old), self.tree_of(new))
        return out.getvalue().decode("utf-8", "replace")
