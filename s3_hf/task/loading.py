"""Finding a recipe and preparing its gold data."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError
from datasets.fingerprint import Hasher

from s3_hf.errors import S3Error, TaskError
from s3_hf.task.recipe import Prompts, TaskBuilder, TaskConfig

ENTRY_POINTS = "s3_hf.tasks"

PROVENANCE_FEATURES = {
    "s3_id": datasets.Value("string"),
    "s3_round": datasets.Value("int32"),
    "s3_origin": datasets.Value("string"),
    "s3_parent": datasets.Value("string"),
    "s3_rationales": datasets.List(datasets.Value("string")),
    "s3_model": datasets.Value("string"),
    "s3_prompt": datasets.Value("string"),
}


@dataclass(frozen=True)
class Task:
    """A loaded task: its definition, and its gold data, prepared on first use."""

    name: str
    builder: TaskBuilder
    gold_size: int | None = None
    test_size: int | None = None
    seed: int = 0

    @property
    def config(self) -> TaskConfig:
        """The recipe's definition."""
        return self.builder.config

    @property
    def prompts(self) -> Prompts:
        """The recipe's prompts, checked when it was loaded."""
        assert self.config.prompts is not None
        return self.config.prompts

    @property
    def label_names(self) -> tuple[str, ...]:
        """Gold label names; a label id is an index into them."""
        return tuple(self.config.labels)

    @property
    def label_words(self) -> tuple[str, ...]:
        """The words that prompts use, in the order of `label_names`."""
        return tuple(self.config.labels.values())

    @property
    def features(self) -> datasets.Features:
        """The gold columns, then the provenance columns."""
        return datasets.Features({**self.builder.info.features, **PROVENANCE_FEATURES})

    @cached_property
    def gold(self) -> datasets.Dataset:
        """The gold validation rows with their `s3_id`: what errors are found on, and epochs chosen by."""
        rows = self._split("validation", "val", self.gold_size)
        found = set(rows[self.config.label][:])
        for number, name in enumerate(self.label_names):
            if number not in found:
                raise TaskError(
                    f"every label of task {self.name!r} must occur in its gold validation data, found none of "
                    f"{name!r} in {len(rows)} rows; use more gold rows, or drop the label from the recipe"
                )
        return rows

    @cached_property
    def test(self) -> datasets.Dataset:
        """The test rows with their `s3_id`: only scored on, and kept out of the synthetic data."""
        return self._split("test", "test", self.test_size)

    def _split(self, split: str, prefix: str, size: int | None) -> datasets.Dataset:
        rows = _prepared(self.builder).as_dataset(split=split)
        if not len(rows):
            raise TaskError(
                f"gold split {split!r} of task {self.name!r} must have rows, found none in "
                f"{self.config.source or self.name!r}; give data with that split by --gold"
            )
        rows = rows.add_column("s3_id", [f"{prefix}-{number:05d}" for number in range(len(rows))])
        if size is None or size >= len(rows):
            return rows
        if size < len(self.label_names):
            raise TaskError(
                f"a sample of split {split!r} needs a row for each of {self.label_names}, found size {size}"
            )
        sample = rows.train_test_split(train_size=size, stratify_by_column=self.config.label, seed=self.seed)
        kept = sample["train"]
        return kept.select(sorted(range(len(kept)), key=kept["s3_id"][:].__getitem__))

    def facts(self) -> dict[str, Any]:
        """What cards and `tasks show` say of the task, as plain JSON values."""
        config, info = self.config, self.builder.info
        return {
            "name": self.name,
            "pretty_name": config.pretty_name or self.name,
            "description": info.description,
            "source": config.source,
            "splits": {"validation": len(self.gold), "test": len(self.test)},
            "columns": {"text": config.text, "label": config.label},
            "labels": dict(config.labels),
            "prompts": asdict(self.prompts),
            "license": config.license,
            "language": config.language,
            "homepage": config.homepage,
            "citation": config.citation,
            "task_category": "text-classification",
            "task_ids": list(config.task_ids),
        }


