"""Import of a folder tree in the Hub's layout."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_localhub import repos
from hf_localhub.commit_body import apply_to
from hf_localhub.errors import StorageError
from hf_localhub.file_rules import is_binary, is_large, large_file_rules
from hf_localhub.files import COPY_BYTES
from hf_localhub.http_errors import HTTPError
from hf_localhub.names import check_path, check_repo_name
from hf_localhub.packs import NewBlob, TreeEditor
from hf_localhub.repos import RepoRow
from hf_localhub.repository import MAIN, pointer_text
from hf_localhub.state import Hub
from hf_localhub.writer import Authorship, writing

_SKIPPED = frozenset({".git", ".cache", "__pycache__"})
_AUTHOR = "import"


@dataclass(frozen=True, slots=True)
class ImportedRepo:
    """One imported repository; `changed` is False when it already held the same files."""

    kind: str
    name: str
    files: int
    size: int
    commit: str
    changed: bool


def import_into(hub: Hub, tree: Path) -> list[ImportedRepo]:
    """Import each `datasets/<owner>/<name>` and `models/<owner>/<name>` folder as a public repository.

    Files are added and replaced, never removed; importing the same tree again changes nothing.

    Raises:
        StorageError: the tree has no such folder, or the Hub refuses a name or a path in it.
    """
    root = tree.resolve()
    folders = [path for kind in repos.KINDS for path in sorted((tree / kind).glob("*/*")) if path.is_dir()]
    if not folders:
        raise StorageError(
            f"wanted folders datasets/<owner>/<name> or models/<owner>/<name>, found none in {str(tree)!r}; "
            "name the folder that holds them"
        )
    try:
        return [_import(hub, folder, root) for folder in folders]
    except HTTPError as error:
        raise StorageError(f"{str(tree)!r} cannot be imported: {error.message}") from error
    except OSError as error:
        raise StorageError(f"{str(tree)!r} cannot be imported: {error}") from error


def _import(hub: Hub, folder: Path, root: Path) -> ImportedRepo:
    kind, owner, name = folder.parts[-3:]
    check_repo_name(owner, name)
    paths = {check_path(path.relative_to(folder).as_posix()): path for path in _files(folder, root)}
    repo = repos.find(hub.registry, kind, owner, name)
    if repo is None:
        hub.create_repo(repos.new_repo(kind, owner, name, private=False), _AUTHOR)
        repo = repos.find(hub.registry, kind, owner, name)
    assert repo is not None
    git = hub.git(repo)
    attributes = paths.get(".gitattributes")
    if attributes is not None:
        rules: str | None = attributes.read_text("utf-8", "replace")
    else:
        rules = git.read_text(git.resolve("main"), ".gitattributes")
    large = large_file_rules(rules or "")
    blobs = {name: _blob(hub, repo, path, is_large(large, name)) for name, path in paths.items()}
    with writing(git) as writer:
        head = writer.head(MAIN.decode())
        editor = TreeEditor(git.get, git.tree_id(head))
        apply_to(editor, [], {name: blob.oid for name, blob in blobs.items()})
        changed = editor.root != git.tree_id(head)
        if changed:
            new = writer.store_commit(editor, blobs.values(), Authorship(_AUTHOR, f"Import {repo.full_name}"), [head])
            writer.set_ref(MAIN.decode(), new, head)
            head = new
    size = sum(path.stat().st_size for path in paths.values())
    return ImportedRepo(kind, repo.full_name, len(paths), size, head, changed)


def _files(folder: Path, root: Path) -> Iterator[Path]:
    """Yield the files below a folder. A link may lead to another place below the root, as in a cache of clients.

    Raises:
        StorageError: a link leads out of the root.
    """
    if not folder.resolve().is_relative_to(root):
        raise StorageError(f"{str(folder)!r} is a link that leads out of {str(root)!r}: remove it, or copy its files")
    for path in sorted(folder.iterdir()):
        if path.name in _SKIPPED:
            continue
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise StorageError(f"{str(path)!r} is a link that leads out of {str(root)!r}: remove it, or copy the file")
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, root)
        elif stat.S_ISREG(path.stat().st_mode):
            yield path


def _blob(hub: Hub, repo: RepoRow, path: Path, large: bool) -> NewBlob:
    size = path.stat().st_size
    with path.open("rb") as file:
        if not (large or size > hub.limits.lfs_above or is_binary(file.read(8192))):
            return NewBlob(NewBlob.of(path.read_bytes()).oid, path.read_bytes)
        file.seek(0)
        with hub.files.spool() as spool:
            while data := file.read(COPY_BYTES):
                spool.write(data)
            sha256 = hub.files.store(spool)
            repos.grant(hub.registry, repo.id, [(sha256, spool.size)])
            return NewBlob.of(pointer_text(sha256, spool.size))
