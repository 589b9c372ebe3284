"""Disks that are full, read-only, remote or broken: one sentence wherever a run writes; what was made is kept."""

import contextlib
import errno
import fcntl
import os
import sqlite3
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import pytest

from s3_hf.config import parse_config
from s3_hf.errors import RunDirError, S3Error, StorageError
from s3_hf.files import RowWriter, read_json, replacing, temporary_folder, write_json
from s3_hf.journal import Journal
from s3_hf.locking import hold, is_held
from s3_hf.loop import run
from s3_hf.store import create_run, locked, open_run
from tests.full_disk import largest_file
from tests.training.test_students import job

ERRORS = (
    "ENOSPC",
    "EDQUOT",
    "EROFS",
    "EACCES",
    "ESTALE",
    "EIO",
    "EBUSY",
    "EXDEV",
    "ENOLCK",
    "EMFILE",
    "EFBIG",
    "ENOTEMPTY",
)
FEATURES = datasets.Features({"text": datasets.Value("string")})


def write_folder(path):
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("new")


def write_rows(path):
    writer = RowWriter(path, FEATURES)
    writer.write({"text": "new"})
    writer.commit()


def make_run(path):
    create_run(path, parse_config({"task": "imdb"}), {})


WRITERS = {
    "file": lambda folder: write_json(folder / "old.json", {"new": 1}),
    "folder": lambda folder: write_folder(folder / "old"),
    "rows": lambda folder: write_rows(folder / "rows.parquet"),
    "run": lambda folder: make_run(folder / "run"),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_call_that_fails_is_one_sentence_and_leaves_what_was_there(tmp_path, monkeypatch, name, call, writer):
    write_json(tmp_path / "old.json", {"old": 1})
    write_folder(tmp_path / "old")
    real = getattr(os, call)

    def fails(path, *more, **named):
        if call == "fsync" or str(path).startswith(str(tmp_path)):
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
        return real(path, *more, **named)

    with monkeypatch.context() as failing:
        failing.setattr(os, call, fails)
        failing.setattr(f"pathlib.os.{call}", fails)
        try:
            WRITERS[writer](tmp_path)
        except StorageError as error:
            text = str(error)
            assert text.startswith(f"cannot write {str(tmp_path)!r}"[:-1])
            assert os.strerror(getattr(errno, name)).lower() in text
            assert "\n" not in text
        else:
            assert call == "mkdir"  # the folder was there
    assert read_json(tmp_path / "old.json") in ({"old": 1}, {"new": 1})
    assert (tmp_path / "old" / "weights").read_text() == "new"
    WRITERS[writer](tmp_path)


@pytest.mark.parametrize("size", [0, 300, 1_500, 5_000, 20_000])
def test_a_student_that_cannot_be_written_is_one_sentence(tiny_student, tmp_path, size):
    from s3_hf.training import fit

    with largest_file(size), pytest.raises(StorageError) as raised, replacing(tmp_path / "model") as target:
        fit(job(tiny_student), target, tmp_path / "work")
    assert str(raised.value).startswith("cannot write ")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("size", "rounds"), [(0, 0), (2_000, 0), (6_000, 0), (12_000, 1), (40_000, 0), (60_000, 1)])
def test_a_run_on_a_full_disk_goes_on_when_there_is_room(films_config, films_llm, tmp_path, size, rounds):
    """The smallest sizes stop it in synthesis, larger ones in training and scoring."""
    config = films_config.model_copy(update={"rounds": rounds})
    with largest_file(size), contextlib.suppress(S3Error):
        run(config, tmp_path / "run")
    run(config, tmp_path / "run")
    seeds = [request.payload["seed"] for request in films_llm.requests]
    assert len(seeds) - len(set(seeds)) <= config.endpoint.concurrency  # those whose answers could not be stored
    assert len(open_run(tmp_path / "run").results()) == rounds + 1


def test_a_folder_for_temporary_files_that_is_none(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nope")
    with (
        pytest.raises(StorageError, match="cannot write '/proc/nope': no such file or directory at "),
        temporary_folder(),
    ):
        pass


@pytest.mark.parametrize("command", [("tasks", "preview"), ("doctor", "--task")])
def test_commands_without_a_folder_for_temporary_files_are_one_sentence(
    typed, recipe, films_llm, monkeypatch, command
):
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nope")
    code, _, err = typed(*command, recipe, "--llm", films_llm.url)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: cannot write '/proc/nope': no such file or directory at ")
    assert not films_llm.requests


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.lock").symlink_to(precious)
    with pytest.raises(StorageError, match="a link stands there: remove it"), locked(tmp_path / "run"):
        pass
    assert precious.read_text() == "kept"


def test_a_look_at_a_lock_leaves_it_as_it_is(tmp_path, monkeypatch):
    lock = tmp_path / "run.lock"
    assert not is_held(lock)
    assert not lock.exists()
    held = hold(lock, tmp_path)
    text, changed = lock.read_text(), lock.stat().st_mtime_ns
    assert is_held(lock)
    with pytest.raises(RunDirError, match="one process at a time"):
        hold(lock, tmp_path)
    held.release()
    lock.chmod(0o400)
    assert not is_held(lock)
    assert (lock.read_text(), lock.stat().st_mtime_ns) == (text, changed)
    lock.chmod(0o600)
    monkeypatch.setattr("s3_hf.locking.MOMENT", 3_600)
    with lock.open() as looking, ThreadPoolExecutor() as others:
        fcntl.flock(looking, fcntl.LOCK_SH)
        begun = others.submit(hold, lock, tmp_path)  # a run that is started while somebody looks
        time.sleep(0.1)
        fcntl.flock(looking, fcntl.LOCK_UN)
        begun.result().release()


@pytest.mark.parametrize("name", ["ENOLCK", "ENOTSUP"])
def test_a_disk_without_locks(tmp_path, monkeypatch, name):
    def flock(*_):
        raise OSError(getattr(errno, name), "no")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(StorageError, match="its disk has no locks, name a run directory on another one"):
        hold(tmp_path / "run.lock", tmp_path)


def test_a_journal_that_another_program_has_open_is_called_that(tmp_path):
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RunDirError, match="is open in another program") as raised:
            Journal(path, llm="llm='a'")
        assert "delete" not in str(raised.value)
    Journal(path).close()


def test_an_error_of_the_disk_that_nobody_expected_is_one_sentence(typed, monkeypatch, tmp_path):
    def fails(*_):
        raise OSError(errno.EIO, "no", str(tmp_path))

    monkeypatch.setattr("s3_hf.store.open_run", fails)
    code, _, err = typed("status", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: cannot use {str(tmp_path)!r}: input/output error; check the disk and its mount")


def test_folders_on_disks_that_cannot_synchronize_them(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(handle):
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(errno.EINVAL, "no")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_json(tmp_path / "a.json", 1)
    assert read_json(tmp_path / "a.json") == 1
