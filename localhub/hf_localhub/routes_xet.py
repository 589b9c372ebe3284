"""The write half of Xet: xorbs come in, and a shard turns them into ordinary objects."""

from __future__ import annotations

import json
import re
import time

from starlette.responses import JSONResponse, Response

from hf_localhub import repos
from hf_localhub.accounts import sign, signed
from hf_localhub.answers import AnswerError, unauthorized
from hf_localhub.call import Call, Route
from hf_localhub.files import HEX64, Spool
from hf_localhub.xet import ShardFile, XetError, Xorb, read_shard

_LIFETIME = 3600
_BEARER = re.compile(r"[Bb]earer xet_([0-9a-f]{24})_([0-9a-f]{24})_(.+)")


def write_token(call: Call) -> Response:
    """A token for an hour of uploads, and where to send them.

    The address holds the store's and the account's id: clients remember, by address, which xorbs are there already.
    """
    repo = call.repo("contribute" if call.flag("create_pr") or "refs/pr" in "/".join(call.rest) else "write")
    user, expires = call.user(), int(time.time()) + _LIFETIME
    token = f"xet_{repo.id}_{user.id}_{sign(call.hub.registry, _LIFETIME, 'xet', repo.id, user.id)}"
    url = call.url(f"cas/{call.hub.registry.store_id}/{user.id}")
    headers = {
        "X-Xet-Cas-Url": url,
        "X-Xet-Access-Token": token,
        "X-Xet-Token-Expiration": str(expires),
    }
    return JSONResponse({"casUrl": url, "exp": expires, "accessToken": token}, headers=headers)


def _admitted(call: Call) -> str:
    found = _BEARER.fullmatch(call.headers.get("authorization", ""))
    if not found or not signed(call.hub.registry, found[3], "xet", found[1], found[2]):
        raise unauthorized("Invalid or expired Xet token")
    if call.params["store"] != call.hub.registry.store_id or call.params["space"] != found[2]:
        raise AnswerError(404, "This store is not here")
    return found[1]


def unknown(_: Call) -> Response:
    """No chunk is shared between files that the client has not itself sent."""
    raise AnswerError(404, "Not found")


def xorb(call: Call) -> Response:
    """The xorb is stored, durably."""
    name = call.params["hash"]
    if not HEX64.fullmatch(name):
        raise AnswerError(400, f"{name!r} is no hash")
    target = call.hub.files.xorb(call.params["space"], name)
    fresh = not target.exists()
    if fresh:
        call.spool.move_to(target)
    return JSONResponse({"was_inserted": fresh})


def shard(call: Call) -> Response:
    """Every file of the shard is an object of the repository."""
    repo, xorbs = _admitted(call), dict[str, Xorb]()
    kept = []
    try:
        for file in read_shard(call.raw()):
            with call.hub.files.spool() as spool:
                _join(call, file, xorbs, spool)
                kept.append((call.hub.files.keep(spool), spool.size))
    except XetError as error:
        raise AnswerError(400, f"The shard cannot be taken: {error}") from error
    finally:
        for opened in xorbs.values():
            opened.close()
    repos.grant(call.hub.registry, repo, kept)
    if call.path.endswith("/v2/shards"):
        return Response(json.dumps({"type": "result"}) + "\n", media_type="application/x-ndjson")
    return JSONResponse({"result": 1})


def _join(call: Call, file: ShardFile, xorbs: dict[str, Xorb], spool: Spool) -> None:
    for segment in file.segments:
        if segment.xorb not in xorbs:
            xorbs[segment.xorb] = Xorb(call.hub.files.xorb(call.params["space"], segment.xorb))
        for chunk in xorbs[segment.xorb].read(segment.first, segment.last):
            spool.write(chunk)
    if file.sha256 is not None and spool.sha256 != file.sha256:
        raise XetError(f"the chunks make {spool.sha256}, not {file.sha256}")


_CAS = "/cas/{store}/{space}"
ROUTES = [
    Route("GET", "/api/{kind}/{owner}/{name}/xet-write-token/{rest*}", write_token),
    Route("GET", f"{_CAS}/v1/chunks/{{prefix}}/{{hash}}", unknown, accounts=False),
    Route("POST", f"{_CAS}/v1/xorb-grants/{{prefix}}/{{hash}}", unknown, accounts=False),
    Route("POST", f"{_CAS}/v1/xorbs/{{prefix}}/{{hash}}", xorb, limit="xorb", guard=_admitted, accounts=False),
    Route("POST", f"{_CAS}/v1/shards", shard, limit="shard", guard=_admitted, accounts=False),
    Route("POST", f"{_CAS}/v2/shards", shard, limit="shard", guard=_admitted, accounts=False),
]
