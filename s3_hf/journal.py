"""The durable record of completions, (slot, payload_sha) -> Completion, so that none is paid for twice.

One writer thread commits all waiting completions in one SQLite transaction (WAL, synchronous=FULL): concurrent
completions share an fsync, and the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from s3_hf.errors import RunDirError, S3Error, StorageError
from s3_hf.locking import hold
from s3_hf.records import Completion, Token, Usage

VERSION = 1
"""Version of the file's layout, kept in its `user_version`."""

LINGER = 0.002
"""Seconds for which the writer gathers completions before it commits them; while it commits, others gather too."""

_TABLES = """
CREATE TABLE IF NOT EXISTS completions (
    slot TEXT, sha TEXT, text TEXT, finish_reason TEXT, model TEXT,
    requests INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL,
    PRIMARY KEY (slot, sha));
CREATE TABLE IF NOT EXISTS spent (
    id INTEGER PRIMARY KEY, requests INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL);
INSERT OR IGNORE INTO spent VALUES (1, 0, 0, 0, 0.0);
CREATE TABLE IF NOT EXISTS written_by (id INTEGER PRIMARY KEY, llm TEXT);
CREATE TABLE IF NOT EXISTS logprobs (slot TEXT, sha TEXT, tokens TEXT, PRIMARY KEY (slot, sha));
"""
_WRITTEN_BY = "SELECT llm FROM written_by WHERE EXISTS (SELECT 1 FROM completions)"
_GET = (
    "SELECT text, finish_reason, model, requests, prompt_tokens, completion_tokens, cost, tokens "
    "FROM completions LEFT JOIN logprobs USING (slot, sha) WHERE slot = ? AND sha = ?"
)
_PUT = "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_TOKENS = """INSERT OR IGNORE INTO logprobs SELECT ?1, ?2, ?3
WHERE NOT EXISTS (SELECT 1 FROM completions WHERE slot = ?1 AND sha = ?2)"""  # not those of a second completion
_SPEND = (
    "UPDATE spent SET requests = requests + ?, prompt_tokens = prompt_tokens + ?, "
    "completion_tokens = completion_tokens + ?, cost = cost + ?"
)
_SPENT = "SELECT requests, prompt_tokens, completion_tokens, cost FROM spent"
_STORAGE_CODES = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
)
_OPEN_ELSEWHERE = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL))

Entry = tuple[str, Completion, asyncio.Future[None]]
"""A completion that waits for the writer: payload sha, completion, and the future of its `put`."""


class Journal:
    """The completions of one run directory, open for reading and writing by this process alone.

    Memory does not grow with the rows.

    Args:
        path: the file, which is created if it does not exist.
        llm: the settings that identify the LLM; the journal keeps them and accepts no other LLM from then on. None
            skips the check.

    Raises:
        RunDirError: another process has the journal open, another LLM wrote its completions, or the file is damaged.
        StorageError: the disk is full or refuses to be written.
    """

    def __init__(self, path: Path, llm: str | None = None) -> None:
        self.path = path
        self._lock = hold(path.with_name(path.name + ".lock"), path)
        try:
            with _translated(path):
                self._writer, self._reader = _open(path, llm)
                self._spent = Usage(*self._reader.execute(_SPENT).fetchone())
        except BaseException:
            self._lock.release()
            raise
        self._waiting: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._write_forever, name="s3-hf journal", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def get(self, slot: str, sha: str) -> Completion | None:
        """Return the completion recorded for this slot and payload, or None."""
        with _translated(self.path):
            row = self._reader.execute(_GET, (slot, sha)).fetchone()
        if row is None:
            return None
        text, finish_reason, model, *spent, tokens = row
        return Completion(slot, text, finish_reason, Usage(*spent), model, _tokens(tokens))

    async def put(self, sha: str, completion: Completion) -> None:
        """Record the completion and return when it is on the disk; cancelling the wait does not cancel the write.

        A second completion of the same slot and payload counts in `usage` but does not replace the first.

        Raises:
            StorageError: the disk is full or refuses to be written.
        """
        if self._closed:
            raise ValueError("put() on a closed journal")
        done = asyncio.get_running_loop().create_future()
        self._waiting.put((sha, completion, done))
        await done

    def model(self) -> str | None:
        """Return the model of the first completion, or None if there is no completion."""
        with _translated(self.path):
            row = self._reader.execute("SELECT model FROM completions LIMIT 1").fetchone()
        return row[0] if row else None

    def dialect(self) -> dict[str, str]:
        """Return the fields of requests that the endpoint refuses, with the names sent instead; "" leaves one out."""
        with _translated(self.path):
            begun = self._reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'dialect'").fetchone()
            return dict(self._reader.execute("SELECT field, name FROM dialect").fetchall() if begun else ())

    def keep_dialect(self, field: str, name: str) -> None:
        """Record the name that is sent for a refused field; this happens a few times in a run, so it may wait.

        Raises:
            StorageError: the disk is full or refuses to be written.
        """
        with _translated(self.path), contextlib.closing(sqlite3.connect(self.path, timeout=60)) as db, db:
            db.execute("CREATE TABLE IF NOT EXISTS dialect (field TEXT PRIMARY KEY, name TEXT)")
            db.execute("INSERT OR REPLACE INTO dialect VALUES (?, ?)", (field, name))

    def usage(self) -> Usage:
        """Return everything that was ever paid for, by all processes that wrote this journal."""
        return self._spent

    def close(self) -> None:
        """Commit the waiting completions, then release the files and the lock; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        self._thread.join()
        with contextlib.suppress(sqlite3.Error):  # a failed checkpoint loses nothing: the WAL stays
            self._reader.close()
            self._writer.close()
        self._lock.release()

    def _write_forever(self) -> None:
        while (first := self._waiting.get()) is not None:
            time.sleep(LINGER)
            batch = [first]
            more = True
            while more and not self._waiting.empty():
                if (entry := self._waiting.get()) is None:
                    more = False
                else:
                    batch.append(entry)
            self._settle(batch, self._commit(batch))
            if not more:
                return

    def _commit(self, batch: list[Entry]) -> Exception | None:
        """Write the batch in one transaction; return the error that prevented it."""
        try:
            with _translated(self.path), self._writer:
                self._writer.executemany(_PUT_TOKENS, (_tokens_row(*one[:2]) for one in batch if one[1].tokens))
                self._writer.executemany(_PUT, (_row(sha, completion) for sha, completion, _ in batch))
                spent = sum((completion.usage for _, completion, _ in batch), Usage())
                self._writer.execute(
                    _SPEND, (spent.requests, spent.prompt_tokens, spent.completion_tokens, spent.cost)
                )
        except (S3Error, ValueError, OverflowError) as error:  # the latter two: a value that SQLite cannot hold
            return error
        self._spent += spent
        return None

    def _settle(self, batch: list[Entry], error: Exception | None) -> None:
        """Resolve the futures of the batch, each in its own event loop."""
        for loop in {done.get_loop() for _, _, done in batch}:
            futures = [done for _, _, done in batch if done.get_loop() is loop]
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_release, futures, error)


