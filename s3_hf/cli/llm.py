"""Commands for the embedded LLM and the machine: llm serve, doctor."""

from __future__ import annotations

import typer

from s3_hf.cli import options
from s3_hf.errors import ConfigError

llm = typer.Typer(help="The embedded LLM endpoint.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(llm, name="llm")
    app.command()(doctor)


@llm.callback()
def _group() -> None:
    """The embedded LLM endpoint."""


@llm.command()
def serve(
    gguf: str = typer.Option(None, help="GGUF file, or OWNER/REPO/FILE.gguf on the Hub. [default: SmolLM2-135M]"),
    host: str = typer.Option("127.0.0.1", help="Address to listen on."),
    port: int = typer.Option(8080, min=1, max=65535, help="First port; each process takes the next one."),
    processes: int = typer.Option(None, min=1, help="Server processes. [default: one per core]"),
) -> None:
    """Serve a GGUF with an OpenAI-compatible API until stopped."""
    from s3_hf.cli import display
    from s3_hf.local.assets import find_gguf
    from s3_hf.local.llm import LocalServer, ServerOptions, serve_forever

    def announce(server: LocalServer) -> None:
        flags = " ".join(f"--llm {url}" for url in server.urls)
        display.show_text(f"serving {server.model}; use it with: {flags}")

    serve_forever(find_gguf(gguf), processes, ServerOptions(host=host, port=port), announce)


def doctor(
    llm: list[str] = typer.Option(
        None, "--llm", help="Endpoint URL or model id to ask one tiny chat (repeatable for URLs)."
    ),
    task: str = typer.Option(None, help="Task whose gold rows the checks of answers are run on."),
    gold: list[str] = options.GOLD,
    api_key_env: str = options.API_KEY_ENV,
    assignments: list[str] = options.SET,
    as_json: bool = options.JSON,
) -> None:
    """Check the installed packages, the endpoints, the Hub token and the hardware, and a task's gold rows.

    The exit code is 2 if an endpoint of `--llm` does not answer.
    """
    from s3_hf.cli import display
    from s3_hf.cli.checkup import checks_on_gold, checkup

    if gold and not task:
        raise ConfigError("--gold is the gold data of --task, found none; give it, or leave --gold out")
    flags = {
        "task": task or "doctor",
        "gold": options.joined(gold),
        "llm": options.one_or_many(llm),
        "endpoint.api_key_env": api_key_env,
    }
    settings = options.settings(None, flags, assignments)
    findings = checkup(settings if llm or assignments or api_key_env else None)
    if task:
        findings += checks_on_gold(settings)
    if as_json:
        from s3_hf.cli import outputs

        display.show_json({one.name: outputs.Check(one.ok, one.detail) for one in findings})
    else:
        for one in findings:
            display.show_text(f"{'ok ' if one.ok else '-- '} {one.name:22}{one.detail}")
    if any(one.asked and not one.ok for one in findings):
        raise typer.Exit(2)
