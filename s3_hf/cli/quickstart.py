"""The quickstart: S3 end to end on the embedded defaults, published to a local Hub and read back from it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import typer

from s3_hf.cli import options
from s3_hf.errors import LocalError, installing

SETTINGS = {
    "task": "movie_snippets",
    "gold_size": 150,
    "test_size": 1_000,
    "seed_size": 100,
    "rounds": 2,
    "round_size": 25,
    "judge": "gold",
    "gold_stage": "after",
    "synthesis": {"rationales_per_example": 2},
    "training": {"batch_size": 8},
}
USER = "quickstart"
TEXTS = ("An utterly charming film with a cast to match.", "I have rarely been so bored.")
READ_BACK = "from datasets import load_dataset; import sys; print(load_dataset(sys.argv[1], split='train'))"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(quickstart)


def quickstart(
    run_dir: Path = typer.Option(
        Path("runs/quickstart"), "--run-dir", callback=options.checked_folder, help="Folder of the run."
    ),
    seed: int = typer.Option(0, help="Seed of every random choice."),
) -> None:
    """Run S3 end to end, offline: local LLM, MiniLM, 150 gold rows, two rounds, a local Hub, a verdict."""
    from s3_hf.cli import display
    from s3_hf.cli.runs import run_and_show
    from s3_hf.config import parse_config
    from s3_hf.store import open_run

    try:
        from hf_localhub import add_user, running
        from hf_localhub.errors import LocalHubError
    except ImportError as error:
        needed = f"the quickstart publishes to a local Hub, which needs `{error.name}`, but it is not installed"
        raise LocalError(f"{needed}; {installing('local')}") from error
    display.show_text(
        "S3 on movie_snippets: SmolLM2-135M writes 100 sentences with rationales, MiniLM learns from them, and "
        "its errors on 150 human-rated sentences become up to 25 more, twice. Last it learns the 150 too."
    )
    run_and_show(parse_config({**SETTINGS, "seed": seed}), run_dir)
    data = run_dir / "local-hub"
    try:
        with running(data) as hub:
            _publish_and_read_back(run_dir, hub.endpoint, add_user(data, USER))
    except LocalHubError as error:
        raise LocalError(str(error)) from error
    display.show_text(
        f"\nThe run is in {run_dir}; the Hub is in {data}, served again by: "
        f"hf-localhub serve --data {shlex.quote(str(data))}"
    )
    if verdict := open_run(run_dir).final.outcome():
        display.show_text(verdict.sentence)


def _publish_and_read_back(run_dir: Path, endpoint: str, token: str) -> None:
    from s3_hf.cli import display
    from s3_hf.hub import PushOptions, push_run
    from s3_hf.report import card_figures
    from s3_hf.store import open_run

    published = push_run(open_run(run_dir), USER, PushOptions(figures=card_figures), token=token, endpoint=endpoint)
    for one in published:
        display.show_text(f"published {one.kind:8}{one.url}")
    dataset = [one.repo for one in published if one.kind == "dataset"][-1]
    model = published[-1].repo
    # A consumer is a process of its own that knows the Hub by HF_ENDPOINT alone.
    home = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str((run_dir / "consumer").resolve()),
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
    }
    display.show_text(f"\nload_dataset({dataset!r})")
    display.show_text(_consume(home, "-c", READ_BACK, dataset))
    display.show_text(f"s3-hf predict {model} …")
    for prediction in json.loads(_consume(home, "-m", "s3_hf", "predict", model, *TEXTS, "--json")):
        display.show_text(f"  {prediction['label']} ({prediction['score']:.2f})  {prediction['text']}")


def _consume(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - this interpreter and our own arguments
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()
