"""Several files as one source: a pattern such as `parts/*.csv`, or paths joined by `|`."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from s3_hf.config import JOINT, names_several
from s3_hf.errors import TaskError

_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {word: split for split, words in _SPLITS.items() for word in words}


def is_several(source: str) -> bool:
    """Return whether a source stands for several files."""
    return names_several(source) and not Path(source).exists()


def several_files(source: str, kind: str) -> list[Path]:
    """Return the files that a source of several stands for, each once, in the order of its paths.

    Raises:
        TaskError: a pattern matches no file, or a path is no file.
    """
    found: dict[Path, None] = {}
    for part in source.split(JOINT):
        matches = _matches(part)
        found |= dict.fromkeys(matches)
        if not matches or not all(path.is_file() for path in matches):
            what = f"{str(matches[0])!r}, which is no file" if matches else f"no file {part!r}"
            raise TaskError(f"{kind} must be files where several are named, found {what}; check the paths")
    return list(found)


def split_of_files(files: list[Path], kind: str) -> dict[str, list[Path]]:
    """Return the files of each split, which a word of their names tells; all are `train` where none has such a word.

    Raises:
        TaskError: only some of the names tell a split.
    """
    splits: dict[str, list[Path]] = {}
    named = {path: split for path in files if (split := _split_of(path))}
    if named and len(named) < len(files):
        other = next(path for path in files if path not in named)
        raise TaskError(
            f"{kind} of several files must all have their split (train, validation or test) in their names, or none, "
            f"found {other.name!r} beside {next(iter(named)).name!r}; rename one of them"
        )
    for path in files:
        splits.setdefault(named.get(path, "train"), []).append(path)
    return splits


def _split_of(path: Path) -> str | None:
    words = re.split(r"[^a-z]+", path.name.split(".")[0].lower())
    return next((_SPLIT_OF[word] for word in words if word in _SPLIT_OF), None)


def _matches(part: str) -> list[Path]:
    """Return the path itself, or the sorted files that it matches below the longest part of it that is a folder."""
    path = Path(part)
    if path.exists() or not glob.has_magic(part):
        return [path] if path.exists() else []
    root = next((parent for parent in path.parents if parent.is_dir() or parent == Path()), None)
    if root is None:  # a drive that is not there
        return []
    return sorted(found for found in root.glob(str(path.relative_to(root))) if found.is_file())
