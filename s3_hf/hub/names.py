"""Repository names, and names of local things as a stranger may read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from s3_hf.errors import HubError
from s3_hf.store import RunDir

LONGEST = 96
"""Most characters of a repository name on the Hub."""

_LOCAL_PATH = re.compile(r"^(/|~|\.{1,2}[/\\]|[A-Za-z]:[/\\])")
_PLACES = ("task", "gold", "seed_data", "add_data", "contexts", "student", "source")
"""Settings and facts that may be a path, or several."""
_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?|\w+://.*|")
_FILE = re.compile(r"\.(py|csv|jsonl?|parquet)$", re.IGNORECASE)


def dataset_name(run: RunDir, number: int) -> str:
    """The dataset repository of round `number`: `s3-imdb-round2`."""
    return _joined(run, f"-round{number}")


def model_name(run: RunDir, number: int) -> str:
    """The model repository of round `number`: `s3-imdb-round2-distilbert-base-uncased`."""
    return _joined(run, f"-round{number}-{_valid(str(run.facts['student']))}")


def repo_id(namespace: str, name: str) -> str:
    """Return `namespace/name`.

    Raises:
        HubError: a Hub would refuse it.
    """
    try:
        validate_repo_id(f"{namespace}/{name}")
    except HFValidationError as error:
        raise HubError(
            f"a namespace must be made of letters, digits, '-', '_' and '.', found {namespace!r} in "
            f"'{namespace}/{name}'; give the name of a user or organisation"
        ) from error
    return f"{namespace}/{name}"


def shown(place: str) -> str:
    """A Hub id or name as it is; a path by its last component only."""
    if _LOCAL_PATH.match(place) or (place and Path(place).exists()):
        return re.split(r"[/\\]", place.rstrip("/\\"))[-1]
    return place


def without_paths(value: Any) -> Any:
    """A plain value in which every path is cut to its last component."""
    if isinstance(value, Mapping):
        return {key: _without_folders(item) if key in _PLACES else without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, str) and _LOCAL_PATH.match(value) and len(value.split()) == 1:
        return shown(value)
    return value


def _without_folders(value: Any) -> Any:
    """As `without_paths`, for what is a name, a Hub id or a path, which may be relative or have spaces."""
    if isinstance(value, list | tuple):
        return [_without_folders(item) for item in value]
    if not isinstance(value, str):
        return without_paths(value)
    is_name = _NAME.fullmatch(value) and not _FILE.search(value)
    return shown(value) if is_name else re.split(r"[/\\]", value.rstrip("/\\"))[-1]


def _joined(run: RunDir, suffix: str) -> str:
    """Strategy, task and suffix; where that is too long, the student loses its end first, then the task."""
    head = f"{_valid(run.config.strategy)}-{_valid(str(run.facts['task']['name']))}"
    suffix = suffix[: LONGEST // 2].rstrip("-._")
    return head[: LONGEST - len(suffix)].rstrip("-._") + suffix


def _valid(text: str) -> str:
    """The last component of an id or path, with what a repository name must not have replaced."""
    name = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    plain = re.sub(r"\.{2,}", ".", re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._-]+", "-", name)))
    return plain.strip("-._").removesuffix(".git") or "unnamed"
