"""What a push would change on a Hub, without changing it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from s3_hf.files import replacing
from s3_hf.hub.folders import Kind, PushOptions, Repositories, write_folders
from s3_hf.hub.push import account_for, connected
from s3_hf.hub.remote import Changes, Remote
from s3_hf.hub.transport import hub_errors, persistently
from s3_hf.store import RunDir

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a push would change in one repository; `new` if it is not on the Hub yet.

    Both are None where the Hub could not be asked.
    """

    kind: Kind
    round: int
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
) -> list[Preview]:
    """Write the repositories as `to/datasets/…` and `to/models/…`, and tell how the Hub's differ from them.

    Takes and raises the same as `push_run`, but without a token the folders are written and not compared. A model's
    card names the commit of its dataset, which is not known before the dataset is pushed: where that changes, the card
    and record of the model count as changed.
    """
    api = connected(run, token, endpoint)
    if not api.token:
        logger.warning(
            "only the folders are written: to compare them with %s a token is needed, found none; log in with "
            "`hf auth login` or set HF_TOKEN",
            api.endpoint,
        )
        written = write_folders(run, to, namespace or "local", options)
        return [Preview(each.kind, each.round, each.repo, each.url) for each in written]
    found: list[Preview] = []
    with hub_errors(api.endpoint):
        options = options or PushOptions()
        owner = account_for(api, namespace, foreign=options.create_pr).namespace
        repositories = Repositories.checked(run, owner, options)
        for number in repositories.rounds():
            repo = repositories.dataset(number)
            with replacing(to / "datasets" / repo) as temporary:
                repositories.write_dataset(number, temporary)
            head, preview = _previewed(api, "dataset", number, repo, to / "datasets" / repo)
            found.append(preview)
            if repositories.has_model(number):
                repo = repositories.model(number)
                with replacing(to / "models" / repo) as temporary:
                    repositories.write_model(number, temporary, head)
                found.append(_previewed(api, "model", number, repo, to / "models" / repo)[1])
    return found


def _previewed(api: HfApi, kind: Kind, number: int, repo: str, folder: Path) -> tuple[str | None, Preview]:
    """The head of the repository, None if that would change, and what the folder would change on it."""
    remote = Remote(api, kind, repo)
    try:
        head = persistently(partial(api.repo_info, repo, repo_type=kind), api.endpoint).sha
        changes = persistently(partial(remote.changes, folder, head), api.endpoint)
    except RepositoryNotFoundError:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return None, Preview(kind, number, repo, str(folder), True, Changes(tuple(names)))
    return None if changes.any else head, Preview(kind, number, repo, str(folder), False, changes)
