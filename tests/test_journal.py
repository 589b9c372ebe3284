import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from s3_hf.errors import RunDirError, StorageError
from s3_hf.journal import Journal, read_usage
from s3_hf.records import Completion, Usage

SHA = "a" * 64
ANSWER = Completion("r0/seed/1", "A fine film.\nReally é\x00!", "stop", Usage(1, 10, 20, 0.25), "model")


def answers(count, start=0, text="A fine film."):
    return [replace(ANSWER, slot=f"r0/seed/{number}", text=text) for number in range(start, start + count)]


async def put_all(journal, completions):
    await asyncio.gather(*(journal.put(SHA, completion) for completion in completions))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


def test_gives_back_what_was_put_also_after_reopening(path):
    with Journal(path) as journal:
        assert journal.get(ANSWER.slot, SHA) is None
        asyncio.run(journal.put(SHA, ANSWER))
        assert journal.get(ANSWER.slot, SHA) == ANSWER
    with Journal(path) as journal:
        assert journal.get(ANSWER.slot, SHA) == ANSWER
        assert journal.get(ANSWER.slot, "b" * 64) is None
        assert journal.get("r1/seed/1", SHA) is None


def test_usage_counts_everything_ever_paid(path):
    with Journal(path) as journal:
        assert journal.usage() == Usage()
        asyncio.run(put_all(journal, answers(10)))
        assert journal.usage() == Usage(10, 100, 200, 2.5)
    with Journal(path) as journal:
        asyncio.run(put_all(journal, answers(1, start=10)))
        assert journal.usage() == Usage(11, 110, 220, 2.75)
        assert read_usage(path) == Usage(11, 110, 220, 2.75)
        asyncio.run(put_all(journal, answers(1, start=11)))
    assert read_usage(path) == Usage(12, 120, 240, 3.0)
    path.with_name("begun.sqlite").touch()
    assert read_usage(path.with_name("begun.sqlite")) == Usage()


def test_first_completion_of_a_slot_stays_and_both_are_paid(path):
    with Journal(path) as journal:
        asyncio.run(journal.put(SHA, ANSWER))
        asyncio.run(journal.put(SHA, replace(ANSWER, text="Another.")))
        assert journal.get(ANSWER.slot, SHA) == ANSWER
        assert journal.usage().requests == 2


def test_put_returns_when_others_can_read_it_and_the_disk_was_told(path):
    async def put_and_read():
        await journal.put(SHA, ANSWER)
        other = sqlite3.connect(path)
        count = other.execute("SELECT count(*) FROM completions").fetchone()[0]
        other.close()
        return count

    with Journal(path) as journal:
        assert asyncio.run(put_and_read()) == 1
        assert journal._writer.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL: fsync for each commit
        assert journal._writer.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_concurrent_completions_share_an_fsync(path):
    with Journal(path) as journal:
        statements = []
        journal._writer.set_trace_callback(statements.append)
        asyncio.run(put_all(journal, answers(64)))
        assert statements.count("COMMIT") <= 3


def test_a_slow_disk_does_not_stop_the_event_loop(path):
    async def turns_while_waiting():
        blocker = sqlite3.connect(path)
        blocker.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(journal.put(SHA, ANSWER))
        for _ in range(40):
            await asyncio.sleep(0.01)
        assert not waiting.done()
        blocker.close()
        await waiting

    with Journal(path) as journal:
        asyncio.run(turns_while_waiting())


def test_cancelling_the_wait_does_not_lose_the_completion(path):
    async def cancel():
        waiting = asyncio.create_task(journal.put(SHA, ANSWER))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with Journal(path) as journal:
        asyncio.run(cancel())
    with Journal(path) as journal:
        assert journal.get(ANSWER.slot, SHA) == ANSWER
        assert journal.usage().requests == 1


def test_memory_does_not_grow_with_rows(path):
    text = "x" * 2000
    with Journal(path) as journal:
        asyncio.run(put_all(journal, answers(1000, text=text)))
        before = psutil.Process().memory_info().rss
        for block in range(1, 21):
            asyncio.run(put_all(journal, answers(1000, start=block * 1000, text=text)))
        assert psutil.Process().memory_info().rss - before < 16e6  # the rows are 40 MB
        assert journal.get("r0/seed/15000", SHA).text == text


