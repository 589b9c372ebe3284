"""All writes to a git repository: lock, one pack, compare-and-swap of the ref."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from dulwich.objects import Commit, ObjectID, Tag
from dulwich.refs import Ref
from filelock import FileLock

from hf_localhub.files import sync_dir
from hf_localhub.http_errors import HTTPError, revision_not_found
from hf_localhub.packs import NewBlob, TreeEditor, merge_packs, write_pack
from hf_localhub.repository import GitRepo

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Authorship:
    """The author and the message of a commit or tag."""

    author: str
    message: str

    def identity(self) -> bytes:
        """Return the author in git's form."""
        return f"{self.author} <{self.author}@users.noreply.localhost>".encode()

    def commit(self, tree: ObjectID, parents: list[ObjectID]) -> Commit:
        """Return the commit object, dated now, in UTC."""
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
    """Lock the repository for the block, across threads and processes."""
    git.path.stat()  # filelock would create the folder of a repository that was deleted
    with FileLock(git.path / "write.lock", mode=0o600, thread_local=False, poll_interval=0.01):
        writer = Writer(git)
        yield writer
        writer.tidy()


class Writer:
    """Writes to a repository whose lock is held."""

    def __init__(self, git: GitRepo) -> None:
        self.git = git
        self._packs = git.path / "objects" / "pack"

    def head(self, ref: str) -> str:
        """Return the commit id of a ref.

        Raises:
            HTTPError: 404 when there is no such ref.
        """
        oid = self.git.read_ref(ref)
        if oid is None:
            raise revision_not_found(ref.removeprefix("refs/heads/"))
        return oid

    def store_commit(
        self, editor: TreeEditor, blobs: Iterable[NewBlob], authorship: Authorship, parents: list[str]
    ) -> str:
        """Write the commit, not yet on a ref, and return its id."""
        trees = editor.new_trees()
        assert editor.root is not None
        commit = authorship.commit(editor.root, [ObjectID(parent.encode()) for parent in parents])
        fresh = [item for item in [*trees, commit] if not self.git.has(item.id)]
        new = [blob for blob in {blob.oid: blob for blob in blobs}.values() if not self.git.has(blob.oid)]
        if new or fresh:
            write_pack(self._packs, chain((blob.load() for blob in new), fresh), len(new) + len(fresh))
        return commit.id.decode()

    def store_tag(self, name: str, target: str, authorship: Authorship) -> str:
        """Write an annotated tag, not yet on a ref, and return its id."""
        tag = Tag()
        tag.name, tag.object = name.encode(), (Commit, ObjectID(target.encode()))
        tag.tagger, tag.message = authorship.identity(), authorship.message.encode()
        tag.tag_time, tag.tag_timezone = int(time.time()), 0
        write_pack(self._packs, [tag], 1)
        return tag.id.decode()

    def set_ref(self, ref: str, new: str, old: str | None) -> None:
        """Move the ref from `old` to `new`, durably; with None as `old`, create it.

        Raises:
            HTTPError: 409 when the ref is not at `old`, or already exists.
        """
        name, target = Ref(ref.encode()), ObjectID(new.encode())
        try:
            self._unlock(ref)
            if old is None:
                done = self.git.repo.refs.add_if_new(name, target)
            else:
                done = self.git.repo.refs.set_if_equals(name, ObjectID(old.encode()), target)
        except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            raise HTTPError(409, f"Reference {ref} conflicts with another reference") from error
        if not done:
            raise HTTPError(409, f"Reference {ref} already exists" if old is None else f"{ref} has moved")
        sync_dir((self.git.path / ref).parent)

    def remove_ref(self, ref: str) -> None:
        """Delete the ref."""
        self._unlock(ref)
        self.git.repo.refs.remove_if_equals(Ref(ref.encode()), None)

    def tidy(self) -> None:
        """Merge packs when there are many. A failure is logged and does not affect what was committed."""
        try:
            if merge_packs(self._packs, self.git.get):
                self.git.reopen()
        except OSError as error:
            logger.warning("packs of %s could not be merged: %s", self.git.path.name, error)

    def _unlock(self, ref: str) -> None:
        # The repository is locked, so a lock file beside the ref was left by a killed server.
        file = self.git.path / ref
        file.with_name(file.name + ".lock").unlink(missing_ok=True)
        (self.git.path / "packed-refs.lock").unlink(missing_ok=True)
