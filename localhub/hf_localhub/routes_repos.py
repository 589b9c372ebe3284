"""Routes for repositories: create, delete, move, settings, description, access to gated ones."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_localhub import describe, repos
from hf_localhub.call import Call, Route
from hf_localhub.http_errors import HTTPError, repo_not_found
from hf_localhub.names import check_repo_name
from hf_localhub.registry import now
from hf_localhub.repos import RepoRow
from hf_localhub.repository import MAIN


def _kind(body: dict[str, Any]) -> str:
    kind = f"{body.get('type') or 'model'}s"
    if kind not in repos.KINDS:
        raise HTTPError(400, f"This Hub holds models, datasets and Spaces, no {kind}")
    return kind


def _named(call: Call, body: dict[str, Any]) -> tuple[str, str]:
    owner, _, name = str(body.get("name") or "").rpartition("/")
    owner = str(body.get("organization") or owner or call.user().name)
    check_repo_name(owner, name)
    return owner, name


def _private(body: dict[str, Any]) -> bool | None:
    if body.get("visibility") is not None:
        if body["visibility"] not in ("public", "private"):
            raise HTTPError(400, '"visibility" must be one of [public, private]')
        return bool(body["visibility"] == "private")
    return None if body.get("private") is None else bool(body["private"])


def create(call: Call) -> Response:
    """Create a repository with its first commit. 409 with its URL when it exists."""
    body = call.json()
    kind = _kind(body)
    owner, name = _named(call, body)
    call.check_namespace(owner)
    repo = repos.new_repo(kind, owner, name, bool(_private(body)))
    url = call.url(repo.prefix)
    if repos.find(call.hub.registry, kind, owner, name) or not call.hub.create_repo(
        repo, call.user().name, _template(repo, body)
    ):
        message = f"You already created this {kind[:-1]} repo: {repo.full_name}"
        raise HTTPError(409, message, body={"url": url, "name": repo.full_name})
    return JSONResponse({"url": url, "name": repo.full_name, "id": repo.id})


def _template(repo: RepoRow, body: dict[str, Any]) -> dict[str, bytes]:
    """Return the files by which the Hub makes a new static Space a page; none for other repositories."""
    if repo.kind != "spaces" or body.get("sdk") != "static":
        return {}
    return {
        "README.md": f"---\ntitle: {json.dumps(repo.name)}\nsdk: static\npinned: false\n---\n".encode(),
        "index.html": b'<!doctype html>\n<link rel="stylesheet" href="style.css">\n<h1>A static Space</h1>\n',
        "style.css": b"body { font-family: sans-serif; }\n",
    }


def _own(call: Call, kind: str, owner: str, name: str) -> RepoRow:
    # The name is in the body, so the response cannot redirect from an old one.
    repo = repos.find(call.hub.registry, kind, owner, name)
    if repo is None or not repo.visible_to(call.account):
        raise repo_not_found(call.account is None)
    call.check_namespace(repo.owner)
    return repo


def delete(call: Call) -> Response:
    """Delete a repository."""
    body = call.json()
    call.hub.delete_repo(_own(call, _kind(body), *_named(call, body)))
    return JSONResponse({})


def move(call: Call) -> Response:
    """Rename a repository; its old name redirects to it."""
    body = call.json()
    kind = _kind(body)
    old, new = (str(body.get(key) or "").split("/") for key in ("fromRepo", "toRepo"))
    if len(old) != 2 or len(new) != 2:
        raise HTTPError(400, '"fromRepo" and "toRepo" must be of the form owner/name')
    check_repo_name(*new)
    repo = _own(call, kind, *old)
    call.check_namespace(new[0])
    if not repos.rename(call.hub.registry, repo, *new):
        raise HTTPError(409, f"A {kind[:-1]} repository called {'/'.join(new)} already exists")
    return JSONResponse({})


def settings(call: Call) -> Response:
    """Change the visibility and the gating of a repository."""
    repo, body = call.repo("write"), call.json()
    private = _private(body)
    private = repo.private if private is None else private
    gated = body.get("gated", repo.gated) or None
    if gated not in (None, "auto", "manual"):
        raise HTTPError(400, '"gated" must be one of [auto, manual, false]')
    call.hub.registry.run("UPDATE repos SET private = ?, gated = ? WHERE id = ?", private, gated, repo.id)
    return JSONResponse({"private": private, "gated": gated or False})


def describe_repo(call: Call) -> Response:
    """Return the description of a repository at a revision, or only its expanded fields."""
    repo = call.repo("see")
    git = call.git(repo)
    expand = describe.check_expand(repo.kind, call.expand_fields())
    commit = git.resolve(call.params.get("rev", MAIN.decode()))
    siblings = not expand or bool({"siblings", "usedStorage"} & set(expand))
    info = describe.repo_info(git, repo, commit, siblings=siblings, blobs=call.flag("blobs"))
    return JSONResponse(describe.select_fields(info, expand) if expand else info)


def auth_check(call: Call) -> Response:
    """Check that the account may read the files, or may write."""
    call.repo("write" if call.path.endswith("/write") else "files")
    return JSONResponse({})


def no_namespace(call: Call) -> Response:
    """Return 404: names without an owner do not exist on this Hub."""
    raise repo_not_found(call.account is None)


def ask_access(call: Call) -> Response:
    """Request access to a gated repository; it is granted at once when the gate is automatic."""
    repo, user = call.repo("see"), call.user(write=True)
    status = "accepted" if repo.gated == "auto" else "pending"
    call.hub.registry.run("INSERT OR IGNORE INTO access VALUES (?, ?, ?, ?)", repo.id, user.name, status, now())
    return JSONResponse({"status": status})


def list_access(call: Call) -> Response:
    """Return the access requests of one status."""
    repo = call.repo("write")
    sql = "SELECT * FROM access WHERE repo = ? AND status = ? ORDER BY created"
    rows = call.hub.registry.rows(sql, repo.id, call.params["status"])
    return JSONResponse(
        [
            {
                "requestId": row["user"],
                "user": {"user": row["user"], "fullname": row["user"]},
                "status": row["status"],
                "timestamp": row["created"],
            }
            for row in rows
        ]
    )


def grant_access(call: Call) -> Response:
    """Grant a user access to a gated repository."""
    return _decide(call, call.repo("write"), "accepted")


def handle_access(call: Call) -> Response:
    """Set the status of a user's access request."""
    repo, status = call.repo("write"), call.json().get("status")
    if status not in ("pending", "accepted", "rejected"):
        raise HTTPError(400, '"status" must be one of [pending, accepted, rejected]')
    return _decide(call, repo, str(status))


