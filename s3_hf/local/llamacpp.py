"""One llama.cpp server process, started by `s3_hf.local.llm`.

It listens on a Unix socket behind `s3_hf.local.front`. It writes its URL to standard output as one JSON line when it
is ready, and ends with the process that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3_hf.local.front import Front

# The attention of llama.cpp rounds differently for batches of 64 or more tokens, and how it splits a prompt into
# batches depends on the cache and on concurrent requests. Measured with prompts of 100 to 400 tokens: with 512 or 64,
# answers depended on other requests; with 56 or 32 they never did, at the cost of a quarter of the speed on prompts of
# 1,500 tokens.
_UBATCH = 56
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Serve one GGUF file until standard input reaches its end, which happens when the parent ends."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles a Ctrl-C in the terminal
    if options.die_with_parent:
        _die_with_parent()
    threading.Thread(target=_exit_at_end_of_stdin, daemon=True).start()

    import xllamacpp

    from s3_hf.local.front import Front

    options.gguf = options.gguf.resolve()
    os.chdir(options.socket.parent)  # the path of a Unix socket must be short
    options.socket = Path(options.socket.name)
    try:
        front = Front(options.host, options.port, options.socket)
    except OSError as error:
        sys.exit(f"couldn't bind {options.host}:{options.port}: {error.strerror}")
    try:
        server = xllamacpp.Server(_params(xllamacpp, options))
    except RuntimeError:
        sys.exit(1)  # llama.cpp writes the reason to stderr; the exception has none
    asyncio.run(_serve(front))
    del server


async def _serve(front: Front) -> None:
    serving = asyncio.create_task(front.serve())
    await asyncio.to_thread(_wait_until_healthy, front.url)
    sys.stdout.write(json.dumps({"url": front.url}) + "\n")
    sys.stdout.flush()
    await serving


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="s3_hf.local.llamacpp")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--context", type=int, default=2304)
    parser.add_argument("--die-with-parent", action="store_true")
    return parser


def _params(xllamacpp: Any, options: argparse.Namespace) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(options.gguf)
    params.model_alias = {options.gguf.stem}
    params.hostnames = [str(options.socket)]  # a name that ends in `.sock` is a Unix socket
    params.ui = False
    params.use_jinja = True
    params.verbosity = 1
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context
    params.kv_unified = False
    params.fit_params = False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 64
    params.n_gpu_layers = 0
    params.n_batch = 512
    params.n_ubatch = _UBATCH
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.cache_prompt = True
    params.cache_ram_mib = 0  # a second cache outside the slots, by default of 8 GiB
    return params


def _die_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _exit_at_end_of_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _wait_until_healthy(url: str) -> None:
    host, _, port = url.removeprefix("http://").rpartition(":")
    host = host.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    while True:
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1:])
