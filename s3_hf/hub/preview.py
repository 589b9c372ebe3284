"""What a push would change on a Hub, without changing it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from huggingface_hub.errors import RepositoryNotFoundError

from s3_hf.files import replacing
from s3_hf.hub.account import account_for, connected
from s3_hf.hub.folders import write_folders
from s3_hf.hub.names import Repository, RepoType
from s3_hf.hub.push import replaceable
from s3_hf.hub.remote import Changes, Remote
from s3_hf.hub.repositories import PushOptions, RunRepositories, once
from s3_hf.hub.telling import doing
from s3_hf.hub.transport import hub_errors, persistently, secrets_of
from s3_hf.keys import without_secrets
from s3_hf.store import RunDir

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PushPreview:
    """What a push would change in one repository; `new` is true if the Hub does not have it yet.

    `round` is None for the final student and the Space; `kind` tells them apart.
    `new` and `changes` are None where there was no token to compare with the Hub.
    """

    kind: RepoType
    round: int | None
    repo: str
    folder: str
    new: bool | None = None
    changes: Changes | None = None


def preview_push(
    run: RunDir,
    to: Path,
    namespace: str | None = None,
    options: PushOptions | None = None,
    *,
    token: str | None = None,
    endpoint: str | None = None,
) -> list[PushPreview]:
    """Write the repositories as `to/datasets/…`, `to/models/…` and `to/spaces/…`, and return how the Hub's differ.

    Takes and raises the same as `push_run`, but without a token the folders are written and not compared. A model's
    card names the commit of its dataset, which is not known before the dataset is pushed: where that changes, the card
    and record of the model count as changed.
    """
    api = connected(token, endpoint, str(run.facts["versions"]["s3-hf"]))
    if not api.token:
        logger.warning(
            "only the folders are written: to compare them with %s a token is needed, found none; log in with "
            "`hf auth login` or set HF_TOKEN",
            without_secrets(api.endpoint),
        )
        written = write_folders(run, to, namespace or "local", options)
        return [PushPreview(each.kind, each.round, each.repo, each.url) for each in written]
    options = options or PushOptions()
    with hub_errors(api):
        owner = account_for(api, namespace, foreign=options.create_pr).namespace
        repositories = RunRepositories.checked(run, owner, options, secrets_of(api, run.config))

        def visit(repository: Repository, commit: str | None) -> tuple[PushPreview, str | None]:
            folder = repository.folder(to)
            with doing(f"comparing {repository.id} with the Hub"):
                with replacing(folder) as temporary:
                    repositories.write(repository, temporary, commit)
                remote = Remote(api, repository.type, repository.id, replaceable(run, options))
                return _compared(remote, repository.round, folder)

        kept = once(visit)
        return [each for number in repositories.parts() for each in repositories.walk(number, kept)]


def _compared(remote: Remote, number: int | None, folder: Path) -> tuple[PushPreview, str | None]:
    """Return what a push of the folder would change, and the repository's head if that would stay."""
    api, repo, kind = remote.api, remote.repo, remote.kind
    try:
        head = persistently(partial(api.repo_info, repo, repo_type=kind), api).sha
        changes = persistently(partial(remote.changes, folder, head), api)
    except RepositoryNotFoundError:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return PushPreview(kind, number, repo, str(folder), True, Changes(tuple(names))), None
    return PushPreview(kind, number, repo, str(folder), False, changes), None if changes.any else head
