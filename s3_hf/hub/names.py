"""Names of what a run publishes: repositories, their ids, folders and addresses, and the collection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from s3_hf.errors import HubError
from s3_hf.hub.privacy import last_component
from s3_hf.store import RunDir

LONGEST = 96
"""Most characters of a repository name on the Hub."""
LONGEST_TITLE, LONGEST_DESCRIPTION = 60, 150
"""Most characters of a collection's title and description on the Hub."""

RepoType = Literal["dataset", "model"]


@dataclass(frozen=True, slots=True)
class Repository:
    """The dataset or model repository of a round; `id` is `NAMESPACE/NAME`."""

    type: RepoType
    round: int
    id: str

    def folder(self, to: Path) -> Path:
        """Return the repository's folder below `to`: `datasets/NAMESPACE/NAME` or `models/NAMESPACE/NAME`."""
        return to / f"{self.type}s" / self.id

    def url(self, endpoint: str) -> str:
        """Return the repository's address on the Hub at `endpoint`."""
        return f"{endpoint}/{'datasets/' if self.type == 'dataset' else ''}{self.id}"


def dataset_repository(run: RunDir, namespace: str, number: int) -> Repository:
    """Return the dataset repository of round `number`.

    Raises:
        HubError: a Hub would refuse its id.
    """
    return Repository("dataset", number, _repo_id(namespace, dataset_name(run, number)))


def model_repository(run: RunDir, namespace: str, number: int) -> Repository:
    """Return the model repository of round `number`.

    Raises:
        HubError: a Hub would refuse its id.
    """
    return Repository("model", number, _repo_id(namespace, model_name(run, number)))


def dataset_name(run: RunDir, number: int) -> str:
    """Return the name of the dataset repository of round `number`: `s3-imdb-round2`."""
    return _joined(run, f"-round{number}")


def model_name(run: RunDir, number: int) -> str:
    """Return the name of the model repository of round `number`: `s3-imdb-round2-distilbert-base-uncased`."""
    return _joined(run, f"-round{number}-{_valid(str(run.facts['student']))}")


def collection_title(run: RunDir) -> str:
    """Return the title of the collection of a run's repositories."""
    return f"{run.config.strategy}-{run.facts['task']['name']} (s3-hf)"[:LONGEST_TITLE]


def collection_description(run: RunDir) -> str:
    """Return the description of the collection of a run's repositories."""
    name = run.facts["task"]["pretty_name"]
    return f"Training data for {name} and the models trained on it"[:LONGEST_DESCRIPTION]


def _repo_id(namespace: str, name: str) -> str:
    try:
        validate_repo_id(f"{namespace}/{name}")
    except HFValidationError as error:
        raise HubError(
            f"a namespace must be made of letters, digits, '-', '_' and '.', found {namespace!r} in "
            f"'{namespace}/{name}'; give the name of a user or organisation"
        ) from error
    return f"{namespace}/{name}"


def _joined(run: RunDir, suffix: str) -> str:
    """Return strategy, task and suffix; where that is too long, the end of the student is cut, then of the task."""
    head = f"{_valid(run.config.strategy)}-{_valid(str(run.facts['task']['name']))}"
    suffix = suffix[: LONGEST // 2].rstrip("-._")
    return head[: LONGEST - len(suffix)].rstrip("-._") + suffix


def _valid(text: str) -> str:
    """Return the last component of an id or path, without what a repository name must not have."""
    name = last_component(text)
    plain = re.sub(r"\.{2,}", ".", re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._-]+", "-", name)))
    return plain.strip("-._").removesuffix(".git") or "unnamed"
