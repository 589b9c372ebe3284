"""The bench file: arms to compare, with their tasks, students, sizes and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, ValidationError, field_validator

from s3_hf.config import LOCAL, Natural, Positive, Seed
from s3_hf.errors import ConfigError, did_you_mean
from s3_hf.schema import Settings, first_fault, merge, read_mapping

SEE = "see docs/bench.md"

Share = Annotated[Fraction, Field(gt=0, le=1)]

AXES = ("task", "strategy", "student", "seed", "seed_size", "round_size", "rounds")
"""Settings that the grid decides, so that a bench file cannot set them."""


class BenchTask(Settings):
    """One task of the grid; by default its key is the recipe's registered name."""

    recipe: str | None = None
    """Registered name or path of the recipe, where it is not the key."""
    paper_task: str | None = None
    """Task of the paper to compare with, where its key differs."""
    sizes: tuple[Positive, ...] | None = None
    """Sizes of this task, in place of the file's."""
    seed_share: Share | None = None
    """`seed_share` of the arms that set none."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    """Arm -> settings that it has on this task alone."""


class Arm(Settings):
    """One method of the grid; by default its key is the strategy."""

    strategy: str | None = None
    rounds: Natural | None = None
    """Rounds after the seed; by default 2 for a strategy that adds rows, ProGen's own schedule for it, else 0."""
    seed_share: Share | None = None
    """Share of the rows in the seed, where there are rounds; by default 2/3. The rounds share the rest equally."""
    literal: bool = False
    """Rounds add what the method itself writes, each mistake or gold row once, without a limit and without top-up; so
    only the seed follows from the size."""
    times: Annotated[Fraction, Field(gt=0)] = Fraction(1)
    """Factor on the size, to compare arms on different numbers of rows."""
    sized: bool = False
    """For gold rows: train on a sample of the size, in place of all rows."""
    tasks: tuple[str, ...] | None = None
    """Tasks of this arm; None for all."""
    settings: Mapping[str, Any] = Field(default_factory=dict)


class Paper(Settings):
    """The paper's figures to compare with."""

    source: str
    figures: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Arm -> task -> metric -> percent, and `rows` -> data size."""
    flops: Mapping[str, float] = Field(default_factory=dict)
    """Arm -> FLOPs of all its trainings."""
    row_flops: float | None = None
    """FLOPs of training on one row in one epoch."""


class Bench(Settings):
    """A validated bench file; its settings yield to the task's, those to the arm's, and those to flags."""

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    title: str = ""
    tasks: Annotated[Mapping[str, BenchTask], Field(min_length=1)]
    arms: Annotated[Mapping[str, Arm], Field(min_length=1)]
    students: Annotated[tuple[str, ...], Field(min_length=1)] = (LOCAL,)
    sizes: tuple[Positive, ...] = ()
    """Numbers of rows that the last student of an arm is trained on."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0, 1, 2)
    baseline: str | None = None
    """Arm that the others are compared with, in pairs of equal seed."""
    metrics: tuple[str, ...] | None = None
    """Metrics in the tables, where a task has them; None for all."""
    keep_models: bool = False
    """Keep the weights of students in finished cells."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    paper: Paper | None = None
    _flags: Mapping[str, Any] = PrivateAttr(default_factory=dict)
    _folder: Path = PrivateAttr(default=Path())

    @property
    def flags(self) -> Mapping[str, Any]:
        """Settings from the command line, which win over all in the file."""
        return self._flags

    @property
    def folder(self) -> Path:
        """Folder of the file, from which its relative paths lead where they exist there."""
        return self._folder

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
        small: replace its keys by those of its section `small`; `settings` are merged.
        settings: settings from flags, which win over all in the file.

    Raises:
        ConfigError: the file is not a bench; the message names the first fault.
    """
    values = read_mapping(path, SEE)
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
    bench._flags, bench._folder = settings or {}, path.parent
    for fault in _faults(bench):
        raise ConfigError(f"in {str(path)!r} {fault}")
    return bench


def _faults(bench: Bench) -> Iterator[str]:
    """Yield the faults that the types cannot find: unknown names, and values that occur twice."""
    for what, names in (("seeds", bench.seeds), ("sizes", bench.sizes), ("students", bench.students)):
        if len(set(names)) < len(names):
            yield f"{what} must differ, found {list(names)!r}, which would be the same cells; drop the repeated ones"
    if bench.baseline is not None and bench.baseline not in bench.arms:
        yield f"the baseline must be one of the arms {', '.join(bench.arms)}, found {bench.baseline!r}; correct it"
    yield from _unknown_names(bench)
    groups = [("the file", bench.settings), *((repr(name), entry.settings) for name, entry in bench.tasks.items())]
    groups += [(repr(name), arm.settings) for name, arm in bench.arms.items()]
    for name, entry in bench.tasks.items():
        groups += [(f"{arm!r} on {name!r}", settings) for arm, settings in entry.arms.items()]
    groups += [("the command line", bench.flags)]
    for where, settings in groups:
        for key in set(AXES) & set(settings):
            yield f"the setting {key!r} of {where} cannot be set there; the grid decides it ({SEE[4:]})"


def _unknown_names(bench: Bench) -> Iterator[str]:
    if bench.metrics:
        from s3_hf.scoring import METRICS  # its library is slow to import

        for name in set(bench.metrics) - set(METRICS):
            hint = did_you_mean(name, METRICS, "correct it")
            yield f"the metrics must be among {', '.join(METRICS)}, found {name!r}; {hint}"
    for name, arm in bench.arms.items():
        for task in set(arm.tasks or ()) - set(bench.tasks):
            yield f"arm {name!r} must be for tasks of the file, found {task!r}; correct its 'tasks'"
    for name in (*bench.paper.figures, *bench.paper.flops) if bench.paper else ():
        if name not in bench.arms:
            yield f"the paper's figures must be those of arms of the file, found {name!r}; correct the name"
    for task, entry in bench.tasks.items():
        for name in set(entry.arms) - set(bench.arms):
            yield f"task {task!r} must have settings for arms of the file, found {name!r}; correct its 'arms'"
