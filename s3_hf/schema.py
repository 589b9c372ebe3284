"""The base of all groups of settings: how they are read, merged, explained, and reported when they are wrong."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from s3_hf.errors import ConfigError, did_you_mean, one_line

SEE = "see `s3-hf run TASK --print-config`"

_UNION = re.compile(r"((constrained-)?(str|int)|tuple\[.*)$")
"""Parts of a fault's location that name an allowed type, as pydantic writes them for a union."""

MOST_BYTES, MOST_NODES, MOST_LEVELS, MOST_BITS = 1_000_000, 100_000, 30, 10_000
"""Bounds of a YAML file: its bytes, its values with aliases written out, its levels, and the bits of an integer."""

WIDTH = 110
"""Most characters of a comment's line."""


class Settings(BaseModel):
    """Base of the groups: frozen; unknown keys, empty texts and infinite numbers are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_min_length=1, allow_inf_nan=False, use_attribute_docstrings=True
    )


def commented(settings: Settings) -> str:
    """Return the settings as YAML, each below a comment that explains it."""
    return "\n".join(_lines(settings))


def first_fault(error: ValidationError, source: str, model: type[BaseModel], see: str = SEE) -> str:
    """Return one sentence about the first fault of `source`; `see` says where the keys of `model` are listed."""
    faults = error.errors(include_url=False)
    of_one = [one for one in faults if one["loc"][:1] == faults[0]["loc"][:1]]
    fault = max(of_one, key=lambda one: len(one["loc"]))  # of a union, the type that the value is closest to
    where = ".".join(str(part) for part in fault["loc"] if not _UNION.match(str(part))) or "settings"
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, fault["loc"][:-1])
        hint = did_you_mean(str(fault["loc"][-1]), known, f"{see} for all keys")
        return f"unknown setting {where!r} in {source}; {hint}"
    if fault["type"] == "missing":
        return f"the setting {where!r} is required in {source} and was not given; add it"
    message = fault["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if fault["type"] == "hidden":  # the value may be a secret
        return f"the setting {where!r} in {source} is wrong: {message}"
    return f"the setting {where!r} in {source} is wrong: {message}, found {fault['input']!r}; correct it"


class _BoundedLoader(yaml.SafeLoader):
    """Refuses YAML that grows beyond its text: deep nesting, and aliases of aliases."""

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self._nodes = self._depth = 0
        self._sizes: dict[str | None, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self._nodes += self._sizes.get(str(event.anchor), MOST_NODES) if isinstance(event, yaml.AliasEvent) else 1
        self._depth += 1
        if self._depth > MOST_LEVELS or self._nodes > MOST_NODES:
            raise yaml.YAMLError(f"it has more than {MOST_LEVELS} levels or {MOST_NODES:,} values")
        before = self._nodes - 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent) and event.anchor:
            self._sizes[event.anchor] = self._nodes - before
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value: int = super().construct_yaml_int(node)
        if value.bit_length() > MOST_BITS:  # Python would not print it
            raise ValueError("it has a number of thousands of digits")
        return value


_BoundedLoader.add_constructor("tag:yaml.org,2002:int", _BoundedLoader.construct_yaml_int)


def parse_yaml(text: bytes | str) -> Any:
    """Return the value of a YAML text, in bounded time and memory.

    Raises:
        yaml.YAMLError: it is no YAML, or beyond the bounds.
        ValueError: a value in it cannot be.
    """
    if len(text) > MOST_BYTES:
        raise yaml.YAMLError(f"it has more than {MOST_BYTES:,} bytes")
    return yaml.load(text.decode("utf-8-sig") if isinstance(text, bytes) else text, _BoundedLoader)  # noqa: S506 - safe


def read_mapping(path: Path, see: str = SEE) -> dict[str, Any]:
    """Return the mapping in a YAML file; `see` says where an example is.

    Raises:
        ConfigError: the file is missing or is not a YAML mapping.
    """
    try:
        values = parse_yaml(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the config file {str(path)!r}: {error.strerror}; check the path") from error
    except (yaml.YAMLError, ValueError) as error:
        detail = one_line(error)
        raise ConfigError(f"{str(path)!r} is not valid YAML ({detail}); fix the file") from error
    if not isinstance(values, dict):
        what = "nothing" if values is None else type(values).__name__
        raise ConfigError(f"{str(path)!r} must hold a mapping of settings, found {what}; {see} for one")
    return values


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated with the values of `over`, group by group."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


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
    """Return the field's docstring, with YAML's `null` for None, and its allowed values."""
    text = re.sub(r"\bNone\b", "null", field.description or "")
    values = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if all(f"`{value}`" in text for value in values):
        return text
    return f"{text} One of {', '.join(values)}.".lstrip()


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))  # None for a key of a mapping of models
        inner = [one for one in (field.annotation, *get_args(field.annotation)) if _is_model(one)] if field else []
        model = inner[0] if inner else model
    return list(model.model_fields)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
