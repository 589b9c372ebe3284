"""From a bench to its cells: what each of them runs, in which order, and what must not be."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_hf.bench.spec import Arm, Bench
from s3_hf.config import RunConfig, merge, parse_config
from s3_hf.errors import ConfigError
from s3_hf.strategies import Strategy, strategy_named

REFERENCE = "arm:"
"""Prefix of `seed_data` and `add_data` that are rows of another arm."""


@dataclass(frozen=True)
class Cell:
    """One run of the grid; `size` None stands for all gold rows, whatever the size."""

    task: str
    arm: str
    student: str
    size: int | None
    seed: int
    config: RunConfig
    rows: int | None
    """Rows that the last student is to be trained on; None where the data decides it."""
    journal: str
    """File name of the journal that it shares with other cells."""

    @property
    def name(self) -> str:
        """Its folder: readable, and the same whatever else is in the grid."""
        return cell_name(self.task, self.arm, self.student, self.size, self.seed)


def cell_name(task: str, arm: str, student: str, size: int | None, seed: int) -> str:
    """The name of a cell's folder."""
    parts = (task, arm, Path(student).name, "all" if size is None else str(size), f"seed{seed}")
    return "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts)


def cells_of(bench: Bench, folder: Path) -> list[Cell]:
    """Return the cells in the order in which they run: all arms of a seed before the next seed.

    Args:
        bench: the bench.
        folder: its folder, where rows of other arms are looked for.

    Raises:
        ConfigError: a setting or a size is wrong, an arm needs another one that is not there, or two cells are
            the same.
    """
    ordered = _by_need(bench)
    cells = [
        cell
        for seed in bench.seeds
        for task in bench.tasks
        for student in bench.students
        for arm in ordered
        for cell in _cells(bench, folder, task, arm, student, seed)
    ]
    _distinct(cells)
    return cells


def _cells(bench: Bench, folder: Path, task: str, arm: str, student: str, seed: int) -> Iterator[Cell]:
    entry, method = bench.tasks[task], bench.arms[arm]
    if method.tasks is not None and task not in method.tasks:
        return
    strategy = _strategy(bench, arm)
    sizes: tuple[int | None, ...] = bench.sizes if entry.sizes is None else entry.sizes
    if not strategy.asks_llm and not method.sized:
        sizes = (None,)
    elif not sizes:
        raise ConfigError(f"arm {arm!r} on task {task!r} needs 'sizes', found none; add them")
    given = merge(merge(bench.settings, entry.settings), method.settings)
    for size in sizes:
        values = merge({"synthesis": {"top_up": True}}, given)
        values |= {"task": entry.recipe or task, "strategy": strategy.name, "student": student, "seed": seed}
        rows = None if size is None else round(size * method.times)
        values |= _split(method, strategy, given, rows, f"arm {arm!r}, size {size}")
        values |= _borrowed(bench, folder, values, (task, student, size, seed))
        config = parse_config(values, f"the settings of arm {arm!r} on task {task!r}")
        decided = None if "seed_data" in given or "add_data" in given else rows
        yield Cell(task, arm, student, size, seed, config, decided, _journal(task, seed, method))


def _split(
    arm: Arm, strategy: Strategy, given: Mapping[str, Any], rows: int | None, where: str
) -> dict[str, int | None]:
    """How many rows are seed and how many each round adds (appendix B: 2/3, then 1/6 and 1/6)."""
    added = 1 if given.get("add_data") else 0  # a round that is given
    rounds = arm.rounds if arm.rounds is not None else added or (2 if strategy.grow else 0)
    if not strategy.grow and rounds > added:
        raise ConfigError(
            f"{where}, must have {added} rounds, since strategy {strategy.name!r} adds none, found {rounds}; "
            "correct 'rounds'"
        )
    if rows is None:
        return {"rounds": rounds}
    if not strategy.asks_llm:
        return {"rounds": rounds, "gold_size": rows}
    growing = rounds - added
    each = round(rows * (1 - arm.seed_share) / growing) if growing > 0 else 0
    seed = rows - growing * each if growing > 0 else rows
    if seed < 1 or (growing > 0 and each < 1):
        raise ConfigError(
            f"{where}, must leave a row for the seed and for each of {rounds} rounds, found {seed} and {each}; "
            "use a larger size, or correct 'seed_share' and 'rounds'"
        )
    return {"rounds": rounds, "seed_size": seed, "round_size": each or None}


