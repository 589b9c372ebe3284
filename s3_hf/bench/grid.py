"""The cells of a bench: the settings of each, their order, and the checks on them."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from s3_hf.bench.spec import Arm, Bench, BenchTask
from s3_hf.config import LOCAL, RunConfig, parse_config
from s3_hf.errors import ConfigError
from s3_hf.schema import merge
from s3_hf.strategies import Strategy, progen_sizes, strategy_named

DEFAULTS: Mapping[str, Any] = {
    "judge": "none",
    "gold_stage": "none",
    "verdict": False,
    "synthesis": {"top_up": True},
    "training": {"min_steps": 0},
}
"""Settings of all cells unless the bench file has others: methods as in the paper, on equal numbers of rows."""
SEED_SHARE = Fraction(2, 3)
REFERENCE = "arm:"
"""Prefix of a `seed_data` or `add_data` that names another arm, whose rows are taken."""


@dataclass(frozen=True)
class Cell:
    """One run of the grid; `size` None is for an arm that takes all gold rows."""

    task: str
    arm: str
    student: str
    size: int | None
    seed: int
    config: RunConfig
    rows: int | None
    """Number of rows to train the last student on; None where the data decides it."""
    shared: str | None
    """Name of the journal that it shares with other cells; None for a cell without one."""
    needs: tuple[str, ...] = ()
    """Names of the cells whose rows it takes, which must run first."""

    @property
    def name(self) -> str:
        """Name of its folder, which does not depend on the rest of the grid."""
        return cell_name(self.task, self.arm, self.student, self.size, self.seed)

    @property
    def turn(self) -> str:
        """Key that is equal for cells that must run one after another."""
        return self.shared or self.name


def cell_name(task: str, arm: str, student: str, size: int | None, seed: int) -> str:
    """Return the name of a cell's folder."""
    parts = (task, arm, Path(student).name, "all" if size is None else str(size), f"seed{seed}")
    return "-".join(re.sub(r"[^\w.]+", "_", part) for part in parts)


def cells_of(bench: Bench) -> list[Cell]:
    """Return the cells in the order in which they run: all arms of a seed before the next seed.

    Raises:
        ConfigError: a setting or a size is wrong, an arm needs a missing one, two cells are equal, or there are none.
    """
    ordered = _by_need(bench)
    cells: dict[str, Cell] = {}
    for seed, task, student, arm in itertools.product(bench.seeds, bench.tasks, bench.students, ordered):
        for cell in _cells(bench, cells, task, arm, student, seed):
            other = cells.setdefault(cell.name, cell)
            if other is not cell:
                raise ConfigError(
                    f"{_described(other)} and {_described(cell)} have the same name {cell.name!r}; rename one of them"
                )
    if not cells:
        raise ConfigError("the bench must have a cell, found that no arm is for any task; correct the arms' 'tasks'")
    _distinct(cells.values())
    return list(cells.values())


def _cells(bench: Bench, before: Mapping[str, Cell], task: str, arm: str, student: str, seed: int) -> Iterator[Cell]:
    entry, method = bench.tasks[task], bench.arms[arm]
    if method.tasks is not None and task not in method.tasks:
        return
    strategy = _strategy(bench, arm)
    sizes: tuple[int | None, ...] = bench.sizes if entry.sizes is None else entry.sizes
    if not strategy.asks_llm and not method.sized:
        sizes = (None,)
    elif not sizes:
        raise ConfigError(f"arm {arm!r} on task {task!r} needs 'sizes', found none; add them")
    settings: dict[str, Any] = {}
    for layer in (bench.settings, entry.settings, method.settings, entry.arms.get(arm, {}), bench.flags):
        settings = merge(settings, layer)
    for size in sizes:
        values = merge(DEFAULTS, settings)
        values |= {"task": entry.recipe or task, "strategy": strategy.name, "student": student, "seed": seed}
        rows = None if size is None else round(size * method.times)
        values |= _schedule(method, entry, strategy, settings, rows, f"arm {arm!r}, size {size}")
        if method.literal:
            values = merge(values, {"round_size": None, "synthesis": {"top_up": False}})
        where = f"arm {arm!r} on task {task!r}"
        sources = dict(_sources(bench, before, values, (task, student, size, seed), where))
        values |= {key: f"../{source.name}" for key, source in sources.items()}
        config = _located(parse_config(values, f"the settings of {where}"), bench.folder, sources)
        borrows = bool(settings.get("seed_data") or settings.get("add_data"))
        journal = _journal(task, seed, config, method) if strategy.asks_llm or borrows else None
        needs = tuple(dict.fromkeys(source.name for source in sources.values()))
        wanted = None if borrows or (method.literal and config.rounds) else rows
        yield Cell(task, arm, student, size, seed, config, wanted, journal, needs)


