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

    from s3_hf.predicting.labels import Labelled


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
    texts: list[str] = typer.Argument(None, help="Texts to label."),
    file: Path = typer.Option(None, help="Label the rows of this CSV, JSON lines or Parquet file, or lines of text."),
    column: str = typer.Option("text", help="Column of the file that holds the texts."),
    out: Path = typer.Option(None, help="Write the rows here: .csv, .jsonl or .parquet."),
    hosted: bool = typer.Option(
        False, "--hosted", help="Ask Inference Providers for the model; `--hosted URL` asks an endpoint."
    ),
    url: str = typer.Option(None, help="Ask this text classification endpoint."),
    api_key_env: str = typer.Option(None, help="Environment variable with the endpoint's key; none is sent without."),
    as_json: bool = options.JSON,
) -> None:
    """Label texts with a trained student, here or where it is served."""
    from s3_hf.cli import display
    from s3_hf.predicting import tables

    if out:
        tables.check_out(out)
    table = _given(texts or [], file, column)
    said = _labelled(model, table[column].to_pylist(), hosted=hosted, url=url, api_key_env=api_key_env)
    if out:
        tables.write_rows(out, tables.with_labels(table, said))
        return
    rows = [
        {"text": text, "label": one.label, "score": one.score}
        for text, one in zip(table[column].to_pylist(), said, strict=True)
    ]
    if as_json:
        display.show_json(rows)
        return
    for row in rows:
        display.show_text(f"{row['label']}\t{row['score']:.3f}\t{row['text']}")


def _given(texts: list[str], file: Path | None, column: str) -> pa.Table:
    """The texts of the command line or the rows of the file.

    Raises:
        ConfigError: neither is given, or both are, or the file cannot be read.
    """
    import pyarrow as pa

    from s3_hf.predicting.tables import read_texts

    if bool(texts) == bool(file):
        raise ConfigError(f"predict needs texts, or a file by --file; found {'both' if texts else 'none'}, give one")
    return read_texts(file, column) if file else pa.table({column: texts})


def _labelled(
    model: str, texts: Sequence[str], *, hosted: bool, url: str | None, api_key_env: str | None
) -> list[Labelled]:
    if not (hosted or url):
        from s3_hf.predicting.student import Classifier

        return Classifier(model).predict(texts)
    from s3_hf.predicting.hosted import HostedClassifier

    key = os.environ.get(api_key_env, "").strip() if api_key_env else None
    if key == "":
        raise ConfigError(
            f"--api-key-env must name an environment variable with a key, found {api_key_env!r}, which is not set; "
            "export it"
        )
    return HostedClassifier(model, url, key).predict(texts)
