"""Committing the repositories of a run to a Hub, so that it can be repeated and interrupted."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from s3_hf.errors import HubError
from s3_hf.files import read_json, storage_errors, write_json
from s3_hf.hub.folders import Kind, Published, PushOptions, Repositories
from s3_hf.hub.remote import Remote
from s3_hf.hub.transport import hub_errors, persistently
from s3_hf.store import RunDir

logger = logging.getLogger(__name__)

LONGEST_TITLE, LONGEST_DESCRIPTION = 60, 150
"""Most characters that the Hub takes for a collection."""


def push_run(
    run: RunDir,
    namespace: str | None = None,
    options: PushOptions | None = None,
    *,
    token: str | None = None,
    endpoint: str | None = None,
) -> list[Published]:
    """Leave every round's dataset and model on the Hub, each in one commit, and linked to each other.

    Repeating it makes no commit where nothing changed, and finishes what an interrupted push began. Rounds
    go from the last to the first, so that `new_version` never names a model that is not there.

    Args:
        run: the run; rounds that are not complete are left out.
        namespace: user or organisation; None takes the token's owner.
        options: licence, visibility, pull requests, how much gold text is let through.
        token: None takes HF_TOKEN or the stored login.
        endpoint: address of the Hub; None takes HF_ENDPOINT.

    Raises:
        HubError: the Hub cannot be reached or refuses, or something must not be published.
    """
    options = options or PushOptions()
    api = connected(run, token, endpoint)
    with hub_errors(api.endpoint):
        account = account_for(api, namespace, foreign=options.create_pr)
        hub = _Hub(api, Repositories.checked(run, account.namespace, options), options, account.user)
        published = [each for number in reversed(hub.repositories.rounds()) for each in hub.push_round(number)]
        if not options.create_pr:
            hub.collect(published)
    return published[::-1]


def check_access(namespace: str | None = None) -> None:
    """Return if the namespace at HF_ENDPOINT can be pushed to, as far as the Hub tells.

    Raises:
        HubError: it cannot be reached, there is no token that may write, or the namespace is somebody else's.
    """
    api = HfApi(token=get_token(), library_name="s3-hf")
    with hub_errors(api.endpoint):
        account_for(api, namespace)


def connected(run: RunDir, token: str | None, endpoint: str | None) -> HfApi:
    """A client of the Hub at `endpoint`, or HF_ENDPOINT; nothing is sent yet."""
    version = str(run.facts["versions"]["s3-hf"])
    return HfApi(endpoint=endpoint, token=token or get_token(), library_name="s3-hf", library_version=version)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose token it is, and where they push to."""

    user: str
    namespace: str


@dataclass(frozen=True, slots=True)
class _Commit:
    """Head of the branch before and after, equal if nothing changed, and the pull request if there is one."""

    before: str | None
    after: str
    pull_request: str | None


