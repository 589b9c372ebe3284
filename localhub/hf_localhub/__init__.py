"""A local Hub that speaks the Hugging Face Hub's protocol to unmodified clients, offline.

Repositories are bare git repositories, large files are named by their sha256, and one SQLite file holds the rest.
The functions of this module are the public interface. Each opens the data directory and creates it if it is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hf_localhub.importer import ImportedRepo
    from hf_localhub.server import RunningHub

__all__ = ["__version__", "add_user", "import_tree", "running", "serve"]

__version__ = "0.1.0"


def serve(data: Path, host: str = "127.0.0.1", port: int = 8765, names: Iterable[str] = ()) -> None:
    """Serve the data directory until SIGTERM or Ctrl-C.

    Args:
        data: the data directory.
        host: the address to listen on. Requests must name it, or a loopback address, in `Host`.
        port: the port to listen on.
        names: further names of the host by which clients may reach the server, for example through a proxy.

    Raises:
        ServerError: the server cannot listen on the port.
        StorageError: the directory cannot be written, or another Hub serves it.
    """
    from hf_localhub.server import serve_until_stopped

    serve_until_stopped(data, host, port, names)


def running(data: Path, port: int = 0) -> AbstractContextManager[RunningHub]:
    """Serve the data directory in a child process at `.endpoint` while the block runs.

    The child ends with the block, and with the process and thread that started it, even when these are killed.

    Args:
        data: the data directory.
        port: the port on 127.0.0.1; 0 takes a free one.

    Raises:
        ServerError: the child did not start; the message has the reason.
        StorageError: the directory cannot be written.
    """
    from hf_localhub.server import run_child

    return run_child(data, port)


def add_user(
    data: Path, name: str, org: bool = False, token: str | None = None, role: Literal["write", "read"] = "write"
) -> str:
    """Add an account, or another token to an existing account, and return the token (`hf_…`).

    Only a hash of the token is stored. Works while a Hub serves the directory.

    Args:
        data: the data directory.
        name: the name of the user or organisation.
        org: whether to add an organisation.
        token: the token to register; None generates one. For an organisation, the token of a user makes that user a
            member and is returned; otherwise the organisation gets a token of its own.
        role: whether the token may write or only read.

    Raises:
        AccountError: the name cannot be used, or the token belongs to another account.
        StorageError: the directory cannot be written.
    """
    from hf_localhub.accounts import add_account
    from hf_localhub.files import create_data_folder
    from hf_localhub.registry import Registry

    registry = Registry(create_data_folder(data) / "hub.sqlite")
    try:
        return add_account(registry, name, org=org, token=token, role=role)
    finally:
        registry.close()


def import_tree(tree: Path, data: Path) -> list[ImportedRepo]:
    """Import each `datasets/<owner>/<name>` and `models/<owner>/<name>` folder of `tree` as a public repository.

    Files are added and replaced, never removed. Works while a Hub serves the directory.

    Raises:
        StorageError: `tree` has no such folder, or the Hub refuses a name or a path in it.
    """
    from hf_localhub.files import create_data_folder
    from hf_localhub.importer import import_into
    from hf_localhub.state import Hub

    hub = Hub(create_data_folder(data))
    try:
        with hub.block_sweep():
            return import_into(hub, tree)
    finally:
        hub.close()
