"""Repositories: create, delete, move, settings, description, and who may read gated ones."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from hf_localhub import describe, repos
from hf_localhub.answers import AnswerError, repo_not_found
from hf_localhub.call import Call, Route
from hf_localhub.names import check_repo_name
from hf_localhub.registry import now
from hf_localhub.repos import RepoRow
from hf_localhub.repository import MAIN


def _kind(body: dict[str, Any]) -> str:
    kind = f"{body.get('type') or 'model'}s"
    if kind not in repos.KINDS:
        raise AnswerError(400, f"This Hub holds models and datasets, no {kind}")
    return kind


def _named(call: Call, body: dict[str, Any]) -> tuple[str, str]:
    owner, _, name = str(body.get("name") or "").rpartition("/")
    owner = str(body.get("organization") or owner or call.user().name)
    check_repo_name(owner, name)
    return owner, name


def _private(body: dict[str, Any]) -> bool | None:
    if body.get("visibility") is not None:
        if body["visibility"] not in ("public", "private"):
            raise AnswerError(400, '"visibility" must be one of [public, private]')
        return bool(body["visibility"] == "private")
    return None if body.get("private") is None else bool(body["private"])


def create(call: Call) -> Response:
    """The repository exists with its first commit; 409 with its URL when it did before."""
    body = call.json()
    kind = _kind(body)
    owner, name = _named(call, body)
    call.namespace(owner)
    repo = repos.fresh(kind, owner, name, bool(_private(body)))
    url = call.url(repo.prefix)
    if repos.find(call.hub.registry, kind, owner, name) or not call.hub.create_repo(repo, call.user().name):
        message = f"You already created this {kind[:-1]} repo: {repo.full_name}"
        raise AnswerError(409, message, body={"url": url, "name": repo.full_name})
    return JSONResponse({"url": url, "name": repo.full_name, "id": repo.id})


def _own(call: Call, kind: str, owner: str, name: str) -> RepoRow:
    # Named in the body, so an old name cannot be answered with a redirect.
    repo = repos.find(call.hub.registry, kind, owner, name)
    if repo is None or not repo.visible_to(call.account):
        raise repo_not_found(call.account is None)
    call.namespace(repo.owner)
    return repo


def delete(call: Call) -> Response:
    """The repository is gone."""
    body = call.json()
    call.hub.delete_repo(_own(call, _kind(body), *_named(call, body)))
    return JSONResponse({})


def move(call: Call) -> Response:
    """The repository has a new name; its old one redirects to it."""
    body = call.json()
    kind = _kind(body)
    old, new = (str(body.get(key) or "").split("/") for key in ("fromRepo", "toRepo"))
    if len(old) != 2 or len(new) != 2:
        raise AnswerError(400, '"fromRepo" and "toRepo" must be of the form owner/name')
    check_repo_name(*new)
    repo = _own(call, kind, *old)
    call.namespace(new[0])
    if not repos.rename(call.hub.registry, repo, *new):
        raise AnswerError(409, f"A {kind[:-1]} repository called {'/'.join(new)} already exists")
    return JSONResponse({})


def settings(call: Call) -> Response:
    """The repository's visibility and gating are as asked."""
    repo, body = call.repo("write"), call.json()
    private = _private(body)
    private = repo.private if private is None else private
    gated = body.get("gated", repo.gated) or None
    if gated not in (None, "auto", "manual"):
        raise AnswerError(400, '"gated" must be one of [auto, manual, false]')
    call.hub.registry.run("UPDATE repos SET private = ?, gated = ? WHERE id = ?", private, gated, repo.id)
    return JSONResponse({"private": private, "gated": gated or False})


def describe_repo(call: Call) -> Response:
    """The repository at a revision: everything, or what is asked to be expanded."""
    repo = call.repo("see")
    git = call.git(repo)
    expand = describe.check_expand(repo.kind, call.expanded())
    commit = git.resolve(call.params.get("rev", MAIN.decode()))
    wanted = not expand or bool({"siblings", "usedStorage"} & set(expand))
    found = describe.info(git, repo, commit, siblings=wanted, blobs=call.flag("blobs"))
    return JSONResponse(describe.narrowed(found, expand) if expand else found)


def auth_check(call: Call) -> Response:
    """The account may read the files, or may write."""
    call.repo("write" if call.path.endswith("/write") else "files")
    return JSONResponse({})


def no_namespace(call: Call) -> Response:
    """Every repository here has an owner in its name."""
    raise repo_not_found(call.account is None)


def ask_access(call: Call) -> Response:
    """The account asked for access, and has it when the gate is automatic."""
    repo, user = call.repo("see"), call.user()
    status = "accepted" if repo.gated == "auto" else "pending"
    call.hub.registry.run("INSERT OR IGNORE INTO access VALUES (?, ?, ?, ?)", repo.id, user.name, status, now())
    return JSONResponse({"status": status})


def list_access(call: Call) -> Response:
    """Who asked for access, with this status."""
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
    """The user may read the gated repository."""
    return _decide(call, call.repo("write"), "accepted")


def handle_access(call: Call) -> Response:
    """The user's request has the status asked for."""
    repo, status = call.repo("write"), call.json().get("status")
    if status not in ("pending", "accepted", "rejected"):
        raise AnswerError(400, '"status" must be one of [pending, accepted, rejected]')
    return _decide(call, repo, str(status))


def _decide(call: Call, repo: RepoRow, status: str) -> Response:
    user = str(call.json().get("user") or "")
    if call.hub.registry.row("SELECT 1 FROM accounts WHERE name = ?", user) is None:
        raise AnswerError(404, f"There is no user {user!r} on this Hub")
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
