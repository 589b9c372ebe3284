"""Commands that look at runs: report, study."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from s3_hf.cli import options

if TYPE_CHECKING:
    import pandas as pd

    from s3_hf.store import RunDir

RUNS = typer.Argument(help="Run directories; several are compared.", show_default=False)
ENCODER = typer.Option(
    None, help="Hub id or folder of the encoder of texts. [default: the pretrained student of the first run]"
)
LOOK_EVERY = 5.0
"""Seconds between two looks at the runs that `--follow` watches."""

study = typer.Typer(help="The paper's studies on runs, with the paper's figures beside them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(report)
    app.add_typer(study, name="study")


def report(
    run_dirs: list[Path] = RUNS,
    out: Path = typer.Option(None, help="HTML file to write. [default: report.html in the first run's folder]"),
    encoder: str = ENCODER,
    follow: bool = typer.Option(
        False, "--follow", help="Write the page again whenever a stage finishes, until no run is at work."
    ),
) -> None:
    """Write one HTML page about runs: scores, mistakes and what was written for them, the data, the cost."""
    from s3_hf.cli import display
    from s3_hf.files import check_place
    from s3_hf.report import check_packages, write_report

    check_packages()
    runs = _opened(run_dirs)
    path = out or run_dirs[0] / "report.html"
    check_place(path, folder=False)
    name = _encoder(runs, encoder)
    while True:
        seen, at_work = _proofs(runs), follow and any(map(_is_at_work, runs))
        write_report(runs, path, name)
        display.show_text(f"written: {path}")
        if not at_work:
            return
        while _proofs(runs) == seen and any(map(_is_at_work, runs)):
            time.sleep(LOOK_EVERY)


@study.command()
def quality(run_dirs: list[Path] = RUNS, encoder: str = ENCODER, as_json: bool = options.JSON) -> None:
    """Compare mistakes with the rows written for them: cosine, edit distance, lengths (Table 6)."""
    from s3_hf.analysis.studies import quality_study

    _study(run_dirs, lambda runs: quality_study(runs, _encoder(runs, encoder)), "Table 6", as_json=as_json)


@study.command()
def diversity(run_dirs: list[Path] = RUNS, encoder: str = ENCODER, as_json: bool = options.JSON) -> None:
    """Measure words, near duplicates, and how far written texts cover the gold texts (Table 8)."""
    from s3_hf.analysis.studies import diversity_study

    _study(run_dirs, lambda runs: diversity_study(runs, _encoder(runs, encoder)), "Table 8", as_json=as_json)


@study.command()
def cost(run_dirs: list[Path] = RUNS, as_json: bool = options.JSON) -> None:
    """Count floating-point operations, requests, tokens and seconds (Appendix B)."""
    from s3_hf.analysis.studies import cost_study

    _study(run_dirs, cost_study, "Appendix B", as_json=as_json)


def _study(
    run_dirs: list[Path], table_of: Callable[[Sequence[RunDir]], pd.DataFrame], title: str, *, as_json: bool
) -> None:
    from s3_hf.analysis.rounds import check_rounds
    from s3_hf.cli import display
    from s3_hf.report.content import plain

    runs = _opened(run_dirs)
    check_rounds(runs)
    records: list[dict[str, Any]] = [plain(line) for line in table_of(runs).to_dict("records")]
    if as_json:
        display.show_json(records)
    else:
        display.show_records(records, title)


def _opened(run_dirs: Sequence[Path]) -> list[RunDir]:
    from s3_hf.store import open_run

    return [open_run(folder) for folder in run_dirs]


def _encoder(runs: Sequence[RunDir], name: str | None) -> str:
    from s3_hf.starting.reporting import encoder_of

    return encoder_of(runs, name)


def _proofs(runs: Sequence[RunDir]) -> list[str]:
    """Return the proofs of finished stages that exist by now."""
    return [str(file) for run in runs for file in sorted(run.path.glob("*/*.json"))]


def _is_at_work(run: RunDir) -> bool:
    """Return whether a process holds the run directory, to which nothing is written."""
    from s3_hf.locking import is_held
    from s3_hf.store.opening import LOCK

    return is_held(run.path / LOCK)
