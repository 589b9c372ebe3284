"""Writing a recipe for a user's own data."""

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

from s3_hf.authoring.inferring import Found, inferred
from s3_hf.errors import ConfigError, TaskError
from s3_hf.files import write_text
from s3_hf.records import PROVENANCE, Columns
from s3_hf.task.recipe import Prompts
from s3_hf.templates import template_environment

WIDTH = 119
SHOWN_LABELS = 8
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user says of a task: its name, its data and the columns.

    `description` is a sentence on the texts, `test_share` the share of data of one split that is the test.
    """

    name: str
    data: str
    columns: Columns
    config: str | None = None
    description: str = ""
    test_share: float | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A recipe that was written, and what was found in its data."""

    path: Path
    found: Found


def write_recipe(wanted: Wanted, folder: Path) -> Written:
    """Leave a recipe for the data in `folder`, as `NAME.py`, that finds a local file wherever it is run from.

    Raises:
        ConfigError: the name or the columns cannot be used.
        TaskError: the recipe is there already, or the data has a fault.
    """
    _check(wanted)
    path = folder / f"{wanted.name}.py"
    if path.exists():
        raise TaskError(f"recipe {str(path)!r} must not be there yet, found a file; give another name or remove it")
    local = Path(wanted.data).resolve() if Path(wanted.data).exists() else None
    if local == folder.resolve() and local.name == wanted.name:
        raise ConfigError(
            f"--out must be another folder than the data's for a task of its name, since `datasets` would take {path} "
            f"for a script, found {str(folder)!r}; give another folder or name"
        )
    found = inferred(wanted.name, wanted.data, wanted.config, wanted.columns, wanted.test_share)
    relative = Path(os.path.relpath(local, folder.resolve())).as_posix() if local else None
    write_text(path, recipe_text(wanted, found, relative))
    return Written(path, found)


def recipe_text(wanted: Wanted, found: Found, path: str | None) -> str:
    """The recipe's Python; `path` is that of local data, from the recipe's folder."""
    config = found.config
    words = _words(wanted.name)
    description = wanted.description or _described(wanted.columns, words, len(config.labels))
    features = list((config.features or {}).values())
    code = repr(features)
    return (
        _environment()
        .get_template("recipe.py.jinja")
        .render(
            config=config,
            description=description,
            title=words[:1].upper() + words[1:],
            made=_made(wanted, found),
            file=f"{wanted.name}.py",
            class_name=_class_name(wanted.name),
            path=path,
            imported=[name for name in ("ClassLabel", "List", "Value") if f"{name}(" in code],
            divided=config.splits["validation"] == config.splits["test"],
            prompts=_prompts(wanted, found.size),
        )
    )


def _check(wanted: Wanted) -> None:
    columns = wanted.columns
    if not _NAME.fullmatch(wanted.name):
        raise ConfigError(
            f"NAME must be made of letters, digits, '-' and '_' and begin with a letter, found {wanted.name!r}; "
            "give such a name"
        )
    if bool(columns.label) == bool(columns.answers):
        found = f"--label {columns.label!r} and --answers {columns.answers!r}" if columns.label else "neither"
        raise ConfigError(f"one of --label and --answers must name what is to be learned, found {found}; give one")
    if wanted.test_share is not None and not 0 < wanted.test_share < 1:
        raise ConfigError(f"--test-share must lie between 0 and 1, found {wanted.test_share!r}; correct it")
    if columns.answers and not columns.context:
        raise ConfigError("--answers needs --context, the column that the answers stand in, found none; name it")
    named = [name for name in (columns.text, columns.context, columns.label, columns.answers) if name]
    if len(set(named)) < len(named):
        raise ConfigError(f"each flag must name another column, found {', '.join(named)}; correct them")
    own = next((name for name in named if name in PROVENANCE), None)
    if own:
        raise ConfigError(f"no flag may name a column that s3-hf adds itself, found {own!r}; rename it in the data")


