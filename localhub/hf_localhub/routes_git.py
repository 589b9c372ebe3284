"""`git clone` and `git fetch` over HTTP. Pushes are refused: the API checks paths, cards and objects."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from io import BytesIO
from typing import cast

from dulwich.protocol import ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, UploadPackHandler
from starlette.responses import Response

from hf_localhub.call import Call, page_routes
from hf_localhub.http_errors import HTTPError, unauthorized

_SERVICE = "git-upload-pack"


def advertise(call: Call) -> Response:
    """Return the refs and the capabilities of the server."""
    if call.query.get("service") != _SERVICE:
        if call.account is None:
            raise unauthorized()
        raise HTTPError(403, "This Hub does not accept git pushes: commit through the API or with `hf upload`")
    line = f"# service={_SERVICE}\n".encode()
    refs = b"%04x%s0000%s" % (len(line) + 4, line, _serve(call, b"", advertise_refs=True))
    headers = {"Cache-Control": "no-cache"}
    return Response(refs, headers=headers, media_type=f"application/x-{_SERVICE}-advertisement")


def upload_pack(call: Call) -> Response:
    """Return the objects that the client lacks."""
    data = call.read_body()
    if call.headers.get("content-encoding") == "gzip":
        with gzip.open(BytesIO(data)) as packed:
            data = packed.read(call.hub.limits.json + 1)
    return Response(_serve(call, data, advertise_refs=False), media_type=f"application/x-{_SERVICE}-result")


def _serve(call: Call, data: bytes, *, advertise_refs: bool) -> bytes:
    repo, out = call.repo("files"), BytesIO()
    # The request opens the repository anew: a clone reads all of it and would keep other readers waiting.
    with Repo(str(call.hub.path(repo))) as git:
        backends: dict[str, BackendRepo] = {"/": git}
        source = ReceivableProtocol(BytesIO(data).read, cast(Callable[[bytes], int | None], out.write))
        handler = UploadPackHandler(
            DictBackend(backends), ["/"], source, stateless_rpc=True, advertise_refs=advertise_refs
        )
        handler.handle()
    return out.getvalue()


ROUTES = [
    *page_routes("GET", ".git/info/refs", advertise),
    *page_routes("GET", "/info/refs", advertise),
    *page_routes("POST", ".git/git-upload-pack", upload_pack),
    *page_routes("POST", "/git-upload-pack", upload_pack),
]
