"""`git clone` and `git fetch` over HTTP. Pushes are refused: the API checks paths, cards and objects."""

from __future__ import annotations

import gzip
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import cast

from dulwich.errors import GitProtocolError
from dulwich.protocol import ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, UploadPackHandler
from starlette.responses import Response, StreamingResponse

from hf_localhub.call import Call, page_routes
from hf_localhub.files import COPY_BYTES, Spool
from hf_localhub.http_errors import HTTPError, unauthorized
from hf_localhub.repos import RepoRow

_SERVICE = "git-upload-pack"
# Each answer is on the disk until it is sent.
_WAIT_SECONDS = 30
_slots = threading.BoundedSemaphore(8)


def advertise(call: Call) -> Response:
    """Return the refs and the capabilities of the server."""
    if call.query.get("service") != _SERVICE:
        if call.account is None:
            raise unauthorized()
        raise HTTPError(403, "This Hub does not accept git pushes: commit through the API or with `hf upload`")
    out = _serve(call, b"", advertise_refs=True)
    line = f"# service={_SERVICE}\n".encode()
    refs = b"%04x%s0000%s" % (len(line) + 4, line, b"".join(_sent(out)))
    headers = {"Cache-Control": "no-cache"}
    return Response(refs, headers=headers, media_type=f"application/x-{_SERVICE}-advertisement")


def upload_pack(call: Call) -> Response:
    """Return the objects that the client lacks."""
    data = call.read_body()
    if call.headers.get("content-encoding") == "gzip":
        data = _unzipped(data, call.hub.limits.json)
    return StreamingResponse(
        _sent(_serve(call, data, advertise_refs=False)), media_type=f"application/x-{_SERVICE}-result"
    )


def _unzipped(data: bytes, most: int) -> bytes:
    try:
        with gzip.open(BytesIO(data)) as packed:
            data = packed.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise HTTPError(400, f"The body is not gzip: {error}") from error
    if len(data) > most:
        raise HTTPError(413, f"The body is larger than {most} bytes")
    return data


def _serve(call: Call, data: bytes, *, advertise_refs: bool) -> Spool:
    repo = call.repo("files")
    if not _slots.acquire(timeout=_WAIT_SECONDS):
        raise HTTPError(503, "Too many clones at once: try again later", headers={"Retry-After": "30"})
    out = Spool(call.hub.files.temporary)
    sent = weakref.finalize(out, _slots.release)
    try:
        _answer(call, repo, data, out, advertise_refs)
    except BaseException:
        sent()
        raise
    finally:
        out.unlink()
    return out


def _answer(call: Call, repo: RepoRow, data: bytes, out: Spool, advertise_refs: bool) -> None:
    # The request opens the repository anew: a clone reads all of it and would keep other readers waiting.
    with Repo(str(call.hub.path(repo))) as git:
        backends: dict[str, BackendRepo] = {"/": git}
        source = ReceivableProtocol(BytesIO(data).read, cast(Callable[[bytes], int | None], out.write))
        try:
            UploadPackHandler(
                DictBackend(backends), ["/"], source, stateless_rpc=True, advertise_refs=advertise_refs
            ).handle()
        except (GitProtocolError, ValueError, LookupError, AssertionError) as error:
            raise HTTPError(400, f"This is not a request of git: {type(error).__name__} {error}") from error


def _sent(out: Spool) -> Iterator[bytes]:
    out.file.seek(0)
    while data := out.file.read(COPY_BYTES):
        yield data


ROUTES = [
    *page_routes("GET", ".git/info/refs", advertise),
    *page_routes("GET", "/info/refs", advertise),
    *page_routes("POST", ".git/git-upload-pack", upload_pack),
    *page_routes("POST", "/git-upload-pack", upload_pack),
]
