"""Commands that publish: push, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from s3_hf.cli import options
from s3_hf.errors import ConfigError

if TYPE_CHECKING:
    from s3_hf.hub import PushPreview, Withheld
    from s3_hf.store import RunDir


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(push)
    app.command()(export)


def push(
    run_dir: Path = typer.Argument(help="Folder of a run.", show_default=False),
    namespace: str = typer.Option(None, help="User or organisation to publish under. [default: the token's owner]"),
    to: Path = typer.Option(
        None,
        callback=options.checked_folder,
        help="Write the repositories as folders here and publish nothing; no token is needed.",
    ),
    private: bool = typer.Option(False, "--private", help="Create private repositories."),
    create_pr: bool = typer.Option(False, "--create-pr", help="Open a pull request in each repository."),
    dry_run: bool = typer.Option(
        False,
        "--dry-run",
        help="Publish nothing: write the folders and, with a token, show what would change on the Hub.",
    ),
    license_id: str = typer.Option(
        None, "--license", help="Licence id for the cards. [default: other, with its terms]"
    ),
    max_copies: float = typer.Option(
        0.01,
        "--max-copies",
        help="Share of the rows that may copy gold validation text, exactly or nearly.",
    ),
    name: str = options.PUSH_NAME,
    replace: bool = options.REPLACE,
    onnx: bool = typer.Option(
        False, "--onnx", help="Export the final student, or that of the best round, and publish its ONNX files too."
    ),
    space: bool = typer.Option(
        False, "--space", help="Publish the report, too, as a static Space without gold texts."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Publish each round's dataset and model and the final model to HF_ENDPOINT, or write them as folders."""
    import tempfile

    from s3_hf.cli import display
    from s3_hf.hub import PushOptions, preview_push, push_run, write_folders
    from s3_hf.report import card_figures
    from s3_hf.store import open_run

    if not 0 <= max_copies <= 1:
        raise ConfigError(f"--max-copies must be a share from 0 to 1, found {max_copies!r}; 0.01 is one in a hundred")
    if to and not dry_run and (private or create_pr):
        raise ConfigError("--private and --create-pr are for repositories on the Hub, found --to, too; leave one out")
    if dry_run and onnx:
        raise ConfigError(
            "--dry-run must change nothing, found --onnx, too, which writes ONNX files into the run; write them first "
            "by `s3-hf export RUN`, or leave out one of the two"
        )
    opened = open_run(run_dir)
    how = PushOptions(
        license=license_id,
        private=private,
        create_pr=create_pr,
        max_copies=max_copies,
        name=name,
        replace=replace,
        figures=card_figures,
        page=_page if space else None,
    )
    if onnx:
        from s3_hf.predicting.exporting import export_run

        export_run(opened)
    if dry_run:
        folder = to or Path(tempfile.mkdtemp(prefix="s3-hf-dry-run-"))
        previews = preview_push(opened, folder, namespace, how)
        if as_json:
            display.show_json(previews)
        for one in () if as_json else previews:
            display.show_text(_preview_text(one))
        return
    published = write_folders(opened, to, namespace or "local", how) if to else push_run(opened, namespace, how)
    if as_json:
        display.show_json(published)
        return
    for each in published:
        unchanged = "" if each.changed else "  unchanged"
        display.show_text(f"{each.kind:8}{each.repo}  {each.pull_request or each.url}{unchanged}")


def export(
    model: str = typer.Argument(help="Folder of a run, model folder, or Hub id.", show_default=False),
    out: Path = typer.Option(
        None,
        callback=options.checked_folder,
        help="Folder for the files, the configuration and the tokenizer. [default: the model's own folder]",
    ),
    as_json: bool = options.JSON,
) -> None:
    """Write a trained student as ONNX, in 32 and 8 bits, for ONNX Runtime and transformers.js (extra `onnx`)."""
    from dataclasses import asdict

    from s3_hf.cli import display
    from s3_hf.predicting.exporting import export as export_student

    made = export_student(model, out)
    if as_json:
        display.show_json(asdict(made))
        return
    for file, apart in zip(made.files, (made.difference, made.difference_8bit), strict=True):
        size = file.stat().st_size / 1e6
        display.show_text(f"{file}  {size:.1f} MB, probabilities within {apart:.1g} of the student's on a few texts")


def _page(run: RunDir, withheld: Withheld) -> str:
    """Return the page for publication, drawn with the pretrained student of the run."""
    from s3_hf.report import public_page
    from s3_hf.starting.reporting import encoder_of

    return public_page(run, encoder_of([run]), withheld)


def _preview_text(preview: PushPreview) -> str:
    """Return a line for the repository, and one for each file that the push would add, replace or remove."""
    changes = preview.changes
    if changes is None:
        return f"{preview.kind:8}{preview.repo}  not compared  {preview.folder}"
    state = "new" if preview.new else "changed" if changes.any else "unchanged"
    lines = [f"{preview.kind:8}{preview.repo}  {state}  {preview.folder}"]
    marks = (("+", changes.added), ("~", changes.changed), ("-", changes.removed))
    lines += [f"  {mark} {name}" for mark, names in marks for name in names]
    return "\n".join(lines)
