"""Checks of the names of accounts and repositories, of paths, and of refs."""

from __future__ import annotations

import re

from dulwich.refs import Ref, check_ref_format

from hf_localhub.http_errors import HTTPError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_RESERVED = frozenset({"api", "cas", "collections", "datasets", "lfs", "models", "spaces", "v1", "v2"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
MAX_NAME = 96
MAX_PATH = 1024
MAX_REF = 200
"""Bytes of a full ref: it is a path on the disk, with `.lock` beside it."""


def name_fault(name: str) -> str | None:
    """Return why the name of an account or repository cannot be used; None when it can."""
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        return f"{name!r} must be 1 to {MAX_NAME} letters, digits, '-', '_' or '.', without '-' or '.' at its ends"
    if "--" in name or ".." in name or name.endswith((".git", ".ipynb")):
        return f"{name!r} must not contain '--' or '..', nor end in '.git' or '.ipynb'"
    return None


def check_repo_name(owner: str, name: str) -> None:
    """Check the name of a repository.

    Raises:
        HTTPError: 400 when it cannot be used.
    """
    fault = name_fault(owner) or name_fault(name)
    if fault is None and len(f"{owner}/{name}") > MAX_NAME:
        fault = f"'{owner}/{name}' is longer than {MAX_NAME} characters"
    if fault:
        raise HTTPError(400, f"Invalid repository name: {fault}")


def account_fault(name: str) -> str | None:
    """Return why the name of a new account cannot be used; None when it can. Names of routes are reserved."""
    return f"{name!r} is reserved" if name.lower() in _RESERVED else name_fault(name)


def check_path(path: str) -> str:
    """Return the path if it can stand in a git tree and in a checkout on any system.

    Raises:
        HTTPError: 422 when it cannot.
    """
    parts = path.split("/")
    wrong = (
        not path
        or "\\" in path
        or _CONTROL.search(path) is not None
        or len(path.encode()) > MAX_PATH
        or any(part in ("", ".", "..") or part.lower().rstrip(". ") == ".git" for part in parts)
    )
    if wrong:
        raise HTTPError(422, f"Invalid file path {path!r}: it must be relative, without '..', '\\' or '.git'")
    return path


def branch_ref(name: str) -> Ref:
    """Return the full ref of a branch.

    Raises:
        HTTPError: 400 when git does not accept the name.
    """
    return _ref(f"refs/heads/{name}")


def tag_ref(name: str) -> Ref:
    """Return the full ref of a tag.

    Raises:
        HTTPError: 400 when git does not accept the name.
    """
    return _ref(f"refs/tags/{name}")


def _ref(name: str) -> Ref:
    ref = Ref(name.encode())
    if not check_ref_format(ref) or name.split("/", 2)[2].startswith("-") or len(ref) > MAX_REF:
        raise HTTPError(400, f"Invalid reference name {name!r}")
    return ref
