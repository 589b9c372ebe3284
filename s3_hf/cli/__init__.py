"""The command line: each command is a few lines that call one library function.

Heavy packages are imported only when a command runs, so that `s3-hf --help` is fast.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from s3_hf.cli import bench, llm, predict, publishing, quickstart, reporting, runs, tasks
from s3_hf.errors import ConfigError, S3Error, printable
from s3_hf.proxies import exempt_loopback, unusable

RESUMED = ("run", "synthesize", "bench", "quickstart")
"""Commands that go on where they were stopped."""


class _Commands(TyperGroup):
    """The commands; a Ctrl-C is reported here, since Typer does not pass KeyboardInterrupt on."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            goes_on = ctx.invoked_subcommand in RESUMED
            _report("stopped; the same command goes on from here" if goes_on else "stopped", error)
            sys.exit(130)


class _Formatter(logging.Formatter):
    """Spells out control characters, since what is logged may quote servers and files."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return printable(super().format(record))


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
        from importlib.metadata import version

        sys.stdout.write(f"s3-hf {version('s3-hf')}\n")
        raise typer.Exit


@app.callback()
def _options(
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """From an LLM endpoint and a few hundred labelled examples to a published training set and a small model."""


for group in (runs, reporting, bench, quickstart, publishing, predict, tasks, llm):
    group.register(app)


def main() -> None:
    """Run a command; an `S3Error` is printed as one sentence on standard error, with exit code 2."""
    # Idle OpenMP threads spin by default, which made training four times slower beside another busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # else it warns of each push without changes
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an encoding such as cp1252 lacks letters, which are spelled out
            stream.reconfigure(errors="backslashreplace")
    exempt_loopback()
    lines = logging.StreamHandler()
    lines.setFormatter(_Formatter("%(message)s"))
    logging.basicConfig(handlers=[lines], level=logging.WARNING)
    for told in ("s3_hf.hub", "s3_hf.loop.trying"):  # what a push or a trial of prompts does, which takes minutes
        logging.getLogger(told).setLevel(logging.INFO)
    try:
        _check_arguments(sys.argv[1:])
        app()
    except S3Error as error:
        _report(f"error: {error}", error)
        sys.exit(2)
    except (ImportError, ValueError) as error:
        if (sentence := unusable(error)) is None:
            raise
        _report(f"error: {sentence}", sentence)
        sys.exit(2)
    except OSError as error:
        _report_disk(error)


def _report_disk(error: OSError) -> None:
    """Report an error of the disk that no library function translated; raise any other."""
    from s3_hf.files import storage_error

    if error.errno == errno.ENAMETOOLONG:
        sentence = f"a path must not be too long for the disk, found {error.filename!r}; shorten it"
    elif error.errno in (errno.ENOENT, errno.EPIPE) or not (
        told := storage_error(Path(error.filename or Path.cwd()), error, "use")
    ):
        raise error
    else:
        sentence = str(told)
    _report(f"error: {sentence}", error)
    sys.exit(2)


def _report(sentence: str, error: BaseException) -> None:
    for line in (sentence, *getattr(error, "__notes__", ())):
        sys.stderr.write(printable(line) + "\n")


def _check_arguments(arguments: list[str]) -> None:
    """Check that no argument is empty, as an unset shell variable is, and that each one is text.

    Python decodes other bytes as surrogates, which cannot be written.

    Raises:
        ConfigError: an argument is empty or not text.
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