def _decide(call: Call, repo: RepoRow, status: str) -> Response:
    user = str(call.json().get("user") or "")
    if call.hub.registry.row("SELECT 1 FROM accounts WHERE name = ?", user) is None:
        raise HTTPError(404, f"There is no user {user!r} on this Hub")
    sql = "INSERT INTO access VALUES (?, ?, ?, ?) ON CONFLICT (repo, user) DO UPDATE SET status = excluded.status"
    call.hub.registry.run(sql, repo.id, user, status, now())
    return JSONResponse({})


_REPO = "/api/{kind}/{owner}/{name}"
ROUTES = [
    Route("POST", "/api/repos/create", create),
    Route("DELETE", "/api/repos/delete", delete),
    Route("POST", "/api/repos/move", move),
    Route("PUT", f"{_REPO}/settings", settings),
    Route("GET", _REPO, describe_repo),
    Route("GET", f"{_REPO}/revision/{{rev}}", describe_repo),
    Route("GET", f"{_REPO}/auth-check", auth_check),
    Route("GET", f"{_REPO}/auth-check/write", auth_check),
    Route("POST", f"{_REPO}/user-access-request", ask_access),
    Route("POST", f"{_REPO}/user-access-request/grant", grant_access),
    Route("POST", f"{_REPO}/user-access-request/handle", handle_access),
    Route("GET", f"{_REPO}/user-access-request/{{status}}", list_access),
    Route("GET", "/api/{kind}/{name}", no_namespace),
]
