"""Write a recipe for a user's own data: its prompts and its file."""

from __future__ import annotations

import json
import keyword
import os
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import jinja2

from s3_hf.authoring.inferring import InferredTask, infer_task
from s3_hf.errors import ConfigError, TaskError
from s3_hf.files import write_text
from s3_hf.records import PROVENANCE, Columns
from s3_hf.task.recipe import Prompts
from s3_hf.templates import template_environment

WIDTH = 119
SHOWN_LABELS = 8
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as the user specifies it.

    Attributes:
        name: name of the task and, with `.py`, of the recipe.
        data: file, folder or Hub id of the gold data.
        columns: the columns that have a role.
        config: configuration of a Hub dataset that has several.
        description: a sentence on the texts, for prompts and cards.
        test_share: share of the rows that becomes the test, if the data has one split.
    """

    name: str
    data: str
    columns: Columns
    config: str | None = None
    description: str = ""
    test_share: float | None = None


@dataclass(frozen=True, slots=True)
class WrittenRecipe:
    """The path of a new recipe, and the task that was inferred from its data."""

    path: Path
    inferred: InferredTask


def write_recipe(task: NewTask, folder: Path) -> WrittenRecipe:
    """Write the recipe `NAME.py` into `folder`; it names local data by a path relative to itself.

    Raises:
        ConfigError: the name or the columns cannot be used.
        TaskError: the recipe exists already, or the data has a fault.
    """
    _check(task)
    path = folder / f"{task.name}.py"
    if path.exists():
        raise TaskError(f"recipe {str(path)!r} must not be there yet, found a file; give another name or remove it")
    local = Path(task.data).resolve() if Path(task.data).exists() else None
    if local == folder.resolve() and local.name == task.name:
        raise ConfigError(
            f"--out must be another folder than the data's if the task has the data's name, since `datasets` would "
            f"take {path} for a script, found {str(folder)!r}; give another folder or name"
        )
    inferred = infer_task(task.name, task.data, task.config, task.columns, task.test_share)
    relative = Path(os.path.relpath(local, folder.resolve())).as_posix() if local else None
    write_text(path, render_recipe(task, inferred, relative))
    return WrittenRecipe(path, inferred)


def render_recipe(task: NewTask, inferred: InferredTask, path: str | None) -> str:
    """Return the source of the recipe; `path` leads from its folder to local data, None for a Hub dataset."""
    config = inferred.config
    words = _words(task.name)
    description = task.description or _default_description(task.columns, words, len(config.labels))
    features = list((config.features or {}).values())
    code = repr(features)
    return (
        _environment()
        .get_template("recipe.py.jinja")
        .render(
            config=config,
            description=description,
            title=words[:1].upper() + words[1:],
            origin=_origin(task, inferred),
            file=f"{task.name}.py",
            class_name=_class_name(task.name),
            path=path,
            imported=[name for name in ("ClassLabel", "List", "Value") if f"{name}(" in code],
            divided=config.splits["validation"] == config.splits["test"],
            prompts=_prompts(task, inferred.typical_length),
        )
    )


def _check(task: NewTask) -> None:
    columns = task.columns
    if not _NAME.fullmatch(task.name):
        raise ConfigError(
            f"NAME must be made of letters, digits, '-' and '_' and begin with a letter, found {task.name!r}; "
            "give such a name"
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
    named = [name for name in (columns.text, columns.context, columns.label, columns.answers) if name]
    if len(set(named)) < len(named):
        raise ConfigError(f"each flag must name another column, found {', '.join(named)}; correct them")
    own = next((name for name in named if name in PROVENANCE), None)
    if own:
        raise ConfigError(f"no flag may name a column that s3-hf adds itself, found {own!r}; rename it in the data")


def format_counts(labels: Mapping[str | None, int]) -> str:
    """Return the row count of each label, or a summary of many labels; empty for answers."""
    if None in labels:
        return ""
    if len(labels) > SHOWN_LABELS:
        return f"{len(labels)} labels with {min(labels.values()):,} to {max(labels.values()):,} rows"
    return ", ".join(f"{name} {count:,}" for name, count in labels.items())


def _origin(task: NewTask, inferred: InferredTask) -> str:
    """Return sentences on the source, the splits and the labels of the gold data."""
    splits, counts = inferred.config.splits, inferred.counts
    sizes = {split: f"{sum(labels.values()):,}" for split, labels in counts.items()}
    path = Path(task.data)
    data = (path.name if path.exists() else task.data) + (f" ({task.config})" if task.config else "")
    if splits["validation"] == splits["test"]:
        subject = "Its rows are" if path.is_file() else f"Its split {splits['test']!r} is"
        shared = "context" if task.columns.context else "text"
        how = (
            f"{subject} divided, with no {shared} on both sides: {sizes['validation']} rows are the gold validation "
            f"data, and {sizes['test']} the test."
        )
    else:
        how = (
            f"Its split {splits['validation']!r} ({sizes['validation']} rows) is the gold validation data, and "
            f"{splits['test']!r} ({sizes['test']} rows) the test."
        )
    labels = format_counts(counts["validation"])
    return f"Written by `s3-hf tasks new` from {data}. {how}{f' Gold validation rows: {labels}.' if labels else ''}"


def _default_description(columns: Columns, words: str, labels: int) -> str:
    text, context = _nouns(columns)
    title = words[:1].upper() + words[1:]
    if columns.answers:
        return f"{title}: {text}s about {context}s, each answered by a part of it."
    about = f", for {_a(context)}," if columns.context else ""
    return f"{title}: each {text}{about} has one of {labels} labels."


def _prompts(task: NewTask, size: str) -> Prompts:
    """Return prompts for the kind of task; `size` is the typical length of a text."""
    columns = task.columns
    text, context = (_literal_braces(noun) for noun in _nouns(columns))
    topic = _literal_braces(task.description or f'The task is called "{_words(task.name)}".')
    one, only = f"one {text} of about {size}", f"Reply with the {text} only."
    if columns.answers:
        return Prompts(
            seed=f'{{context}}\n\n{topic} Write {one} about this {context} to which the answer is "{{answer}}", '
            f"without naming the answer in it. {only}",
            extrapolate=f'{{context}}\n\n{topic} For this {context}, the answer to "{{text}}" is "{{answer}}". Write '
            f"another {text} to which the answer is the same, without naming it. {only}",
        )
    if columns.context:
        return Prompts(
            seed=f"{{context}}\n\n{topic} Write {one} for this {context}, so that the right label of the two is "
            f'"{{label}}". {only}',
            extrapolate=f'{{context}}\n\n{topic} With this {context}, the right label of "{{text}}" is "{{label}}". '
            f"Write another {text} like it that has the same label. {only}",
        )
    return Prompts(
        rationales=f'{topic} Name {{count}} things that {_a(text)} with the label "{{label}}" may be about or say, as '
        "a numbered list with two to six words each.",
        seed=f'{topic} Write {one} with the label "{{label}}" that is about or says: {{rationales}}. {only}',
        seed_plain=f'{topic} Write {one} with the label "{{label}}". {only}',
        extrapolate=f'{topic} This {text} has the label "{{label}}":\n{{text}}\n\nWrite another {text} like it that '
        f"has the same label. {only}",
    )


def _nouns(columns: Columns) -> tuple[str, str]:
    """Return the nouns for the text and its context in prompts: the names of their columns."""
    text, context = (_words(name or "").rstrip("0123456789 ") or "text" for name in (columns.text, columns.context))
    return text, "text" if context == text else context


def _words(name: str) -> str:
    return " ".join(re.sub(r"([a-z])([A-Z])", r"\1 \2", name).replace("_", " ").replace("-", " ").lower().split())


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _literal_braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _class_name(name: str) -> str:
    joined = "".join(part[:1].upper() + part[1:] for part in re.split("[_-]+", name))
    return f"{joined}Task" if keyword.iskeyword(joined) else joined


@cache
def _environment() -> jinja2.Environment:
    environment = template_environment("s3_hf.authoring")
    environment.filters |= {
        "literal": _literal,
        "mapping": _mapping,
        "sequence": _sequence,
        "feature": _feature,
        "filled": _filled,
    }
    return environment


def _filled(text: str) -> str:
    """Return the text as lines of a docstring, without characters that could end it."""
    safe = text.replace("\\", "/").replace('"', "'")
    return textwrap.fill(safe, WIDTH, break_long_words=False, break_on_hyphens=False)


def _literal(text: str, indent: int | None = None) -> str:
    """Return the text as a Python literal; with an `indent`, a long one is broken into several lines."""
    literal = _quoted(text)
    if indent is None or len(literal) + indent + 20 <= WIDTH:
        return literal
    parts = [""]
    for word in re.findall(r"\S*\s*", text):
        if parts[-1] and len(_quoted(parts[-1] + word)) + indent + (20 if len(parts) == 1 else 1) > WIDTH:
            parts.append("")
        parts[-1] += word
    return f"\n{' ' * indent}".join(_quoted(part) for part in parts)


def _quoted(text: str) -> str:
    double = json.dumps(text, ensure_ascii=False)
    if '"' in text and "'" not in text:
        return "'" + double[1:-1].replace('\\"', '"') + "'"
    return double


def _mapping(values: Mapping[str, str], indent: int = 0) -> str:
    items = [f"{_quoted(key)}: {_quoted(value)}" for key, value in values.items()]
    line = f"{{{', '.join(items)}}}"
    if len(line) + indent + 10 <= WIDTH:
        return line
    inner = " " * (indent + 4)
    return "{\n" + "".join(f"{inner}{item},\n" for item in items) + " " * indent + "}"


def _sequence(values: tuple[str, ...]) -> str:
    return f"({', '.join(map(_quoted, values))}{',' if len(values) == 1 else ''})"


def _feature(feature: Any, is_label: bool = False) -> str:
    """Return the Python expression of a feature."""
    if is_label:
        return "ClassLabel(names=list(LABELS))"
    if isinstance(feature, dict):
        return f"{{{', '.join(f'{_quoted(name)}: {_feature(each)}' for name, each in feature.items())}}}"
    if isinstance(feature, datasets.List):
        return f"List({_feature(feature.feature)})"
    if isinstance(feature, datasets.ClassLabel):
        return f"ClassLabel(names=[{', '.join(map(_quoted, feature.names))}])"
    return f"Value({_quoted(feature.dtype)})"
