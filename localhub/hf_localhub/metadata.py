"""The YAML of a card: its tags and its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from hf_localhub.bounded import MIB, BoundError, read_json, read_yaml
from hf_localhub.file_rules import LARGEST_RULES

_TAGGED = (
    "annotations_creators", "base_model", "benchmark", "datasets", "language", "language_creators", "license",
    "multilinguality", "size_categories", "source_datasets", "task_categories", "task_ids",
)  # fmt: skip
_TEXT = ("library_name", "license_link", "license_name", "new_version", "pipeline_tag", "pretty_name")
READ_BY_THE_HUB = frozenset({"README.md", "config.json", ".gitattributes", ".gitignore"})
_PLAIN_TAGS = ("language", "library_name", "pipeline_tag", "tags")


class CardError(ValueError):
    """The YAML of a card cannot be parsed, or is not a mapping."""


def front_matter(card: str) -> dict[str, Any]:
    """Return the YAML between the first two `---` lines; empty when there is none.

    Raises:
        CardError: the block is not closed within 1 MiB, is not YAML or beyond its bounds, or is not a mapping.
    """
    lines = card[: MIB + 16].removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise CardError("the YAML block is opened by '---' but not closed within 1 MiB")
    try:
        block = read_yaml("\n".join(lines[1:end]))
    except (yaml.YAMLError, ValueError) as error:
        raise CardError(" ".join(str(error).split())) from error
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise CardError("the YAML block must be a mapping")
    return block


def read_card(card: str) -> dict[str, Any]:
    """Return the YAML of a card, converted to JSON types; empty when it cannot be parsed."""
    try:
        block = front_matter(card)
    except CardError:
        return {}
    plain = _plain(block)
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _listed(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value]) if item is not None]


def card_tags(card: dict[str, Any], kind: str) -> list[str]:
    """Return the tags that lists can be filtered by: the card's own, and those of its fields (`license:mit`)."""
    plain = _PLAIN_TAGS if kind == "models" else ("tags",)
    tags = [tag for key in plain for tag in _listed(card.get(key))]
    prefixed = [key for key in _TAGGED if not (kind == "models" and key == "language")]
    names = {"datasets": "dataset"}
    tags += [f"{names.get(key, key)}:{tag}" for key in prefixed for tag in _listed(card.get(key))]
    return list(dict.fromkeys(tags))


def file_errors(path: str, text: str) -> list[str]:
    """Return the errors in a file that the Hub itself reads, so that no commit can break a list or an upload."""
    if path == "README.md":
        return check_card(text)[0]
    if path == "config.json":
        try:
            read_json(text)
        except BoundError as error:
            return [str(error)]
        except ValueError:  # the Hub shows no configuration, as for a missing file
            return []
    elif len(text) > LARGEST_RULES:
        return [f"it is longer than {LARGEST_RULES} characters"]
    return []


def check_card(card: str) -> tuple[list[str], list[str]]:
    """Return the errors and the warnings about the YAML of a card."""
    try:
        block = front_matter(card)
    except CardError as error:
        return [str(error)], []
    if not block:
        return [], ["empty or missing yaml metadata in repo card"]
    errors = [error for check in _CHECKS for error in check(block)]
    return errors, [] if "license" in block else ['"license" is missing']


def _words(card: dict[str, Any]) -> list[str]:
    wrong = []
    for key in (*_TAGGED, "tags"):
        value = card.get(key)
        items = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(item, str) for item in items):
            wrong.append(f'"{key}" must be a string or an array of strings')
    return wrong


def _texts(card: dict[str, Any]) -> list[str]:
    return [f'"{key}" must be a string' for key in _TEXT if key in card and not isinstance(card[key], str)]


def _configs(card: dict[str, Any]) -> list[str]:
    configs = card.get("configs")
    if configs is None:
        return []
    if not isinstance(configs, list) or not all(isinstance(item, dict) for item in configs):
        return ['"configs" must be an array of objects']
    named = all(isinstance(item.get("config_name"), str) for item in configs)
    return [] if named else ['"configs[].config_name" must be a string']


def _dataset_info(card: dict[str, Any]) -> list[str]:
    info = card.get("dataset_info")
    items = info if isinstance(info, list) else [info]
    if info is None or all(isinstance(item, dict) for item in items):
        return []
    return ['"dataset_info" must be an object or an array of objects']


def _model_index(card: dict[str, Any]) -> list[str]:
    index = card.get("model-index")
    if index is None:
        return []
    if not isinstance(index, list) or not all(isinstance(item, dict) for item in index):
        return ['"model-index" must be an array of objects']
    wrong = []
    for number, model in enumerate(index):
        at = f"model-index[{number}]"
        if not isinstance(model.get("name"), str):
            wrong.append(f'"{at}.name" is required')
        results = model.get("results")
        if not isinstance(results, list):
            wrong.append(f'"{at}.results" is required')
            continue
        wrong += [error for item, result in enumerate(results) for error in _result(result, f"{at}.results[{item}]")]
    return wrong


def _result(result: Any, at: str) -> list[str]:
    if not isinstance(result, dict):
        return [f'"{at}" must be an object']
    needed = {"task": ("type",), "dataset": ("type", "name")}
    wrong = []
    for key, inner in needed.items():
        part = result.get(key)
        wrong += [f'"{at}.{key}.{name}" is required' for name in inner if not _has(part, name)]
    metrics = result.get("metrics")
    if not isinstance(metrics, list):
        return [*wrong, f'"{at}.metrics" is required']
    for number, metric in enumerate(metrics):
        wrong += [f'"{at}.metrics[{number}].{key}" is required' for key in ("type", "value") if not _has(metric, key)]
    return wrong


def _has(part: Any, key: str) -> bool:
    return isinstance(part, dict) and part.get(key) is not None


_CHECKS: tuple[Callable[[dict[str, Any]], list[str]], ...] = (_words, _texts, _configs, _dataset_info, _model_index)
