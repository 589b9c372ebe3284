"""Repositories as the registry knows them: name, kind, who may see them, which objects are theirs."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_localhub.accounts import Account
from hf_localhub.registry import Registry, new_id, now

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = ("models", "datasets")


@dataclass(frozen=True, slots=True)
class RepoRow:
    """One repository: `kind` is `models` or `datasets`, `gated` is None, `auto` or `manual`."""

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
        """The path of its pages: models stand at the root."""
        return self.full_name if self.kind == "models" else f"{self.kind}/{self.full_name}"

    def visible_to(self, account: Account | None) -> bool:
        """The account may know that the repository exists."""
        return not self.private or (account is not None and account.belongs_to(self.owner))


def _repo(row: sqlite3.Row) -> RepoRow:
    return RepoRow(
        row["id"], row["kind"], row["owner"], row["name"], bool(row["private"]), row["gated"], row["created"]
    )


def find(registry: Registry, kind: str, owner: str, name: str) -> RepoRow | None:
    """The repository of this name, whatever its letters' case."""
    sql = "SELECT * FROM repos WHERE kind = ? AND owner = ? AND name = ?"
    row = registry.row(sql, kind, owner, name)
    return _repo(row) if row else None


def moved(registry: Registry, kind: str, owner: str, name: str) -> RepoRow | None:
    """The repository that had this name before it was renamed."""
    sql = (
        "SELECT repos.* FROM redirects JOIN repos ON repos.id = redirects.repo"
        " WHERE redirects.kind = ? AND redirects.owner = ? AND redirects.name = ?"
    )
    row = registry.row(sql, kind, owner, name)
    return _repo(row) if row else None


def every(registry: Registry, kind: str, owner: str | None = None) -> list[RepoRow]:
    """All repositories of a kind, of one owner when asked."""
    sql = "SELECT * FROM repos WHERE kind = ?"
    if owner is None:
        return [_repo(row) for row in registry.rows(sql, kind)]
    return [_repo(row) for row in registry.rows(sql + " AND owner = ?", kind, owner)]


def fresh(kind: str, owner: str, name: str, private: bool) -> RepoRow:
    """A repository that is not registered yet."""
    return RepoRow(new_id(), kind, owner, name, private, None, now())


def register(registry: Registry, repo: RepoRow) -> bool:
    """The repository has its name; False when another took it first."""
    with registry.change():
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
    """The repository has the new name and the old one leads to it; False when the new one is taken."""
    with registry.change():
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
    """No row names the repository any more."""
    with registry.change():
        for table in ("grants", "access", "discussions", "events", "redirects"):
            registry.run(f"DELETE FROM {table} WHERE repo = ?", repo.id)  # noqa: S608 - names from this line
        registry.run("DELETE FROM repos WHERE id = ?", repo.id)


def grant(registry: Registry, repo: str, objects: Iterable[tuple[str, int]]) -> None:
    """The repository may name these objects (sha256, size) in its commits."""
    with registry.change():
        for sha256, size in objects:
            registry.run("INSERT OR IGNORE INTO grants VALUES (?, ?, ?)", repo, sha256, size)


def granted(registry: Registry, repo: str, sha256: str) -> int | None:
    """The size of an object that is the repository's; None for any other."""
    row = registry.row("SELECT size FROM grants WHERE repo = ? AND sha256 = ?", repo, sha256)
    return int(row["size"]) if row else None


def has_access(registry: Registry, repo: RepoRow, account: Account | None) -> bool:
    """The account may read the files: the repository is not gated, or is its own, or access was granted."""
    if repo.gated is None or (account is not None and account.belongs_to(repo.owner)):
        return True
    if account is None:
        return False
    sql = "SELECT 1 FROM access WHERE repo = ? AND user = ? AND status = 'accepted'"
    return registry.row(sql, repo.id, account.name) is not None
