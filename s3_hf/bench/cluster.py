"""Run the cells as Ray tasks, on machines that share a disk; only `--engine ray` imports Ray."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s3_hf.bench.grid import Cell
from s3_hf.bench.measuring import CellResult
from s3_hf.bench.running import BenchObserver, kept_result, raise_failures, run_cell
from s3_hf.config import LOCAL
from s3_hf.errors import ClusterError, S3Error, SynthesisError, installing, one_line
from s3_hf.loop import Observer, Services
from s3_hf.strategies import strategy_named

logger = logging.getLogger(__name__)

RETRIES = 3
"""Most restarts of a cell whose worker or machine was lost."""

ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


@dataclass(frozen=True, slots=True)
class Needs:
    """Cores and GPUs that one cell reserves; a fraction of a GPU is allowed."""

    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True)
class _Work:
    """The arguments of a worker."""

    cell: Cell
    folder: Path
    services: Services
    keep_models: bool
    at_once: int
    directory: str
    """Folder that relative paths in the bench file start from."""


def run_cells_on_ray(
    cells: Sequence[Cell],
    folder: Path,
    services: Services,
    observer: BenchObserver,
    *,
    needs: Needs,
    keep_models: bool = False,
) -> list[CellResult]:
    """Run the cells as `run_cells` does, those of different journals in parallel on the machines of a Ray cluster.

    RAY_ADDRESS names the cluster; without it, one is started on this machine. A cell whose worker or machine is
    lost is run again elsewhere from its run directory and journal, so the folder must lie on a disk that all machines
    share, and so must the files that the bench file names.

    Raises:
        S3Error: as `run_cells`.
        ClusterError: Ray is not installed, or the worker of a cell is lost each time.
    """
    try:
        import ray
    except ImportError as error:
        raise ClusterError(f"--engine ray needs Ray, which is not installed; {installing('ray')}") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    try:
        _check_addresses(ray, cells)
        return _gather(ray, _submit(ray, cells, folder, services, needs, keep_models), cells, folder, observer)
    finally:
        ray.shutdown()


def _submit(
    ray: Any, cells: Sequence[Cell], folder: Path, services: Services, needs: Needs, keep_models: bool
) -> dict[Any, Cell]:
    """Submit each unfinished cell, to run after the one before it in its turn and after those whose rows it takes."""
    at_once = max(1, len({cell.shared for cell in cells} - {None}))
    task = ray.remote(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=RETRIES)(_run)
    last: dict[str, Any] = {}
    tasks: dict[Any, Cell] = {}
    for cell in cells:
        if kept_result(cell, folder) is None:
            rotated = _rotated(cell, len(last))
            work = _Work(rotated, folder.resolve(), services, keep_models, at_once, str(Path.cwd()))
            needed = [one for one, other in tasks.items() if other.name in cell.needs]
            last[cell.turn] = task.remote(work, last.get(cell.turn), *needed)
            tasks[last[cell.turn]] = cell
    return tasks


def _gather(
    ray: Any, tasks: dict[Any, Cell], cells: Sequence[Cell], folder: Path, observer: BenchObserver
) -> list[CellResult]:
    """Wait for all tasks; an error that stops one journal is raised after the tasks of the others have ended."""
    failed: dict[str, S3Error] = {}
    stopped: dict[str, S3Error] = {}
    waiting = list(tasks)
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1)
        name = tasks[done[0]].name
        error = _error_of(ray, done[0], name)
        if isinstance(error, SynthesisError):
            logger.warning("%s is left out: %s", name, error)
            failed[name] = error
        elif error is not None:
            if str(error) not in stopped:
                logger.warning("%s stops: %s; cells of other journals go on", name, error)
            stopped.setdefault(str(error), error)
        observer.finished([found for one in cells if (found := kept_result(one, folder))])
    for first in stopped.values():
        raise first
    raise_failures(failed)
    return [found for one in cells if (found := kept_result(one, folder))]


def _error_of(ray: Any, task: Any, name: str) -> S3Error | None:
    try:
        error: S3Error | None = ray.get(task)
    except ray.exceptions.RayTaskError:
        raise  # a fault of the code, with its traceback
    except ray.exceptions.RayError as lost:
        detail = one_line(lost)
        error = ClusterError(
            f"cell {name!r} must end, but its worker was lost {RETRIES + 1} times or could not begin "
            f"({detail}); look at memory and disk of the machines, then run the same command again"
        )
        error.__cause__ = lost
    return error


def _run(work: _Work, *before: S3Error | None) -> S3Error | None:
    """Run the cell in a worker and return its error, or that of a cell before it, which would stop it too."""
    for error in before:
        if error is not None and not isinstance(error, SynthesisError):
            return error
    os.environ.update({name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()})
    os.chdir(work.directory)
    try:
        run_cell(work.cell, work.folder, work.services, Observer(), keep_models=work.keep_models, at_once=work.at_once)
    except S3Error as error:
        return error
    return None


def _rotated(cell: Cell, turn: int) -> Cell:
    """Return the cell with its URLs rotated, so that cells that begin together do not all use the same one first."""
    urls = cell.config.llm_urls
    if len(urls) < 2:
        return cell
    first = turn % len(urls)
    return replace(cell, config=cell.config.model_copy(update={"llm": (*urls[first:], *urls[:first])}))


def _check_addresses(ray: Any, cells: Sequence[Cell]) -> None:
    machines = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    embedded = any(cell.config.llm == LOCAL and strategy_named(cell.config.strategy).asks_llm for cell in cells)
    if embedded and len(machines) > 1:
        raise ClusterError(
            f"the embedded LLM answers on this machine alone, found a cluster of {len(machines)}; serve an LLM that "
            "all of them reach, and name it by --llm URL"
        )
