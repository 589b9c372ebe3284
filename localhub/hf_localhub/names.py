"""Which names, paths and revisions are let in."""

from __future__ import annotations

import re

from dulwich.refs import Ref, check_ref_format

from hf_localhub.answers import AnswerError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_RESERVED = frozenset({"api", "cas", "collections", "datasets", "lfs", "models", "spaces", "v1", "v2"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
MAX_NAME = 96
MAX_PATH = 1024


def name_fault(name: str) -> str | None:
    """What is wrong with the name of an account or repository; None when nothing is."""
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        return f"{name!r} must be 1 to {MAX_NAME} letters, digits, '-', '_' or '.', not begun or ended by '-' or '.'"
    if "--" in name or ".." in name or name.endswith((".git", ".ipynb")):
        return f"{name!r} must not hold '--' or '..', nor end in '.git' or '.ipynb'"
    return None


def check_repo_name(owner: str, name: str) -> None:
    """The name may be given to a repository; 400 otherwise."""
    fault = name_fault(owner) or name_fault(name)
    if fault is None and len(f"{owner}/{name}") > MAX_NAME:
        fault = f"'{owner}/{name}' is longer than {MAX_NAME} characters"
    if fault:
        raise AnswerError(400, f"Invalid repository name: {fault}")


def account_fault(name: str) -> str | None:
    """What is wrong with the name of a new account: like a repository's, and no part of a route."""
    return f"{name!r} is reserved" if name.lower() in _RESERVED else name_fault(name)


def check_path(path: str) -> str:
    """The path of a file or folder can stand in a tree and in anyone's checkout; 422 otherwise."""
    parts = path.split("/")
    wrong = (
        not path
        or "\\" in path
        or _CONTROL.search(path) is not None
        or len(path.encode()) > MAX_PATH
        or any(part in ("", ".", "..") or part.lower().rstrip(". ") == ".git" for part in parts)
    )
    if wrong:
        raise AnswerError(422, f"Invalid file path {path!r}: it must be relative, without '..', '\\' or '.git'")
    return path


def branch_ref(name: str) -> Ref:
    """The full ref of a branch; 400 when git would refuse the name."""
    return _ref(f"refs/heads/{name}")


def tag_ref(name: str) -> Ref:
    """The full ref of a tag; 400 when git would refuse the name."""
    return _ref(f"refs/tags/{name}")


def _ref(name: str) -> Ref:
    ref = Ref(name.encode())
    if not check_ref_format(ref) or name.split("/", 2)[2].startswith("-") or len(name) > 255:
        raise AnswerError(400, f"Invalid reference name {name!r}")
    return ref
