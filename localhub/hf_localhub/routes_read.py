"""Reading a revision: tree, paths-info, history, refs, and the files themselves with ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from starlette.responses import JSONResponse, Response, StreamingResponse

from hf_localhub import describe
from hf_localhub.answers import AnswerError, entry_not_found
from hf_localhub.call import Call, Route, both
from hf_localhub.files import COPY_BYTES
from hf_localhub.repository import Entry, GitRepo

_TREE_PAGE, _TREE_PAGE_EXPANDED, _COMMIT_PAGE = 1000, 100, 100
_MOST_PATHS = 1000
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def tree(call: Call) -> Response:
    """One page of a folder at a revision."""
    repo = call.repo("see")
    git = call.git(repo)
    commit, path = git.split(call.rest)
    expand = call.flag("expand")
    limit = call.number("limit", _TREE_PAGE_EXPANDED if expand else _TREE_PAGE, _TREE_PAGE)
    start = call.number("cursor", 0, 1 << 40)
    found = list(islice(git.walk(commit, path, call.flag("recursive")), start, start + limit + 1))
    entries = [describe.tree_entry(entry) for entry in found[:limit]]
    if expand:
        entries = describe.with_last_commits(git, commit, entries)
    return call.paged(entries, start, limit, start + len(found))


def paths_info(call: Call) -> Response:
    """What stands at the given paths; missing ones are left out."""
    repo = call.repo("see")
    git = call.git(repo)
    commit, _ = git.split(call.rest)
    fields = call.form()
    paths = fields.get("paths", [])
    if len(paths) > _MOST_PATHS:
        raise AnswerError(413, f"At most {_MOST_PATHS} paths can be asked for at once")
    found = (git.entry(commit, path.strip("/")) for path in paths if path.strip("/"))
    entries = [describe.tree_entry(entry) for entry in found if entry is not None]
    if fields.get("expand", [""])[0].lower() in ("true", "1"):
        entries = describe.with_last_commits(git, commit, entries)
    return JSONResponse(entries)


def refs(call: Call) -> Response:
    """Branches, tags, and pull requests when asked, with the commits they stand for."""
    git = call.git(call.repo("see"))

    def listed(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"{prefix}{name}", "targetCommit": oid} for name, oid in git.refs(prefix).items()
        ]

    found = {"branches": listed("refs/heads/"), "tags": listed("refs/tags/"), "converts": []}
    if call.flag("include_prs") or call.flag("include_pull_requests"):
        found["pullRequests"] = listed("refs/pr/")
    return JSONResponse(found)


def commits(call: Call) -> Response:
    """One page of the history of a revision, newest first."""
    git = call.git(call.repo("see"))
    commit, _ = git.split(call.rest)
    oids = git.history(commit)
    limit = call.number("limit", _COMMIT_PAGE, 1000)
    start = call.number("cursor", call.number("p", 0, 1 << 30) * limit, 1 << 40)
    formatted = "formatted" in call.expanded()
    page = [describe.commit_entry(git, oid, formatted) for oid in oids[start : start + limit]]
    response = call.paged(page, start, limit, len(oids))
    response.headers["X-Total-Count"] = str(len(oids))
    return response


def resolve(call: Call) -> Response:
    """The file's bytes, or the range asked for, under headers that name the commit and the content."""
    repo = call.repo("files")
    git = call.git(repo)
    commit, path = git.split(call.rest)
    entry = git.entry(commit, path) if path else None
    if entry is None or entry.folder:
        raise entry_not_found(commit=commit)
    headers = {
        "X-Repo-Commit": commit,
        "ETag": f'"{entry.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-cache",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.rpartition('/')[2])}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if entry.sha256:
        headers |= {"X-Linked-Etag": f'"{entry.etag}"', "X-Linked-Size": str(entry.size)}
    if _unchanged(call, entry):
        return Response(status_code=304, headers=headers)
    return send(call, entry, headers, git)


def _unchanged(call: Call, entry: Entry) -> bool:
    known = call.headers.get("if-none-match", "")
    return any(tag.strip().removeprefix("W/").strip('"') in (entry.etag, "*") for tag in known.split(","))


def send(call: Call, entry: Entry, headers: dict[str, str], git: GitRepo | None = None) -> Response:
    """The content of a file, whole or in the range asked for; small files come out of `git`."""
    start, end, status = 0, entry.size, 200
    asked = _RANGE.fullmatch(call.headers.get("range", "").replace(" ", ""))
    same = call.headers.get("if-range", entry.etag).removeprefix("W/").strip('"') == entry.etag
    if asked and same and any(asked.groups()):
        first, last = asked.groups()
        start = int(first) if first else max(0, entry.size - int(last))
        end = min(int(last) + 1, entry.size) if first and last else entry.size
        if start >= entry.size or start >= end or (not first and int(last) == 0):
            raise AnswerError(
                416, "Range Not Satisfiable", headers={**headers, "Content-Range": f"bytes */{entry.size}"}
            )
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
    headers["Content-Length"] = str(end - start)
    media = "application/octet-stream" if entry.sha256 else "text/plain; charset=utf-8"
    if call.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media)
    if git is not None and entry.sha256 is None:
        return Response(git.blob(entry.oid)[start:end], status, headers, media)
    return StreamingResponse(read_slice(call.hub.files.object(entry.etag), start, end), status, headers, media)


def read_slice(path: Path, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a file from `start` to before `end`, a megabyte at a time."""
    with path.open("rb") as file:
        file.seek(start)
        while start < end:
            data = file.read(min(COPY_BYTES, end - start))
            if not data:
                return
            start += len(data)
            yield data


_REPO = "/api/{kind}/{owner}/{name}"
ROUTES = [
    Route("GET", f"{_REPO}/tree/{{rest*}}", tree),
    Route("POST", f"{_REPO}/paths-info/{{rest*}}", paths_info),
    Route("GET", f"{_REPO}/refs", refs),
    Route("GET", f"{_REPO}/commits/{{rest*}}", commits),
    *both("GET", "/resolve/{rest*}", resolve),
    *both("GET", "/raw/{rest*}", resolve),
]
