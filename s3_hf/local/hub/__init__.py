"""A local Hub: speaks the Hugging Face Hub's protocol to unmodified clients, offline.

Repositories are bare git repositories, large files are named by their sha256, the rest is one SQLite file.
The functions here are all that a caller needs; each opens the data directory, which is made when it is missing.
"""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s3_hf.errors import LocalError, installing

if TYPE_CHECKING:
    from s3_hf.local.hub.importer import Imported
    from s3_hf.local.hub.server import Running

__all__ = ["add_user", "import_tree", "running", "serve"]

for _package in ("dulwich", "lz4", "starlette", "uvicorn"):
    if importlib.util.find_spec(_package) is None:
        raise LocalError(f"the local Hub needs `{_package}`, which is not installed; {installing('local')}")


def serve(data: Path, host: str = "127.0.0.1", port: int = 8765) -> None:
    """The Hub has served the data directory until SIGTERM or Ctrl-C.

    Raises:
        LocalError: the port cannot be listened on.
        StorageError: the folder cannot be used, or another Hub serves it.
    """
    from s3_hf.local.hub.server import serve_until_stopped

    serve_until_stopped(data, host, port)


def running(data: Path, port: int = 0) -> AbstractContextManager[Running]:
    """A Hub in a child process serves the data directory at `.endpoint` while the block runs.

    The child ends with the block, and with this process and thread, whatever ends them. Port 0 takes a free one.
    """
    from s3_hf.local.hub.server import child

    return child(data, port)


def add_user(
    data: Path, name: str, org: bool = False, token: str | None = None, role: Literal["write", "read"] = "write"
) -> str:
    """The account exists; returns a token (`hf_…`) that speaks for it, which is stored only as a hash.

    An organisation added with a user's token takes that user as a member; without one it gets its own token.

    Raises:
        ConfigError: the name cannot be used, or the token is another account's.
    """
    from s3_hf.local.hub.accounts import add_account
    from s3_hf.local.hub.registry import Registry

    data.mkdir(parents=True, exist_ok=True)
    registry = Registry(data / "hub.sqlite")
    try:
        return add_account(registry, name, org=org, token=token, role=role)
    finally:
        registry.close()


def import_tree(tree: Path, data: Path) -> list[Imported]:
    """Every `datasets/<owner>/<name>` and `models/<owner>/<name>` below `tree` is a public repository of the Hub.

    Works while a Hub serves the folder. Files are added and replaced, never removed.

    Raises:
        StorageError: there is no such folder, or a name or path that the Hub refuses.
    """
    from s3_hf.local.hub.importer import import_into
    from s3_hf.local.hub.state import Hub

    data.mkdir(parents=True, exist_ok=True)
    hub = Hub(data)
    try:
        with hub.unswept():
            return import_into(hub, tree)
    finally:
        hub.close()
