"""Committing the repositories of a run to a Hub, so that it can be repeated and interrupted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from s3_hf.errors import HubError
from s3_hf.files import read_json, temporary_folder, write_json
from s3_hf.hub.account import account_for, connected
from s3_hf.hub.folders import Published
from s3_hf.hub.names import Part, Repository, RunNames, collection_description
from s3_hf.hub.remote import Remote
from s3_hf.hub.repositories import PushOptions, RunRepositories, Visit, once
from s3_hf.hub.telling import doing, size_text
from s3_hf.hub.transport import hub_errors, persistently, secrets_of
from s3_hf.keys import without_secrets
from s3_hf.store import RunDir

logger = logging.getLogger(__name__)


def push_run(
    run: RunDir,
    namespace: str | None = None,
    options: PushOptions | None = None,
    *,
    token: str | None = None,
    endpoint: str | None = None,
) -> list[Published]:
    """Push the final student, every round's dataset and model, and the page if asked for, each in one commit.

    A collection links them. Pushing again makes no commit where nothing changed, and finishes what an interrupted push
    began. The final student comes first and round 0 last, so that `new_version` never names a model that is not there.
    Each step is logged.

    Args:
        run: the run; rounds that are not complete are left out.
        namespace: user or organisation; None takes the token's owner.
        options: licence, visibility, pull requests, how much gold text the rows may copy, name of the repositories.
        token: None takes HF_TOKEN or the stored login.
        endpoint: address of the Hub; None takes HF_ENDPOINT.

    Raises:
        HubError: the Hub cannot be reached or refuses, a repository is another run's, or something must not be
            published.
    """
    options = options or PushOptions()
    api = connected(token, endpoint, str(run.facts["versions"]["s3-hf"]))
    with hub_errors(api):
        account = account_for(api, namespace, foreign=options.create_pr)
        repositories = RunRepositories.checked(run, account.namespace, options, secrets_of(api, run.config))
        hub = _Hub(api, repositories, options, account.user)
        parts, visit = hub.repositories.parts(), once(hub.push)
        check_owners(api, run, repositories.names, options, parts)
        published = [each for number in reversed(parts) for each in hub.push_round(number, visit)]
        if not options.create_pr:
            hub.collect(published)
    return published[::-1]


def check_push(run: RunDir, namespace: str | None, options: PushOptions | None = None) -> None:
    """Return if the repositories of all rounds that the run may have are new on HF_ENDPOINT, or this run's.

    Raises:
        HubError: one is another run's, or the Hub cannot be reached.
    """
    options, api = options or PushOptions(), connected()
    with hub_errors(api):
        owner = account_for(api, namespace, foreign=options.create_pr).namespace
        rounds = range(run.config.rounds + 1)
        parts: list[Part] = [*rounds, *([None] if run.config.gold_stage != "none" and run.facts["llm"] else [])]
        check_owners(api, run, RunNames.of(run, owner, options.name), options, parts)


def check_owners(api: HfApi, run: RunDir, names: RunNames, options: PushOptions, parts: Iterable[Part]) -> None:
    """Return if the repositories of these rounds, and for None that of the final student, are new, or this run's.

    Raises:
        HubError: one is another run's.
    """
    for number in parts:
        for each in names.repositories(number):
            remote = Remote(api, each.type, each.id, replaceable(run, options))
            persistently(remote.check_owner, api)


def replaceable(run: RunDir, options: PushOptions) -> str | None:
    """Return the fingerprint of the run whose repositories a push may replace; None for those of any run.

    A pull request replaces nothing until the owner of the repository merges it.
    """
    return None if options.replace or options.create_pr else str(run.facts["fingerprint"])


@dataclass(frozen=True, slots=True)
class _Commit:
    """Heads of the branch `before` and `after`, equal if nothing changed; `pull_request` is its address."""

    before: str | None
    after: str
    pull_request: str | None


@dataclass(frozen=True, slots=True)
class _Hub:
    """A run's repositories on a Hub; `user` owns the token."""

    api: HfApi
    repositories: RunRepositories
    options: PushOptions
    user: str

    def push_round(self, number: Part, visit: Visit[Published]) -> list[Published]:
        """Push the dataset, then the model that names its commit, then record both; return the model first.

        For None that is the final student.
        """
        pushed = self.repositories.walk(number, visit)[::-1]
        if self.options.create_pr or number == "page":
            return pushed
        proof = {each.kind: {"repo": each.repo, "commit": each.commit, "url": each.url} for each in reversed(pushed)}
        run = self.repositories.run
        target = run.final.published if number is None else run.round(number).published
        if not target.exists() or read_json(target) != proof:
            write_json(target, proof)
        return pushed

    def collect(self, published: Sequence[Published]) -> None:
        """Link the repositories in one collection; a Hub without collections only costs a warning."""
        try:
            self._collect(sorted(published, key=Published.order))
        except HfHubHTTPError as error:
            status = error.response.status_code
            logger.warning("no collection links the repositories: the Hub answered %s", status)

    def _collect(self, published: Sequence[Published]) -> None:
        run = self.repositories.run
        create = partial(
            self.api.create_collection,
            title=self.repositories.names.collection(),
            namespace=self.repositories.names.namespace,
            description=collection_description(run),
            private=self.options.private,
            exists_ok=True,
        )
        collection = persistently(create, self.api)
        present = {(item.item_type, item.item_id) for item in collection.items}
        for each in published:
            if (each.kind, each.repo) not in present:
                add = partial(self.api.add_collection_item, collection.slug, each.repo, each.kind, exists_ok=True)
                persistently(add, self.api)

    def push(self, repository: Repository, dataset_commit: str | None) -> tuple[Published, str]:
        """Create the repository unless it exists, and commit its files; return it and its head."""
        repo, kind, api = repository.id, repository.type, self.api
        with temporary_folder() as parent:
            folder = parent / kind
            self.repositories.write(repository, folder, dataset_commit)
            sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
            with doing(f"pushing the {kind} {repo}: {len(sizes)} files, {size_text(sum(sizes))}"):
                exists = partial(api.repo_exists, repo, repo_type=kind)
                # Whoever may only open a pull request may not create: `create_repo` fails on their repository.
                if not (self.options.create_pr and persistently(exists, api)):
                    private = self.options.private or None
                    create = partial(api.create_repo, repo, repo_type=kind, private=private, exist_ok=True)
                    persistently(partial(create, space_sdk="static") if kind == "space" else create, api)
                remote = Remote(api, kind, repo, replaceable(self.repositories.run, self.options))
                part = "Final student" if repository.round is None else f"Round {repository.round}"
                part = "Report" if kind == "space" else part
                message = f"{part}, made with s3-hf"
                done = persistently(partial(self._commit, remote, folder, message), api)
        changed, url = done.before != done.after, repository.url(api.endpoint)
        return Published(kind, repository.round, repo, url, done.after, changed, done.pull_request), done.after

    def _commit(self, remote: Remote, folder: Path, message: str) -> _Commit:
        """Make one commit on the current head of the main branch, or of the pull request that is open."""
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
            detail = secrets_of(self.api).redacted(str(error))
            raise HubError(
                f"{without_secrets(self.api.endpoint)} must accept the card of {repo!r}, found {detail!r}; correct "
                "the task's facts or the licence"
            ) from error
        return _Commit(info.sha, commit.oid, opened.url if opened else commit.pr_url)
