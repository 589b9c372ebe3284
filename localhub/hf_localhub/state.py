"""The open data directory: repositories are created and deleted so that a crash at any moment does no harm."""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hf_localhub import repos
from hf_localhub.files import Files, create_private, sync_dir
from hf_localhub.packs import FILE_MODE, NewBlob, TreeEditor
from hf_localhub.registry import Registry
from hf_localhub.repos import RepoRow
from hf_localhub.repository import MAIN, GitRepo
from hf_localhub.writer import Authorship, writing

MIB = 1 << 20
_OPEN_REPOS = 64
_LARGE = (
    "*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lz4 *.mds *.mlmodel *.model *.msgpack *.npy *.npz"
    " *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar *.tflite"
    " *.tgz *.wasm *.xz *.zip *.zst *tfevents* *.pcm *.sam *.raw *.aac *.flac *.mp3 *.ogg *.wav *.bmp *.gif *.png"
    " *.tiff *.jpg *.jpeg *.webp *.mp4 *.webm"
)
GITATTRIBUTES = "".join(f"{glob} filter=lfs diff=lfs merge=lfs -text\n" for glob in _LARGE.split()).encode()


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest bodies that are accepted, in bytes, and the size at which files become large."""

    json: int = 4 * MIB
    anonymous_card: int = 64 << 10
    """A card that is validated without an account."""
    commit: int = 2048 * MIB
    regular: int = 16 * MIB
    """One file inside a commit body."""
    xorb: int = 72 * MIB
    shard: int = 72 * MIB
    object: int = 1 << 40
    lfs_above: int = 10 * MIB
    """A file larger than this is a large file whatever its name."""
    part: int = 512 * MIB
    """LFS uploads above this size are sent in parts of this size."""


class Hub:
    """An open data directory."""

    def __init__(self, data: Path, limits: Limits | None = None) -> None:
        self.data = data
        self.limits = limits or Limits()
        self.files = Files(data)
        self.files.create()
        create_private(data / "repos")
        self.registry = Registry(data / "hub.sqlite")
        self._lock = threading.Lock()
        self._open: OrderedDict[str, GitRepo] = OrderedDict()

    def path(self, repo: RepoRow) -> Path:
        """Return the repository's folder, named by its id, so that renaming changes only the registry."""
        return self.data / "repos" / f"{repo.id}.git"

    def git(self, repo: RepoRow) -> GitRepo:
        """Return the open git repository. The least recently used ones are closed."""
        with self._lock:
            if repo.id not in self._open:
                self._open[repo.id] = GitRepo(self.path(repo))
                if len(self._open) > _OPEN_REPOS:
                    self._open.popitem(last=False)
            self._open.move_to_end(repo.id)
            return self._open[repo.id]

    def create_repo(self, repo: RepoRow, author: str, template: Mapping[str, bytes] | None = None) -> bool:
        """Create the repository with its first commit, which has the files of `template`, too.

        Returns False when the name is taken.

        The folder is complete before the registry names it, so a crash leaves at most a folder without a name.
        """
        git = GitRepo.create(self.path(repo))
        with writing(git) as writer:
            files = {".gitattributes": GITATTRIBUTES, **(template or {})}
            editor, blobs = TreeEditor(git.get, None), {name: NewBlob.of(data) for name, data in files.items()}
            editor.apply({name: (FILE_MODE, blob.oid) for name, blob in blobs.items()})
            first = writer.store_commit(editor, blobs.values(), Authorship(author, "initial commit"), [])
            writer.set_ref(MAIN.decode(), first, None)
        git.close()
        sync_dir(self.data / "repos")
        if repos.register(self.registry, repo):
            return True
        shutil.rmtree(self.path(repo))
        return False

    def delete_repo(self, repo: RepoRow) -> None:
        """Remove the repository from the registry, then from the disk."""
        repos.unregister(self.registry, repo)
        with self._lock:
            self._open.pop(repo.id, None)
        shutil.rmtree(self.path(repo))

    @contextmanager
    def block_sweep(self, wait: bool = True) -> Iterator[bool]:
        """Keep servers that start during the block from sweeping unfinished folders.

        Waits for another such block to end; without `wait`, yields False where one is open.
        """
        lock = FileLock(self.data / "sweep.lock", mode=0o600, thread_local=False)
        try:
            lock.acquire(timeout=None if wait else 0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def sweep(self) -> None:
        """Remove what a crash left: folders without a row in the registry, and unfinished packs.

        Only for a server that starts. Does nothing while an import runs.
        """
        known = {f"{repo.id}.git" for kind in repos.KINDS for repo in repos.all_repos(self.registry, kind)}
        with self.block_sweep(wait=False) as alone:
            for path in (self.data / "repos").iterdir() if alone else ():
                if path.name not in known:
                    shutil.rmtree(path)
                    continue
                for unfinished in (path / "objects" / "pack").glob("tmp_*"):
                    unfinished.unlink()

    def close(self) -> None:
        """Close the registry and all repositories."""
        for git in self._open.values():
            git.close()
        self._open.clear()
        self.registry.close()
