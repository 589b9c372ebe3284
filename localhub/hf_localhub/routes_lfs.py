"""Git LFS: the batch call, uploads in one piece or in parts behind signed links, downloads."""

from __future__ import annotations

import secrets
import shutil
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_localhub import repos
from hf_localhub.accounts import sign, signed
from hf_localhub.answers import AnswerError
from hf_localhub.call import Call, Route, both
from hf_localhub.files import COPY_BYTES, HEX64
from hf_localhub.repos import RepoRow
from hf_localhub.repository import Entry
from hf_localhub.routes_read import send

_MEDIA = "application/vnd.git-lfs+json"
_LIFETIME = 6 * 3600
_MOST_OBJECTS = 1000


def batch(call: Call) -> Response:
    """For each object: where to send it or get it; nothing when it is the repository's already."""
    body = call.json()
    upload = body.get("operation") == "upload"
    repo = call.repo("contribute" if upload else "files")
    objects = call.objects("objects", _MOST_OBJECTS)
    transfers = body.get("transfers") or ["basic"]
    large = any(_size(item) > call.hub.limits.part for item in objects)
    multipart = upload and large and "multipart" in transfers
    answers = [_answer(call, repo, item, upload, multipart) for item in objects]
    found = {"transfer": "multipart" if multipart else "basic", "objects": answers, "hash_algo": "sha256"}
    return JSONResponse(found, media_type=_MEDIA)


def _size(item: dict[str, Any]) -> int:
    size = item.get("size")
    return size if isinstance(size, int) and size >= 0 else -1


def _answer(call: Call, repo: RepoRow, item: dict[str, Any], upload: bool, multipart: bool) -> dict[str, Any]:
    oid, size = str(item.get("oid")), _size(item)
    answer: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
    if not HEX64.fullmatch(oid) or not 0 <= size <= call.hub.limits.object:
        return answer | {"error": {"code": 422, "message": "Invalid object: a sha256 and a size are needed"}}
    known = repos.granted(call.hub.registry, repo.id, oid)
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
    (call.hub.files.data / "parts" / upload).mkdir()
    header = {"chunk_size": str(part)}
    for number in range(1, -(-size // part) + 1):
        header[str(number)] = _link(call, "part", upload, str(number))
    return {"href": _link(call, "join", repo.id, oid, str(size), upload), "header": header}


def _admitted(call: Call) -> None:
    names = ("repo", "oid", "size", "upload", "number")
    parts = [call.params[name] for name in names if name in call.params]
    verb = call.path.strip("/").split("/")[1]
    if not signed(call.hub.registry, call.query.get("signature", ""), "lfs", verb, *parts):
        raise AnswerError(403, "This link is not valid, or not any more")


def put(call: Call) -> Response:
    """The object is the repository's; 422 when the bytes are not what was announced."""
    oid, size = call.params["oid"], int(call.params["size"])
    if call.spool.sha256 != oid or call.spool.size != size:
        raise AnswerError(422, f"The {call.spool.size} bytes have sha256 {call.spool.sha256}, not {oid}")
    call.hub.files.keep(call.spool)
    repos.grant(call.hub.registry, call.params["repo"], [(oid, size)])
    return Response()


def part(call: Call) -> Response:
    """The part waits for the others, under its ETag."""
    etag = call.spool.sha256
    call.spool.move_to(call.hub.files.part(call.params["upload"], int(call.params["number"])))
    return Response(headers={"ETag": f'"{etag}"'})


def join(call: Call) -> Response:
    """The parts are one object of the repository; 422 when they do not make it."""
    oid, size, upload = call.params["oid"], int(call.params["size"]), call.params["upload"]
    with call.hub.files.spool() as spool:
        for number in range(1, -(-size // call.hub.limits.part) + 1):
            try:
                with call.hub.files.part(upload, number).open("rb") as file:
                    while data := file.read(COPY_BYTES):
                        spool.write(data)
            except FileNotFoundError as error:
                raise AnswerError(422, f"Part {number} has not arrived") from error
        if spool.sha256 != oid or spool.size != size:
            raise AnswerError(422, f"The parts have sha256 {spool.sha256}, not {oid}")
        call.hub.files.keep(spool)
    repos.grant(call.hub.registry, call.params["repo"], [(oid, size)])
    shutil.rmtree(call.hub.files.part(upload, 1).parent)
    return JSONResponse({})


def verify(call: Call) -> Response:
    """The object is the repository's, in this size."""
    repo, body = call.repo("contribute"), call.json()
    if repos.granted(call.hub.registry, repo.id, str(body.get("oid"))) != body.get("size"):
        raise AnswerError(404, "The object has not arrived, or in another size")
    return JSONResponse({})


def get(call: Call) -> Response:
    """The object's bytes."""
    oid, size = call.params["oid"], int(call.params["size"])
    return send(call, Entry("", False, oid, size, oid), {"Accept-Ranges": "bytes", "ETag": f'"{oid}"'})


def _may_upload(call: Call) -> None:
    call.repo("see")


_ONE = "{repo}/{oid}/{size}"
ROUTES = [
    *both("POST", ".git/info/lfs/objects/batch", batch, guard=_may_upload),
    *both("POST", ".git/info/lfs/verify", verify),
    Route("PUT", f"/lfs/put/{_ONE}", put, limit="object", guard=_admitted, hashed=True, accounts=False),
    Route("GET", f"/lfs/get/{_ONE}", get, guard=_admitted, accounts=False),
    Route("PUT", "/lfs/part/{upload}/{number}", part, limit="part", guard=_admitted, hashed=True, accounts=False),
    Route("POST", f"/lfs/join/{_ONE}/{{upload}}", join, guard=_admitted, accounts=False),
]
