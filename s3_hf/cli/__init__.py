"""The command line: each command is a few lines that call one library function.

Nothing heavy is imported before a command runs, so that `s3-hf --help` is quick.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from importlib.metadata import version
from typing import Any

import typer
from typer.core import TyperGroup

from s3_hf.cli import bench, hub, llm, predict, publishing, quickstart, runs, tasks
from s3_hf.errors import ConfigError, S3Error


class _Commands(TyperGroup):
    """The commands; what was done before a Ctrl-C is told here, since Typer lets no KeyboardInterrupt out."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            _tell("stopped; the same command goes on from here", error)
            sys.exit(130)


app = typer.Typer(
    cls=_Commands,
    name="s3-hf",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"s3-hf {version('s3-hf')}\n")
        raise typer.Exit


@app.callback()
def _options(
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """From an LLM endpoint and a few hundred labelled examples to a published training set and a small model."""


for group in (runs, bench, quickstart, publishing, predict, tasks, llm, hub):
    group.register(app)


def main() -> None:
    """Run a command; a known error is one sentence on standard error and exit code 2."""
    # Idle OpenMP threads spin by default: where another process has a core, training took four times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # it warns of every push that changes nothing
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        _check_arguments(sys.argv[1:])
        app()
    except S3Error as error:
        _tell(f"error: {error}", error)
        sys.exit(2)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        sys.stderr.write(f"error: a path must not be too long for the disk, found {error.filename!r}; shorten it\n")
        sys.exit(2)


def _tell(sentence: str, error: BaseException) -> None:
    for line in (sentence, *getattr(error, "__notes__", ())):
        sys.stderr.write(line + "\n")


def _check_arguments(arguments: list[str]) -> None:
    """Refuse what is never meant: an empty argument (a shell variable is not set), and bytes that are no text.

    Python passes such bytes on as surrogates, which cannot be written.

    Raises:
        ConfigError: an argument is of that kind.
    """
    for before, argument in zip(["s3-hf", *arguments], arguments, strict=False):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            raise ConfigError(f"an argument must not be empty, found {argument!r} after {before!r}; leave it out")
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"arguments must be {sys.getfilesystemencoding()} text, found {os.fsencode(argument)!r}; write them so"
            ) from error
