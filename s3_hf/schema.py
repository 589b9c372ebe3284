"""What all groups of settings have in common: how they are checked, explained, and told of when they are wrong."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from s3_hf.errors import did_you_mean

SEE = "see `s3-hf run TASK --print-config`"

_UNION = re.compile(r"((constrained-)?(str|int)|tuple\[.*)$")
"""What pydantic puts into the place of a fault for one of several allowed types."""

WIDTH = 110
"""Columns of a comment."""


class Settings(BaseModel):
    """Base of the groups: immutable; an unknown key, an empty text and an infinite number are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_min_length=1, allow_inf_nan=False, use_attribute_docstrings=True
    )


def commented(settings: Settings) -> str:
    """The settings as YAML, each under a comment on what it means."""
    return "\n".join(_lines(settings))


def first_fault(error: ValidationError, source: str, model: type[BaseModel], see: str = SEE) -> str:
    """One sentence about the first fault that `model` found in `source`; `see` tells where its keys are listed."""
    faults = error.errors(include_url=False)
    of_one = [one for one in faults if one["loc"][:1] == faults[0]["loc"][:1]]
    fault = max(of_one, key=lambda one: len(one["loc"]))  # of several types, the one that the value comes closest to
    where = ".".join(str(part) for part in fault["loc"] if not _UNION.match(str(part))) or "settings"
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, fault["loc"][:-1])
        hint = did_you_mean(str(fault["loc"][-1]), known, f"{see} for all keys")
        return f"unknown setting {where!r} in {source}; {hint}"
    if fault["type"] == "missing":
        return f"the setting {where!r} is required in {source} and was not given; add it"
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"the setting {where!r} in {source} is wrong: {message}, found {fault['input']!r}; correct it"


def _lines(settings: Settings) -> Iterator[str]:
    plain = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        group = isinstance(value, Settings)
        text = (type(value).__doc__ or "") if group else _meaning(field)
        yield from (f"# {line}" for line in textwrap.wrap(text, WIDTH))
        if group:
            yield f"{name}:"
            yield from (f"  {line}" for line in _lines(value))
        else:
            yield from yaml.safe_dump({name: plain[name]}, sort_keys=False).rstrip("\n").split("\n")


def _meaning(field: FieldInfo) -> str:
    """What the field's docstring says, in YAML's words, and the values that it may have."""
    text = re.sub(r"\bNone\b", "null", field.description or "")
    values = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if all(f"`{value}`" in text for value in values):
        return text
    return f"{text} One of {', '.join(values)}.".lstrip()


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))  # none for a key of a mapping of models
        inner = [one for one in (field.annotation, *get_args(field.annotation)) if _is_model(one)] if field else []
        model = inner[0] if inner else model
    return list(model.model_fields)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
