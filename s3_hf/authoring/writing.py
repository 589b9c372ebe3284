"""Write a recipe for a user's own data: its prompts and its file."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from s3_hf.authoring.asked import NewTask, check_request
from s3_hf.authoring.inferring import InferredTask, infer_task
from s3_hf.authoring.literals import feature, filled, literal, mapping, sequence
from s3_hf.config import JOINT
from s3_hf.errors import ConfigError, TaskError
from s3_hf.files import write_text
from s3_hf.records import Columns
from s3_hf.rows.nested import last_part
from s3_hf.rows.several import is_several
from s3_hf.task.languages import NAMES
from s3_hf.task.recipe import Prompts, is_divided
from s3_hf.templates import template_environment

SHOWN_LABELS = 8


@dataclass(frozen=True, slots=True)
class WrittenRecipe:
    """The path of a new recipe, and the task that was inferred from its data."""

    path: Path
    inferred: InferredTask


def write_recipe(task: NewTask, folder: Path) -> WrittenRecipe:
    """Write the recipe `NAME.py` into `folder`; it names local data by a path relative to itself, on the same drive.

    Raises:
        ConfigError: the name or the columns cannot be used.
        TaskError: the recipe exists already, or the data has a fault.
    """
    check_request(task)
    path = folder / f"{task.name}.py"
    if path.exists():
        raise TaskError(f"recipe {str(path)!r} must not be there yet, found a file; give another name or remove it")
    paths = [Path(part).resolve() for part in task.data.split(JOINT)] if _is_local(task.data) else []
    if paths == [folder.resolve()] and paths[0].name == task.name:
        raise ConfigError(
            f"--out must be another folder than the data's if the task has the data's name, since `datasets` would "
            f"take {path} for a script, found {str(folder)!r}; give another folder or name"
        )
    inferred = infer_task(task)
    relative = tuple(_seen_from(folder.resolve(), each) for each in paths)
    write_text(path, render_recipe(task, inferred, relative))
    return WrittenRecipe(path, inferred)


def render_recipe(task: NewTask, inferred: InferredTask, paths: tuple[str, ...]) -> str:
    """Return the source of the recipe; `paths` lead from its folder to local data, none for a Hub dataset."""
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
            several=is_several(task.data),
            class_name=_class_name(task.name),
            paths=paths,
            single_file=Path(task.data).is_file(),
            imported=[name for name in ("ClassLabel", "List", "Value") if f"{name}(" in code],
            divided=is_divided(config.splits),
            prompts=_prompts(task, inferred.typical_length, config.language),
        )
    )


def _seen_from(folder: Path, path: Path) -> str:
    """Return a path relative to the folder, or the whole path where it lies on another drive of Windows."""
    same = path.drive == folder.drive
    return (Path(os.path.relpath(path, folder)) if same else path).as_posix()


def _is_local(data: str) -> bool:
    return Path(data).exists() or is_several(data)


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
    path, several = Path(task.data), is_several(task.data)
    names = " and ".join(Path(part).name for part in task.data.split(JOINT))
    data = (names if _is_local(task.data) else task.data) + (f" ({task.config})" if task.config else "")
    if is_divided(splits):
        subject = "Its rows are" if path.is_file() or several else f"Its split {splits['test']!r} is"
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


def _prompts(task: NewTask, size: str, language: str | None) -> Prompts:
    """Return prompts for the kind of task; `size` is the typical length of a text, `language` its ISO 639-1 code."""
    columns = task.columns
    text, context = (_literal_braces(noun) for noun in _nouns(columns))
    topic = _literal_braces(task.description or f'The task is called "{_words(task.name)}".')
    tongue = "" if language in (None, "en") else f" in {NAMES[language]}"
    one, only = f"one {text}{tongue} of about {size}", f"Reply with the {text} only."
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
    inner = (last_part(name or "") for name in (columns.text, columns.context))
    text, context = (_words(name).rstrip("0123456789 ") or "text" for name in inner)
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
        "literal": literal,
        "mapping": mapping,
        "sequence": sequence,
        "feature": feature,
        "filled": filled,
    }
    return environment
