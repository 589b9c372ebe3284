"""The registry: one SQLite file with accounts, tokens, repositories, grants, discussions and collections."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS accounts (
  name TEXT PRIMARY KEY COLLATE NOCASE, id TEXT NOT NULL UNIQUE, org INTEGER NOT NULL, created TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS members (
  org TEXT NOT NULL COLLATE NOCASE, user TEXT NOT NULL COLLATE NOCASE, PRIMARY KEY (org, user)) STRICT;
CREATE TABLE IF NOT EXISTS tokens (
  prefix TEXT NOT NULL, digest TEXT PRIMARY KEY, account TEXT NOT NULL COLLATE NOCASE, role TEXT NOT NULL,
  created TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS tokens_prefix ON tokens (prefix);
CREATE TABLE IF NOT EXISTS repos (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL COLLATE NOCASE,
  private INTEGER NOT NULL, gated TEXT, created TEXT NOT NULL, UNIQUE (kind, owner, name)) STRICT;
CREATE TABLE IF NOT EXISTS redirects (
  kind TEXT NOT NULL, owner TEXT NOT NULL COLLATE NOCASE, name TEXT NOT NULL COLLATE NOCASE, repo TEXT NOT NULL,
  PRIMARY KEY (kind, owner, name)) STRICT;
CREATE TABLE IF NOT EXISTS grants (
  repo TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (repo, sha256)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS growth (
  account TEXT PRIMARY KEY, sent INTEGER NOT NULL, stored INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS access (
  repo TEXT NOT NULL, user TEXT NOT NULL COLLATE NOCASE, status TEXT NOT NULL, created TEXT NOT NULL,
  PRIMARY KEY (repo, user)) STRICT;
CREATE TABLE IF NOT EXISTS discussions (
  repo TEXT NOT NULL, num INTEGER NOT NULL, title TEXT NOT NULL, author TEXT NOT NULL, status TEXT NOT NULL,
  pull INTEGER NOT NULL, base TEXT, merged TEXT, created TEXT NOT NULL, PRIMARY KEY (repo, num)) STRICT;
CREATE TABLE IF NOT EXISTS events (
  id TEXT PRIMARY KEY, repo TEXT NOT NULL, num INTEGER NOT NULL, type TEXT NOT NULL, author TEXT NOT NULL,
  data TEXT NOT NULL, created TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS events_of ON events (repo, num);
CREATE TABLE IF NOT EXISTS collections (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL COLLATE NOCASE, slug TEXT NOT NULL, title TEXT NOT NULL,
  description TEXT NOT NULL, private INTEGER NOT NULL, theme TEXT NOT NULL, updated TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS items (
  id TEXT PRIMARY KEY, collection TEXT NOT NULL, position INTEGER NOT NULL, type TEXT NOT NULL, item TEXT NOT NULL,
  note TEXT, UNIQUE (collection, type, item)) STRICT;
"""

Value = str | int | None


def now() -> str:
    """Return the current time in the form that clients parse: UTC, milliseconds, `Z`."""
    return iso(datetime.now(UTC))


def iso(moment: datetime) -> str:
    """Return a time in UTC as ISO 8601 with milliseconds and `Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def new_id() -> str:
    """Return a random id of 24 hex digits, the form of the Hub's ids."""
    return secrets.token_hex(12)


class Registry:
    """One connection behind one lock. Each query returns a few rows; each change is one durable transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        with self.transaction():
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            for key in ("store", "secret"):
                self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, secrets.token_hex(16)))
        self.store_id = self.meta("store")
        self.secret = bytes.fromhex(self.meta("secret"))

    def meta(self, key: str) -> str:
        """Return a value that was stored when the registry was created."""
        return str(self.rows("SELECT value FROM meta WHERE key = ?", key)[0]["value"])

    def rows(self, sql: str, *values: Value) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Value) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        with self._lock:
            row: sqlite3.Row | None = self._db.execute(sql, values).fetchone()
            return row

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the statements of the block together and durably, or none of them."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def run(self, sql: str, *values: Value) -> int:
        """Run a statement durably and return the number of rows that it changed."""
        with self.transaction():
            return self._db.execute(sql, values).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
