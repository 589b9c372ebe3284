"""Publishing: which way each file goes, and the commit itself."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from dulwich.objects import ObjectID
from starlette.responses import JSONResponse, Response

from hf_localhub import metadata, pulls, repos
from hf_localhub.answers import AnswerError, revision_not_found
from hf_localhub.call import Call, Route
from hf_localhub.commit_body import Operations, apply_to, read_operations
from hf_localhub.names import check_path
from hf_localhub.packs import NewBlob, TreeEditor
from hf_localhub.repos import RepoRow
from hf_localhub.repository import pointer_text
from hf_localhub.sorting import binary, ignored_by, large_by_name
from hf_localhub.writer import Signed, writing

_MOST_FILES = 1000
_MOVED = "The branch was updated since you opened this page. Please refresh and try again."


def preupload(call: Call) -> Response:
    """For each file: regular or large, ignored or not, and the content that the Hub has under its path."""
    repo, body = _target(call), call.json()
    git = call.git(repo)
    commit, _ = git.split(call.rest)
    large = large_by_name(str(body.get("gitAttributes") or "") or git.text(commit, ".gitattributes") or "")
    ignored = ignored_by(str(body.get("gitIgnore") or "") or git.text(commit, ".gitignore") or "")
    answers = []
    for file in call.objects("files", _MOST_FILES):
        path, size = check_path(str(file.get("path"))), file.get("size")
        too_big = isinstance(size, int) and size > call.hub.limits.lfs_above
        is_large = large(path) or too_big or _sampled(file)
        entry = git.entry(commit, path)
        answer: dict[str, Any] = {"path": path, "uploadMode": "lfs" if is_large else "regular"}
        answer["shouldIgnore"] = ignored(path)
        if entry is not None and not entry.folder:
            answer["oid"] = entry.etag
        answers.append(answer)
    return JSONResponse({"files": answers, "commitOid": commit})


def _sampled(file: dict[str, Any]) -> bool:
    try:
        return binary(base64.b64decode(str(file.get("sample") or "")))
    except binascii.Error:
        return True


def _target(call: Call) -> RepoRow:
    rev = "/".join(call.rest)
    if not (call.flag("create_pr") or rev.startswith("refs/pr/")):
        return call.repo("write")
    repo = call.repo("contribute")
    if rev.startswith("refs/pr/") and not call.flag("create_pr"):
        pulls.check_author(call, repo, rev)
    return repo


def commit(call: Call) -> Response:
    """The commit is on the branch or on a new pull request, durably, or nothing has changed."""
    repo = _target(call)
    git, rev = call.git(repo), "/".join(call.rest)
    found = read_operations(call.spool, call.hub.limits.regular)
    if found.readme is not None:
        errors, _ = metadata.faults(found.readme)
        if errors:
            raise AnswerError(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
    blobs = {**found.files, **_pointers(call, repo, found)}
    author = call.user().name
    with writing(git) as writer:
        ref = git.ref_of(rev)
        if ref is None or ref.startswith("refs/tags/"):
            raise revision_not_found(rev)
        head = writer.head(ref)
        _check_parent(found.parent, head)
        editor = TreeEditor(git.get, ObjectID(git.tree_of(head)))
        apply_to(editor, found.deleted, {path: blob.oid for path, blob in blobs.items()})
        pull = call.flag("create_pr")
        oid = head
        if editor.root != git.tree_of(head) or pull:
            oid = writer.store(editor, blobs.values(), Signed(author, found.message), [head])
        if pull:
            opened = pulls.Opened(found.summary, found.description, ref)
            return _done(call, repo, oid, pulls.open_pull(call, repo, opened, writer, oid))
        if oid != head:
            writer.point(ref, oid, head)
    return _done(call, repo, oid, None)


def _check_parent(parent: str | None, head: str) -> None:
    if parent is None:
        return
    if not 5 <= len(parent) <= 40 or not set(parent) <= set("0123456789abcdef"):
        raise AnswerError(400, f'"parentCommit" must be 5 to 40 hex digits, not {parent!r}')
    if not head.startswith(parent):
        raise AnswerError(412, _MOVED)


def _pointers(call: Call, repo: RepoRow, found: Operations) -> dict[str, NewBlob]:
    pointers = {}
    for path, large in found.large.items():
        size = repos.granted(call.hub.registry, repo.id, large.sha256)
        if size is None or large.size not in (None, size):
            message = f"LFS pointer pointed to a file that does not exist: {path} ({large.sha256})"
            raise AnswerError(400, message)
        pointers[path] = NewBlob.of(pointer_text(large.sha256, size))
    return pointers


def _done(call: Call, repo: RepoRow, oid: str, pull: int | None) -> Response:
    answer = {
        "success": True,
        "commitOid": oid,
        "commitUrl": call.url(f"{repo.prefix}/commit/{oid}"),
        "hookOutput": "",
    }
    if pull is not None:
        answer["pullRequestUrl"] = call.url(f"{repo.prefix}/discussions/{pull}")
    return JSONResponse(answer)


_REPO = "/api/{kind}/{owner}/{name}"
ROUTES = [
    Route("POST", f"{_REPO}/preupload/{{rest*}}", preupload, guard=_target),
    Route("POST", f"{_REPO}/commit/{{rest*}}", commit, limit="commit", guard=_target),
]
