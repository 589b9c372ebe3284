"""Files are whole or not there; the run directory knows its stage and its settings."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import datasets
import pytest

from s3_hf.config import parse_config
from s3_hf.errors import RunDirError, StorageError
from s3_hf.files import RowWriter, read_json, read_rows, replacing, write_json, write_text
from s3_hf.store import Stage, create_run, locked, names_of, open_run
from tests.run_maker import make_run

FEATURES = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})


def test_rows_come_back_with_their_features_and_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        writer = RowWriter(tmp_path / f"{name}.parquet", FEATURES)
        for number in range(2_500):
            writer.write({"text": f"row {number}", "label": number % 2})
        assert not (tmp_path / f"{name}.parquet").exists()
        writer.commit()
    rows = read_rows(tmp_path / "a.parquet")
    assert rows.features == FEATURES
    assert (len(rows), rows[2_001]) == (2_500, {"text": "row 2001", "label": 1})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})
    with pytest.raises(FileNotFoundError), replacing(path) as temporary:
        shutil.copyfile(tmp_path / "nothing", temporary)
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_a_folder(tmp_path):
    folder = tmp_path / "model"
    for text in ("one", "two"):
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / "weights").write_text(text)
    assert (folder / "weights").read_text() == "two"


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(RunDirError, match=r"x\.json"):
        read_json(tmp_path / "x.json")
    with pytest.raises(RunDirError, match=r"x\.parquet"):
        read_rows(tmp_path / "x.parquet")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a tmpfs needs root")
def test_a_full_disk_is_one_sentence():
    small = Path(tempfile.mkdtemp())  # pytest clears its own folders, which a mount would hinder
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        write_text(small / "old", "kept")
        with pytest.raises(StorageError, match="no space left") as caught:
            write_text(small / "big", "x" * 200_000)
        assert "\n" not in str(caught.value)
        assert sorted(path.name for path in small.iterdir()) == ["old"]
        writer, draw = RowWriter(small / "rows.parquet", FEATURES), random.Random(0)
        for number in range(999):
            writer.write({"text": draw.randbytes(200).hex(), "label": number % 2})
        with pytest.raises(StorageError, match="no space left"):
            writer.commit()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_the_stage_follows_from_the_proofs(tmp_path):
    run = create_run(tmp_path / "run", parse_config({"task": "imdb"}), {"strategy": "s3"})
    folder = run.round(0)
    assert folder.stage() is Stage.SYNTHESIZE
    write_text(folder.data, "")
    assert folder.stage() is Stage.SYNTHESIZE
    write_json(folder.facts, {})
    assert folder.stage() is Stage.TRAIN
    folder.model.mkdir()
    assert folder.stage() is Stage.SCORE
    write_json(folder.metrics, {})
    assert folder.stage() is Stage.DONE
    assert [one.number for one in run.rounds()] == [0]


def test_a_run_directory_is_opened_again_and_checked(tmp_path):
    config = parse_config({"task": "imdb", "rounds": 1})
    create_run(tmp_path / "run", config, {"strategy": "s3"})
    proof = (tmp_path / "run" / "run.yaml").read_bytes()
    more = parse_config({"task": "imdb", "rounds": 4})
    assert create_run(tmp_path / "run", more, {}).config.rounds == 4
    assert (tmp_path / "run" / "run.yaml").read_bytes() == proof
    for call in (more, config):
        create_run(tmp_path / "run", call, {"strategy": "s3", "student": None})
        assert open_run(tmp_path / "run").config.rounds == 4  # so that `status` and pushes know of the further rounds
    assert open_run(tmp_path / "run").facts["strategy"] == "s3"
    other = parse_config({"task": "rte", "training": {"args": {"optim": "sgd"}}})
    with pytest.raises(
        RunDirError, match=r"task was 'imdb' and is 'rte'; training\.args\.optim was None and is 'sgd'"
    ):
        create_run(tmp_path / "run", other, {})


def test_a_copy_of_the_journal_is_advised_only_where_it_may_be_used(tmp_path):
    create_run(tmp_path / "run", parse_config({"task": "imdb", "llm": "http://a"}), {})
    with pytest.raises(RunDirError, match=r"is 3; .* copies of this one's journal\.sqlite\* keep"):
        create_run(tmp_path / "run", parse_config({"task": "imdb", "llm": "http://b", "seed": 3}), {})
    with pytest.raises(RunDirError, match=r"is 'strong'; set them back, or name another --run-dir$"):
        create_run(tmp_path / "run", parse_config({"task": "imdb", "llm": "http://b", "llm_model": "strong"}), {})


def test_runs_have_names_of_their_own(tmp_path, monkeypatch):
    runs = [make_run(tmp_path / place) for place in ("a/run", "b/run", "run-4", "c/run", "gold")]
    assert names_of(runs, "gold") == ["run", "run-2", "run-4", "run-5", "gold-5"]
    monkeypatch.chdir(tmp_path / "a/run")
    assert names_of([open_run(Path())]) == ["run"]


def test_what_is_no_run_directory(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunDirError, match="found other files"):
        create_run(tmp_path, parse_config({"task": "imdb"}), {})
    with pytest.raises(RunDirError, match=r"no run\.yaml"):
        open_run(tmp_path)
    (tmp_path / "run.yaml").write_text("config: [")
    with pytest.raises(RunDirError, match="damaged"):
        open_run(tmp_path)


def test_nothing_is_left_in_what_is_no_run_directory(tmp_path):
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("precious")
    for path in (tmp_path, thesis):
        with pytest.raises(RunDirError, match="found other files"), locked(path):
            pass
    assert [*tmp_path.iterdir()] == [thesis]


def test_a_run_may_begin_with_the_journal_of_another_and_after_a_kill(tmp_path):
    for name in ("journal.sqlite", "journal.sqlite-wal", "run.lock", ".run.yaml.tmp"):
        (tmp_path / name).touch()
    assert create_run(tmp_path, parse_config({"task": "imdb"}), {}).journal.exists()


def test_importing_the_store_is_light():
    code = "import sys, s3_hf.store; assert not {'torch', 'datasets', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
