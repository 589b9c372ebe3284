"""The command line: `hf-localhub serve`, `user add` and `import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import typer

import hf_localhub
from hf_localhub.errors import LocalHubError

app = typer.Typer(
    name="hf-localhub",
    help="A Hugging Face Hub on this machine, for unmodified clients.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
user = typer.Typer(help="Manage the accounts of the Hub.", no_args_is_help=True)
app.add_typer(user, name="user")

DATA = typer.Option(..., "--data", help="Data directory of the Hub; created if it is missing.", show_default=False)


@app.command()
def serve(
    data: Path = DATA,
    host: str = typer.Option("127.0.0.1", help="Address to listen on."),
    port: int = typer.Option(8765, min=1, max=65535, help="Port to listen on."),
    name: list[str] = typer.Option([], help="Further name of this host that clients use, as behind a proxy."),
) -> None:
    """Serve the Hub until SIGTERM or Ctrl-C. Clients read its address from HF_ENDPOINT."""
    from hf_localhub.server import serve_until_stopped

    serve_until_stopped(
        data, host, port, name, listening=lambda port: typer.echo(f"export HF_ENDPOINT=http://{host}:{port}")
    )


@user.command()
def add(
    name: str = typer.Argument(help="Name of the user or organisation.", show_default=False),
    data: Path = DATA,
    org: bool = typer.Option(False, "--org", help="Add an organisation; the user of --token becomes its member."),
    token: str | None = typer.Option(None, help="Token to register instead of a generated one."),
    role: Literal["write", "read"] = typer.Option("write", help="Permission of the token."),
) -> None:
    """Add a user or an organisation and print its token. For an existing account, add another token."""
    typer.echo(hf_localhub.add_user(data, name, org, token, role))


@app.command(name="import")
def import_(
    tree: Path = typer.Argument(help="Folder with datasets/OWNER/NAME/… and models/OWNER/NAME/….", show_default=False),
    data: Path = DATA,
) -> None:
    """Import a folder tree as public repositories. Files that the Hub already has are not changed."""
    for repo in hf_localhub.import_tree(tree, data):
        typer.echo(f"{repo.kind:10}{repo.name}  {repo.files} files{'' if repo.changed else ', unchanged'}")


def main() -> None:
    """Run a command. A `LocalHubError` is printed as one sentence on standard error, with exit code 2."""
    try:
        for argument in sys.argv[1:]:
            if not argument or (argument.startswith("--") and argument.endswith("=")):
                raise LocalHubError(
                    f"an argument must not be empty, found {argument!r}; leave it out or give it a value"
                )
        app()
    except LocalHubError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
