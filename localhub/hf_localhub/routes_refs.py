"""Routes for branches and tags, and for squashing a branch's history into one commit."""

from __future__ import annotations

from dulwich.objects import ObjectID
from starlette.responses import JSONResponse, Response

from hf_localhub.call import Call, Route
from hf_localhub.http_errors import HTTPError, revision_not_found
from hf_localhub.names import branch_ref, tag_ref
from hf_localhub.packs import TreeEditor
from hf_localhub.repository import MAIN
from hf_localhub.writer import Authorship, writing


def _joined(call: Call) -> str:
    return "/".join(call.rest)


def create_branch(call: Call) -> Response:
    """Create a branch, by default at the head of main."""
    git, ref = call.git(call.repo("write")), branch_ref(_joined(call)).decode()
    start = str(call.json().get("startingPoint") or "main")
    with writing(git) as writer:
        if git.read_ref(ref):
            raise HTTPError(409, f"Reference {ref} already exists")
        writer.set_ref(ref, git.resolve(start), None)
    return JSONResponse({"success": True})


def delete_branch(call: Call) -> Response:
    """Delete a branch. 403 for main."""
    git, ref = call.git(call.repo("write")), branch_ref(_joined(call)).decode()
    if ref == MAIN.decode():
        raise HTTPError(403, f"Cannot delete {ref}")
    with writing(git) as writer:
        writer.head(ref)
        writer.remove_ref(ref)
    return JSONResponse({"success": True})


def create_tag(call: Call) -> Response:
    """Create a tag at a revision; it is annotated if it has a message."""
    git, body = call.git(call.repo("write")), call.json()
    name, message = str(body.get("tag") or ""), str(body.get("message") or "")
    ref, (commit, _) = tag_ref(name).decode(), git.split_revision(call.rest)
    with writing(git) as writer:
        if git.read_ref(ref):
            raise HTTPError(409, f"Reference {ref} already exists")
        target = writer.store_tag(name, commit, Authorship(call.user().name, message)) if message else commit
        writer.set_ref(ref, target, None)
    return JSONResponse({"success": True})


def delete_tag(call: Call) -> Response:
    """Delete a tag."""
    git, name = call.git(call.repo("write")), _joined(call)
    ref = tag_ref(name).decode()
    with writing(git) as writer:
        if git.read_ref(ref) is None:
            raise revision_not_found(name)
        writer.remove_ref(ref)
    return JSONResponse({"success": True})


def squash(call: Call) -> Response:
    """Replace the history of a branch by one commit with the same tree."""
    git, ref = call.git(call.repo("write")), branch_ref(_joined(call)).decode()
    message = str(call.json().get("message") or "Super-squash branch")
    with writing(git) as writer:
        head = writer.head(ref)
        editor = TreeEditor(git.get, ObjectID(git.tree_id(head)))
        writer.set_ref(ref, writer.store_commit(editor, [], Authorship(call.user().name, message), []), head)
    return JSONResponse({"success": True})


def _writable(call: Call) -> None:
    call.repo("write")


_REPO = "/api/{kind}/{owner}/{name}"
ROUTES = [
    Route("POST", f"{_REPO}/branch/{{rest*}}", create_branch, guard=_writable),
    Route("DELETE", f"{_REPO}/branch/{{rest*}}", delete_branch, guard=_writable),
    Route("POST", f"{_REPO}/tag/{{rest*}}", create_tag, guard=_writable),
    Route("DELETE", f"{_REPO}/tag/{{rest*}}", delete_tag, guard=_writable),
    Route("POST", f"{_REPO}/super-squash/{{rest*}}", squash, guard=_writable),
]