def load_task(
    spec: str,
    gold: str | None = None,
    *,
    gold_size: int | None = None,
    test_size: int | None = None,
    seed: int = 0,
) -> Task:
    """Return the task named `spec`: a registered name or the path of a recipe file.

    Args:
        spec: registered name (`s3-hf tasks` lists them) or path ending in `.py`.
        gold: Hub id or folder to read gold data from in place of the recipe's source.
        gold_size: rows of a seeded, stratified sample of the gold validation split; None takes all.
        test_size: the same for the test split.
        seed: seed of those samples.

    Raises:
        TaskError: there is no such recipe, it cannot be imported, or its definition has a fault.
    """
    builder_class = _from_file(Path(spec)) if spec.endswith(".py") else _registered(spec)
    module = inspect.getmodule(builder_class)
    source = inspect.getsource(module) if module else ""
    overrides: dict[str, Any] = {"source": gold} if gold else {}
    try:
        defaults: TaskConfig = builder_class.BUILDER_CONFIGS[0]
        key = Hasher.hash([source, repr(defaults), _folder_state(gold or defaults.source)])
        builder = builder_class(config_name=defaults.name, dataset_name=f"s3_{defaults.name}", hash=key, **overrides)
    except (IndexError, AttributeError, TypeError, ValueError) as error:
        raise TaskError(
            f"recipe {spec!r} must define a TaskBuilder with one TaskConfig in BUILDER_CONFIGS, found {error!r}; "
            "compare it with dataset_scripts/imdb.py"
        ) from error
    faults = list(_faults(builder.config))
    if faults:
        raise TaskError(f"recipe {spec!r} cannot be used: {faults[0]}")
    name = Path(spec).stem if spec.endswith(".py") else spec
    return Task(name, builder, gold_size, test_size, seed)


def task_names() -> list[str]:
    """The registered tasks of all installed packages, sorted."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def _faults(config: TaskConfig) -> Iterator[str]:
    if len(config.labels) < 2:
        yield f"'labels' must map at least two label names to words, found {dict(config.labels)!r}; add them"
    for name, word in config.labels.items():
        if not word.strip():
            yield f"label {name!r} must have a word for the prompts, found {word!r}; write one"
    if config.prompts is None:
        yield "'prompts' must be a Prompts(...), found None; write its four prompts"
    else:
        yield from config.prompts.faults()


def _registered(name: str) -> type[TaskBuilder]:
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in points:
        close = difflib.get_close_matches(name, points, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(points))}"
        raise TaskError(f"there is no task {name!r}; {hint} (a recipe file is named by its path, ending in .py)")
    return _loaded(points[name])


def _loaded(point: EntryPoint) -> type[TaskBuilder]:
    try:
        found = point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise TaskError(
            f"task {point.name!r} ({point.value}) cannot be imported: {error}; repair its package"
        ) from error
    return _checked(found, point.value)


def _from_file(path: Path) -> type[TaskBuilder]:
    if not path.is_file():
        raise TaskError(f"there is no recipe file {str(path)!r}; check the path")
    module_name = f"s3_hf_recipe_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # a builder looks its own module up by name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
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
    return _checked(builders[0], str(path))


def _checked(found: Any, where: str) -> type[TaskBuilder]:
    if not (inspect.isclass(found) and issubclass(found, TaskBuilder)):
        raise TaskError(f"{where!r} must be a TaskBuilder subclass, found {found!r}; correct the entry point")
    return found


def _folder_state(source: str) -> list[tuple[str, int, int]]:
    """What tells a changed local source from an unchanged one; empty for a Hub id."""
    root = Path(source)
    if not source or not root.is_dir():
        return []
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return [(str(path.relative_to(root)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def _prepared(builder: TaskBuilder) -> TaskBuilder:
    source = builder.config.source or builder.config.name
    try:
        builder.download_and_prepare()
    except (DatasetGenerationError, DatasetNotFoundError, OSError, ValueError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, S3Error):
            raise cause from error
        detail = " ".join(str(cause).split())[:300]
        raise TaskError(
            f"gold data {source!r} cannot be read ({type(cause).__name__}: {detail}); check the name and "
            "HF_ENDPOINT, or name a Hub id or folder by --gold"
        ) from error
    return builder