def _borrowed(
    bench: Bench, folder: Path, values: Mapping[str, Any], place: tuple[str, str, int | None, int]
) -> dict[str, Any]:
    """The files that hold the rows of other arms, where `seed_data` or `add_data` name one."""
    task, student, size, seed = place
    found: dict[str, Any] = {}
    for key in ("seed_data", "add_data"):
        if (name := _reference(values.get(key))) is None:
            continue
        strategy = _strategy(bench, name)
        sized = strategy.asks_llm or bench.arms[name].sized
        cell = folder.resolve() / "cells" / cell_name(task, name, student, size if sized else None, seed)
        if key == "seed_data":
            found[key] = str(cell / "round-0" / "data.parquet")
            continue
        arm = bench.arms[name]
        rounds = arm.rounds if arm.rounds is not None else 2 if strategy.grow else 0
        found[key] = [str(cell / f"round-{number}" / "data.parquet") for number in range(1, rounds + 1)]
    return found


def _reference(value: Any) -> str | None:
    return value.removeprefix(REFERENCE) if isinstance(value, str) and value.startswith(REFERENCE) else None


def _strategy(bench: Bench, arm: str) -> Strategy:
    return strategy_named(bench.arms[arm].strategy or arm)


def _by_need(bench: Bench) -> list[str]:
    """The arms, those whose rows others take before those others."""
    ordered: list[str] = []
    waiting = list(bench.arms)
    while waiting:
        for arm in waiting:
            needs = {_reference(bench.arms[arm].settings.get(key)) for key in ("seed_data", "add_data")} - {None}
            if missing := needs - set(bench.arms):
                raise ConfigError(f"arm {arm!r} takes rows of arm {missing.pop()!r}, which is not there; correct it")
            if needs <= set(ordered):
                break
        else:
            raise ConfigError(f"the arms {', '.join(waiting)} take rows of each other; let one of them make its own")
        ordered.append(arm)
        waiting.remove(arm)
    return ordered


def _journal(task: str, seed: int, arm: Arm) -> str:
    """Cells share completions if task, seed and LLM are the same; the address of the file's LLM may change."""
    own = {key: arm.settings[key] for key in ("llm", "llm_model") if key in arm.settings}
    tail = f"-{hashlib.sha256(repr(sorted(own.items())).encode()).hexdigest()[:6]}" if own else ""
    return f"{re.sub(r'[^a-zA-Z0-9_.]+', '_', task)}-seed{seed}{tail}.sqlite"


def _distinct(cells: list[Cell]) -> None:
    """Raise ConfigError if two cells would run the same, or have the same folder."""
    known: dict[tuple[object, ...], Cell] = {}
    for cell in cells:
        same = (cell.config.fingerprint(), cell.config.rounds, cell.config.patience)
        for key, fault in ((same, "are the same cell"), ((cell.name,), "have the same name")):
            other = known.setdefault(key, cell)
            if other is not cell:
                raise ConfigError(
                    f"{_told(other)} and {_told(cell)} {fault}: nothing that is made differs; drop one of them, or "
                    "correct its settings"
                    if key == same
                    else f"{_told(other)} and {_told(cell)} {fault} {cell.name!r}; rename one of them"
                )


def _told(cell: Cell) -> str:
    return f"arm {cell.arm!r} with student {cell.student!r}, size {cell.size or 'all'}, on task {cell.task!r}"
