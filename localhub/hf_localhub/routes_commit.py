"""Routes for publishing: how each file is uploaded, and the commit itself."""

from __future__ import annotations

import base64
from typing import Any

from dulwich.objects import ObjectID
from starlette.responses import JSONResponse, Response

from hf_localhub import metadata, pulls, repos
from hf_localhub.call import Call, Route
from hf_localhub.commit_body import Operations, apply_to, read_operations
from hf_localhub.file_rules import check_work, ignore_rules, is_binary, is_ignored, is_large, large_file_rules
from hf_localhub.http_errors import HTTPError, revision_not_found
from hf_localhub.names import check_path
from hf_localhub.packs import NewBlob, TreeEditor
from hf_localhub.repos import RepoRow
from hf_localhub.repository import pointer_text
from hf_localhub.writer import Authorship, writing

_MOST_FILES = 1000
_MOVED = "The branch was updated since you opened this page. Please refresh and try again."


def preupload(call: Call) -> Response:
    """Return for each file whether it is regular or large, whether it is ignored, and its current content id."""
    repo, body = _target(call), call.json()
    git = call.git(repo)
    commit, _ = git.split_revision(call.rest)
    large = large_file_rules(str(body.get("gitAttributes") or "") or git.read_text(commit, ".gitattributes") or "")
    ignoring = ignore_rules(str(body.get("gitIgnore") or "") or git.read_text(commit, ".gitignore") or "")
    asked = [(check_path(str(file.get("path"))), file) for file in call.objects("files", _MOST_FILES)]
    for rules in (large, ignoring):
        check_work(rules, [path for path, _ in asked])
    ignored = is_ignored(ignoring)
    files = []
    for path, file in asked:
        size = file.get("size")
        too_big = isinstance(size, int) and size > call.hub.limits.lfs_above
        entry = git.entry(commit, path)
        mode = "lfs" if is_large(large, path) or too_big or _sampled(file) else "regular"
        item: dict[str, Any] = {"path": path, "uploadMode": mode}
        item["shouldIgnore"] = ignored(path)
        if entry is not None and not entry.folder:
            item["oid"] = entry.etag
        files.append(item)
    return JSONResponse({"files": files, "commitOid": commit})


def _sampled(file: dict[str, Any]) -> bool:
    try:
        return is_binary(base64.b64decode(str(file.get("sample") or "")))
    except ValueError:  # not base64
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
    """Commit to a branch or as a new pull request. On an error nothing changes."""
    repo = _target(call)
    git, rev = call.git(repo), "/".join(call.rest)
    operations = read_operations(call.spool, call.hub.limits.regular)
    for path, text in operations.described.items():
        errors = metadata.file_errors(path, text)
        if errors:
            raise HTTPError(400, f"Invalid metadata in {path}: {'; '.join(errors)}")
    blobs = {**operations.files, **_pointers(call, repo, operations)}
    author = call.user().name
    with writing(git) as writer:
        ref = git.find_ref(rev)
        if ref is None or ref.startswith("refs/tags/"):
            raise revision_not_found(rev)
        head = writer.head(ref)
        _check_parent(operations.parent, head)
        editor = TreeEditor(git.get, ObjectID(git.tree_id(head)))
        apply_to(editor, operations.deleted, {path: blob.oid for path, blob in blobs.items()})
        pull = call.flag("create_pr")
        oid = head
        if editor.root != git.tree_id(head) or pull:
            oid = writer.store_commit(editor, blobs.values(), Authorship(author, operations.message), [head])
        if pull:
            new = pulls.NewDiscussion(operations.summary, operations.description, ref)
            return _done(call, repo, oid, pulls.open_pull(call, repo, new, writer, oid))
        if oid != head:
            writer.set_ref(ref, oid, head)
    return _done(call, repo, oid, None)


def _check_parent(parent: str | None, head: str) -> None:
    if parent is None:
        return
    if not 5 <= len(parent) <= 40 or not set(parent) <= set("0123456789abcdef"):
        raise HTTPError(400, f'"parentCommit" must be 5 to 40 hex digits, not {parent!r}')
    if not head.startswith(parent):
        raise HTTPError(412, _MOVED)


def _pointers(call: Call, repo: RepoRow, operations: Operations) -> dict[str, NewBlob]:
    pointers = {}
    for path, large in operations.large.items():
        size = repos.granted_size(call.hub.registry, repo.id, large.sha256)
        if size is None or large.size not in (None, size):
            message = f"LFS pointer pointed to a file that does not exist: {path} ({large.sha256})"
            raise HTTPError(400, message)
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
