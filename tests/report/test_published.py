"""Figures and further configurations in the published repositories, against a running local Hub."""

import dataclasses
import importlib.util
import io
import json
import shutil
from html import escape
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard, ModelCard, RepoCard
from PIL import Image

from s3_hf.errors import HubError
from s3_hf.files import read_json, write_json
from s3_hf.hub import PushOptions, preview_push, push_run, write_folders
from s3_hf.hub.copies import GoldTexts
from s3_hf.hub.withholding import shared_run
from s3_hf.report import card_figures, public_page
from s3_hf.report.page import environment
from s3_hf.store import open_run
from s3_hf.texts import normalise
from tests.report.conftest import GOLD, opened

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


@pytest.mark.parametrize(
    ("gold", "text", "held"),
    [
        ("这部电影的配乐让人想起了很久以前的夏天。", "有人说、配乐让人想起了很久以前、我不同意。", True),
        ("这部电影的配乐让人想起了很久以前的夏天。", "这部电影我很喜欢、因为配乐让我想起了家。", False),
        ("この映画の音楽はとても静かで美しい。", "友だちは「映画の音楽はとても静か」と言った。", True),
        ("หนังเรื่องนี้มีเพลงประกอบที่ไพเราะมาก", "เขาบอกว่าเพลงประกอบที่ไพเราะมากทำให้ร้องไห้", True),
        ("หนังเรื่องนี้มีเพลงประกอบที่ไพเราะมาก", "ฉันไม่ชอบหนังเรื่องนั้น", False),
        ("音乐很静", "大家都说音乐很静、也很美。", True),
        ("音乐很静", "音乐很美、也很静。", False),
    ],
)
def test_parts_of_gold_texts_are_found_where_a_script_has_no_spaces(gold, text, held):
    assert GoldTexts([normalise(gold)]).held_by([normalise(text)]).tolist() == [held]


def test_configurations_are_loaded_from_the_hub(films_run, hub, tmp_path):
    published = push_run(open_run(films_run), options=OPTIONS, **hub.login)
    data = published[2]
    card = DatasetCard(hub.text(data.repo))
    names = {each["config_name"] for each in card.data["configs"]}
    assert names == {"default", "rejected", "rationales", "predictions"}
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


def test_the_report_is_a_static_space_without_gold_texts(films_run, tiny_student, hub, tmp_path):
    with_page = dataclasses.replace(OPTIONS, page=lambda run, withheld: public_page(run, str(tiny_student), withheld))
    space = push_run(open_run(films_run), options=with_page, **hub.login)[0]
    assert (space.kind, space.repo) == ("space", f"{hub.name}/s3-films-report")
    assert space.url.endswith(f"/spaces/{space.repo}")
    card = RepoCard(hub.text(space.repo, kind="space"))
    assert (card.data["sdk"], card.data["datasets"]) == ("static", [f"{hub.name}/s3-films-round1"])
    page = tmp_path / "index.html"
    page.write_text(hub.text(space.repo, "index.html", kind="space"))
    shown = normalise(page.read_text().replace("<script>", " "))
    assert not [text for text in GOLD if normalise(text) in shown]
    mistake = open_run(films_run).round(1).rows()["s3_parent"][0]
    assert mistake in page.read_text()
    with opened(page, 390) as (browser, faults):
        assert browser.locator(".chart svg").count() == 3
        assert browser.locator(".mistake").count() > 0
        assert faults == []
    again = push_run(open_run(films_run), options=with_page, **hub.login)
    assert not [each.repo for each in again if each.changed]
    previews = preview_push(open_run(films_run), tmp_path / "dry", options=with_page, **hub.login)
    assert [each.kind for each in previews if each.changes.any] == []
    assert (tmp_path / "dry" / "spaces" / space.repo / "index.html").exists()


def test_a_page_with_gold_text_is_not_published(films_run, tmp_path):
    options = dataclasses.replace(OPTIONS, page=lambda run, withheld: f"<html><p>it says: {GOLD[3]}</p></html>")
    with pytest.raises(HubError, match="a page must hold no gold text to be published, found 8 consecutive words"):
        write_folders(open_run(films_run), tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()


def test_gold_texts_are_found_in_the_data_of_charts():
    gold = GoldTexts([normalise("It's a café that nobody's aunt would leave 🎬 before noon")])
    for shown in ("It's a café that nobody's aunt would leave", 'aunt "would" leave? a café!'):
        page = environment().from_string('<script type="application/json">{{ charts|tojson }}</script>')
        found = shared_run(page.render(charts={"map": [{"text": shown}, {"text": "the second"}]}), gold)
        assert found == (normalise(shown).split() if shown.startswith("It") else [])
    shown = 'he said "a café that nobody\'s aunt\nwould leave 🎬 before"'
    assert len(shared_run(page.render(charts={"map": [{"text": shown}]}), gold)) == 10
    assert shared_run("<script>" + shown + "</script>", gold) == []
    assert len(shared_run(f"<p>{escape(shown)}</p>", gold)) == 10


def test_a_rejected_answer_with_a_secret_is_left_out(films_run, tiny_student, tmp_path):
    copied = shutil.copytree(films_run, tmp_path / "run")
    run = open_run(copied)
    bad = ["It stands in /home/ann/films/notes.txt for all to see", "Take hf_" + "a1" * 15 + " and log in"]
    kept = read_json(run.round(0).rejected)
    write_json(run.round(0).rejected, {**kept, "refusal": [*kept.get("refusal", []), *bad, "A plain bad answer"]})
    with_page = dataclasses.replace(OPTIONS, page=lambda run, withheld: public_page(run, str(tiny_student), withheld))
    space, *_ = write_folders(run, tmp_path / "out", options=with_page)
    page = (Path(space.url) / "index.html").read_text(encoding="utf-8")
    assert "A plain bad answer" in page
    assert not [text for text in bad if text in page]


def test_a_page_with_a_secret_stops_the_push_before_anything_is_written(films_run, tmp_path):
    options = dataclasses.replace(OPTIONS, page=lambda run, withheld: "<p>/home/ann/films/notes.txt</p>")
    with pytest.raises(HubError, match="found the home path '/home/ann/' in the page"):
        write_folders(open_run(films_run), tmp_path / "out", options=options)
    assert not (tmp_path / "out").exists()


def test_the_command_publishes_the_page(films_run, tmp_path, typed):
    code, out, _ = typed("push", films_run, "--to", tmp_path, "--space", "--max-copies", "1", "--json")
    assert code == 0
    assert json.loads(out)[0]["repo"] == "local/s3-films-report"
    assert (tmp_path / "spaces" / "local" / "s3-films-report" / "index.html").exists()
