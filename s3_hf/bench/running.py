"""Run the cells one after another; a cell with its `cell.json` is finished."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from s3_hf.bench.grid import Cell
from s3_hf.config import LOCAL, RunConfig
from s3_hf.errors import BudgetReached, ConfigError, RunDirError, S3Error, SynthesisError
from s3_hf.files import read_json, storage_errors, write_json
from s3_hf.journal import read_usage
from s3_hf.loop import Observer, RunResult, Services, check, run
from s3_hf.records import Usage
from s3_hf.store import JOURNAL, RunDir, create_run, open_run

logger = logging.getLogger(__name__)

FLOPS_PER_TOKEN_AND_PARAMETER = 6
"""FLOPs of training, forward and backward (Brown et al., 2020; appendix B)."""

LIMITS = {"max_requests": "requests", "max_tokens": "tokens", "max_cost": "cost"}
"""Limits in `endpoint` -> attribute of `Usage` that each limits."""


@dataclass(frozen=True)
class CellResult:
    """What a finished cell came to: `scores` on test and `validation` are shares, `flops` those of training.

    `rows` is what the last student was trained on. `requests` and tokens are what the cell needs by itself,
    whoever paid for them; seconds are as they were measured.
    """

    task: str
    arm: str
    student: str
    size: int | None
    seed: int
    rows: int
    wanted: int | None
    rounds: int
    scores: dict[str, float]
    validation: dict[str, float]
    requests: int
    prompt_tokens: int
    completion_tokens: int
    flops: float
    synthesis_seconds: float
    training_seconds: float
    epochs: list[dict[str, float]]
    """The last student's epochs: training loss, scores on gold validation and, with `training.watch`, on the training
    rows and on test."""


class BenchObserver(Observer):
    """Observer of a bench, called as its cells run; these methods do nothing."""

    def cell(self, cell: Cell, place: int, total: int) -> None:
        """Called when a cell begins, as number `place` of `total`."""

    def finished(self, results: Sequence[CellResult]) -> None:
        """Called when a cell is finished, with all results so far."""


def check_cells(cells: Sequence[Cell], folder: Path, services: Services) -> None:
    """Check all that can be checked of the cells before requests are sent.

    Raises:
        S3Error: a cell cannot run; the message names the first fault.
    """
    first_seed = min(cell.seed for cell in cells)
    for cell in cells:
        path = folder / "cells" / cell.name
        if (path / "run.yaml").exists():
            old = create_run(path, cell.config, {})  # names the settings that changed
            _check_length(cell, old)
        elif cell.seed == first_seed:
            _check_size(cell, check(cell.config, _services(cell.config, services)))


def _check_length(cell: Cell, run: RunDir) -> None:
    """Raise RunDirError if a finished cell has other rounds than its settings, which a run may gain but a cell not."""
    old, new = run.facts["config"], cell.config
    if (run.path / "cell.json").exists() and (old["rounds"], old["patience"]) != (new.rounds, new.patience):
        raise RunDirError(
            f"{str(run.path)!r} was made with rounds={old['rounds']} and patience={old['patience']}, found "
            f"{new.rounds} and {new.patience}; set them back, or name another --run-dir"
        )


def _check_size(cell: Cell, task: Any) -> None:
    where = f"arm {cell.arm!r} on task {cell.task!r}"
    if cell.rows is None:
        return
    if cell.rows < len(task.label_names):
        raise ConfigError(
            f"{where} must have a row for each label of {', '.join(task.label_names)}, found size {cell.rows}; "
            "use a larger size"
        )
    if cell.config.gold_size == cell.rows and len(task.mined) < cell.rows:
        raise ConfigError(
            f"{where} must have a size up to its {len(task.mined):,} gold validation rows, found {cell.rows:,}; "
            "use a smaller size, or leave out 'sized' to take them all"
        )


def run_cells(
    cells: Sequence[Cell],
    folder: Path,
    services: Services,
    observer: BenchObserver,
    *,
    keep_models: bool = False,
) -> list[CellResult]:
    """Run the cells that are not finished, and return the results of all, in their order.

    A cell whose LLM gives no usable answer is left out and reported at the end. Any other error stops the bench,
    since the next cell would meet it too.

    Raises:
        S3Error: the error that stopped it; everything made so far is kept, and the same call goes on.
    """
    results: list[CellResult] = []
    failed: dict[str, S3Error] = {}
    for place, cell in enumerate(cells, 1):
        if kept_result(cell, folder) is None:
            observer.cell(cell, place, len(cells))
            try:
                run_cell(cell, folder, services, observer, keep_models=keep_models)
            except SynthesisError as error:
                logger.warning("%s is left out: %s", cell.name, error)
                failed[cell.name] = error
        if found := kept_result(cell, folder):
            results.append(found)
            observer.finished(results)
    raise_first(failed)
    return results


def kept_result(cell: Cell, folder: Path) -> CellResult | None:
    """Return the result of a finished cell, or None, also for a result of another version, which is measured again."""
    proof = folder / "cells" / cell.name / "cell.json"
    found = read_json(proof) if proof.exists() else {}
    return CellResult(**found) if found.keys() == CellResult.__dataclass_fields__.keys() else None


def raise_first(failed: dict[str, S3Error]) -> None:
    """Raise the first error, if there is one, with the names of all cells that failed."""
    for first in failed.values():
        first.add_note(f"the other cells are done; left out: {', '.join(failed)}")
        raise first


def run_cell(
    cell: Cell,
    folder: Path,
    services: Services,
    observer: Observer,
    *,
    keep_models: bool = False,
    at_once: int = 1,
) -> None:
    """Run a cell in its folder, and write `cell.json` as the proof that it is complete.

    Waits until no other process, on any machine, runs a cell of the same journal. `at_once` is the number of journals
    that are written at the same time; each may spend an equal share of a limit.

    Raises:
        SynthesisError: the LLM gives no usable answer, or a cell whose rows this one takes was left out.
        S3Error: any other error of the run.
    """
    path = folder / "cells" / cell.name
    for name in cell.needs:
        if not (folder / "cells" / name / "cell.json").exists():
            raise SynthesisError(f"the rows of {name!r} must be there, found that it was left out; see why above")
    with _turn(folder / "journals" / f"{cell.turn}.turn"):
        if kept_result(cell, folder):
            return
        if cell.shared:
            _link(path / JOURNAL, folder / "journals" / f"{cell.shared}.sqlite")
        try:
            result = run(_limited(cell, folder, at_once), path, _services(cell.config, services), observer)
        finally:
            _note_spending(cell, folder)
        record = _measured(cell, result)
        if not keep_models:
            for file in path.glob("round-*/model/*.safetensors"):
                file.unlink()
        write_json(path / "cell.json", asdict(record))


def spent(folder: Path) -> Usage:
    """Return the usage of all cells together, with shared rows counted once."""
    return _spent(folder, "")


def _spent(folder: Path, but: str) -> Usage:
    """Return the usage of all journals but one, from the notes beside them: another machine may have one open."""
    notes = (path for path in (folder / "journals").glob("*.json") if path.stem != but)
    return sum((Usage(**read_json(path)) for path in notes), Usage())


def _note_spending(cell: Cell, folder: Path) -> None:
    journal = folder / "journals" / f"{cell.shared}.sqlite"
    if cell.shared and journal.exists():
        write_json(folder / "journals" / f"{cell.shared}.json", asdict(read_usage(journal)))


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; the kernel releases it if this process dies."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _measured(cell: Cell, result: RunResult) -> CellResult:
    opened = open_run(result.path)
    folders = [opened.round(one.number) for one in result.rounds]
    made = [read_json(folder.facts) for folder in folders]
    trained = [read_json(folder.model / "training.json") for folder in folders]
    usage = sum((Usage(**facts["usage"]) for facts in made), Usage())
    last = result.rounds[-1]
    return CellResult(
        task=cell.task,
        arm=cell.arm,
        student=cell.student,
        size=cell.size,
        seed=cell.seed,
        rows=last.rows,
        wanted=cell.rows,
        rounds=last.number,
        scores=_metrics(last.scores),
        validation=_metrics(last.validation),
        requests=usage.requests,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        flops=float(sum(FLOPS_PER_TOKEN_AND_PARAMETER * one["parameters"] * one["tokens"]["seen"] for one in trained)),
        synthesis_seconds=sum(facts["seconds"] for facts in made),
        training_seconds=sum(one["seconds"] for one in trained),
        epochs=trained[-1]["epochs"],
    )


def _metrics(scores: Any) -> dict[str, float]:
    return {name: value for name, value in scores.items() if name != "n"}


def _services(config: RunConfig, all_services: Services) -> Services:
    """Return the services without the embedded parts that the settings do not use."""
    chosen = all_services
    if config.llm != LOCAL:
        chosen = replace(chosen, llm_urls=(), llm_model="")
    return chosen if config.student == LOCAL else replace(chosen, student="", student_name="")


def _limited(cell: Cell, folder: Path, at_once: int) -> RunConfig:
    """Return the cell's settings with limits reduced by the spending of other journals, since they hold for the bench.

    Journals that are written at the same time do not see each other's spending, so that each has an equal share.
    """
    config = cell.config
    limits = {name: limit for name in LIMITS if (limit := getattr(config.endpoint, name)) is not None}
    elsewhere = _spent(folder, cell.turn)
    left = {}
    for name, limit in limits.items():
        share = limit / at_once if name == "max_cost" else limit // at_once
        left[name] = min(share, limit - getattr(elsewhere, LIMITS[name]))
        if left[name] <= 0:
            raise BudgetReached(
                f"the limit {name}={limits[name]!r} of the bench is reached; all of it is kept, run the same command "
                f"with a higher {name} to go on"
            )
    return config.model_copy(update={"endpoint": config.endpoint.model_copy(update=left)})


def _link(link: Path, journal: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(journal, link.parent))
