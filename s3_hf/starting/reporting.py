"""The page about runs from Python: written to a file, and shown inline by a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s3_hf.config import LOCAL
from s3_hf.local import assets
from s3_hf.loop import RunResult
from s3_hf.store import RunDir, open_run

HEIGHT = 800
"""Height of the page in a notebook, in pixels."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was written to `path`; as the last value of a notebook's cell it is shown."""

    path: Path

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(encoding="utf-8"))
        # Its scripts run apart from the notebook: without `allow-same-origin` they cannot reach it.
        return f'<iframe srcdoc="{page}" sandbox="allow-scripts" width="100%" height="{HEIGHT}"></iframe>'


def report_on(
    *runs: RunResult | RunDir | Path | str, out: Path | str | None = None, encoder: str | None = None
) -> Page:
    """Write the page about one or several runs, as `s3-hf report` does, and return it.

        s3_hf.report_on(result)

    Args:
        *runs: what `s3_hf.run` returned, or folders of runs.
        out: HTML file to write; None takes `report.html` in the first run's folder.
        encoder: Hub id or folder of the encoder of texts; None takes the pretrained student of the first run.

    Raises:
        S3Error: see `s3_hf.report.write_report`.
    """
    from s3_hf.report import write_report

    opened = [each if isinstance(each, RunDir) else open_run(_folder(each)) for each in runs]
    path = Path(out) if out else opened[0].path / "report.html"
    return Page(write_report(opened, path, encoder_of(opened, encoder)))


def encoder_of(runs: Sequence[RunDir], name: str | None = None) -> str:
    """Return the encoder that was named, or the pretrained student of the first run."""
    student = name or runs[0].located.student
    return str(assets.minilm_dir()) if student == LOCAL else student


def _folder(run: RunResult | Path | str) -> Path:
    return run.path if isinstance(run, RunResult) else Path(run)
