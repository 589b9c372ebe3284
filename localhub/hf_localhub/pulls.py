"""Discussions and pull requests in the registry, and the git side of a pull request."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from dulwich.objects import ObjectID

from hf_localhub.answers import AnswerError
from hf_localhub.call import Call
from hf_localhub.packs import TreeEditor
from hf_localhub.registry import new_id, now
from hf_localhub.repos import RepoRow
from hf_localhub.repository import GitRepo
from hf_localhub.writer import Signed, Writer


@dataclass(frozen=True, slots=True)
class Opened:
    """What a discussion starts with; `base` is the ref that a pull request is for, None for a discussion."""

    title: str
    description: str
    base: str | None = None
    status: str = "open"


def open_discussion(call: Call, repo: RepoRow, opened: Opened) -> int:
    """The discussion has a number and its first comment."""
    author, registry = call.user().name, call.hub.registry
    with registry.change():
        row = registry.row("SELECT max(num) AS last FROM discussions WHERE repo = ?", repo.id)
        num = int((row["last"] if row else 0) or 0) + 1
        registry.run(
            "INSERT INTO discussions VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            repo.id, num, opened.title, author, opened.status, opened.base is not None, opened.base, now(),
        )  # fmt: skip
        add_event(call, repo, num, "comment", comment(opened.description, author))
    return num


def open_pull(call: Call, repo: RepoRow, opened: Opened, writer: Writer, commit: str) -> int:
    """The pull request has a number, and its ref stands at the commit."""
    with call.hub.registry.change():
        num = open_discussion(call, repo, opened)
        ref = f"refs/pr/{num}"
        # A crash after the ref and before the row leaves a ref that the next pull request may take.
        old = writer.git.read_ref(ref)
        writer.point(ref, commit, old)
    return num


def comment(text: str, author: str) -> dict[str, Any]:
    """A comment's data."""
    latest = {"raw": text, "html": "", "updatedAt": now(), "author": {"name": author}}
    return {"edited": False, "hidden": False, "latest": latest, "history": []}


def add_event(call: Call, repo: RepoRow, num: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """The event is in the discussion; returns it as clients read it."""
    event = new_id()
    author, created = call.user().name, now()
    sql = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)"
    call.hub.registry.run(sql, event, repo.id, num, kind, author, json.dumps(data), created)
    return {"id": event, "type": kind, "createdAt": created, "author": {"name": author}, "data": data}


def discussion(call: Call, repo: RepoRow, num: str) -> sqlite3.Row:
    """The discussion of this number; 404 when there is none."""
    sql = "SELECT * FROM discussions WHERE repo = ? AND num = ?"
    row = call.hub.registry.row(sql, repo.id, int(num) if num.isdecimal() and len(num) < 10 else -1)
    if row is None:
        raise AnswerError(404, f"Discussion {num} not found")
    return row


def check_author(call: Call, repo: RepoRow, ref: str) -> None:
    """The account may commit to the pull request: it is the author, or may write to the repository."""
    row = discussion(call, repo, ref.removeprefix("refs/pr/"))
    user = call.user(write=True)
    if row["author"] != user.name and not user.may_write(repo.owner):
        raise AnswerError(403, f"Only {row['author']} and those who may write to the repository can change {ref}")


def conflicts(git: GitRepo, base: str, pull: str) -> list[str]:
    """Files that both sides changed, differently, since the pull request was begun."""
    ancestor = _ancestor(git, base, pull)
    both = git.changed(ancestor, base) & git.changed(ancestor, pull)
    ours, theirs = (TreeEditor(git.get, git.tree_of(side)) for side in (base, pull))
    found = [path for path in both if ours.find(path) != theirs.find(path)]
    return sorted(path for path in found if not any(_folder(side, path) for side in (ours, theirs)))


def _folder(editor: TreeEditor, path: str) -> bool:
    entry = editor.find(path)
    return entry is not None and entry[0] == 0o040000


def _ancestor(git: GitRepo, base: str, pull: str) -> str | None:
    known = set(git.history(base))
    return next((oid for oid in git.history(pull) if oid in known), None)


def merge(writer: Writer, base: str, pull: str, signed: Signed) -> str:
    """A commit with both sides' changes is on disk; returns its id.

    Raises:
        AnswerError: 409 when both sides changed a file.
    """
    git = writer.git
    clashing = conflicts(git, base, pull)
    if clashing:
        raise AnswerError(409, f"Conflicts in {', '.join(clashing)}: update the pull request first")
    theirs = TreeEditor(git.get, git.tree_of(pull))
    editor = TreeEditor(git.get, ObjectID(git.tree_of(base)))
    changed = {path: theirs.find(path) for path in git.changed(_ancestor(git, base, pull), pull)}
    editor.apply({path: entry for path, entry in changed.items() if entry is None and editor.find(path)})
    editor.apply({path: entry for path, entry in changed.items() if entry and entry[0] != 0o040000})
    return writer.store(editor, [], signed, [base, pull])
