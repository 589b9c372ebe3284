"""The round: synthesize, train, score, mine; and going on after a stop (paper Algorithm 2).

Each stage begins by looking for its proof in the run directory, so `run` called again goes on where the
last call ended. Under `accelerate launch` the first process does everything but training and prediction,
which all do together; the others wait for its files, not at a barrier, since synthesis may take days.
"""

from __future__ import annotations

from pathlib import Path

from s3_hf.config import RunConfig
from s3_hf.errors import S3Error
from s3_hf.hub import check_access
from s3_hf.loop.preview import PromptPreview, preview
from s3_hf.loop.results import Observer, RoundResult, RunResult, Services, results_of
from s3_hf.loop.rounds import Rounds, check
from s3_hf.store import RoundDir

__all__ = [
    "Observer",
    "PromptPreview",
    "RoundResult",
    "RunResult",
    "Services",
    "check",
    "preview",
    "results_of",
    "run",
    "synthesize",
]


def run(
    config: RunConfig,
    run_dir: Path | str | None = None,
    services: Services | None = None,
    observer: Observer | None = None,
    push_to: str | None = None,
) -> RunResult:
    """Run all rounds, going on from what the run directory holds, and return their results.

    Args:
        config: settings.
        run_dir: folder of the run; by default `runs/TASK-STRATEGY-FINGERPRINT`.
        services: addresses of what the settings call `local`.
        observer: told about progress.
        push_to: namespace at HF_ENDPOINT to publish each round under as it finishes; a push that fails does not
            stop the run, and `RunResult.push_error` has the last one's error.

    Raises:
        S3Error: see `s3_hf.errors`; everything made so far is kept, and the same call goes on.
    """
    if push_to is not None:
        check_access(push_to)
    results: list[RoundResult] = []
    push_error: S3Error | None = None
    with Rounds.begin(config, run_dir, services or Services(), observer or Observer()) as rounds:
        for number in range(config.rounds + 1):
            if rounds.over(results):
                break
            if (result := rounds.round(number)) is None:
                break
            results.append(result)
            rounds.observer.scored(result)
            if push_to is not None:
                push_error = rounds.publish(push_to)
    return RunResult(rounds.run.path, tuple(results), push_error)


def synthesize(
    config: RunConfig,
    run_dir: Path | str | None = None,
    services: Services | None = None,
    observer: Observer | None = None,
) -> RoundDir:
    """Make the rows of round 0 and return its folder; no model is trained.

    Takes and raises the same as `run`.
    """
    begun = Rounds.begin(config, run_dir, services or Services(), observer or Observer(), trains=False)
    with begun as rounds:
        folder = rounds.run.round(0)
        rounds.synthesize(folder)
    return folder
