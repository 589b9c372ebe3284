"""The repositories of a run as folders: exactly the files that a push commits to a Hub."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from s3_hf.files import replacing
from s3_hf.hub.names import Repository, RepoType
from s3_hf.hub.repositories import PushOptions, RunRepositories, once
from s3_hf.hub.telling import doing
from s3_hf.store import RunDir


@dataclass(frozen=True, slots=True)
class Published:
    """A published repository: `url` is its address or its folder, `commit` its head on a Hub.

    `round` is None for the final student and the Space; `kind` tells them apart. Where the push is a pull
    request, `commit` is the pull request's head and `pull_request` its address.
    """

    kind: RepoType
    round: int | None
    repo: str
    url: str
    commit: str | None = None
    changed: bool = True
    pull_request: str | None = None

    def order(self) -> tuple[float, str]:
        """Return a key that sorts by round, the dataset before the model, the final student last."""
        return math.inf if self.round is None else self.round, self.kind


def write_folders(
    run: RunDir,
    to: Path,
    namespace: str = "local",
    options: PushOptions | None = None,
) -> list[Published]:
    """Write all repositories of a run as `to/datasets/NAMESPACE/NAME`, `to/models/…` and `to/spaces/…`.

    `load_dataset(FOLDER)` and `from_pretrained(FOLDER)` read them. Each folder appears whole, in place of
    an earlier one.

    Raises:
        HubError: the run has no finished round, or holds what must not be published.
        StorageError: the disk is full or refuses to be written.
    """
    repositories = RunRepositories.checked(run, namespace, options or PushOptions())

    def visit(repository: Repository, commit: str | None) -> tuple[Published, None]:
        folder = repository.folder(to)
        with doing(f"writing {folder}"), replacing(folder) as temporary:
            repositories.write(repository, temporary, commit)
        return Published(repository.type, repository.round, repository.id, str(folder)), None

    kept = once(visit)
    return [each for number in repositories.parts() for each in repositories.walk(number, kept)]