@dataclass(frozen=True, slots=True)
class _Hub:
    api: HfApi
    repositories: Repositories
    options: PushOptions
    user: str

    def push_round(self, number: int) -> list[Published]:
        """Commit the dataset, then the model that names its commit, then write down both."""
        repositories = self.repositories
        with (
            storage_errors(Path(tempfile.gettempdir())),
            tempfile.TemporaryDirectory(prefix="s3-hf-push-") as temporary,
        ):
            folder = Path(temporary) / "dataset"
            repositories.write_dataset(number, folder)
            pushed = [self._push("dataset", number, repositories.dataset(number), folder)]
            if repositories.has_model(number):
                folder = Path(temporary) / "model"
                repositories.write_model(number, folder, revision=pushed[0].commit)
                pushed.insert(0, self._push("model", number, repositories.model(number), folder))
        if self.options.create_pr:
            return pushed
        proof = {each.kind: {"repo": each.repo, "commit": each.commit, "url": each.url} for each in reversed(pushed)}
        target = repositories.run.round(number).published
        if not target.exists() or read_json(target) != proof:
            write_json(target, proof)
        return pushed

    def collect(self, published: Sequence[Published]) -> None:
        """Link the repositories in one collection; a Hub without collections only costs a warning."""
        try:
            self._collect(sorted(published, key=lambda each: (each.round, each.kind)))
        except HfHubHTTPError as error:
            status = error.response.status_code
            logger.warning("no collection links the repositories: %s answered %s", self.api.endpoint, status)

    def _collect(self, published: Sequence[Published]) -> None:
        run = self.repositories.run
        task = run.facts["task"]
        create = partial(
            self.api.create_collection,
            title=f"{run.config.strategy}-{task['name']} (s3-hf)"[:LONGEST_TITLE],
            namespace=self.repositories.namespace,
            description=f"Training data for {task['pretty_name']} and the models trained on it"[:LONGEST_DESCRIPTION],
            private=self.options.private,
            exists_ok=True,
        )
        collection = persistently(create, self.api.endpoint)
        present = {(item.item_type, item.item_id) for item in collection.items}
        for each in published:
            if (each.kind, each.repo) not in present:
                add = partial(self.api.add_collection_item, collection.slug, each.repo, each.kind, exists_ok=True)
                persistently(add, self.api.endpoint)

    def _push(self, kind: Kind, number: int, repo: str, folder: Path) -> Published:
        exists = partial(self.api.repo_exists, repo, repo_type=kind)
        # Whoever may only open a pull request may not create: `create_repo` fails on their repository.
        if not (self.options.create_pr and persistently(exists, self.api.endpoint)):
            private = self.options.private or None
            create = partial(self.api.create_repo, repo, repo_type=kind, private=private, exist_ok=True)
            persistently(create, self.api.endpoint)
        commit = partial(self._commit, Remote(self.api, kind, repo), folder, f"Round {number}, made with s3-hf")
        done = persistently(commit, self.api.endpoint)
        prefix = "datasets/" if kind == "dataset" else ""
        url = f"{self.api.endpoint}/{prefix}{repo}"
        return Published(kind, number, repo, url, done.after, done.before != done.after, done.pull_request)

    def _commit(self, remote: Remote, folder: Path, message: str) -> _Commit:
        """Make one commit on the head just read, of the main branch or of the pull request that is open."""
        repo, kind = remote.repo, remote.kind
        opened = remote.pull_request(message, self.user) if self.options.create_pr else None
        branch = opened.git_reference if opened else None
        info = self.api.repo_info(repo, repo_type=kind, revision=branch)
        if self.options.private and not info.private:
            raise HubError(
                f"{repo!r} must be private as asked, found a public repository of that name; make it private on the "
                "Hub, or push without --private"
            )
        operations = remote.operations(folder, info.sha)
        try:
            commit = self.api.create_commit(
                repo,
                operations,
                commit_message=message,
                repo_type=kind,
                revision=branch,
                create_pr=self.options.create_pr and opened is None,
                parent_commit=info.sha,
            )
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            detail = " ".join(str(error).split())
            raise HubError(
                f"{self.api.endpoint} must accept the card of {repo!r}, found {detail!r}; correct the task's facts or "
                "the licence"
            ) from error
        return _Commit(info.sha, commit.oid, opened.url if opened else commit.pr_url)


def account_for(api: HfApi, wanted: str | None, *, foreign: bool = False) -> Account:
    """Whose token it is, and the namespace to push to, which it may write to as far as the Hub tells.

    Args:
        api: the Hub.
        wanted: namespace; None takes the token's owner.
        foreign: the namespace may be somebody else's.

    Raises:
        HubError: there is no token, it may only read, or the namespace is somebody else's.
    """
    if not api.token:
        raise HubError(
            f"a token is needed to publish on {api.endpoint}, found none; log in with `hf auth login`, set HF_TOKEN, "
            "or write folders with `s3-hf push --to`"
        )
    account = persistently(api.whoami, api.endpoint, tries=4)  # soon, if there is no Hub at all
    role = account.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise HubError(
            f"a token that may write is needed to publish on {api.endpoint}, found one that may only read; make a "
            "write token in your settings there and set HF_TOKEN"
        )
    allowed = [account["name"], *(each["name"] for each in account.get("orgs", []))]
    if wanted is not None and wanted not in allowed and not foreign:
        raise HubError(
            f"the namespace must be yours or your organisation's on {api.endpoint}, found {wanted!r}; use one of "
            f"{', '.join(allowed)}"
        )
    return Account(str(account["name"]), wanted or str(account["name"]))
