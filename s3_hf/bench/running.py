"""Run the cells one after another; a cell with its `cell.json` is finished."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from s3_hf.bench.grid import Cell
from s3_hf.bench.measuring import CellResult, measured
from s3_hf.config import RunConfig
from s3_hf.errors import BudgetReached, ConfigError, RunDirError, S3Error, SynthesisError
from s3_hf.files import read_json, storage_errors, write_json
from s3_hf.journal import read_usage
from s3_hf.loop import Observer, Services, check, run
from s3_hf.records import Usage
from s3_hf.store import JOURNAL, RunDir, create_run, parse_facts

logger = logging.getLogger(__name__)

LIMITS = {"max_requests": "requests", "max_tokens": "tokens", "max_cost": "cost"}
"""Limits in `endpoint` -> attribute of `Usage` that each limits."""


class BenchObserver(Observer):
    """Receives the progress of a bench; this one ignores it."""

    def cell(self, cell: Cell, place: int, total: int) -> None:
        """Called when a cell begins, as number `place` of `total`."""

    def finished(self, results: Sequence[CellResult]) -> None:
        """One more cell is finished; `results` are those of all finished cells."""


def check_cells(cells: Sequence[Cell], folder: Path, services: Services) -> None:
    """Check everything that can be checked of all cells before anything is spent.

    Raises:
        S3Error: the first fault.
    """
    first_seed = min(cell.seed for cell in cells)
    for cell in cells:
        path = folder / "cells" / cell.name
        if (path / "run.yaml").exists():
            old = create_run(path, cell.config, {})  # names the settings that changed
            _check_length(cell, old)
        elif cell.seed == first_seed:
            _check_size(cell, check(cell.config, services))


def _check_length(cell: Cell, run: RunDir) -> None:
    """Raise if a finished cell has other rounds than the settings; an unfinished run may be extended."""
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
    """Run the cells that are not finished and return the results of all cells, in their order.

    A cell whose LLM gives no usable answer is left out and named at the end. Any other error would occur in the next
    cell too and stops the bench.

    Raises:
        S3Error: everything made so far is kept, and the same call continues.
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
    raise_failures(failed)
    return results


def kept_result(cell: Cell, folder: Path) -> CellResult | None:
    """Return the result of a finished cell, or None; one that another version wrote is measured again."""
    proof = folder / "cells" / cell.name / "cell.json"
    values = read_json(proof) if proof.exists() else {}
    return parse_facts(values, proof, CellResult) if values.keys() == CellResult.__dataclass_fields__.keys() else None


def raise_failures(failed: dict[str, S3Error]) -> None:
    """Raise the first error, if any, with the names of all cells that failed."""
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
    """Run the cell in its folder, with `cell.json` as the proof that it is complete.

    Waits until no other process, on any machine, runs a cell with the same journal.

    Args:
        cell: the cell.
        folder: folder of the bench.
        services: addresses of the embedded parts.
        observer: receives progress.
        keep_models: keep the weights of the students.
        at_once: journals that are written at the same time; each may spend an equal share of a limit.

    Raises:
        SynthesisError: the LLM gives no usable answer, or a cell whose rows this one uses was left out.
        S3Error: any other error.
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
            result = run(_limited(cell, folder, at_once), path, services, observer)
        finally:
            _note_spending(cell, folder)
        record = measured(cell, result)
        if not keep_models:
            for file in path.rglob("model/*.safetensors"):
                file.unlink()
        write_json(path / "cell.json", asdict(record))


def spent(folder: Path) -> Usage:
    """Return what all cells of the bench paid together, with shared rows counted once."""
    return _spent(folder, "")


def _spent(folder: Path, but: str) -> Usage:
    """Return the sum over all journals but one, from the notes beside them: another machine may have them open."""
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
        turn = FileLock(path, mode=0o644)
        turn.acquire()
    try:
        yield
    finally:
        turn.release()


def _limited(cell: Cell, folder: Path, at_once: int) -> RunConfig:
    """Return the cell's settings with limits reduced by the spending of other journals: limits are of the whole bench.

    Journals that are written at the same time do not know each other's spending, so each has an equal share.
    """
    config = cell.config
    limits = {name: limit for name in LIMITS if (limit := getattr(config.endpoint, name)) is not None}
    elsewhere = _spent(folder, cell.turn)
    left = {}
    for name, limit in limits.items():
        share = limit / at_once if name == "max_cost" else limit // at_once
        if not share:
            raise ConfigError(
                f"the limit {name} of the bench must be {at_once} or more, one for each journal that is written at "
                f"the same time, found {limit}; raise it"
            )
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
