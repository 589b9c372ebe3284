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
from s3_hf.keys import without_secrets
from s3_hf.store import RunDir

LONGEST = 96
"""Most characters of a repository name on the Hub."""
LONGEST_TITLE, LONGEST_DESCRIPTION = 60, 150
"""Most characters of a collection's title and description on the Hub."""

RepoType = Literal["dataset", "model", "space"]
Part = int | Literal["page"] | None
"""What is published together: the repositories of a round by its number, the final student (None), the page."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The dataset or model repository of a round, or that of the final student or of the page, whose round is None.

    `id` is `NAMESPACE/NAME`.
    """

    type: RepoType
    round: int | None
    id: str

    def folder(self, to: Path) -> Path:
        """Return the repository's folder below `to`: `datasets/`, `models/` or `spaces/`, then `NAMESPACE/NAME`."""
        return to / f"{self.type}s" / self.id

    def url(self, endpoint: str) -> str:
        """Return the repository's address on the Hub at `endpoint`."""
        return f"{without_secrets(endpoint)}/{'' if self.type == 'model' else f'{self.type}s/'}{self.id}"


@dataclass(frozen=True, slots=True)
class RunNames:
    """The names of a run's repositories: `s3-imdb-round2`, `s3-imdb-round2-distilbert-base-uncased` and `s3-imdb`.

    They begin with `head`, which is STRATEGY-TASK unless the user chose a name. The longest is cut to `LONGEST`
    characters, at the end of the student and then of the head.
    """

    namespace: str
    head: str
    student: str

    @classmethod
    def of(cls, run: RunDir, namespace: str, chosen: str | None = None) -> RunNames:
        """Return the names of the run's repositories, which begin with the name `chosen` by the user, if any.

        Raises:
            HubError: a Hub would refuse a repository of that namespace or name.
        """
        if chosen is not None and _valid(chosen) != chosen:
            raise HubError(
                "the name of the repositories must be made of letters, digits and single '-', '_' or '.' between "
                f"them, found {chosen!r}; {_valid(chosen)!r} is one"
            )
        head = chosen or f"{_valid(run.config.strategy)}-{_valid(str(run.facts['task']['name']))}"
        names = cls(namespace, head, _valid(str(run.facts["student"])))
        names.dataset(0)  # raises for a namespace that no Hub has
        return names

    def dataset(self, number: int) -> Repository:
        """Return the dataset repository of round `number`."""
        return Repository("dataset", number, self._id(f"-round{number}"))

    def model(self, number: int) -> Repository:
        """Return the model repository of round `number`."""
        return Repository("model", number, self._id(f"-round{number}-{self.student}"))

    def final(self) -> Repository:
        """Return the model repository of the final student."""
        return Repository("model", None, self._id(""))

    def page(self) -> Repository:
        """Return the Space repository of the page."""
        return Repository("space", None, self._id("-report"))

    def repositories(self, part: Part) -> tuple[Repository, ...]:
        """Return the repositories of a part."""
        if part == "page":
            return (self.page(),)
        return (self.final(),) if part is None else (self.dataset(part), self.model(part))

    def collection(self) -> str:
        """Return the title of the collection of the repositories."""
        return f"{self.head} (s3-hf)"[:LONGEST_TITLE]

    def _id(self, suffix: str) -> str:
        suffix = suffix[: LONGEST // 2].rstrip("-._")
        return _repo_id(self.namespace, self.head[: LONGEST - len(suffix)].rstrip("-._") + suffix)


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


def _valid(text: str) -> str:
    """Return the last component of an id or path, without what a repository name must not have."""
    name = last_component(text)
    plain = re.sub(r"\.{2,}", ".", re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._-]+", "-", name)))
    return plain.strip("-._").removesuffix(".git") or "unnamed"
