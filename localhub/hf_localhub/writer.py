"""The one way to change a git repository: lock, one pack, compare-and-swap of the ref."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from dulwich.objects import Commit, ObjectID, Tag
from dulwich.refs import Ref

from hf_localhub.answers import AnswerError, revision_not_found
from hf_localhub.files import sync_dir
from hf_localhub.packs import NewBlob, TreeEditor, merge_packs, write_pack
from hf_localhub.repository import GitRepo

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Signed:
    """Who says what in a commit."""

    author: str
    message: str

    def identity(self) -> bytes:
        """The author in git's form."""
        return f"{self.author} <{self.author}@users.noreply.localhost>".encode()

    def commit(self, tree: ObjectID, parents: list[ObjectID]) -> Commit:
        """The commit object, dated now, in UTC."""
        commit = Commit()
        commit.tree, commit.parents = tree, parents
        commit.author = commit.committer = self.identity()
        commit.author_time = commit.commit_time = int(time.time())
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = self.message.encode()
        return commit


@contextmanager
def writing(git: GitRepo) -> Iterator[Writer]:
    """The repository is this caller's alone, across threads and processes."""
    with (git.path / "write.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = Writer(git)
        yield writer
        writer.tidy()


class Writer:
    """Changes to a repository whose lock is held."""

    def __init__(self, git: GitRepo) -> None:
        self.git = git
        self._packs = git.path / "objects" / "pack"

    def head(self, ref: str) -> str:
        """The commit of a ref; 404 when there is none."""
        found = self.git.read_ref(ref)
        if found is None:
            raise revision_not_found(ref.removeprefix("refs/heads/"))
        return found

    def store(self, editor: TreeEditor, blobs: Iterable[NewBlob], signed: Signed, parents: list[str]) -> str:
        """The commit is on disk, not yet on a ref; returns its id."""
        trees = editor.new_trees()
        assert editor.root is not None
        commit = signed.commit(editor.root, [ObjectID(parent.encode()) for parent in parents])
        fresh = [item for item in [*trees, commit] if not self.git.has(item.id)]
        new = [blob for blob in {blob.oid: blob for blob in blobs}.values() if not self.git.has(blob.oid)]
        if new or fresh:
            write_pack(self._packs, chain((blob.load() for blob in new), fresh), len(new) + len(fresh))
        return commit.id.decode()

    def tag(self, name: str, target: str, signed: Signed) -> str:
        """An annotated tag is on disk, not yet on a ref; returns its id."""
        tag = Tag()
        tag.name, tag.object = name.encode(), (Commit, ObjectID(target.encode()))
        tag.tagger, tag.message = signed.identity(), signed.message.encode()
        tag.tag_time, tag.tag_timezone = int(time.time()), 0
        write_pack(self._packs, [tag], 1)
        return tag.id.decode()

    def point(self, ref: str, new: str, old: str | None) -> None:
        """The ref is durable at `new`; 409 when it was not at `old` any more (None: was there already)."""
        name, target = Ref(ref.encode()), ObjectID(new.encode())
        try:
            self._unlock(ref)
            if old is None:
                done = self.git.repo.refs.add_if_new(name, target)
            else:
                done = self.git.repo.refs.set_if_equals(name, ObjectID(old.encode()), target)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise AnswerError(409, f"Reference {ref} cannot stand beside another reference") from error
        if not done:
            raise AnswerError(409, f"Reference {ref} already exists" if old is None else f"{ref} has moved")
        sync_dir((self.git.path / ref).parent)

    def remove(self, ref: str) -> None:
        """The ref is gone."""
        self._unlock(ref)
        self.git.repo.refs.remove_if_equals(Ref(ref.encode()), None)

    def tidy(self) -> None:
        """The repository is not scattered over many packs; what was committed stands even if this fails."""
        try:
            if merge_packs(self._packs, self.git.get):
                self.git.reopen()
        except OSError as error:
            logger.warning("packs of %s could not be merged: %s", self.git.path.name, error)

    def _unlock(self, ref: str) -> None:
        # The repository's own lock is held, so a lock file beside the ref was left by a killed server.
        file = self.git.path / ref
        file.with_name(file.name + ".lock").unlink(missing_ok=True)
        (self.git.path / "packed-refs.lock").unlink(missing_ok=True)
