"""What a user asks for by `tasks new`, and its faults."""

from __future__ import annotations

import importlib.machinery
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from s3_hf.errors import ConfigError
from s3_hf.records import OWN_COLUMNS, Columns

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as the user specifies it.

    Attributes:
        name: name of the task and, with `.py`, of the recipe.
        data: file, folder or Hub id of the gold data; several files are a pattern or joined by `|`.
        columns: the columns that have a role.
        config: configuration of a Hub dataset that has several.
        description: a sentence on the texts, for prompts and cards.
        test_share: share of the rows that becomes the test, if the data has one split.
        splits: split names for `validation` and `test`, several joined by `+`; empty leaves them to be inferred.
        label_names: file with the word that prompts use for each label, where its name says nothing.
    """

    name: str
    data: str
    columns: Columns
    config: str | None = None
    description: str = ""
    test_share: float | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    label_names: Path | None = None


def check_request(task: NewTask) -> None:
    """Raise ConfigError where the name, the columns or the splits of a task cannot be used."""
    columns = task.columns
    if not _NAME.fullmatch(task.name):
        raise ConfigError(
            f"NAME must be made of letters, digits, '-' and '_' and begin with a letter, found {task.name!r}; "
            "give such a name"
        )
    if _is_module(task.name):
        raise ConfigError(
            f"NAME must not be the name of a Python module, since its recipe would be imported in the module's place, "
            f"found {task.name!r}; give another one, such as '{task.name}_task'"
        )
    if bool(columns.label) == bool(columns.answers):
        flags = f"--label {columns.label!r} and --answers {columns.answers!r}" if columns.label else "neither"
        raise ConfigError(f"one of --label and --answers must name the column to learn, found {flags}; give one")
    if task.test_share is not None and not 0 < task.test_share < 1:
        raise ConfigError(f"--test-share must lie between 0 and 1, found {task.test_share!r}; correct it")
    if columns.answers and not columns.context:
        raise ConfigError(
            "--answers needs --context, the column with the text that answers are found in, found none; name it"
        )
    if task.label_names and not columns.label:
        raise ConfigError("--label-names needs --label, the column whose labels it names, found none; leave it out")
    if task.splits and task.splits.keys() != {"validation", "test"}:
        found = next(iter(task.splits))
        raise ConfigError(f"--validation and --test must stand together, found --{found} alone; give both")
    named = [name for name in (columns.text, columns.context, columns.label, columns.answers) if name]
    if len(set(named)) < len(named):
        raise ConfigError(f"each flag must name another column, found {', '.join(named)}; correct them")
    own = next((name for name in named if name in OWN_COLUMNS), None)
    if own:
        raise ConfigError(f"no flag may name a column that s3-hf adds itself, found {own!r}; rename it in the data")


def _is_module(name: str) -> bool:
    """Return whether Python, or an installed package, has a module of that name."""
    elsewhere = [path for path in sys.path if Path(path).resolve() != Path.cwd()]
    installed = importlib.machinery.PathFinder.find_spec(name, elsewhere)
    return name in sys.stdlib_module_names or name in sys.modules or installed is not None
