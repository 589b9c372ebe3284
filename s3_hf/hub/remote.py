"""A repository on a Hub, compared with the folder to be pushed to it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.hf_api import RepoFile

from s3_hf.cards import END
from s3_hf.errors import HubError
from s3_hf.files import temporary_folder
from s3_hf.hub.contents import CARD, RECORD, card_hash
from s3_hf.hub.names import RepoType

_GENERATED = re.compile(
    r"(data|rejected|rationales|predictions)/train-\d{5}-of-\d{5}\.parquet|"
    r"model(-\d{5}-of-\d{5})?\.safetensors|onnx/model(_quantized)?\.onnx|figures/(scores|confusion|map)\.png"
)
"""Names of rows, weights and figures that a push writes; it removes no other file."""
_TEMPLATE = frozenset({".gitattributes", CARD, "index.html", "style.css"})
"""Files of a new static Space."""
LARGEST_TEXT = 20_000_000
"""Most bytes of a card or record that are read."""


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
    """A repository on a Hub, and the fingerprint of the run that it is for; None takes that of any run."""

    api: HfApi
    kind: RepoType
    repo: str
    fingerprint: str | None

    def operations(self, folder: Path, head: str | None) -> list[Any]:
        """Return the operations that turn the commit `head` into the folder; the owner's own files stay.

        Raises:
            HubError: the repository is another run's, or the generated part of the card was edited on the Hub.
        """
        present = self._present(head)
        files = {name: path for path, name in _files(folder)}
        self._check_owner(head, present, files)
        own = self._own_text(head, present)
        operations: list[Any] = [
            CommitOperationAdd(name, path.read_bytes() + own.encode() if name == CARD else path)
            for name, path in files.items()
        ]
        return operations + [CommitOperationDelete(name) for name in sorted(_stale(present.keys(), files))]

    def check_owner(self) -> None:
        """Return if the repository does not exist, holds nothing, or was published by the same run.

        Raises:
            HubError: it is another run's.
        """
        if self.fingerprint is not None and self.api.repo_exists(self.repo, repo_type=self.kind):
            self._check_owner(None, self._present(None), [RECORD])

    def changes(self, folder: Path, head: str | None) -> Changes:
        """Return what a push of the folder onto the commit `head` would change.

        Raises:
            HubError: the repository is another run's, or the generated part of the card was edited on the Hub.
        """
        present = self._present(head)
        self._check_owner(head, present, [name for _, name in _files(folder)])
        own = self._own_text(head, present)
        states: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
        for path, name in _files(folder):
            content = path.read_bytes() + (own.encode() if name == CARD else b"")
            here = present.get(name)
            same = here is not None and _same(here, content)
            states["added" if here is None else "unchanged" if same else "changed"].append(name)
        names = {name for _, name in _files(folder)}
        removed = tuple(sorted(_stale(present.keys(), names)))
        return Changes(tuple(states["added"]), tuple(states["changed"]), removed, tuple(states["unchanged"]))

    def pull_request(self, title: str, author: str) -> Any:
        """Return the author's open pull request of that title, as `huggingface_hub` describes it, or None."""
        opened = self.api.get_repo_discussions(self.repo, repo_type=self.kind, discussion_type="pull_request")
        own = (each for each in opened if (each.title, each.author) == (title, author))
        return next((each for each in own if each.status in ("open", "draft")), None)

    def _present(self, head: str | None) -> dict[str, RepoFile]:
        """Return the files by name; none of a Space that is as the Hub made it."""
        tree = self.api.list_repo_tree(self.repo, recursive=True, repo_type=self.kind, revision=head)
        present = {each.path: each for each in tree if isinstance(each, RepoFile)}
        return {} if self.kind == "space" and self._untouched(head, present) else present

    def _untouched(self, head: str | None, present: dict[str, RepoFile]) -> bool:
        """Return whether nobody has committed to a new Space, which the Hub fills with a page of its own."""
        if not present.keys() <= _TEMPLATE:
            return False
        commits = self.api.list_repo_commits(self.repo, repo_type=self.kind, revision=head)
        return [each.title for each in commits] == ["initial commit"]

    def _check_owner(self, head: str | None, present: dict[str, RepoFile], files: Iterable[str]) -> None:
        """Return if a push may replace these files.

        Raises:
            HubError: they are of another run, or something other than s3-hf wrote them.
        """
        if self.fingerprint is None or not (found := sorted(present.keys() & {*files} - {CARD})):
            return
        owner = None
        try:
            record = json.loads(self._text(head, RECORD, present)) if RECORD in present else {}
            owner = record.get("fingerprint")
        except (ValueError, AttributeError, RecursionError):
            pass  # no record that s3-hf wrote
        if owner != self.fingerprint:
            whose = f"one of another run (fingerprint {str(owner)[:20]!r})" if owner else f"the files {found[:3]}"
            raise HubError(
                f"{self.repo!r} must be new or published by this run (fingerprint {self.fingerprint!r}), found "
                f"{whose}; give this run's repositories another name by --name, or replace it by --replace"
            )

    def _own_text(self, head: str | None, present: dict[str, RepoFile]) -> str:
        """Return the text that the owner wrote below the generated card on the Hub.

        Raises:
            HubError: the generated part was edited, or s3-hf did not write the card.
        """
        if CARD not in present:
            return ""
        generated, end, own = self._text(head, CARD, present).rpartition(END + "\n")
        record = self._text(head, RECORD, present) if RECORD in present else ""
        if card_hash(generated + end) not in record:
            raise HubError(
                f"the card of {self.repo!r} must be as s3-hf wrote it, found it edited on the Hub; move your text "
                f"below the line {END!r} and undo the rest, or delete {CARD} there to have it written anew"
            )
        return own

    def _text(self, head: str | None, name: str, present: dict[str, RepoFile]) -> str:
        """Return the text of a file, which needs no cache that can be written."""
        if present[name].size > LARGEST_TEXT:
            raise HubError(
                f"{name!r} of {self.repo!r} must have at most {LARGEST_TEXT:,} bytes, found {present[name].size:,}; "
                "restore it on the Hub, or push under another --name"
            )
        with temporary_folder() as cache:
            path = self.api.hf_hub_download(self.repo, name, repo_type=self.kind, revision=head, cache_dir=cache)
            return Path(path).read_text(encoding="utf-8", errors="replace")


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Return the files of the folder, each with its name in the repository."""
    return ((path, path.relative_to(folder).as_posix()) for path in sorted(folder.rglob("*")) if path.is_file())


def _stale(present: Iterable[str], files: Iterable[str]) -> set[str]:
    """Return the generated files in the repository that the folder no longer has."""
    return {name for name in {*present} - {*files} if _GENERATED.fullmatch(name)}


def _same(file: RepoFile, content: bytes) -> bool:
    """Return True if the file on the Hub has that content."""
    if file.lfs is not None:
        return bool(file.lfs.sha256 == hashlib.sha256(content).hexdigest())
    blob = b"blob %d\0" % len(content) + content
    return bool(file.blob_id == hashlib.sha1(blob).hexdigest())  # noqa: S324 - git's name of a blob
