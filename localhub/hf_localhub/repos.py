"""Repositories in the registry: kind, name, visibility, granted objects and access."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_localhub.accounts import Account
from hf_localhub.registry import Registry, new_id, now

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("models", "datasets", "spaces")


@dataclass(frozen=True, slots=True)
class RepoRow:
    """One repository: `kind` is one of `KINDS`; `gated` is None, `auto` or `manual`."""

    id: str
    kind: str
    owner: str
    name: str
    private: bool
    gated: str | None
    created: str

    @property
    def full_name(self) -> str:
        """`owner/name`, as clients write it."""
        return f"{self.owner}/{self.name}"

    @property
    def prefix(self) -> str:
        """The path of its pages, which for models has no kind."""
        return self.full_name if self.kind == "models" else f"{self.kind}/{self.full_name}"

    def visible_to(self, account: Account | None) -> bool:
        """Return whether the account may know that the repository exists."""
        return not self.private or (account is not None and account.belongs_to(self.owner))


def _repo(row: sqlite3.Row) -> RepoRow:
    return RepoRow(
        row["id"], row["kind"], row["owner"], row["name"], bool(row["private"]), row["gated"], row["created"]
    )


def find(registry: Registry, kind: str, owner: str, name: str) -> RepoRow | None:
    """Return the repository of this name, in any case of its letters, or None."""
    sql = "SELECT * FROM repos WHERE kind = ? AND owner = ? AND name = ?"
    row = registry.row(sql, kind, owner, name)
    return _repo(row) if row else None


def find_moved(registry: Registry, kind: str, owner: str, name: str) -> RepoRow | None:
    """Return the repository that had this name before it was renamed, or None."""
    sql = (
        "SELECT repos.* FROM redirects JOIN repos ON repos.id = redirects.repo"
        " WHERE redirects.kind = ? AND redirects.owner = ? AND redirects.name = ?"
    )
    row = registry.row(sql, kind, owner, name)
    return _repo(row) if row else None


def all_repos(registry: Registry, kind: str, owner: str | None = None) -> list[RepoRow]:
    """Return all repositories of a kind, or those of one owner."""
    sql = "SELECT * FROM repos WHERE kind = ?"
    if owner is None:
        return [_repo(row) for row in registry.rows(sql, kind)]
    return [_repo(row) for row in registry.rows(sql + " AND owner = ?", kind, owner)]


def new_repo(kind: str, owner: str, name: str, private: bool) -> RepoRow:
    """Return a repository that is not registered yet."""
    return RepoRow(new_id(), kind, owner, name, private, None, now())


def register(registry: Registry, repo: RepoRow) -> bool:
    """Register the repository; return False when the name is taken."""
    with registry.transaction():
        account = registry.row("SELECT name FROM accounts WHERE name = ?", repo.owner)
        owner = account["name"] if account else repo.owner
        touched = registry.run(
            "INSERT OR IGNORE INTO repos VALUES (?, ?, ?, ?, ?, ?, ?)",
            repo.id, repo.kind, owner, repo.name, repo.private, repo.gated, repo.created,
        )  # fmt: skip
        if touched:
            sql = "DELETE FROM redirects WHERE kind = ? AND owner = ? AND name = ?"
            registry.run(sql, repo.kind, repo.owner, repo.name)
    return bool(touched)


def rename(registry: Registry, repo: RepoRow, owner: str, name: str) -> bool:
    """Rename the repository and redirect its old name; return False when the new name is taken."""
    with registry.transaction():
        other = find(registry, repo.kind, owner, name)
        if other is not None and other.id != repo.id:
            return False
        registry.run("DELETE FROM redirects WHERE kind = ? AND owner = ? AND name = ?", repo.kind, owner, name)
        registry.run("UPDATE repos SET owner = ?, name = ? WHERE id = ?", owner, name, repo.id)
        if other is None:
            sql = "INSERT OR REPLACE INTO redirects VALUES (?, ?, ?, ?)"
            registry.run(sql, repo.kind, repo.owner, repo.name, repo.id)
    return True


def unregister(registry: Registry, repo: RepoRow) -> None:
    """Remove all rows of the repository."""
    with registry.transaction():
        for table in ("grants", "access", "discussions", "events", "redirects"):
            registry.run(f"DELETE FROM {table} WHERE repo = ?", repo.id)  # noqa: S608 - names from this line
        registry.run("DELETE FROM repos WHERE id = ?", repo.id)


def grant(registry: Registry, repo: str, objects: Iterable[tuple[str, int]]) -> None:
    """Allow the repository to reference these objects (sha256, size in bytes) in its commits."""
    with registry.transaction():
        for sha256, size in objects:
            registry.run("INSERT OR IGNORE INTO grants VALUES (?, ?, ?)", repo, sha256, size)


def granted_size(registry: Registry, repo: str, sha256: str) -> int | None:
    """Return the size of an object that the repository may reference, or None."""
    row = registry.row("SELECT size FROM grants WHERE repo = ? AND sha256 = ?", repo, sha256)
    return int(row["size"]) if row else None


def has_access(registry: Registry, repo: RepoRow, account: Account | None) -> bool:
    """Return whether the account may read the files: ungated, in its own namespace, or access was granted."""
    if repo.gated is None or (account is not None and account.belongs_to(repo.owner)):
        return True
    if account is None:
        return False
    sql = "SELECT 1 FROM access WHERE repo = ? AND user = ? AND status = 'accepted'"
    return registry.row(sql, repo.id, account.name) is not None
