"""Find a recipe by its registered name or path, and load its task."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from datasets.fingerprint import Hasher

from s3_hf.config import RunConfig
from s3_hf.errors import TaskError, did_you_mean, one_line
from s3_hf.records import OWN_COLUMNS
from s3_hf.rows.caching import cache_errors
from s3_hf.rows.sources import divide_source, source_files
from s3_hf.task.builder import TaskBuilder
from s3_hf.task.gold import GoldOptions, Task
from s3_hf.task.recipe import Prompts, TaskConfig, same_words, split_faults

ENTRY_POINTS = "s3_hf.tasks"


def load_task(
    spec: str, gold: str | None = None, gold_options: GoldOptions | None = None, prompts: str | None = None
) -> Task:
    """Return the task of a recipe; its gold data is read on first use.

    Args:
        spec: registered name (`s3-hf tasks` lists them), or path of a recipe file, ending in `.py`.
        gold: Hub id, folder or file to read gold data from in place of the recipe's source, as for `open_split`.
        gold_options: how gold rows are sampled and divided; None uses all rows.
        prompts: name of one of the recipe's `other_prompts`; None uses its `prompts`.

    Raises:
        TaskError: the recipe does not exist, cannot be imported or has a fault, or a split or prompts are unknown.
        StorageError: the cache of `datasets` cannot be written.
    """
    options = gold_options or GoldOptions()
    builder_class = _from_file(Path(spec)) if spec.endswith(".py") else _registered(spec)
    module = inspect.getmodule(builder_class)
    source = inspect.getsource(module) if module else ""
    overrides: dict[str, Any] = {}
    if gold:
        gold, configuration = divide_source(gold)
        overrides = {"source": gold} | ({"source_config": configuration} if configuration else {})
    try:
        defaults: TaskConfig = builder_class.BUILDER_CONFIGS[0]
        if options.splits:
            _check_splits(options.splits, defaults.splits)
            overrides["splits"] = {**defaults.splits, **options.splits}
        own_code = not defaults.source and builder_class._generate_examples is not TaskBuilder._generate_examples
        if own_code and (gold or options.splits):
            found = f"other gold data {gold!r}" if gold else f"gold_splits {dict(options.splits)}"
            raise TaskError(
                f"recipe {spec!r} reads its gold data by its own code, found {found}; leave it out, or write a recipe "
                "for it by `s3-hf tasks new`"
            )
        key = Hasher.hash([source, repr(defaults), _state(gold or defaults.source)])
        with cache_errors():
            builder = builder_class(
                config_name=defaults.name, dataset_name=f"s3_{defaults.name}", hash=key, **overrides
            )
    except (IndexError, AttributeError, TypeError, ValueError) as error:
        raise TaskError(
            f"recipe {spec!r} must define a TaskBuilder with one TaskConfig in BUILDER_CONFIGS, found {error!r}; "
            "compare it with dataset_scripts/imdb.py"
        ) from error
    faults = list(_faults(builder.config))
    if faults:
        raise TaskError(f"recipe {spec!r} cannot be used: {faults[0]}")
    name = Path(spec).stem if spec.endswith(".py") else spec
    return Task(name, builder, _named_prompts(builder.config, name, prompts), options)


def task_of(config: RunConfig) -> Task:
    """Return the task of a run, with gold data, gold options and prompts as its settings name them.

    Raises:
        TaskError: as `load_task`.
    """
    options = GoldOptions(
        splits=config.gold_splits,
        size=config.gold_size,
        test_size=config.test_size,
        holdout=config.holdout,
        exclude_test_contexts=config.exclude_test_contexts,
        contexts=config.contexts,
        phrases=config.synthesis.answers == "phrases",
        seed=config.seed if config.sample_seed is None else config.sample_seed,
    )
    return load_task(config.task, config.gold, options, config.prompts)


def task_names() -> list[str]:
    """Return the sorted names of the tasks that installed packages register."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def _named_prompts(config: TaskConfig, task: str, name: str | None) -> Prompts:
    assert config.prompts is not None
    if name is None:
        return config.prompts
    if name not in config.other_prompts:
        known = ", ".join(config.other_prompts) or "none"
        raise TaskError(f"the setting 'prompts' must name other prompts of task {task!r} ({known}), found {name!r}")
    other, own = config.other_prompts[name], config.prompts
    return other if other.zerogen else replace(other, zerogen=own.zerogen, names=own.names, shown=own.shown)


