"""`git clone` and `git fetch` over HTTP; pushing is left to the API, which checks what it takes."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from io import BytesIO
from typing import cast

from dulwich.protocol import ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, UploadPackHandler
from starlette.responses import Response

from hf_localhub.answers import AnswerError, unauthorized
from hf_localhub.call import Call, both

_SERVICE = "git-upload-pack"


def advertise(call: Call) -> Response:
    """The refs, and what the server can do."""
    if call.query.get("service") != _SERVICE:
        if call.account is None:
            raise unauthorized()
        raise AnswerError(403, "This Hub takes no git push: commit through the API, or `hf upload`")
    out = BytesIO()
    line = f"# service={_SERVICE}\n".encode()
    out.write(b"%04x%s0000" % (len(line) + 4, line))
    _serve(call, b"", out, advertise_refs=True)
    headers = {"Cache-Control": "no-cache"}
    return Response(out.getvalue(), headers=headers, media_type=f"application/x-{_SERVICE}-advertisement")


def upload_pack(call: Call) -> Response:
    """The objects that the client lacks."""
    data = call.raw()
    if call.headers.get("content-encoding") == "gzip":
        with gzip.open(BytesIO(data)) as packed:
            data = packed.read(call.hub.limits.json + 1)
    out = BytesIO()
    _serve(call, data, out, advertise_refs=False)
    return Response(out.getvalue(), media_type=f"application/x-{_SERVICE}-result")


def _serve(call: Call, data: bytes, out: BytesIO, *, advertise_refs: bool) -> None:
    repo = call.repo("files")
    # The handle is this request's own: a clone walks everything and would keep readers waiting.
    with Repo(str(call.hub.path(repo))) as git:
        backends: dict[str, BackendRepo] = {"/": git}
        source = ReceivableProtocol(BytesIO(data).read, cast(Callable[[bytes], int | None], out.write))
        handler = UploadPackHandler(
            DictBackend(backends), ["/"], source, stateless_rpc=True, advertise_refs=advertise_refs
        )
        handler.handle()


ROUTES = [
    *both("GET", ".git/info/refs", advertise),
    *both("GET", "/info/refs", advertise),
    *both("POST", ".git/git-upload-pack", upload_pack),
    *both("POST", "/git-upload-pack", upload_pack),
]
