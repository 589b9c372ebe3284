"""Routes that read a revision: trees, paths, history, refs, and files with ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from starlette.responses import JSONResponse, Response, StreamingResponse

from hf_localhub import describe
from hf_localhub.call import Call, Route, page_routes
from hf_localhub.files import COPY_BYTES
from hf_localhub.http_errors import HTTPError, entry_not_found
from hf_localhub.repository import Entry, GitRepo

_TREE_PAGE, _TREE_PAGE_EXPANDED, _COMMIT_PAGE = 1000, 100, 100
_MOST_PATHS = 1000
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def tree(call: Call) -> Response:
    """Return one page of a folder at a revision."""
    repo = call.repo("see")
    git = call.git(repo)
    commit, path = git.split_revision(call.rest)
    expand = call.flag("expand")
    limit = call.number("limit", _TREE_PAGE_EXPANDED if expand else _TREE_PAGE, _TREE_PAGE)
    start = call.number("cursor", 0, 1 << 40)
    page = list(islice(git.walk(commit, path, call.flag("recursive")), start, start + limit + 1))
    entries = [describe.tree_entry(entry) for entry in page[:limit]]
    if expand:
        entries = describe.with_last_commits(git, commit, entries)
    return call.page(entries, start, limit, start + len(page))


def paths_info(call: Call) -> Response:
    """Return the entries at these paths; missing ones are left out."""
    repo = call.repo("see")
    git = call.git(repo)
    commit, _ = git.split_revision(call.rest)
    fields = call.form(_MOST_PATHS + 1)
    paths = fields.get("paths", [])
    existing = (git.entry(commit, path.strip("/")) for path in paths if path.strip("/"))
    entries = [describe.tree_entry(entry) for entry in existing if entry is not None]
    if {value.lower() for value in fields.get("expand", [])} & {"true", "1"}:
        entries = describe.with_last_commits(git, commit, entries)
    return JSONResponse(entries)


def refs(call: Call) -> Response:
    """Return branches and tags, optionally pull requests, with their commits."""
    git = call.git(call.repo("see"))

    def listed(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": name, "ref": f"{prefix}{name}", "targetCommit": oid} for name, oid in git.refs(prefix).items()
        ]

    body = {"branches": listed("refs/heads/"), "tags": listed("refs/tags/"), "converts": []}
    if call.flag("include_prs") or call.flag("include_pull_requests"):
        body["pullRequests"] = listed("refs/pr/")
    return JSONResponse(body)


def commits(call: Call) -> Response:
    """Return one page of the history of a revision, newest first."""
    git = call.git(call.repo("see"))
    commit, _ = git.split_revision(call.rest)
    oids = git.history(commit)
    limit = call.number("limit", _COMMIT_PAGE, 1000)
    start = call.number("cursor", call.number("p", 0, 1 << 30) * limit, 1 << 40)
    formatted = "formatted" in call.expand_fields()
    page = (describe.commit_entry(git, oid, formatted) for oid in oids[start : start + limit])
    response = call.page(page, start, limit, len(oids))
    response.headers["X-Total-Count"] = str(len(oids))
    return response


def resolve(call: Call) -> Response:
    """Return a file or a range of it, with headers that identify the commit and the content."""
    repo = call.repo("files")
    git = call.git(repo)
    commit, path = git.split_revision(call.rest)
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
    return send_file(call, entry, headers, git)


def _unchanged(call: Call, entry: Entry) -> bool:
    known = call.headers.get("if-none-match", "")
    return any(tag.strip().removeprefix("W/").strip('"') in (entry.etag, "*") for tag in known.split(","))


def send_file(call: Call, entry: Entry, headers: dict[str, str], git: GitRepo | None = None) -> Response:
    """Return the content of a file, or the requested range. Regular files are read from `git`."""
    # Not Starlette's FileResponse: it answers 400 where a range must be ignored (another unit, no number), sends
    # multipart bodies for several ranges, and its 416 lacks the headers that name the commit and the error.
    requested = _requested_range(call, entry)
    start, end = requested or (0, entry.size)
    if requested:
        content_range = f"bytes {start}-{end - 1}/{entry.size}" if start < end else f"bytes */{entry.size}"
        headers = {**headers, "Content-Range": content_range}
        if start >= end:
            raise HTTPError(416, "Range Not Satisfiable", headers=headers)
    headers = {**headers, "Content-Length": str(end - start)}
    status = 206 if requested else 200
    media = "application/octet-stream" if entry.sha256 else "text/plain; charset=utf-8"
    if call.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media)
    if git is not None and entry.sha256 is None:
        return Response(git.read_blob(entry.oid)[start:end], status, headers, media)
    return StreamingResponse(read_slice(call.hub.files.object_path(entry.etag), start, end), status, headers, media)


def _requested_range(call: Call, entry: Entry) -> tuple[int, int] | None:
    """Return start and end of the requested range; None for the whole file. The range is empty if unsatisfiable."""
    match = _RANGE.fullmatch(call.headers.get("range", "").replace(" ", ""))
    same = call.headers.get("if-range", entry.etag).removeprefix("W/").strip('"') == entry.etag
    if not (match and same and any(match.groups())):
        return None
    first, last = match.groups()
    if not first:
        return max(0, entry.size - int(last)), entry.size
    return int(first), min(int(last) + 1, entry.size) if last else entry.size


def read_slice(path: Path, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of a file from `start` up to `end`, one megabyte at a time."""
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
    *page_routes("GET", "/resolve/{rest*}", resolve),
    *page_routes("GET", "/raw/{rest*}", resolve),
]
