"""Routes of Xet uploads: xorbs are stored, and a shard assembles them into ordinary objects."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing

from starlette.responses import JSONResponse, Response

from hf_localhub import repos
from hf_localhub.accounts import is_signed, sign
from hf_localhub.bounded import MIB
from hf_localhub.call import Call, Route
from hf_localhub.files import HEX64
from hf_localhub.http_errors import HTTPError, unauthorized
from hf_localhub.xet import ShardFile, XetError, Xorbs, read_shard

_LIFETIME = 3600
_FREE = 64 * MIB
_MOST_GROWTH = 20
_COUNT = (
    "INSERT INTO growth VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE"
    " SET sent = sent + excluded.sent, stored = stored + excluded.stored"
)
_BEARER = re.compile(r"[Bb]earer xet_([0-9a-f]{24})_([0-9a-f]{24})_(.+)")


def write_token(call: Call) -> Response:
    """Return a token for one hour of uploads and the address of the store.

    The address contains the ids of the store and the account, because clients cache by address which xorbs it has.
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
    match = _BEARER.fullmatch(call.headers.get("authorization", ""))
    if not match or not is_signed(call.hub.registry, match[3], "xet", match[1], match[2]):
        raise unauthorized("Invalid or expired Xet token")
    if call.params["store"] != call.hub.registry.store_id or call.params["space"] != match[2]:
        raise HTTPError(404, "There is no such store")
    return match[1]


def unknown(_: Call) -> Response:
    """Return 404: chunks are shared only between files that the same client sent."""
    raise HTTPError(404, "Not found")


def xorb(call: Call) -> Response:
    """Store a xorb, durably."""
    name = call.params["hash"]
    if not HEX64.fullmatch(name):
        raise HTTPError(400, f"{name!r} is not a hash")
    target, size = call.hub.files.xorb_path(call.params["space"], name), call.spool.size
    fresh = not target.exists()
    if fresh:
        call.spool.move_to(target)
        call.hub.registry.run(_COUNT, call.params["space"], size, 0)
    return JSONResponse({"was_inserted": fresh})


def shard(call: Call) -> Response:
    """Store every file of the shard as an object of the repository."""
    repo, objects, space = _admitted(call), [], call.params["space"]
    with closing(Xorbs(lambda name: call.hub.files.xorb_path(space, name))) as xorbs:
        try:
            for file in read_shard(call.read_body()):
                _check_growth(call, xorbs, file)
                with call.hub.files.spool() as spool:
                    for chunk in xorbs.chunks(file):
                        spool.write(chunk)
                    if file.sha256 not in (None, spool.sha256):
                        raise XetError(f"the sha256 of its chunks is {spool.sha256}, not {file.sha256}")
                    objects.append((call.hub.files.store(spool), spool.size))
        except XetError as error:
            raise HTTPError(400, f"The shard is not valid: {error}") from error
    repos.grant(call.hub.registry, repo, objects)
    if call.path.endswith("/v2/shards"):
        return Response(json.dumps({"type": "result"}) + "\n", media_type="application/x-ndjson")
    return JSONResponse({"result": 1})


def _check_growth(call: Call, xorbs: Xorbs, file: ShardFile) -> None:
    """Count what the account sent and what becomes of it, before the file is written.

    Raises:
        HTTPError: 413 when the file is much larger than its xorbs, or all files of the account than what it sent.
    """
    registry, space = call.hub.registry, call.params["space"]
    full, stored = xorbs.sizes(file)
    with registry.transaction():
        registry.run(_COUNT, space, 0, full)
        row = registry.row("SELECT sent, stored FROM growth WHERE account = ?", space)
        assert row is not None
        once = full > _FREE + _MOST_GROWTH * sum(stored.values())
        if once or row["stored"] > _FREE * 16 + _MOST_GROWTH * 5 * row["sent"]:
            raise HTTPError(
                413,
                f"A file of {full} bytes is too much larger than what was sent of it: "
                "set HF_HUB_DISABLE_XET=1 to send it whole",
            )


_CAS = "/cas/{store}/{space}"
ROUTES = [
    Route("GET", "/api/{kind}/{owner}/{name}/xet-write-token/{rest*}", write_token),
    Route("GET", f"{_CAS}/v1/chunks/{{prefix}}/{{hash}}", unknown, accounts=False),
    Route("POST", f"{_CAS}/v1/xorb-grants/{{prefix}}/{{hash}}", unknown, accounts=False),
    Route("POST", f"{_CAS}/v1/xorbs/{{prefix}}/{{hash}}", xorb, limit="xorb", guard=_admitted, accounts=False),
    Route("POST", f"{_CAS}/v1/shards", shard, limit="shard", guard=_admitted, accounts=False),
    Route("POST", f"{_CAS}/v2/shards", shard, limit="shard", guard=_admitted, accounts=False),
]