def _check_splits(renamed: Mapping[str, str], known: Mapping[str, str]) -> None:
    for name in renamed:
        if name not in known:
            hint = did_you_mean(name, known, "correct it")
            raise TaskError(f"gold_splits must give names to the splits {', '.join(known)}, found {name!r}; {hint}")


def _faults(config: TaskConfig) -> Iterator[str]:
    if bool(config.label) == bool(config.answers):
        yield f"either 'label' or 'answers' must name a column, found {config.label!r} and {config.answers!r}"
    if config.answers and not config.context:
        yield "'context' must name the column with the text that answers are found in, found None; name it"
    for name in config.gold_features():
        if name in OWN_COLUMNS:
            yield f"its columns must not be named {', '.join(OWN_COLUMNS)}, found {name!r}; leave it out or rename it"
    yield from split_faults(config.splits)
    if not 0 < config.test_share < 1:
        yield f"'test_share' must lie between 0 and 1, found {config.test_share!r}; correct it"
    yield from _label_faults(config)
    if config.prompts is None:
        yield "'prompts' must be a Prompts(...), found None; write the prompts of its kind of task"
        return
    yield from config.prompts.faults(config.columns)
    for name, other in config.other_prompts.items():
        yield from (f"in other_prompts {name!r}, {fault}" for fault in other.faults(config.columns))


def _label_faults(config: TaskConfig) -> Iterator[str]:
    if config.label and len(config.labels) < 2:
        yield f"'labels' must map at least two label names to words, found {dict(config.labels)!r}; add them"
    for name, word in config.labels.items():
        if not word.strip():
            yield f"label {name!r} must have a word for the prompts, found {word!r}; write one"
    for other, name in same_words(config.labels):
        word = config.labels[name]
        yield f"each label must have a word of its own, found {word!r} for {other!r} and {name!r}; write another"


def _registered(name: str) -> type[TaskBuilder]:
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in points:
        hint = did_you_mean(name, points, f"known are {', '.join(sorted(points))}")
        if (file := Path(f"{name}.py")).is_file():
            hint = f"the recipe file beside it is named as {str(file)!r}"
        raise TaskError(f"there is no task {name!r}; {hint} (a recipe file is named by its path, ending in .py)")
    return _from_entry_point(points[name])


def _from_entry_point(point: EntryPoint) -> type[TaskBuilder]:
    try:
        found = point.load()
    except Exception as error:
        detail = _describe(error, f"{point.module.rpartition('.')[-1]}.py")
        raise TaskError(
            f"task {point.name!r} ({point.value}) cannot be imported ({detail}); repair its package"
        ) from error
    return _checked_class(found, point.value)


def _from_file(path: Path) -> type[TaskBuilder]:
    if not path.is_file():
        raise TaskError(f"there is no recipe file {str(path)!r}; check the path")
    module_name = f"s3_hf_recipe_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # a builder looks up its own module by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        detail = _describe(error, spec.origin or "")
        raise TaskError(f"recipe {str(path)!r} cannot be imported ({detail}); correct the file") from error
    builders = [
        item
        for item in vars(module).values()
        if inspect.isclass(item) and issubclass(item, TaskBuilder) and item.__module__ == module_name
    ]
    if len(builders) != 1:
        raise TaskError(
            f"recipe {str(path)!r} must define exactly one TaskBuilder subclass, found {len(builders)}; "
            "compare it with dataset_scripts/imdb.py"
        )
    return _checked_class(builders[0], str(path))


def _describe(error: BaseException, file: str) -> str:
    """Return the error as one line of text, with the last line of `file` in its traceback, or its syntax error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} in {error.filename!r}, line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(file)]
    place = f", line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}{place}: {one_line(error)}"


def _checked_class(found: Any, where: str) -> type[TaskBuilder]:
    if not (inspect.isclass(found) and issubclass(found, TaskBuilder)):
        raise TaskError(f"{where!r} must be a TaskBuilder subclass, found {found!r}; correct the entry point")
    return found


def _state(source: str) -> list[tuple[str, int, int]]:
    """Return name, size and time of each file of a local source, by which changes are noticed; empty for a Hub id."""
    several = not Path(source).exists()  # files of several folders, or drives, have no name relative to one
    found = ((path, path.stat()) for path in source_files(source))
    return [
        (str(path.resolve()) if several else os.path.relpath(path, source), facts.st_size, facts.st_mtime_ns)
        for path, facts in found
    ]
