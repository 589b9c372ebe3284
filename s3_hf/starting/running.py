"""The Python entry point: settings as arguments, embedded parts started, progress shown."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from s3_hf import loop
from s3_hf.config import RunConfig, parse_config
from s3_hf.hub import PushOptions
from s3_hf.loop import RunResult
from s3_hf.proxies import exempt_loopback
from s3_hf.schema import merge
from s3_hf.starting.embedded import services
from s3_hf.starting.progress import Progress


def run(
    task: str | Path | RunConfig,
    *,
    run_dir: Path | str | None = None,
    push_to: str | None = None,
    push_options: PushOptions | None = None,
    progress: bool = True,
    **settings: Any,
) -> RunResult:
    """Run S3 on a task and return everything measured; the same call resumes a run that was stopped.

        result = s3_hf.run("movie_snippets", llm="http://gpu-1:8000", rounds=1)
        result.rounds[-1].scores["test"].metrics["accuracy"]
        result.push("my-name")

    The embedded LLM and student run where `llm` and `student` are `local`, as they are by default. Inside a running
    event loop, as in a notebook, the call blocks like any other.

    Args:
        task: registered name or recipe file, or all settings as a `RunConfig`.
        run_dir: folder of the run; None takes `runs/TASK-STRATEGY-FINGERPRINT`.
        push_to: namespace at HF_ENDPOINT under which each round is published when it is finished.
        push_options: how it is published, such as `s3_hf.hub.PushOptions(name="films")`.
        progress: show progress: bars in a terminal or notebook, lines on standard error elsewhere.
        **settings: fields of `RunConfig`, over those of `task`; a group such as `training` may be a mapping.

    Raises:
        S3Error: see `s3_hf.errors`; everything made so far is kept.
    """
    # Idle OpenMP threads spin by default, which slows training down wherever another process needs the core.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    exempt_loopback()
    config = _config(task, settings)
    shown = Progress.of(config) if progress else contextlib.nullcontext()
    with services(config) as embedded, shown as observer:
        return loop.run(config, run_dir, embedded, observer, push_to, push_options)


def _config(task: str | Path | RunConfig, settings: dict[str, Any]) -> RunConfig:
    if not isinstance(task, RunConfig):
        return parse_config({"task": str(task), **settings}, source="s3_hf.run")
    return parse_config(merge(task.model_dump(mode="json"), settings), source="s3_hf.run") if settings else task
