"""Reads of one bare git repository: refs, revisions, trees, history."""

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

from hf_localhub.http_errors import entry_not_found, revision_not_found
from hf_localhub.names import MAX_PATH, MAX_REF
from hf_localhub.packs import TreeEditor

MAIN = Ref(b"refs/heads/main")
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]{1,19})\n"
)
_MOST_LINES = 5000
_HEX = re.compile(r"[0-9a-f]{5,40}")


def pointer_text(sha256: str, size: int) -> bytes:
    """Return the LFS pointer that git stores in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def read_pointer(data: bytes) -> tuple[str, int] | None:
    """Return the sha256 and the size in an LFS pointer; None when the bytes are no pointer."""
    match = _POINTER.fullmatch(data) if len(data) < 256 else None
    return (match[1].decode(), int(match[2])) if match else None


class EntryError(LookupError):
    """A revision has no file or folder at the path."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder at a revision. For a large file, `sha256` is set and `size` is the size of its content."""

    path: str
    folder: bool
    oid: str
    size: int = 0
    sha256: str | None = None
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        """The id of the content: the sha256 of a large file, the blob id of a regular one."""
        return self.sha256 or self.oid


class GitRepo:
    """One open repository behind one lock. Everything below a commit is immutable and cached by its id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.repo = Repo(str(path))
        except NotGitRepository as error:
            raise FileNotFoundError(f"{path.name} does not exist") from error
        self._lock = threading.RLock()
        self.listing = lru_cache(maxsize=64)(self._listing)
        self.history = lru_cache(maxsize=64)(self._history)
        self._known_entry = lru_cache(maxsize=4096)(self._entry)

    @classmethod
    def create(cls, path: Path) -> GitRepo:
        """Create an empty bare repository with the branch `main`."""
        path.mkdir(parents=True)
        Repo.init_bare(str(path), default_branch=b"main").close()
        return cls(path)

    def close(self) -> None:
        """Close all files of the repository."""
        self.repo.close()

    def reopen(self) -> None:
        """Close all packs, so that removed ones are released; the others are opened again when they are read."""
        with self._lock:
            self.repo.object_store.close()

    def get(self, oid: ObjectID) -> ShaFile:
        """Return the object of this id.

        Raises:
            KeyError: the repository has no such object.
        """
        with self._lock:
            item: ShaFile = self.repo.object_store[oid]
        return item

    def has(self, oid: ObjectID) -> bool:
        """Return whether the repository has the object."""
        with self._lock:
            return oid in self.repo.object_store

    def commit_at(self, oid: str) -> Commit:
        """Return the commit of this id."""
        commit = self.get(ObjectID(oid.encode()))
        assert isinstance(commit, Commit)
        return commit

    def tree_id(self, oid: str) -> ObjectID:
        """Return the id of the root tree of a commit."""
        tree: ObjectID = self.commit_at(oid).tree
        return tree

    def refs(self, prefix: str) -> dict[str, str]:
        """Return the refs below a prefix such as `refs/heads/`: short name to commit id, tags peeled."""
        with self._lock:
            names = self.repo.refs.subkeys(Ref(prefix.rstrip("/").encode()))
        commits = ((name.decode(), self.read_ref(f"{prefix}{name.decode()}")) for name in sorted(names))
        return {name: oid for name, oid in commits if oid}

    def read_ref(self, ref: str) -> str | None:
        """Return the commit id of a full ref, or None."""
        if len(ref.encode()) > MAX_REF:
            return None
        with self._lock:
            try:
                oid = self.repo.refs[Ref(ref.encode())]
            except (KeyError, ValueError, RefFormatError):
                return None
        return self._peel(oid)

    def _peel(self, oid: ObjectID) -> str | None:
        item = self.get(oid)
        while isinstance(item, Tag):
            item = self.get(item.object[1])
        return item.id.decode() if isinstance(item, Commit) else None

    def find_ref(self, rev: str) -> str | None:
        """Return the full ref of a branch, tag or ref, or None, as for commit ids."""
        if rev == "HEAD":
            return MAIN.decode()
        candidates = [rev] if rev.startswith("refs/") else [f"refs/heads/{rev}", f"refs/tags/{rev}"]
        return next((ref for ref in candidates if self.read_ref(ref)), None)

    def resolve(self, rev: str) -> str:
        """Return the commit id of a branch, tag, ref, full id or unambiguous prefix of one.

        Raises:
            HTTPError: 404 when there is no such revision.
        """
        ref = self.find_ref(rev)
        commit = self.read_ref(ref) if ref else self._by_prefix(rev)
        if commit is None:
            raise revision_not_found(rev)
        return commit

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

    def split_revision(self, parts: list[str]) -> tuple[str, str]:
        """Split `rev/path` into commit id and path; an unquoted revision may itself contain slashes.

        Raises:
            HTTPError: 404 when it starts with no revision.
        """
        for count in range(1, len(parts) + 1):
            rev = "/".join(parts[:count])
            if len(rev) > MAX_REF:
                break
            if self.find_ref(rev) or (count == 1 and self._by_prefix(rev)):
                return self.resolve(rev), "/".join(parts[count:]).strip("/")
        raise revision_not_found(parts[0] if parts else "")

    def entry(self, commit: str, path: str) -> Entry | None:
        """Return the file or folder at a path, or None. Only existing ones are cached, since anybody may ask."""
        try:
            return self._known_entry(commit, path) if len(path) <= MAX_PATH else None
        except EntryError:
            return None

    def _entry(self, commit: str, path: str) -> Entry:
        entry = TreeEditor(self.get, self.tree_id(commit)).find(path)
        if entry is None:
            raise EntryError(path)
        return self._describe(path, *entry)

    def _describe(self, path: str, mode: int, oid: ObjectID) -> Entry:
        if stat.S_ISDIR(mode):
            return Entry(path, True, oid.decode())
        data = self.read_blob(oid.decode())
        pointer = read_pointer(data)
        if pointer:
            return Entry(path, False, oid.decode(), pointer[1], pointer[0], len(data))
        return Entry(path, False, oid.decode(), len(data))

    def read_blob(self, oid: str) -> bytes:
        """Return the bytes of a blob."""
        blob = self.get(ObjectID(oid.encode()))
        assert isinstance(blob, Blob)
        return blob.as_raw_string()

    def read_text(self, commit: str, path: str) -> str | None:
        """Return a regular file as text; None when the path is missing, a large file or a folder."""
        entry = self.entry(commit, path)
        if entry is None or entry.folder or entry.sha256:
            return None
        return self.read_blob(entry.oid).decode("utf-8", "replace")

    def _listing(self, oid: ObjectID, prefix: str) -> tuple[Entry, ...]:
        tree = self.get(oid)
        assert isinstance(tree, Tree)
        return tuple(self._describe(prefix + name.decode(), mode, oid) for name, mode, oid in tree.items())

    def walk(self, commit: str, path: str = "", recursive: bool = True) -> Iterator[Entry]:
        """Yield the files and folders below a folder, in git's order.

        Raises:
            HTTPError: 404 when the path is not a folder.
        """
        if path:
            entry = self.entry(commit, path)
            if entry is None or not entry.folder:
                raise entry_not_found(f"{path} does not exist on this revision", commit)
            tree = ObjectID(entry.oid.encode())
        else:
            tree = self.tree_id(commit)
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
        """Return the newest commit that changed each path, along first parents."""
        missing, last = set(paths), {}
        while missing:
            current = self.commit_at(commit)
            parent = current.parents[0].decode() if current.parents else None
            for path in self.changed_paths(parent, commit) & missing:
                last[path] = commit
                missing.discard(path)
            if parent is None:
                break
            commit = parent
        return last

    def changed_paths(self, old: str | None, new: str) -> set[str]:
        """Return the paths of files and folders that differ between two commits."""
        before = self.tree_id(old) if old else None
        with self._lock:
            changes = tree_changes(self.repo.object_store, before, self.tree_id(new), include_trees=True)
            sides = [side for change in changes for side in (change.old, change.new)]
        return {side.path.decode() for side in sides if side is not None and side.path is not None}

    def diff(self, old: str, new: str) -> str:
        """Return the unified diff between two commits, or a note when it would take long."""
        out = BytesIO()
        with self._lock:
            changes = tree_changes(self.repo.object_store, self.tree_id(old), self.tree_id(new))
            sides = [side for change in changes for side in (change.old, change.new) if side is not None and side.sha]
            # Lines are compared pairwise, and other readers wait.
            lines = sum(self.read_blob(side.sha.decode()).count(b"\n") + 1 for side in sides[:_MOST_LINES])
            if len(sides) > _MOST_LINES or lines > _MOST_LINES:
                return f"The diff has more than {_MOST_LINES} lines and is not shown.\n"
            write_tree_diff(out, self.repo.object_store, self.tree_id(old), self.tree_id(new))
        return out.getvalue().decode("utf-8", "replace")
