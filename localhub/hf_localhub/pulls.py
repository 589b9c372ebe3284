"""Discussions and pull requests in the registry, and the refs and merges of pull requests in git."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from dulwich.objects import ObjectID

from hf_localhub.call import Call
from hf_localhub.http_errors import HTTPError
from hf_localhub.packs import TreeEditor
from hf_localhub.registry import new_id, now
from hf_localhub.repos import RepoRow
from hf_localhub.repository import GitRepo
from hf_localhub.writer import Authorship, Writer


@dataclass(frozen=True, slots=True)
class NewDiscussion:
    """A discussion to open. `base` is the ref that a pull request targets; None for a discussion."""

    title: str
    description: str
    base: str | None = None
    status: str = "open"


def open_discussion(call: Call, repo: RepoRow, new: NewDiscussion) -> int:
    """Open the discussion with its first comment and return its number."""
    author, registry = call.user().name, call.hub.registry
    with registry.transaction():
        row = registry.row("SELECT max(num) AS last FROM discussions WHERE repo = ?", repo.id)
        num = int((row["last"] if row else 0) or 0) + 1
        registry.run(
            "INSERT INTO discussions VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            repo.id, num, new.title, author, new.status, new.base is not None, new.base, now(),
        )  # fmt: skip
        add_event(call, repo, num, "comment", comment_data(new.description, author))
    return num


def open_pull(call: Call, repo: RepoRow, new: NewDiscussion, writer: Writer, commit: str) -> int:
    """Open the pull request, set its ref to the commit, and return its number."""
    with call.hub.registry.transaction():
        num = open_discussion(call, repo, new)
        ref = f"refs/pr/{num}"
        # A crash between the ref and the row leaves a ref, which the next pull request reuses.
        old = writer.git.read_ref(ref)
        writer.set_ref(ref, commit, old)
    return num


def comment_data(text: str, author: str) -> dict[str, Any]:
    """Return the data of a comment event."""
    latest = {"raw": text, "html": "", "updatedAt": now(), "author": {"name": author}}
    return {"edited": False, "hidden": False, "latest": latest, "history": []}


def add_event(call: Call, repo: RepoRow, num: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Add an event to the discussion and return it as clients read it."""
    event = new_id()
    author, created = call.user().name, now()
    sql = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"
    call.hub.registry.run(sql, event, repo.id, num, kind, author, json.dumps(data), created)
    return {"id": event, "type": kind, "createdAt": created, "author": {"name": author}, "data": data}


def find_discussion(call: Call, repo: RepoRow, num: str) -> sqlite3.Row:
    """Return the discussion of this number.

    Raises:
        HTTPError: 404 when there is none.
    """
    sql = "SELECT * FROM discussions WHERE repo = ? AND num = ?"
    row = call.hub.registry.row(sql, repo.id, int(num) if num.isdecimal() and len(num) < 10 else -1)
    if row is None:
        raise HTTPError(404, f"Discussion {num} not found")
    return row


def check_author(call: Call, repo: RepoRow, ref: str) -> None:
    """Check that the account may commit to the pull request: its author, or who may write to the repository.

    Raises:
        HTTPError: 401 or 403 when it may not.
    """
    row = find_discussion(call, repo, ref.removeprefix("refs/pr/"))
    user = call.user(write=True)
    if row["author"] != user.name and not user.may_write(repo.owner):
        raise HTTPError(403, f"Only {row['author']} and those who may write to the repository can change {ref}")


def find_conflicts(git: GitRepo, base: str, pull: str) -> list[str]:
    """Return the files that both sides changed differently since their common ancestor."""
    ancestor = _ancestor(git, base, pull)
    both = git.changed_paths(ancestor, base) & git.changed_paths(ancestor, pull)
    ours, theirs = (TreeEditor(git.get, git.tree_id(side)) for side in (base, pull))
    differing = [path for path in both if ours.find(path) != theirs.find(path)]
    return sorted(path for path in differing if not any(_folder(side, path) for side in (ours, theirs)))


def _folder(editor: TreeEditor, path: str) -> bool:
    entry = editor.find(path)
    return entry is not None and entry[0] == 0o040000


def _ancestor(git: GitRepo, base: str, pull: str) -> str | None:
    known = set(git.history(base))
    return next((oid for oid in git.history(pull) if oid in known), None)


def merge(writer: Writer, base: str, pull: str, authorship: Authorship) -> str:
    """Store a commit with the changes of both sides and return its id.

    Raises:
        HTTPError: 409 when both sides changed a file differently.
    """
    git = writer.git
    clashing = find_conflicts(git, base, pull)
    if clashing:
        raise HTTPError(409, f"Conflicts in {', '.join(clashing)}: update the pull request first")
    theirs = TreeEditor(git.get, git.tree_id(pull))
    editor = TreeEditor(git.get, ObjectID(git.tree_id(base)))
    changed = {path: theirs.find(path) for path in git.changed_paths(_ancestor(git, base, pull), pull)}
    editor.apply({path: entry for path, entry in changed.items() if entry is None and editor.find(path)})
    editor.apply({path: entry for path, entry in changed.items() if entry and entry[0] != 0o040000})
    return writer.store_commit(editor, [], authorship, [base, pull])