def read_usage(path: Path) -> Usage:
    """Return everything that was ever paid for, from a journal that another process may have open.

    Raises:
        RunDirError: the file is damaged.
        StorageError: it cannot be read.
    """
    mode = "mode=ro" if os.access(path.parent, os.W_OK) else "immutable=1"  # a reader shares a file with the writer
    with _translated(path), contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as db:
        begun = db.execute("PRAGMA user_version").fetchone()[0]
        return Usage(*db.execute(_SPENT).fetchone()) if begun else Usage()


def _release(futures: Iterable[asyncio.Future[None]], error: Exception | None) -> None:
    for future in futures:
        if future.done():  # its wait was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _row(sha: str, completion: Completion) -> tuple[str | int | float, ...]:
    spent = completion.usage
    return (
        completion.slot,
        sha,
        completion.text,
        completion.finish_reason,
        completion.model,
        spent.requests,
        spent.prompt_tokens,
        spent.completion_tokens,
        spent.cost,
    )


def _tokens_row(sha: str, completion: Completion) -> tuple[str, str, str]:
    return completion.slot, sha, json.dumps([(token.text, token.choices) for token in completion.tokens])


def _tokens(text: str | None) -> tuple[Token, ...]:
    return tuple(Token(each, tuple((one, p) for one, p in choices)) for each, choices in json.loads(text or "[]"))


def _open(path: Path, llm: str | None) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return a connection that writes, and one that reads without waiting for it."""
    writer = sqlite3.connect(path, check_same_thread=False)
    try:
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise RunDirError(
                f"{str(path)!r} should be a journal of version {VERSION}, found version {version!r}; "
                "use the version of s3-hf that wrote it, or another run directory"
            )
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA synchronous = FULL")
        numbered = "" if version else f"PRAGMA user_version = {VERSION};"  # it writes, and the disk may be full
        writer.executescript(f"BEGIN; {_TABLES} {numbered} COMMIT;")
        if llm is not None:
            _check_llm(writer, path, llm)
        return writer, sqlite3.connect(path, check_same_thread=False)
    except BaseException:
        writer.close()
        raise


def _check_llm(writer: sqlite3.Connection, path: Path, llm: str) -> None:
    """Refuse the completions of another LLM, and note this one."""
    for (other,) in writer.execute(_WRITTEN_BY).fetchall():
        if other != llm:
            raise RunDirError(
                f"{str(path)!r} should be the journal of the LLM with {llm}, found completions of the one with "
                f"{other}; set these back, or name another --run-dir without this journal"
            )
    with writer:
        writer.execute("INSERT OR REPLACE INTO written_by VALUES (1, ?)", (llm,))


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _STORAGE_CODES:
            raise StorageError(
                f"cannot write {str(path)!r}: {error}; make room or correct the rights, "
                "then run the same command again: every completion recorded so far is kept"
            ) from error
        if code in _OPEN_ELSEWHERE:
            raise RunDirError(
                f"{str(path)!r} is open in another program ({error}); close that one, then run the same command "
                "again: every completion recorded so far is kept"
            ) from error
        raise RunDirError(
            f"{str(path)!r} should be a journal of completions, found a damaged or foreign file ({error}); "
            "restore it, or delete it and pay for its completions again"
        ) from error
