"""The command that uses a trained student: predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from s3_hf.cli import options
from s3_hf.errors import ConfigError

PROVIDERS = "providers"
"""Value of `--hosted` without a URL."""


class _Predict(TyperCommand):
    """`--hosted` may stand without a URL, which an option of typer cannot."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `PROVIDERS` after each `--hosted` that no URL follows."""
        for place in range(len(args), 0, -1):
            if args[place - 1] == "--hosted" and "://" not in "".join(args[place : place + 1]).partition(" ")[0]:
                args.insert(place, PROVIDERS)
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(cls=_Predict)(predict)


def predict(
    model: str = typer.Argument(help="Model folder, folder of a run, or Hub id.", show_default=False),
    texts: list[str] = typer.Argument(
        None, help="Texts to label, or questions to answer; - reads lines of standard input."
    ),
    context: str = typer.Option(None, help="Context of all texts, for a model of pairs or answers."),
    file: Path = typer.Option(
        None, help="Take the rows of this CSV, TSV, JSON lines or Parquet file, or lines of text."
    ),
    column: str = typer.Option(None, help="Column of the file that holds the texts. [default: text]"),
    context_column: str = typer.Option(None, help="Column of the file that holds the contexts."),
    out: Path = typer.Option(None, help="Write the rows here: .csv, .json, .jsonl or .parquet."),
    hosted: str = typer.Option(
        None, metavar="[URL]", help="Call the model on Inference Providers, or the endpoint at URL."
    ),
    abstain: float = typer.Option(
        0.0, min=0.0, max=1.0, help="Leave the label or answer empty where its score is below this."
    ),
    api_key_env: str = options.API_KEY_ENV,
    as_json: bool = options.JSON,
) -> None:
    """Label texts or answer questions with a trained student, on this machine or where it is served."""
    from s3_hf.cli import display
    from s3_hf.predicting import tables
    from s3_hf.predicting.result import abstaining

    url = _endpoint(hosted)
    if api_key_env and not url:
        raise ConfigError("--api-key-env is for the endpoint of --hosted URL, found none; give it, or leave it out")
    if out:
        tables.check_out(out)
    inputs = tables.read_inputs(texts or [], context, file, column, context_column)
    if out:
        tables.check_columns(out, inputs.table)
    if hosted:
        from s3_hf.llm.access import read_key
        from s3_hf.predicting.hosted import HostedStudent

        results = HostedStudent(model, url, read_key(api_key_env, url)).predict(inputs.texts, inputs.contexts)
    else:
        from s3_hf.predicting.student import Student

        results = Student(model).predict(inputs.texts, inputs.contexts)
    results = abstaining(results, abstain)
    if out:
        tables.write_rows(out, tables.with_results(inputs.table, results))
    if as_json:
        pairs = zip(inputs.texts, results, strict=True)
        display.show_json([{"text": text, one.kind: one.value, "score": one.score} for text, one in pairs])
    elif not out:
        for text, one in zip(inputs.texts, results, strict=True):
            display.show_text(f"{'abstained' if one.score < abstain else one.value}\t{one.score:.3f}\t{text}")


def _endpoint(hosted: str | None) -> str | None:
    """Return the URL of `--hosted`, or None for Inference Providers."""
    from s3_hf.keys import checked_url

    if hosted in (None, PROVIDERS):
        return None
    try:
        return checked_url(str(hosted))
    except ValueError as error:
        raise ConfigError(f"--hosted must be the URL of an endpoint: {error}") from error
