"""A repository on a Hub, compared with the folder to be pushed to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.hf_api import RepoFile

from s3_hf.cards import END
from s3_hf.errors import HubError
from s3_hf.hub.contents import CARD, RECORD, card_hash
from s3_hf.hub.names import RepoType

_GENERATED = re.compile(r"data/train-\d{5}-of-\d{5}\.parquet|model(-\d{5}-of-\d{5})?\.safetensors")
"""Names of rows and weights that a push writes; it removes no other file."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths of the files that a push would add, replace, remove and leave."""

    added: tuple[str, ...]
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """True if the push would make a commit."""
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository on a Hub."""

    api: HfApi
    kind: RepoType
    repo: str

    def operations(self, folder: Path, head: str | None) -> list[Any]:
        """Return the operations that turn the commit `head` into the folder; the owner's own files stay.

        Raises:
            HubError: the generated part of the card was edited on the Hub.
        """
        present = set(self.api.list_repo_files(self.repo, repo_type=self.kind, revision=head))
        files = {name: path for path, name in _files(folder)}
        own = self._own_text(head, present)
        operations: list[Any] = [
            CommitOperationAdd(name, path.read_bytes() + own.encode() if name == CARD else path)
            for name, path in files.items()
        ]
        return operations + [CommitOperationDelete(name) for name in sorted(_stale(present, files.keys()))]

    def changes(self, folder: Path, head: str | None) -> Changes:
        """Return what a push of the folder onto the commit `head` would change.

        Raises:
            HubError: the generated part of the card was edited on the Hub.
        """
        tree = self.api.list_repo_tree(self.repo, recursive=True, repo_type=self.kind, revision=head)
        present = {each.path: each for each in tree if isinstance(each, RepoFile)}
        own = self._own_text(head, set(present))
        states: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
        for path, name in _files(folder):
            content = path.read_bytes() + (own.encode() if name == CARD else b"")
            here = present.get(name)
            same = here is not None and _same(here, content)
            states["added" if here is None else "unchanged" if same else "changed"].append(name)
        names = {name for _, name in _files(folder)}
        removed = tuple(sorted(_stale(set(present), names)))
        return Changes(tuple(states["added"]), tuple(states["changed"]), removed, tuple(states["unchanged"]))

    def pull_request(self, title: str, author: str) -> Any:
        """Return the author's open pull request of that title, as `huggingface_hub` describes it, or None."""
        opened = self.api.get_repo_discussions(self.repo, repo_type=self.kind, discussion_type="pull_request")
        own = (each for each in opened if (each.title, each.author) == (title, author))
        return next((each for each in own if each.status in ("open", "draft")), None)

    def _own_text(self, head: str | None, present: set[str]) -> str:
        """Return the text that the owner wrote below the generated card on the Hub.

        Raises:
            HubError: the generated part was edited, or s3-hf did not write the card.
        """
        if CARD not in present:
            return ""
        generated, end, own = self._text(head, CARD).rpartition(END + "\n")
        record = self._text(head, RECORD) if RECORD in present else ""
        if card_hash(generated + end) not in record:
            raise HubError(
                f"the card of {self.repo!r} must be as s3-hf wrote it, found it edited on the Hub; move your text "
                f"below the line {END!r} and undo the rest, or delete {CARD} there to have it written anew"
            )
        return own

    def _text(self, head: str | None, name: str) -> str:
        path = self.api.hf_hub_download(self.repo, name, repo_type=self.kind, revision=head)
        return Path(path).read_text(encoding="utf-8")


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Return the files of the folder, each with its name in the repository."""
    return ((path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*")) if path.is_file())


def _stale(present: set[str], files: Any) -> set[str]:
    """Return the generated files in the repository that the folder no longer has."""
    return {name for name in present - set(files) if _GENERATED.fullmatch(name)}


def _same(file: RepoFile, content: bytes) -> bool:
    """Return True if the file on the Hub has that content."""
    if file.lfs is not None:
        return bool(file.lfs.sha256 == hashlib.sha256(content).hexdigest())
    blob = b"blob %d\0" % len(content) + content
    return bool(file.blob_id == hashlib.sha1(blob).hexdigest())  # noqa: S324 - git's name of a blob