def _schedule(
    arm: Arm, entry: BenchTask, strategy: Strategy, settings: Mapping[str, Any], rows: int | None, where: str
) -> dict[str, Any]:
    """Return the rounds, the rows of the seed and of each round (appendix B: 2/3, 1/6 and 1/6; or ProGen's own)."""
    added = 1 if settings.get("add_data") else 0  # round 1 is an existing dataset
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
    if strategy.scores_rows and arm.rounds is None and arm.seed_share is None and not added:
        seed, *more = progen_sizes(rows)
        if not more:
            raise ConfigError(
                f"{where}, must have more rows than ProGen's first round, 100, found {rows}; use a larger size, or "
                "give 'rounds' and 'seed_share'"
            )
        return {"rounds": len(more), "seed_size": seed, "round_size": more}
    growing = rounds - added
    share = next((one for one in (arm.seed_share, entry.seed_share) if one is not None), SEED_SHARE)
    each = round(rows * (1 - share) / growing) if growing > 0 else 0
    seed = rows - growing * each if growing > 0 else rows
    if seed < 1 or (growing > 0 and each < 1):
        raise ConfigError(
            f"{where}, must leave a row for the seed and for each of {rounds} rounds, found {seed} and {each}; "
            "use a larger size, or correct 'seed_share' and 'rounds'"
        )
    return {"rounds": rounds, "seed_size": seed, "round_size": each or None}


def _sources(
    bench: Bench,
    before: Mapping[str, Cell],
    values: Mapping[str, Any],
    place: tuple[str, str, int | None, int],
    where: str,
) -> Iterator[tuple[str, Cell]]:
    """Yield `seed_data` or `add_data` with the cell whose rows it takes, where the setting names an arm."""
    task, student, size, seed = place
    for key in ("seed_data", "add_data"):
        if (arm := _reference(values.get(key))) is None:
            continue
        sized = _strategy(bench, arm).asks_llm or bench.arms[arm].sized
        source = before.get(cell_name(task, arm, student, size if sized else None, seed))
        if source is None:
            raise ConfigError(f"{where} takes rows of arm {arm!r}, which has none on this task; correct its 'tasks'")
        if key == "add_data" and not source.config.rounds:
            raise ConfigError(f"{where} takes what arm {arm!r} adds to its seed, which is nothing; name another arm")
        yield key, source


def _located(config: RunConfig, folder: Path, sources: Mapping[str, Cell]) -> RunConfig:
    """Return the settings with the paths that lead somewhere from the bench file; those of other cells stay."""
    located = config.located(folder)
    return located.model_copy(update={key: getattr(config, key) for key in sources})


def _reference(value: Any) -> str | None:
    return value.removeprefix(REFERENCE) if isinstance(value, str) and value.startswith(REFERENCE) else None


def _strategy(bench: Bench, arm: str) -> Strategy:
    return strategy_named(bench.arms[arm].strategy or arm)


def _by_need(bench: Bench) -> list[str]:
    """Return the arms, each after those whose rows it takes."""
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
            raise ConfigError(f"the arms {', '.join(waiting)} take rows of each other; let one of them have its own")
        ordered.append(arm)
        waiting.remove(arm)
    return ordered


def _journal(task: str, seed: int, config: RunConfig, arm: Arm) -> str:
    """Return the journal's name: cells with equal task, seed and LLM share one, whatever the URL of the file's LLM."""
    llm = [config.identity()["llm"], config.llm_model, arm.settings.get("llm")]
    plain = llm == [LOCAL, None, None]
    tail = "" if plain else f"-{hashlib.sha256(repr(llm).encode()).hexdigest()[:6]}"
    return f"{re.sub(r'[^a-zA-Z0-9_.]+', '_', task)}-seed{seed}{tail}"


def _distinct(cells: Iterable[Cell]) -> None:
    """Raise ConfigError if two cells have equal settings."""
    known: dict[tuple[object, ...], Cell] = {}
    for cell in cells:
        other = known.setdefault((cell.config.fingerprint(), cell.config.rounds, cell.config.patience), cell)
        if other is not cell:
            raise ConfigError(
                f"{_described(other)} and {_described(cell)} are the same cell: their settings are equal; "
                "drop one of them, or correct its settings"
            )


def _described(cell: Cell) -> str:
    return f"arm {cell.arm!r} with student {cell.student!r}, size {cell.size or 'all'}, on task {cell.task!r}"
