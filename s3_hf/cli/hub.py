"""Commands about the local Hub: serve, user add, import."""

from __future__ import annotations

from pathlib import Path

import typer

from s3_hf.cli import options
from s3_hf.errors import ConfigError

hub = typer.Typer(help="A Hub on this machine, spoken to by unmodified clients.", no_args_is_help=True)
user = typer.Typer(help="Users of the local Hub.", no_args_is_help=True)
hub.add_typer(user, name="user")

DATA = typer.Option(
    ...,
    "--data",
    callback=options.checked_folder,
    help="Folder that the Hub keeps everything in.",
    show_default=False,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(hub, name="hub")


@hub.command()
def serve(
    data: Path = DATA,
    host: str = typer.Option("127.0.0.1", help="Address to listen on."),
    port: int = typer.Option(8765, min=1, max=65535, help="Port to listen on."),
) -> None:
    """Serve the Hub until stopped; clients find it by HF_ENDPOINT."""
    from s3_hf.cli import display
    from s3_hf.local.hub import serve as serve_hub

    display.show_text(f"export HF_ENDPOINT=http://{host}:{port}")
    serve_hub(data, host, port)


@user.command()
def add(
    name: str = typer.Argument(help="User or organisation.", show_default=False),
    data: Path = DATA,
    org: bool = typer.Option(False, "--org", help="Add an organisation; with --token its user becomes a member."),
    token: str = typer.Option(None, help="Token to use in place of a new one."),
    role: str = typer.Option("write", help="What the token may do: write or read."),
) -> None:
    """Add a user, or another token for one, and print the token."""
    from s3_hf.cli import display
    from s3_hf.local.hub import add_user

    if role not in ("write", "read"):
        raise ConfigError(f"--role must be write or read, found {role!r}; name one of them")
    display.show_text(add_user(data, name, org, token, "read" if role == "read" else "write"))


@hub.command(name="import")
def import_(
    tree: Path = typer.Argument(help="Folder with datasets/OWNER/NAME/… and models/OWNER/NAME/….", show_default=False),
    data: Path = DATA,
) -> None:
    """Fill the Hub from a folder tree; what is there already is left alone."""
    from s3_hf.cli import display
    from s3_hf.local.hub import import_tree

    for one in import_tree(tree, data):
        display.show_text(f"{one.kind:10}{one.name}  {one.files} files{'' if one.changed else ', unchanged'}")