def counted(labels: Mapping[str | None, int]) -> str:
    """The labels with their rows, or how many there are of what size; empty where answers are learned."""
    if None in labels:
        return ""
    if len(labels) > SHOWN_LABELS:
        return f"{len(labels)} labels with {min(labels.values()):,} to {max(labels.values()):,} rows"
    return ", ".join(f"{name} {count:,}" for name, count in labels.items())


def _made(wanted: Wanted, found: Found) -> str:
    """Where the rows are from and how many there are of what."""
    splits, counts = found.config.splits, found.counts
    sizes = {split: f"{sum(labels.values()):,}" for split, labels in counts.items()}
    path = Path(wanted.data)
    data = (path.name if path.exists() else wanted.data) + (f" ({wanted.config})" if wanted.config else "")
    if splits["validation"] == splits["test"]:
        whole = "Its rows are" if path.is_file() else f"Its split {splits['test']!r} is"
        shared = "context" if wanted.columns.context else "text"
        how = (
            f"{whole} divided, with no {shared} on both sides: {sizes['validation']} rows are the gold validation "
            f"data, and {sizes['test']} the test."
        )
    else:
        how = (
            f"Its split {splits['validation']!r} ({sizes['validation']} rows) is the gold validation data, and "
            f"{splits['test']!r} ({sizes['test']} rows) the test."
        )
    labels = counted(counts["validation"])
    return f"Made by `s3-hf tasks new` from {data}. {how}{f' Gold validation rows: {labels}.' if labels else ''}"


def _described(columns: Columns, words: str, labels: int) -> str:
    text, context = _nouns(columns)
    title = words[:1].upper() + words[1:]
    if columns.answers:
        return f"{title}: {text}s about {context}s, each answered by a part of it."
    about = f", for {_a(context)}," if columns.context else ""
    return f"{title}: each {text}{about} has one of {labels} labels."


def _prompts(wanted: Wanted, size: str) -> Prompts:
    """Prompts that suit any texts of a kind; `size` is how long a text is."""
    columns = wanted.columns
    text, context = (_literal_braces(noun) for noun in _nouns(columns))
    topic = _literal_braces(wanted.description or f'The task is called "{_words(wanted.name)}".')
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
    """What prompts call the text and its context: the names of the columns, in words."""
    text, context = (_words(name or "").rstrip("0123456789 ") or "text" for name in (columns.text, columns.context))
    return text, "text" if context == text else context


def _words(name: str) -> str:
    return " ".join(re.sub(r"([a-z])([A-Z])", r"\1 \2", name).replace("_", " ").replace("-", " ").lower().split())


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _literal_braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _class_name(name: str) -> str:
    made = "".join(part[:1].upper() + part[1:] for part in re.split("[_-]+", name))
    return f"{made}Task" if keyword.iskeyword(made) else made


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
    """Lines for a docstring: nothing in them ends it."""
    safe = text.replace("\\", "/").replace('"', "'")
    return textwrap.fill(safe, WIDTH, break_long_words=False, break_on_hyphens=False)


def _literal(text: str, indent: int | None = None) -> str:
    """The text as a Python literal; where a line is given by its indent, over several lines if it is long."""
    whole = _quoted(text)
    if indent is None or len(whole) + indent + 20 <= WIDTH:
        return whole
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
    """The Python that makes a feature."""
    if is_label:
        return "ClassLabel(names=list(LABELS))"
    if isinstance(feature, dict):
        return f"{{{', '.join(f'{_quoted(name)}: {_feature(each)}' for name, each in feature.items())}}}"
    if isinstance(feature, datasets.List):
        return f"List({_feature(feature.feature)})"
    if isinstance(feature, datasets.ClassLabel):
        return f"ClassLabel(names=[{', '.join(map(_quoted, feature.names))}])"
    return f"Value({_quoted(feature.dtype)})"
