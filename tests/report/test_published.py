"""Figures and further configurations in the published repositories, against a running local Hub."""

import importlib.util
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard, ModelCard
from PIL import Image

from s3_hf.files import read_json
from s3_hf.hub import PushOptions, push_run, write_folders
from s3_hf.hub.copies import GoldTexts
from s3_hf.report import card_figures
from s3_hf.store import open_run
from s3_hf.texts import normalise
from tests.report.conftest import GOLD

FIGURES = {"dataset": {"scores", "confusion", "map"}, "model": {"scores", "confusion"}}
OPTIONS = PushOptions(max_copies=1, figures=card_figures)


@pytest.fixture(scope="module")
def folders(films_run, tmp_path_factory):
    """The repositories as folders, by kind and round."""
    written = write_folders(open_run(films_run), tmp_path_factory.mktemp("out"), options=OPTIONS)
    return {(each.kind, each.round): Path(each.url) for each in written}


def test_the_cards_show_figures(folders):
    assert set(folders) == {("dataset", 0), ("model", 0), ("dataset", 1), ("model", 1), ("model", None)}
    for (kind, _), folder in folders.items():
        card = (folder / "README.md").read_text()
        files = {path.stem: path.read_bytes() for path in (folder / "figures").iterdir()}
        assert set(files) == FIGURES[kind]
        for name, data in files.items():
            picture = Image.open(io.BytesIO(data))
            assert picture.width > 300
            assert len(picture.convert("RGB").getcolors(maxcolors=10**6)) > 20  # something is drawn
            assert f"](figures/{name}.png)" in card
            assert not any(text.encode() in data for text in GOLD)


def test_figures_of_equal_facts_are_equal_bytes(folders, films_run, tmp_path):
    again = write_folders(open_run(films_run), tmp_path, options=OPTIONS)
    for each in again:
        for path in (Path(each.url) / "figures").iterdir():
            assert path.read_bytes() == (folders[each.kind, each.round] / "figures" / path.name).read_bytes()


def test_no_gold_text_stands_in_a_published_file(folders, films_run):
    kept = [
        text for each in open_run(films_run).rounds() for texts in read_json(each.rejected).values() for text in texts
    ]
    assert any(text in GOLD for text in kept)  # the run has what must not leave
    gold = GoldTexts(map(normalise, GOLD))
    for folder in (each for (kind, _), each in folders.items() if kind == "dataset"):
        for name in ("rejected", "rationales", "predictions"):
            table = pq.read_table(folder / name / "train-00000-of-00001.parquet").to_pydict()
            texts = [normalise(value) for column in table.values() for value in column if isinstance(value, str)]
            assert texts
            assert not gold.held_by(texts).any()


def test_gold_texts_are_found_within_others():
    gold = GoldTexts(["one two three four five", "a b", "zero one two three four five six seven eight nine"])
    texts = [
        "they say one two three four five again",
        "one two three four",
        "a b",
        "say a b again",
        "so one two three four five six seven eight it is",
    ]
    assert gold.held_by(texts).tolist() == [True, False, True, False, True]


def test_configurations_are_loaded_from_the_hub(films_run, hub, tmp_path):
    published = push_run(open_run(films_run), options=OPTIONS, **hub.login)
    data = published[2]
    card = DatasetCard(hub.text(data.repo))
    assert [each["config_name"] for each in card.data["configs"]] == [
        "default",
        "rejected",
        "rationales",
        "predictions",
    ]
    code = (
        "from datasets import load_dataset\n"
        f"repo = {data.repo!r}\n"
        "rows = load_dataset(repo)\n"
        "print(list(rows), rows['train'].num_rows, sorted(set(rows['train']['s3_round'])))\n"
        "rejected = load_dataset(repo, 'rejected', split='train')\n"
        "print(rejected.column_names, rejected.num_rows > 0)\n"
        "print(len(list(load_dataset(repo, 'rejected', split='train', streaming=True))) == rejected.num_rows)\n"
        "print(sorted(set(load_dataset(repo, 'rationales', split='train')['label'])))\n"
        "seen = load_dataset(repo, 'predictions', split='train')\n"
        "print(seen.column_names, seen.num_rows, len(list(load_dataset(repo, split='train', streaming=True))))\n"
    )
    lines = hub.python(tmp_path / "home", "-c", code).splitlines()
    assert lines == [
        "['train'] 32 [0, 1]",
        "['s3_round', 'reason', 'text'] True",
        "True",
        "['neg', 'pos']",
        "['s3_round', 'split', 'id', 'predicted', 'correct', 'scores'] 200 32",
    ]
    assert "![" in ModelCard(hub.text(published[-1].repo, kind="model")).text
    again = push_run(open_run(films_run), options=OPTIONS, **hub.login)
    assert not [each.repo for each in again if each.changed]


def test_without_the_packages_there_are_no_figures_and_a_line_says_so(films_run, tmp_path, monkeypatch, caplog):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "altair" else found(name))
    written = write_folders(open_run(films_run), tmp_path, options=OPTIONS)
    assert not any((Path(each.url) / "figures").exists() for each in written)
    assert "![" not in (Path(written[0].url) / "README.md").read_text()
    (line,) = [each.getMessage() for each in caplog.records if "no figures" in each.getMessage()]
    assert "`altair`, which is not installed" in line
