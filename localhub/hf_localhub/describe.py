"""Repositories, trees and commits in the Hub's JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from hf_localhub import metadata
from hf_localhub.answers import AnswerError
from hf_localhub.registry import iso
from hf_localhub.repos import RepoRow
from hf_localhub.repository import Entry, GitRepo

Json = dict[str, Any]
_EXPANDABLE = {
    "models": (
        "author", "baseModels", "cardData", "childrenModelCount", "config", "createdAt", "disabled", "downloads",
        "downloadsAllTime", "evalResults", "gated", "gguf", "inference", "inferenceProviderMapping", "lastModified",
        "library_name", "likes", "mask_token", "model-index", "pipeline_tag", "private", "resourceGroup",
        "safetensors", "sha", "siblings", "spaces", "tags", "transformersInfo", "trendingScore", "usedStorage",
        "widgetData",
    ),
    "datasets": (
        "author", "cardData", "citation", "createdAt", "description", "disabled", "downloads", "downloadsAllTime",
        "gated", "lastModified", "likes", "mainSize", "paperswithcode_id", "private", "resourceGroup", "sha",
        "siblings", "tags", "trendingScore", "usedStorage",
    ),
}  # fmt: skip
_CONFIG_KEYS = ("architectures", "model_type", "auto_map")


def check_expand(kind: str, names: list[str]) -> list[str]:
    """The names can be expanded; 400 otherwise."""
    allowed = _EXPANDABLE[kind]
    if any(name not in allowed for name in names):
        raise AnswerError(400, f'"expand" must be one of [{", ".join(allowed)}]')
    return names


def commit_date(git: GitRepo, commit: str) -> str:
    """When the commit was made."""
    return iso(datetime.fromtimestamp(git.commit_at(commit).commit_time, UTC))


_card = lru_cache(maxsize=512)(metadata.readable)


def card_of(git: GitRepo, commit: str) -> Json:
    """The YAML of the card at a commit."""
    return _card(git.text(commit, "README.md") or "")


def _config_of(git: GitRepo, commit: str) -> Json:
    try:
        found = json.loads(git.text(commit, "config.json") or "{}")
    except ValueError:
        return {}
    return {key: found[key] for key in _CONFIG_KEYS if key in found} if isinstance(found, dict) else {}


def tags_of(git: GitRepo, repo: RepoRow, commit: str) -> list[str]:
    """The tags of a repository at a commit."""
    return metadata.tags(card_of(git, commit), repo.kind)


def _sibling(entry: Entry, blobs: bool) -> Json:
    if not blobs:
        return {"rfilename": entry.path}
    found: Json = {"rfilename": entry.path, "size": entry.size, "blobId": entry.oid}
    if entry.sha256:
        found["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return found


def info(git: GitRepo, repo: RepoRow, commit: str, *, siblings: bool = True, blobs: bool = False) -> Json:
    """Everything a repository's description can hold, at a commit."""
    card = card_of(git, commit)
    found: Json = {
        "_id": repo.id,
        "id": repo.full_name,
        "author": repo.owner,
        "sha": commit,
        "lastModified": commit_date(git, commit),
        "createdAt": repo.created,
        "private": repo.private,
        "gated": repo.gated or False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags_of(git, repo, commit),
        "cardData": card,
    }
    if siblings:
        files = [entry for entry in git.walk(commit) if not entry.folder]
        found["siblings"] = [_sibling(entry, blobs) for entry in files]
        found["usedStorage"] = sum(entry.size for entry in files)
    if repo.kind == "models":
        config = _config_of(git, commit)
        library = card.get("library_name") or ("transformers" if config else None)
        found |= {"modelId": repo.full_name, "config": config, "library_name": library}
        found |= {"pipeline_tag": card.get("pipeline_tag"), "model-index": card.get("model-index")}
    return found


def narrowed(found: Json, names: list[str]) -> Json:
    """Only what was asked to be expanded; what this Hub does not count or compute is None or zero."""
    zero = ("downloadsAllTime", "trendingScore", "childrenModelCount")
    narrow = {name: found.get(name, 0 if name in zero else None) for name in names}
    return {
        "_id": found["_id"],
        "id": found["id"],
        **{key: value for key, value in narrow.items() if value is not None},
    }


def tree_entry(entry: Entry) -> Json:
    """A file or folder as trees list it."""
    kind = "directory" if entry.folder else "file"
    found: Json = {"type": kind, "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.sha256:
        found["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return found


def with_last_commits(git: GitRepo, commit: str, entries: list[Json]) -> list[Json]:
    """Each entry with the newest commit that touched it."""
    last = git.last_changes(commit, {entry["path"] for entry in entries})
    for entry in entries:
        oid = last.get(entry["path"], commit)
        title = git.commit_at(oid).message.decode("utf-8", "replace").partition("\n")[0]
        entry["lastCommit"] = {"id": oid, "title": title, "date": commit_date(git, oid)}
    return entries


def commit_entry(git: GitRepo, oid: str, formatted: bool) -> Json:
    """A commit as histories list it."""
    commit = git.commit_at(oid)
    title, _, message = commit.message.decode("utf-8", "replace").partition("\n")
    author = commit.author.decode("utf-8", "replace").partition(" <")[0]
    found: Json = {
        "id": oid,
        "title": title,
        "message": message.strip(),
        "authors": [{"user": author}],
        "date": commit_date(git, oid),
        "parents": [parent.decode() for parent in commit.parents],
    }
    if formatted:
        found["formatted"] = {"title": title, "message": message.strip()}
    return found
