"""Repositories, trees and commits as the Hub's JSON."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

from hf_localhub import metadata
from hf_localhub.bounded import MIB, read_json
from hf_localhub.http_errors import HTTPError
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
    "spaces": (
        "author", "cardData", "createdAt", "datasets", "disabled", "lastModified", "likes", "models", "private",
        "resourceGroup", "runtime", "sdk", "sha", "siblings", "subdomain", "tags", "trendingScore", "usedStorage",
    ),
}  # fmt: skip
_CONFIG_KEYS = ("architectures", "model_type", "auto_map")
_MOST_CARDS = 32 * MIB


def check_expand(kind: str, names: list[str]) -> list[str]:
    """Return the names of the fields to expand.

    Raises:
        HTTPError: 400 when a repository of this kind does not have such a field.
    """
    allowed = _EXPANDABLE[kind]
    if any(name not in allowed for name in names):
        raise HTTPError(400, f'"expand" must be one of [{", ".join(allowed)}]')
    return names


def commit_date(git: GitRepo, commit: str) -> str:
    """Return the time of a commit as ISO 8601."""
    return iso(datetime.fromtimestamp(git.commit_at(commit).commit_time, UTC))


class _Cards:
    """The YAML of cards as JSON, by the id of their blob. The least recently used ones beyond 32 MiB are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._json: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def get(self, git: GitRepo, oid: str) -> Json:
        with self._lock:
            text = self._json.get(oid)
            if text is not None:
                self._json.move_to_end(oid)
        if text is None:
            text = json.dumps(metadata.read_card(git.read_blob(oid).decode("utf-8", "replace"))).encode()
            with self._lock:
                self._size += len(text) - len(self._json.get(oid, b""))
                self._json[oid] = text
                while self._size > _MOST_CARDS:
                    self._size -= len(self._json.popitem(last=False)[1])
        card: Json = json.loads(text)
        return card


_cards = _Cards()


def card_at(git: GitRepo, commit: str) -> Json:
    """Return the YAML of the card at a commit."""
    entry = git.entry(commit, "README.md")
    return {} if entry is None or entry.folder or entry.sha256 else _cards.get(git, entry.oid)


def _config_at(git: GitRepo, commit: str) -> Json:
    try:
        config = read_json(git.read_text(commit, "config.json") or "{}")
    except ValueError:
        return {}
    return {key: config[key] for key in _CONFIG_KEYS if key in config} if isinstance(config, dict) else {}


def tags_at(git: GitRepo, repo: RepoRow, commit: str) -> list[str]:
    """Return the tags of a repository at a commit."""
    return metadata.card_tags(card_at(git, commit), repo.kind)


def _sibling(entry: Entry, blobs: bool) -> Json:
    if not blobs:
        return {"rfilename": entry.path}
    sibling: Json = {"rfilename": entry.path, "size": entry.size, "blobId": entry.oid}
    if entry.sha256:
        sibling["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return sibling


def repo_info(git: GitRepo, repo: RepoRow, commit: str, *, siblings: bool = True, blobs: bool = False) -> Json:
    """Return all fields of the description of a repository at a commit."""
    card = card_at(git, commit)
    info: Json = {
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
        "tags": tags_at(git, repo, commit),
        "cardData": card,
    }
    if siblings:
        files = [entry for entry in git.walk(commit) if not entry.folder]
        info["siblings"] = [_sibling(entry, blobs) for entry in files]
        info["usedStorage"] = sum(entry.size for entry in files)
    if repo.kind == "models":
        config = _config_at(git, commit)
        library = card.get("library_name") or ("transformers" if config else None)
        info |= {"modelId": repo.full_name, "config": config, "library_name": library}
        info |= {"pipeline_tag": card.get("pipeline_tag"), "model-index": card.get("model-index")}
    return info


def select_fields(info: Json, names: list[str]) -> Json:
    """Return only the expanded fields. Those that this Hub does not count are zero; unknown ones are left out."""
    zero = ("downloadsAllTime", "trendingScore", "childrenModelCount")
    fields = {name: info.get(name, 0 if name in zero else None) for name in names}
    return {
        "_id": info["_id"],
        "id": info["id"],
        **{key: value for key, value in fields.items() if value is not None},
    }


def tree_entry(entry: Entry) -> Json:
    """Return a file or folder as trees list it."""
    kind = "directory" if entry.folder else "file"
    item: Json = {"type": kind, "oid": entry.oid, "size": entry.size, "path": entry.path}
    if entry.sha256:
        item["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": entry.pointer_size}
    return item


def with_last_commits(git: GitRepo, commit: str, entries: list[Json]) -> list[Json]:
    """Return the entries, each with the newest commit that changed it."""
    last = git.last_changes(commit, {entry["path"] for entry in entries})
    detailed = []
    for entry in entries:
        oid = last.get(entry["path"], commit)
        title = git.commit_at(oid).message.decode("utf-8", "replace").partition("\n")[0]
        detailed.append({**entry, "lastCommit": {"id": oid, "title": title, "date": commit_date(git, oid)}})
    return detailed


def commit_entry(git: GitRepo, oid: str, formatted: bool) -> Json:
    """Return a commit as histories list it."""
    commit = git.commit_at(oid)
    title, _, message = commit.message.decode("utf-8", "replace").partition("\n")
    author = commit.author.decode("utf-8", "replace").partition(" <")[0]
    item: Json = {
        "id": oid,
        "title": title,
        "message": message.strip(),
        "authors": [{"user": author}],
        "date": commit_date(git, oid),
        "parents": [parent.decode() for parent in commit.parents],
    }
    if formatted:
        item["formatted"] = {"title": title, "message": message.strip()}
    return item