def test_only_one_journal_at_a_time(path):
    with Journal(path), pytest.raises(RunDirError, match=r"process '\d+' has it open"):
        Journal(path)
    Journal(path).close()


HOLDER = """
import asyncio, sys, time
from pathlib import Path
from s3_hf.journal import Journal, read_usage
from s3_hf.records import Completion, Usage
journal = Journal(Path(sys.argv[1]))
asyncio.run(journal.put("a" * 64, Completion("r0/seed/1", "Kept.", "stop", Usage(1, 1, 1, 0.0), "m")))
print("ready", flush=True)
time.sleep(60)
"""


def test_another_process_is_refused_until_the_first_is_killed_and_nothing_is_lost(path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(RunDirError, match=f"process '{holder.pid}' has it open"):
            Journal(path)
        holder.kill()
        holder.wait()
    with Journal(path) as journal:
        assert journal.get("r0/seed/1", SHA).text == "Kept."
        assert journal.usage().requests == 1


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_refused_and_kept(path, content):
    path.write_bytes(content)
    with pytest.raises(RunDirError, match="damaged or foreign file"):
        Journal(path)
    assert path.read_bytes() == content


def test_damage_found_while_reading(path):
    with Journal(path) as journal:
        asyncio.run(put_all(journal, answers(200, text="x" * 500)))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(RunDirError, match="damaged"), Journal(path) as journal:  # noqa: PT012
        for answer in answers(200):
            journal.get(answer.slot, SHA)


def test_a_journal_of_another_version_is_refused(path):
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 7")
    other.close()
    with pytest.raises(RunDirError, match="found version 7"):
        Journal(path)


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(StorageError, match="No such file or directory; make room, create the folder"):
        Journal(tmp_path / "none" / "journal.sqlite")


def test_a_text_that_cannot_be_stored_is_an_error_not_a_hang(path):
    with Journal(path) as journal:
        with pytest.raises(UnicodeEncodeError):
            asyncio.run(journal.put(SHA, replace(ANSWER, text="\ud800")))
        asyncio.run(journal.put(SHA, ANSWER))
        assert journal.usage().requests == 1


def test_put_after_close_is_refused(path):
    journal = Journal(path)
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="closed journal"):
        asyncio.run(journal.put(SHA, ANSWER))


def test_the_completions_of_another_llm_are_refused(path):
    Journal(path, "llm='a/wrong-name'").close()  # which answered nothing
    with Journal(path, "llm='a/b'") as journal:
        asyncio.run(journal.put(SHA, ANSWER))
    with pytest.raises(
        RunDirError, match=r"LLM with llm='c/d', found completions of the one with llm='a/b'; set these"
    ):
        Journal(path, "llm='c/d'")
    for llm in (None, "llm='a/b'"):
        with Journal(path, llm) as journal:
            assert journal.get(ANSWER.slot, SHA) == ANSWER
    assert read_usage(path).requests == 1


def test_a_journal_of_before_the_llm_was_noted_goes_on(path):
    with Journal(path) as journal:
        asyncio.run(journal.put(SHA, ANSWER))
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.execute("DROP TABLE written_by")
    Journal(path, "llm='a/b'").close()
    with pytest.raises(RunDirError, match="another --run-dir"):
        Journal(path, "llm='c/d'")


@pytest.fixture
def small_disk():
    disk = Path(tempfile.mkdtemp())  # not under tmp_path, which a pytest run beside this one may try to clear
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if made.returncode:
        disk.rmdir()
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
    disk.rmdir()


def test_a_full_disk_is_one_sentence_and_what_was_put_stays(small_disk):
    path = small_disk / "journal.sqlite"
    kept = 0
    with Journal(path) as journal:
        with pytest.raises(StorageError, match="full; make room or correct the rights"):  # noqa: PT012
            for answer in answers(1000, text="x" * 5000):
                asyncio.run(journal.put(SHA, answer))
                kept += 1
        assert journal.usage().requests == kept > 10
    with Journal(path) as journal:
        assert journal.usage().requests == kept
        assert journal.get(f"r0/seed/{kept - 1}", SHA) is not None
        assert journal.get(f"r0/seed/{kept}", SHA) is None
