"""The body of a commit: one JSON object per line, read from disk line by line."""

from __future__ import annotations

import base64
import binascii
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from dulwich.objects import ObjectID

from hf_localhub import metadata
from hf_localhub.bounded import read_json
from hf_localhub.files import HEX64, Spool
from hf_localhub.http_errors import HTTPError, entry_not_found
from hf_localhub.names import check_path
from hf_localhub.packs import FILE_MODE, NewBlob, TreeEditor
from hf_localhub.repository import read_pointer

_MOST_LINES = 25_000


@dataclass(frozen=True, slots=True)
class Large:
    """A file stored by its sha256. A copy has no size."""

    sha256: str
    size: int | None


@dataclass(slots=True)
class Operations:
    """The message and the changes of a commit. Blobs are read from the spooled body again when they are packed."""

    summary: str = ""
    description: str = ""
    parent: str | None = None
    files: dict[str, NewBlob] = field(default_factory=dict)
    large: dict[str, Large] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    described: dict[str, str] = field(default_factory=dict)
    """The text of the files that the Hub itself reads."""

    @property
    def message(self) -> str:
        """The commit's message: the summary, then the description if there is one."""
        return f"{self.summary}\n\n{self.description}".rstrip() + "\n" if self.description else self.summary

    def add(self, spool: Spool, place: tuple[int, int], key: str, value: dict[str, Any]) -> None:
        """Add the operation of the line at `place`, its offset and length in the spooled body.

        Raises:
            HTTPError: 400 or 422 when the operation is unknown or its path or content cannot be used.
        """
        if key == "header":
            self.summary, self.description = (_text(value.get(key)) for key in ("summary", "description"))
            self.parent = _text(value.get("parentCommit")) or None
            return
        deletes = key in ("deletedFile", "deletedFolder")
        path = check_path(value["path"].rstrip("/") if deletes else value["path"])
        if key == "file":
            self._add_file(spool, place, path, value)
        elif key == "lfsFile":
            self.large[path] = _large(value)
        elif deletes:
            self.deleted.append(path)
        else:
            raise HTTPError(400, f"Unknown operation {key!r}")

    def _add_file(self, spool: Spool, place: tuple[int, int], path: str, value: dict[str, Any]) -> None:
        data = _content(value)
        pointer = read_pointer(data)
        if pointer:
            self.large[path] = Large(*pointer)
            return
        if path in metadata.READ_BY_THE_HUB:
            self.described[path] = data.decode("utf-8", "replace")

        def read() -> bytes:
            spool.file.seek(place[0])
            return _content(json.loads(spool.file.read(place[1]))["value"])

        self.files[path] = NewBlob(NewBlob.of(data).oid, read)


def read_operations(spool: Spool, largest: int) -> Operations:
    """Read and check the operations in the body, line by line.

    Args:
        spool: the spooled body.
        largest: the largest regular file that is accepted, in bytes.

    Raises:
        HTTPError: 400, 413 or 422, with the line and the reason.
    """
    operations = Operations()
    longest = largest * 4 // 3 + (64 << 10)
    for offset, line in _lines(spool, longest):
        try:
            item = read_json(line, longest)
            operations.add(spool, (offset, len(line)), item["key"], item["value"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise HTTPError(400, f"Line at byte {offset} of the commit is not an operation: {error!r}") from error
    if not operations.summary:
        raise HTTPError(400, "A commit must have a header with a summary")
    return operations


def _lines(spool: Spool, longest: int) -> Iterator[tuple[int, bytes]]:
    offset = 0
    for number in count():
        if number > _MOST_LINES:
            raise HTTPError(413, f"A commit may have at most {_MOST_LINES} lines, one for each operation")
        spool.file.seek(offset)
        line = spool.file.readline(longest + 1)
        if not line:
            return
        if len(line) > longest:
            raise HTTPError(413, "A file in the commit is too large to be sent this way: upload it as a large file")
        if line.strip():
            yield offset, line
        offset += len(line)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _content(value: dict[str, Any]) -> bytes:
    content = value["content"]
    if value.get("encoding") != "base64":
        return str(content).encode()
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise HTTPError(400, f"The content of {value['path']!r} is not base64") from error


def _large(value: dict[str, Any]) -> Large:
    oid, size = value["oid"], value.get("size")
    if value.get("algo", "sha256") != "sha256" or not HEX64.fullmatch(oid):
        raise HTTPError(400, f"{oid!r} is not a sha256")
    return Large(oid, None if size is None else int(size))


def apply_to(editor: TreeEditor, deleted: list[str], added: dict[str, ObjectID]) -> None:
    """Change the tree: deletions first, then added files.

    Raises:
        HTTPError: 404 when a path to delete is missing, 400 when a file and a folder would share a name.
    """
    for path in deleted:
        if editor.find(path) is None:
            raise entry_not_found(f"A file with this name doesn't exist: {path}")
    removed = set(deleted)
    editor.apply({path: None for path in removed if not removed & set(_parents(path))})
    folders: set[str] = set()
    for path in added:
        entry = editor.find(path)
        if entry is not None and stat.S_ISDIR(entry[0]):
            raise HTTPError(400, f"{path!r} is a folder: delete it before adding a file of this name")
        for parent in _parents(path):
            if parent in folders:
                continue
            above = editor.find(parent)
            if parent in added or (above is not None and not stat.S_ISDIR(above[0])):
                raise HTTPError(400, f"{parent!r} is a file: {path!r} cannot be below it")
            folders.add(parent)
    editor.apply({path: (FILE_MODE, oid) for path, oid in added.items()})


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:above]) for above in range(1, len(parts))]
