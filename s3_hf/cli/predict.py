"""The command that uses a trained student: predict."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from s3_hf.cli import options
from s3_hf.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from s3_hf.predicting.said import Said


class _Predict(TyperCommand):
    """`--hosted URL` is short for `--hosted --url URL`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `--url` before a URL that follows `--hosted`."""
        for place in range(len(args) - 1, 0, -1):
            if args[place - 1] == "--hosted" and args[place].startswith(("http://", "https://")):
                args.insert(place, "--url")
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(cls=_Predict)(predict)


def predict(
    model: str = typer.Argument(help="Model folder or Hub id.", show_default=False),
    texts: list[str] = typer.Argument(None, help="Texts to label, or questions to answer."),
    context: str = typer.Option(None, help="What the texts are about, for a model of pairs or answers."),
    file: Path = typer.Option(None, help="Take the rows of this CSV, JSON lines or Parquet file, or lines of text."),
    column: str = typer.Option("text", help="Column of the file that holds the texts."),
    context_column: str = typer.Option(None, help="Column of the file that holds the contexts."),
    out: Path = typer.Option(None, help="Write the rows here: .csv, .jsonl or .parquet."),
    hosted: bool = typer.Option(
        False, "--hosted", help="Ask Inference Providers for the model; `--hosted URL` asks an endpoint."
    ),
    url: str = typer.Option(None, help="Ask this endpoint for labels, or with contexts for answers."),
    api_key_env: str = typer.Option(None, help="Environment variable with the endpoint's key; none is sent without."),
    as_json: bool = options.JSON,
) -> None:
    """Label texts or answer questions with a trained student, here or where it is served."""
    from s3_hf.cli import display
    from s3_hf.predicting import tables

    if url:
        _check_url(url)
    if out:
        tables.check_out(out)
    table, contexts = _given(texts or [], context, file, column, context_column)
    given = table[column].to_pylist()
    if hosted or url:
        kind, said = _hosted(model, given, contexts, url, api_key_env)
    else:
        from s3_hf.predicting.student import Student

        student = Student(model)
        kind, said = student.says, student.predict(given, contexts)
    if out:
        tables.write_rows(out, tables.with_said(table, kind, said))
        return
    rows = [{"text": text, kind: one.value, "score": one.score} for text, one in zip(given, said, strict=True)]
    if as_json:
        display.show_json(rows)
        return
    for row in rows:
        display.show_text(f"{row[kind]}\t{row['score']:.3f}\t{row['text']}")


def _given(
    texts: list[str], context: str | None, file: Path | None, column: str, context_column: str | None
) -> tuple[pa.Table, list[str] | None]:
    """The texts of the command line or the rows of the file, and their contexts.

    Raises:
        ConfigError: neither is given, or both are, or the file cannot be read.
    """
    import pyarrow as pa

    from s3_hf.predicting.tables import read_texts

    if bool(texts) == bool(file):
        raise ConfigError(f"predict needs texts, or a file by --file; found {'both' if texts else 'none'}, give one")
    if context_column and (context is not None or not file):
        found = "--context" if context is not None else "no file"
        raise ConfigError(
            f"--context-column {context_column!r} must stand with --file alone, found {found}; leave one out"
        )
    table = read_texts(file, column, context_column) if file else pa.table({column: texts})
    if context_column:
        return table, table[context_column].to_pylist()
    return table, None if context is None else [context] * len(table)


def _check_url(url: str) -> None:
    from s3_hf.config import checked_url

    try:
        checked_url(url)
    except ValueError as error:
        raise ConfigError(f"--url must be the URL of an endpoint, found {url!r} ({error}); correct it") from error


def _hosted(
    model: str, texts: Sequence[str], contexts: Sequence[str] | None, url: str | None, api_key_env: str | None
) -> tuple[str, list[Said]]:
    from s3_hf.predicting.hosted import HostedClassifier, HostedSpanFinder

    key = os.environ.get(api_key_env, "").strip() if api_key_env else None
    if key == "":
        raise ConfigError(
            f"--api-key-env must name an environment variable with a key, found {api_key_env!r}, which is not set; "
            "export it"
        )
    if contexts is None:
        return "label", HostedClassifier(model, url, key).predict(texts)
    return "answer", HostedSpanFinder(model, url, key).predict(texts, contexts)
