"""Routes for discussions and pull requests: open, list, read, comment, rename, close, merge."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_localhub import pulls, repos
from hf_localhub.call import Call, Route
from hf_localhub.http_errors import HTTPError
from hf_localhub.registry import now
from hf_localhub.repos import RepoRow
from hf_localhub.repository import MAIN, GitRepo
from hf_localhub.writer import Authorship, writing

_PAGE = 50


def _summary(repo: RepoRow, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "num": row["num"],
        "title": row["title"],
        "author": {"name": row["author"]},
        "createdAt": row["created"],
        "status": row["status"],
        "isPullRequest": bool(row["pull"]),
        "repo": {"name": repo.full_name, "type": repo.kind[:-1]},
        "numComments": 0,
        "pinned": False,
    }


def create(call: Call) -> Response:
    """Open a discussion, or a pull request as a draft at the head of main."""
    repo, body = call.repo("contribute"), call.json()
    title = str(body.get("title") or "").strip()
    if len(title) < 3:
        raise HTTPError(400, '"title" must have at least 3 characters')
    description = str(body.get("description") or "")
    if not body.get("pullRequest"):
        num = pulls.open_discussion(call, repo, pulls.NewDiscussion(title, description))
    else:
        with writing(call.git(repo)) as writer:
            base = MAIN.decode()
            new = pulls.NewDiscussion(title, description, base, "draft")
            num = pulls.open_pull(call, repo, new, writer, writer.head(base))
    url = call.url(f"{repo.prefix}/discussions/{num}")
    return JSONResponse({"num": num, "url": url, "pullRequest": bool(body.get("pullRequest"))})


def listing(call: Call) -> Response:
    """Return one page of discussions, newest first."""
    repo = call.repo("see")
    rows = call.hub.registry.rows("SELECT * FROM discussions WHERE repo = ? ORDER BY num DESC", repo.id)
    kind, status, author = (call.query.get(key, "all") for key in ("type", "status", "author"))
    pull = {"pull_request": 1, "discussion": 0}.get(kind)
    states = {"open": ("open", "draft"), "closed": ("closed", "merged")}.get(status)
    matching = [
        row
        for row in rows
        if (pull is None or row["pull"] == pull)
        and (states is None or row["status"] in states)
        and author in ("all", row["author"])
    ]
    start = call.number("p", 0, 1 << 30) * _PAGE
    page = [_summary(repo, row) for row in matching[start : start + _PAGE]]
    return JSONResponse({"discussions": page, "count": len(matching), "start": start})


def details(call: Call) -> Response:
    """Return a discussion with its events; a pull request also with its base, conflicts and diff."""
    repo = call.repo("see")
    row = pulls.find_discussion(call, repo, call.params["num"])
    sql = "SELECT * FROM events WHERE repo = ? AND num = ? ORDER BY created, rowid"
    details = _summary(repo, row)
    details["events"] = [
        {
            "id": event["id"],
            "type": event["type"],
            "createdAt": event["created"],
            "author": {"name": event["author"]},
            "data": json.loads(event["data"]),
        }
        for event in call.hub.registry.rows(sql, repo.id, row["num"])
    ]
    if row["pull"]:
        details |= _pull(call.git(repo), row, repos.has_access(call.hub.registry, repo, call.account))
    return JSONResponse(details)


def _pull(git: GitRepo, row: sqlite3.Row, readable: bool) -> dict[str, Any]:
    changes = {"base": row["base"]} | ({"mergeCommitId": row["merged"]} if row["merged"] else {})
    base, head = git.read_ref(row["base"]), git.read_ref(f"refs/pr/{row['num']}")
    clashing, changed = [], ""
    # Without access to the files of a gated repository, there is no diff either.
    if readable and base and head and row["status"] in ("open", "draft"):
        clashing = pulls.find_conflicts(git, base, head)
        changed = git.diff(base, head)
    return {"changes": changes, "filesWithConflicts": clashing, "diff": changed}


def _editable(call: Call) -> tuple[RepoRow, sqlite3.Row]:
    repo = call.repo("contribute")
    row = pulls.find_discussion(call, repo, call.params["num"])
    user = call.user(write=True)
    if row["author"] != user.name and not user.may_write(repo.owner):
        raise HTTPError(403, f"Only {row['author']} and those who may write to the repository can do this")
    return repo, row


def comment(call: Call) -> Response:
    """Add a comment."""
    repo, body = call.repo("contribute"), call.json()
    row = pulls.find_discussion(call, repo, call.params["num"])
    data = pulls.comment_data(str(body.get("comment") or ""), call.user().name)
    return JSONResponse({"newMessage": pulls.add_event(call, repo, row["num"], "comment", data)})


def change_comment(call: Call) -> Response:
    """Edit or hide a comment."""
    repo, body = call.repo("contribute"), call.json()
    row = pulls.find_discussion(call, repo, call.params["num"])
    sql = "SELECT * FROM events WHERE id = ? AND repo = ? AND num = ? AND type = 'comment'"
    event = call.hub.registry.row(sql, call.params["comment"], repo.id, row["num"])
    if event is None:
        raise HTTPError(404, "Comment not found")
    user, data = call.user(write=True), json.loads(event["data"])
    if event["author"] != user.name and not user.may_write(repo.owner):
        raise HTTPError(403, f"Only {event['author']} can change this comment")
    if call.path.endswith("/hide"):
        data = pulls.comment_data("This comment has been hidden", event["author"]) | {"hidden": True}
    else:
        data = pulls.comment_data(str(body.get("content") or ""), event["author"]) | {"edited": True}
    call.hub.registry.run("UPDATE events SET data = ? WHERE id = ?", json.dumps(data), event["id"])
    updated = {"id": event["id"], "type": "comment", "createdAt": event["created"], "data": data}
    return JSONResponse({"updatedComment": updated | {"author": {"name": event["author"]}}})


def retitle(call: Call) -> Response:
    """Change the title of a discussion."""
    (repo, row), title = _editable(call), str(call.json().get("title") or "").strip()
    if len(title) < 3:
        raise HTTPError(400, '"title" must have at least 3 characters')
    with call.hub.registry.transaction():
        sql = "UPDATE discussions SET title = ? WHERE repo = ? AND num = ?"
        call.hub.registry.run(sql, title, repo.id, row["num"])
        event = pulls.add_event(call, repo, row["num"], "title-change", {"from": row["title"], "to": title})
    return JSONResponse({"newTitle": event})


def restate(call: Call) -> Response:
    """Open or close a discussion. A merged pull request stays merged."""
    (repo, row), status = _editable(call), str(call.json().get("status") or "")
    if status not in ("open", "closed") or row["status"] == "merged":
        raise HTTPError(400, f'"status" cannot become {status!r} here')
    return JSONResponse({"newStatus": _set_status(call, repo, row["num"], status, None)})


def _set_status(call: Call, repo: RepoRow, num: int, status: str, merged: str | None) -> dict[str, Any]:
    with call.hub.registry.transaction():
        sql = "UPDATE discussions SET status = ?, merged = ? WHERE repo = ? AND num = ?"
        call.hub.registry.run(sql, status, merged, repo.id, num)
        return pulls.add_event(call, repo, num, "status-change", {"status": status, "updatedAt": now()})


def merge(call: Call) -> Response:
    """Merge a pull request into its base branch."""
    repo = call.repo("write")
    row = pulls.find_discussion(call, repo, call.params["num"])
    if not row["pull"] or row["status"] not in ("open", "draft"):
        raise HTTPError(400, f"{row['num']} is not an open pull request")
    git = call.git(repo)
    with writing(git) as writer:
        base, head = writer.head(row["base"]), writer.head(f"refs/pr/{row['num']}")
        authorship = Authorship(call.user().name, f"{row['title']} (#{row['num']})")
        merged = head if base in git.history(head) else pulls.merge(writer, base, head, authorship)
        writer.set_ref(row["base"], merged, base)
    _set_status(call, repo, row["num"], "merged", merged)
    return JSONResponse({"mergeCommitId": merged})


_AT = "/api/{kind}/{owner}/{name}/discussions"
ROUTES = [
    Route("POST", _AT, create),
    Route("GET", _AT, listing),
    Route("GET", f"{_AT}/{{num}}", details),
    Route("POST", f"{_AT}/{{num}}/comment", comment),
    Route("POST", f"{_AT}/{{num}}/comment/{{comment}}/edit", change_comment),
    Route("POST", f"{_AT}/{{num}}/comment/{{comment}}/hide", change_comment),
    Route("POST", f"{_AT}/{{num}}/title", retitle),
    Route("POST", f"{_AT}/{{num}}/status", restate),
    Route("POST", f"{_AT}/{{num}}/merge", merge),
]
