"""Shapes of files and folders that users have: which are read as they are, and one sentence for each other one."""

import bz2
import contextlib
import gzip
import json
import lzma
import os
import shutil

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s3_hf.errors import TaskError
from s3_hf.rows.sources import open_split, split_names

ROWS = [{"text": f"a film of {number}", "label": "NA" if number % 2 else "None"} for number in range(4)]
COLUMNS = {"text": [row["text"] for row in ROWS], "label": [row["label"] for row in ROWS]}
CSV = "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in ROWS)
TSV = CSV.replace(",", "\t")
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
PLAIN = {"csv": CSV, "tsv": TSV, "jsonl": LINES, "ndjson": LINES, "json": json.dumps(ROWS)}
PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"


def rows_of(path, split="train"):
    opened = open_split(str(path), None, split, kind="gold data")
    with contextlib.closing(opened.rows):
        return [row for _, row in opened.rows]


def fault(path):
    with pytest.raises(TaskError) as caught:
        rows_of(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("kind", PLAIN)
def test_text_files_plain_and_compressed(tmp_path, kind, packing):
    """Alone and in a folder; no cell becomes null as in pandas."""
    content = PACKED[packing](PLAIN[kind].encode())
    for name in (f"A.{kind.upper()}{packing}", f"folder/train.{kind}{packing}"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        assert rows_of(path) == ROWS
    assert split_names(str(tmp_path / "folder"), None, kind="gold data") == ["train"]
    assert rows_of(tmp_path / "folder") == ROWS


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_line_ends_of_old_macs(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    path.write_text(PLAIN[kind].replace("\n", "\r"))
    assert rows_of(path) == ROWS


def card_folder(folder):
    parquet_file(folder / "data" / "train-00000-of-00001.parquet", pa.table(COLUMNS))
    (folder / "README.md").write_text(CARD)


def parquet_file(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def csv_folder(folder):
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text(CSV)


FOLDERS = {
    "csv": csv_folder,
    "parquet": lambda folder: parquet_file(folder / "train.parquet", pa.table(COLUMNS)),
    "card": card_folder,
    "save_to_disk": lambda folder: datasets.Dataset.from_dict(COLUMNS).save_to_disk(folder),
    "dict.save_to_disk": lambda folder: datasets.DatasetDict(train=datasets.Dataset.from_dict(COLUMNS)).save_to_disk(
        folder
    ),
    "map": lambda folder: parquet_file(
        folder / "train.parquet", pa.table({**COLUMNS, "m": pa.array([[("a", 1)]] * 4, pa.map_("string", "int32"))})
    ),
    "sound": lambda folder: (
        datasets.Dataset.from_dict({**COLUMNS, "a": [{"bytes": b"x", "path": None}] * 4})
        .cast_column("a", datasets.Audio())
        .to_parquet(folder / "train.parquet")
    ),
}


@pytest.mark.parametrize("name", ["plain", "dir [v1]", "to [1]", "what?", "a*b", "[]", "{a,b}"])
@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_with_any_name(tmp_path, kind, name):
    folder = tmp_path / "above [0]" / name
    FOLDERS[kind](folder)
    assert split_names(str(folder), None, kind="gold data") == ["train"]
    assert [{key: row[key] for key in COLUMNS} for row in rows_of(folder)] == ROWS


@pytest.mark.parametrize("name", ["plain", "to [1]"])
def test_a_folder_with_a_card_is_read_anew_after_a_change_and_in_another_place(tmp_path, name):
    folder, other = tmp_path / name, tmp_path / "other" / name
    card_folder(folder)
    assert len(rows_of(folder)) == 4
    for place, size in ((folder, 3), (other, 2)):
        shutil.rmtree(place, ignore_errors=True)
        parquet_file(place / "data" / "train-00000-of-00002.parquet", pa.table(COLUMNS).slice(0, size))
        (place / "README.md").write_text(CARD)
        assert len(rows_of(place)) == size


def test_a_map_is_no_feature_and_the_index_of_pandas_is_read(tmp_path):
    frame = pd.DataFrame(COLUMNS, index=[3, 1, 2, 0])
    frame.to_parquet(tmp_path / "a.parquet")
    opened = open_split(str(tmp_path / "a.parquet"), None, "train", kind="gold data")
    assert list(opened.features) == ["text", "label", "__index_level_0__"]
    FOLDERS["map"](tmp_path / "map")
    assert list(open_split(str(tmp_path / "map"), None, "train", kind="gold data").features) == ["text", "label"]


def corrupt_page(path):
    parquet_file(path, pa.table(COLUMNS))
    content = bytearray(path.read_bytes())
    content[4:120] = bytes(255 - byte for byte in content[4:120])
    path.write_bytes(bytes(content))


def metadata(text):
    return lambda path: pq.write_table(pa.table(COLUMNS).replace_schema_metadata({"huggingface": text}), path)


def text(content):
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        ("a.csv", text(CSV.replace(",", "\t")), "found '\\t' in the header ['text\\tlabel']; .* or name it .tsv"),
        ("a.csv", text(CSV.replace(",", "|")), "found '|' in the header"),
        ("a.tsv", text(CSV), "must separate cells by tabs, found ',' in the header"),
        ("a.csv.gz", text(CSV), "cannot be read (Not a gzipped file"),
        ("a.csv.gz", text(gzip.compress(CSV.encode() * 50)[:-20]), "cannot be read (Compressed file ended before"),
        ("a.csv.xz", text(CSV), "cannot be read (Input format not supported"),
        ("a.csv.bz2", text(CSV), "cannot be read (Invalid data stream"),
        ("a.csv.gz", text(gzip.compress(b"text,label\n" + b"x" * 70_000_000)), "line 2, must have at most 67,108,864"),
        ("a.csv.zip", text(CSV), "must be a file that ends in .csv, .tsv, .json, .jsonl, .ndjson, .parquet (also"),
        ("a.json", text("[" * 100_000), "found lists or objects nested too deep; correct the file"),
        ("a.jsonl", text('{"text": ' + "[" * 100_000), "line 1, must be one JSON object, .* nested too deep"),
        ("a.json", text('[{"label": ' + "5" * 5_000 + "}]"), "found a number of thousands of digits"),
        ("a.jsonl", text('{"label": ' + "5" * 5_000 + "}"), "line 1, .* a number of thousands of digits"),
        ("a.jsonl", text('{"text": "a \\ud800 b"}'), "line 1, column 'text', .* half character \\ud800 after 'a '"),
        ("a.json", text('{"data": [{"title": "H", "paragraphs": [3]}]}'), "article 'H', paragraph 0, must have"),
        ("a.parquet", corrupt_page, "row 0 or one of the next 1,000, cannot be read"),
        ("a.parquet", lambda path: pq.write_table(pa.table([[1], [2]], names=["a", "a"]), path), "each column once"),
        ("a.parquet", metadata('{"info": 3}'), "cannot be read (TypeError"),
        ("a.parquet", metadata("[" * 100_000), "cannot be read (RecursionError"),
        ("a.csv", os.mkfifo, "must be there, found a device or pipe"),
        ("a.csv", lambda path: path.symlink_to("/dev/zero"), "must be there, found a device or pipe"),
        ("a.csv", lambda path: path.symlink_to(path), "must be there, found no file"),
    ],
)
def test_one_sentence_for_what_cannot_be_read(tmp_path, name, make, sentence):
    make(tmp_path / name)
    found = fault(tmp_path / name)
    for part in sentence.split(" .* "):
        assert part in found, found
    assert name in found


def test_a_saved_dataset_that_is_damaged(tmp_path):
    datasets.Dataset.from_dict(COLUMNS).save_to_disk(tmp_path / "saved")
    part = next((tmp_path / "saved").glob("*.arrow"))
    part.write_bytes(part.read_bytes()[:50])
    assert "cannot be read" in fault(tmp_path / "saved")
