"""The bench file: what is compared, on which tasks, with how many rows and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, ValidationError, field_validator

from s3_hf.config import LOCAL, Natural, Positive
from s3_hf.errors import ConfigError
from s3_hf.schema import Settings, first_fault, merge, read_mapping

SEE = "see docs/bench.md"

Share = Annotated[Fraction, Field(gt=0, le=1)]

OURS = ("task", "strategy", "student", "seed", "seed_size", "round_size", "rounds")
"""Settings that the axes of the grid decide."""


class BenchTask(Settings):
    """One task of the grid; by default its key is the recipe's registered name."""

    recipe: str | None = None
    """Registered name or path of the recipe, where it is not the key."""
    paper_task: str | None = None
    """Whose figures of the paper stand beside this task's, where it is another one."""
    sizes: tuple[Positive, ...] | None = None
    """Sizes for this task in place of the file's."""
    seed_share: Share | None = None
    """`seed_share` of the arms that say none themselves."""
    settings: Mapping[str, Any] = Field(default_factory=dict)


class Arm(Settings):
    """One method of the grid; by default its key is the strategy."""

    strategy: str | None = None
    rounds: Natural | None = None
    """Rounds after the seed; by default 2 where the strategy grows its data, 0 elsewhere, and for ProGen those of its
    own schedule."""
    seed_share: Share | None = None
    """Share of the rows that are the seed, if there are rounds, by default 2/3; the others are even shares."""
    times: Annotated[Fraction, Field(gt=0)] = Fraction(1)
    """So many times the rows that the size says, to compare what data is worth."""
    sized: bool = False
    """For gold data: a sample of as many rows as the size says, in place of all."""
    tasks: tuple[str, ...] | None = None
    """Tasks of this arm; None takes all."""
    settings: Mapping[str, Any] = Field(default_factory=dict)


class Paper(Settings):
    """Figures that stand beside the run's: arm -> task -> metric -> percent, and `rows` -> data size."""

    source: str
    figures: Mapping[str, Mapping[str, Mapping[str, float]]]


class Bench(Settings):
    """A bench file, validated; settings go from the file's over the task's to the arm's, then to those of flags."""

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    title: str = ""
    tasks: Annotated[Mapping[str, BenchTask], Field(min_length=1)]
    arms: Annotated[Mapping[str, Arm], Field(min_length=1)]
    students: Annotated[tuple[str, ...], Field(min_length=1)] = (LOCAL,)
    sizes: tuple[Positive, ...] = ()
    """All rows that the last student of an arm is trained on."""
    seeds: Annotated[tuple[Natural, ...], Field(min_length=1)] = (0, 1, 2)
    baseline: str | None = None
    """Arm that the others are compared with, paired by seed."""
    metrics: tuple[str, ...] | None = None
    """Metrics in the table, where a task has them; None shows all."""
    keep_models: bool = False
    """Keep the students' weights of finished cells."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    paper: Paper | None = None
    _flags: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def flags(self) -> Mapping[str, Any]:
        """Settings from the command line, which win over all of the file's."""
        return self._flags

    @field_validator("tasks", "arms", mode="before")
    @classmethod
    def _names_alone(cls, value: Any) -> Any:
        alone = isinstance(value, list) and all(isinstance(name, str) for name in value)
        named = {name: {} for name in value} if alone else value
        return {name: entry or {} for name, entry in named.items()} if isinstance(named, Mapping) else named


def load_bench(path: Path, *, small: bool = False, settings: Mapping[str, Any] | None = None) -> Bench:
    """Return the bench that a file describes.

    Args:
        path: YAML file; its name is the bench's unless it says another.
        small: put the keys of its section `small` in place of its own; `settings` are merged.
        settings: settings from flags, which win over all of the file's.

    Raises:
        ConfigError: the file is no bench; the first fault is named.
    """
    values = read_mapping(path)
    variant = values.pop("small", None)
    values.setdefault("name", path.stem)
    if small:
        if not isinstance(variant, Mapping):
            raise ConfigError(f"--small needs a section 'small' in {str(path)!r}, found {variant!r}; add one")
        parts = [one.get("settings") or {} for one in (values, variant)]
        merged = next((one for one in parts if not isinstance(one, Mapping)), None) or merge(*parts)
        values = {**values, "name": f"{values['name']}-small", **variant, "settings": merged}
    try:
        bench = Bench.model_validate(values)
    except ValidationError as error:
        raise ConfigError(first_fault(error, str(path), Bench, SEE)) from error
    bench._flags = settings or {}
    for fault in _faults(bench):
        raise ConfigError(f"in {str(path)!r} {fault}")
    return bench


def _faults(bench: Bench) -> Iterator[str]:
    """What the types let through: names that stand for nothing, things named twice."""
    for what, names in (("seeds", bench.seeds), ("sizes", bench.sizes), ("students", bench.students)):
        if len(set(names)) < len(names):
            yield f"{what} must differ, found {list(names)!r}, which would be the same cells; drop the repeated ones"
    if bench.baseline is not None and bench.baseline not in bench.arms:
        yield f"the baseline must be one of the arms {', '.join(bench.arms)}, found {bench.baseline!r}; correct it"
    for name, arm in bench.arms.items():
        for task in set(arm.tasks or ()) - set(bench.tasks):
            yield f"arm {name!r} must be for tasks of the file, found {task!r}; correct its 'tasks'"
    for name in bench.paper.figures if bench.paper else ():
        if name not in bench.arms:
            yield f"the paper's figures must be those of arms of the file, found {name!r}; correct the name"
    given = [("the file", bench.settings), *((repr(name), entry.settings) for name, entry in bench.tasks.items())]
    given += [(repr(name), arm.settings) for name, arm in bench.arms.items()]
    given += [("the command line", bench.flags)]
    for where, settings in given:
        for key in set(OURS) & set(settings):
            yield f"the setting {key!r} of {where} cannot be set there; the grid decides it ({SEE[4:]})"
