"""Routes of Git LFS: the batch request, uploads in one piece or in parts behind signed links, downloads."""

from __future__ import annotations

import secrets
import shutil
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_localhub import repos
from hf_localhub.accounts import is_signed, sign
from hf_localhub.call import Call, Route, page_routes
from hf_localhub.files import COPY_BYTES, HEX64
from hf_localhub.http_errors import HTTPError
from hf_localhub.repos import RepoRow
from hf_localhub.repository import Entry
from hf_localhub.routes_read import send_file

_MEDIA = "application/vnd.git-lfs+json"
_LIFETIME = 6 * 3600
_MOST_OBJECTS = 1000
_MOST_PARTS = 5000


def batch(call: Call) -> Response:
    """Return the upload or download link of each object; none for uploads that the repository already has."""
    request = call.json()
    upload = request.get("operation") == "upload"
    repo = call.repo("contribute" if upload else "files")
    objects = call.objects("objects", _MOST_OBJECTS)
    transfers = request.get("transfers") or ["basic"]
    large = any(_size(item) > call.hub.limits.part for item in objects)
    multipart = upload and large and isinstance(transfers, list) and "multipart" in transfers
    if multipart and sum(-(-_size(item) // call.hub.limits.part) for item in objects) > _MOST_PARTS:
        raise HTTPError(413, f"These objects have more than {_MOST_PARTS} parts: ask for fewer at once")
    items = [_item(call, repo, item, upload, multipart) for item in objects]
    body = {"transfer": "multipart" if multipart else "basic", "objects": items, "hash_algo": "sha256"}
    return JSONResponse(body, media_type=_MEDIA)


def _size(item: dict[str, Any]) -> int:
    size = item.get("size")
    return size if isinstance(size, int) and size >= 0 else -1


def _item(call: Call, repo: RepoRow, item: dict[str, Any], upload: bool, multipart: bool) -> dict[str, Any]:
    oid, size = str(item.get("oid")), _size(item)
    answer: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
    if not HEX64.fullmatch(oid) or not 0 <= size <= call.hub.limits.object:
        return answer | {"error": {"code": 422, "message": "Invalid object: a sha256 and a size are needed"}}
    known = repos.granted_size(call.hub.registry, repo.id, oid)
    if not upload:
        if known is None:
            return answer | {"error": {"code": 404, "message": "Object does not exist"}}
        return answer | {"actions": {"download": {"href": _link(call, "get", repo.id, oid, str(known))}}}
    if known is not None:
        return answer
    verify = {"href": call.url(f"{repo.prefix}.git/info/lfs/verify"), "header": {}}
    send_to = _in_parts if multipart and size > call.hub.limits.part else _in_one
    return answer | {"actions": {"upload": send_to(call, repo, oid, size), "verify": verify}}


def _link(call: Call, verb: str, *parts: str) -> str:
    signature = sign(call.hub.registry, _LIFETIME, "lfs", verb, *parts)
    return call.url(f"lfs/{verb}/{'/'.join(parts)}?signature={signature}")


def _in_one(call: Call, repo: RepoRow, oid: str, size: int) -> dict[str, Any]:
    return {"href": _link(call, "put", repo.id, oid, str(size)), "header": {}}


def _in_parts(call: Call, repo: RepoRow, oid: str, size: int) -> dict[str, Any]:
    upload, part = secrets.token_hex(12), call.hub.limits.part
    header = {"chunk_size": str(part)}
    for number in range(1, -(-size // part) + 1):
        header[str(number)] = _link(call, "part", upload, str(number))
    return {"href": _link(call, "join", repo.id, oid, str(size), upload), "header": header}


def _admitted(call: Call) -> None:
    names = ("repo", "oid", "size", "upload", "number")
    parts = [call.params[name] for name in names if name in call.params]
    verb = call.path.strip("/").split("/")[1]
    if not is_signed(call.hub.registry, call.query.get("signature", ""), "lfs", verb, *parts):
        raise HTTPError(403, "This link is invalid or has expired")


def put(call: Call) -> Response:
    """Store an uploaded object for the repository. 422 when its sha256 or size is not the announced one."""
    oid, size = call.params["oid"], int(call.params["size"])
    if call.spool.sha256 != oid or call.spool.size != size:
        raise HTTPError(422, f"The {call.spool.size} bytes have sha256 {call.spool.sha256}, not {oid}")
    call.hub.files.store(call.spool)
    repos.grant(call.hub.registry, call.params["repo"], [(oid, size)])
    return Response()


def part(call: Call) -> Response:
    """Store one part of a multipart upload and return its ETag."""
    etag = call.spool.sha256
    call.spool.move_to(call.hub.files.part_path(call.params["upload"], int(call.params["number"])))
    return Response(headers={"ETag": f'"{etag}"'})


def join(call: Call) -> Response:
    """Join the parts into one object of the repository. 422 when one is missing or the sha256 differs."""
    oid, size, upload = call.params["oid"], int(call.params["size"]), call.params["upload"]
    with call.hub.files.spool() as spool:
        for number in range(1, -(-size // call.hub.limits.part) + 1):
            try:
                with call.hub.files.part_path(upload, number).open("rb") as file:
                    while data := file.read(COPY_BYTES):
                        spool.write(data)
            except FileNotFoundError as error:
                raise HTTPError(422, f"Part {number} has not arrived") from error
        if spool.sha256 != oid or spool.size != size:
            raise HTTPError(422, f"The parts have sha256 {spool.sha256}, not {oid}")
        call.hub.files.store(spool)
    repos.grant(call.hub.registry, call.params["repo"], [(oid, size)])
    shutil.rmtree(call.hub.files.part_path(upload, 1).parent)
    return JSONResponse({})


def verify(call: Call) -> Response:
    """Check that the repository has the object in this size. 404 when it has not."""
    repo, body = call.repo("contribute"), call.json()
    size = repos.granted_size(call.hub.registry, repo.id, str(body.get("oid")))
    if size is None or size != body.get("size"):
        raise HTTPError(404, "The repository does not have this object in this size")
    return JSONResponse({})


def get(call: Call) -> Response:
    """Return the bytes of an object."""
    oid, size = call.params["oid"], int(call.params["size"])
    return send_file(call, Entry("", False, oid, size, oid), {"Accept-Ranges": "bytes", "ETag": f'"{oid}"'})


def _may_upload(call: Call) -> None:
    call.repo("see")


_ONE = "{repo}/{oid}/{size}"
ROUTES = [
    *page_routes("POST", ".git/info/lfs/objects/batch", batch, guard=_may_upload),
    *page_routes("POST", ".git/info/lfs/verify", verify),
    Route("PUT", f"/lfs/put/{_ONE}", put, limit="announced", guard=_admitted, hashed=True, accounts=False),
    Route("GET", f"/lfs/get/{_ONE}", get, guard=_admitted, accounts=False),
    Route("PUT", "/lfs/part/{upload}/{number}", part, limit="part", guard=_admitted, hashed=True, accounts=False),
    Route("POST", f"/lfs/join/{_ONE}/{{upload}}", join, guard=_admitted, accounts=False),
]
