"""Rows against the gold data: what is refused, what is counted, and that nothing near is missed."""

import json
import random
import re
from pathlib import Path

import datasets
import pytest
from rapidfuzz import fuzz

from s3_hf.config import parse_config
from s3_hf.errors import HubError
from s3_hf.files import RowWriter
from s3_hf.hub import PushOptions, write_folders
from s3_hf.hub.copies import copied_parts, near_copies
from s3_hf.loop import synthesize
from s3_hf.records import Example
from s3_hf.store import open_run
from s3_hf.task import load_task
from s3_hf.texts import normalise
from tests.run_maker import FEATURES, GOLD, add_round, make_run

VALIDATION, TEST = GOLD["validation"][0], GOLD["test"][0]
WORDS = [first + second for first in ("ba", "do", "ki", "lu", "me", "no", "pa", "ri") for second in "bdfgklmnprst"]


def run_of(path, texts, strategy="zerogen"):
    run = make_run(path, strategy=strategy)
    add_round(run, 0, [(text, number % 2) for number, text in enumerate(texts)])
    return run


def record_of(folder):
    return json.loads((Path(folder) / "s3/run.json").read_text())


@pytest.mark.parametrize("text", [TEST[0], "Two hours, of NOTHING!"])
def test_gold_test_text_does_not_leave(tmp_path, text):
    run = run_of(tmp_path / "run", ["a film .", "another film .", text])
    with pytest.raises(HubError, match=r"no row may hold a text of the gold test split, found 1 of 3 .* in row 2"):
        write_folders(run, tmp_path / "out", options=PushOptions(max_copies=1))
    assert not (tmp_path / "out").exists()


def test_a_pair_is_a_test_row_by_both_its_texts(tmp_path, pairs_recipe):
    """As it is when the rows are read: a claim of the test split about another premise is no test row."""
    test = load_task(str(pairs_recipe)).test[0]
    given = tmp_path / "given.csv"
    given.write_text(f"premise,claim,label\nanother film,{test['claim']},neutral\na third film,a new claim,neutral\n")
    config = parse_config({"task": str(pairs_recipe), "llm": "http://127.0.0.1:9", "strategy": "zerogen", "rounds": 0})
    synthesize(config.model_copy(update={"seed_data": str(given)}), tmp_path / "run")
    run = open_run(tmp_path / "run")
    (published,) = write_folders(run, tmp_path / "out")
    assert "| rows of the gold test split | 0 | – |" in (Path(published.url) / "README.md").read_text()
    rows = run.round(0).rows().to_list()
    rows[1] |= {"premise": test["premise"].upper(), "claim": test["claim"]}
    datasets.Dataset.from_list(rows, features=run.round(0).rows().features).to_parquet(run.round(0).data)
    with pytest.raises(HubError, match=r"gold test split, found 1 of 2 .* in row 1"):
        write_folders(run, tmp_path / "out")


def test_copies_of_validation_text_are_counted_and_shown(tmp_path):
    near = VALIDATION[0].replace("whatever", "whatevers")
    run = run_of(tmp_path / "run", [VALIDATION[1], near, "a film .", "A film."])
    with pytest.raises(HubError, match=r"at most 1\.0% of the rows .* found 2 of 4, the first in row 0"):
        write_folders(run, tmp_path / "out")
    with pytest.raises(HubError, match="found 2 of 4"):
        write_folders(run, tmp_path / "out", options=PushOptions(max_copies=0.49))
    (published,) = write_folders(run, tmp_path / "out", options=PushOptions(max_copies=0.5))
    quality = record_of(published.url)["quality"]
    assert (quality["copies"], quality["exact"], quality["duplicates"], quality["compared"]) == (2, 1, 1, 2)
    assert (quality["words"], quality["gold_words"]) == ((6 + 9 + 2 + 2) / 4, (9 + 6) / 2)
    assert quality["gold_distinct"] == 1
    card = (Path(published.url) / "README.md").read_text()
    assert "| copies of a gold validation text, near ones included | 2 | – |" in card


def test_parts_of_validation_text_are_counted_and_shown(tmp_path):
    part = "I would say: a dull film that never ends, whatever they may say of it to all of us who were there."
    run = run_of(tmp_path / "run", [part, "a dull film that never begins .", "another film ."])
    (published,) = write_folders(run, tmp_path / "out")
    quality = record_of(published.url)["quality"]
    assert (quality["copies"], quality["parts"]) == (0, 1)
    card = (Path(published.url) / "README.md").read_text()
    assert "or contain their own gold row | 1 | – |" in card
    assert "No row copies a gold validation text; at least 8 consecutive words of one" in card


def test_a_row_that_contains_its_parent_is_found_whatever_the_edits():
    gold = ["a joy to watch from start to end", "nothing but dull"]
    texts = ["i say it is a joy to watch fron start to end of it", "nothing but dull is what it is to me"]
    assert copied_parts(texts, gold, [0, 1]).tolist() == [True, False]
    assert copied_parts(texts, gold, [-1, -1]).tolist() == [False, False]
    assert copied_parts([], gold, []).tolist() == []
    assert copied_parts(["a b"], [], [-1]).tolist() == [False]


def test_every_round_is_checked_before_the_first_leaves(tmp_path):
    """The copy is one of two rows in round 0, and one of two hundred in round 1."""
    run = make_run(tmp_path / "run")
    add_round(run, 0, [(VALIDATION[0], 0), ("a film .", 1)])
    add_round(run, 1, [(f"{WORDS[number % 90]} {number}", 1) for number in range(198)])
    with pytest.raises(HubError, match="found 1 of 2"):
        write_folders(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gold_rows_themselves_are_not_copies(tmp_path):
    run = make_run(tmp_path / "run", strategy="gold")
    add_round(run, 0, [("a film .", 0), ("another film .", 1)])
    writer = RowWriter(run.round(0).data, FEATURES)
    for number, text in enumerate([*VALIDATION, TEST[0]]):
        columns = {"text": text, "label": 0}
        writer.write(Example(f"val-{number:05d}", columns, "human", 0, f"val-{number:05d}").row())
    writer.commit()
    (published,) = write_folders(run, tmp_path / "out")
    assert "quality" not in record_of(published.url)
    assert "## Quality" not in (Path(published.url) / "README.md").read_text()


def test_gold_data_that_is_gone_is_named(tmp_path):
    run = make_run(tmp_path / "run", task="nowhere/recipe.py")
    add_round(run, 0, [("a film .", 0)])
    with pytest.raises(HubError, match=r"must be compared with the gold data .* no recipe file 'nowhere/recipe.py'"):
        write_folders(run, tmp_path / "out")


def sentence(draw, words):
    return " ".join(draw.choice(WORDS) + draw.choice(WORDS) for _ in range(words))


def edited(draw, text, edits):
    letters = list(text)
    for _ in range(edits):
        letters[draw.randrange(len(letters))] = draw.choice("aeiou")
    return normalise("".join(letters))


@pytest.mark.parametrize("words", [3, 11, 12, 60])
def test_near_copies_are_those_that_comparing_all_pairs_finds(words):
    draw = random.Random(words)
    gold = [sentence(draw, words) for _ in range(200)]
    texts = [edited(draw, draw.choice(gold), draw.randint(0, max(1, words // 3))) for _ in range(100)]
    texts += [sentence(draw, words) for _ in range(100)]
    wanted = [any(fuzz.ratio(text, other) >= 90 for other in gold) for text in texts]
    assert 50 < sum(wanted) < 200
    assert near_copies(texts, gold, [-1] * len(texts)).tolist() == wanted


def test_a_row_is_compared_with_its_own_parent_whatever_the_edits():
    gold = [" ".join(f"{number}abcdefghijklm" for number in range(40))]
    text = re.sub("m( |$)", r"x\1", gold[0])  # no word is the same, but most letters are
    assert fuzz.ratio(text, gold[0]) >= 90
    assert near_copies([text], gold, [0]).tolist() == [True]
    assert near_copies([text], gold, [-1]).tolist() == [False]


def test_nothing_is_no_copy_of_nothing():
    assert near_copies(["", "a b c"], ["", "d e f"], [-1, 0]).tolist() == [False, False]
    assert near_copies([], ["a"], []).tolist() == []
    assert near_copies(["a b"], [], [-1]).tolist() == [False]


@pytest.mark.slow
def test_copies_are_found_among_many_rows():
    """As many as IMDb has: 25,000 gold texts of 200 words, 20,000 rows of 80."""
    draw = random.Random(0)
    words = [first + second + third for first in WORDS for second in ("", "a", "o") for third in ("", *WORDS[:20])]
    weights = [1 / place for place in range(1, len(words) + 1)]  # as in any language, few words are most of the text
    gold = [" ".join(draw.choices(words, weights, k=200)) for _ in range(25_000)]
    texts = [" ".join(draw.choices(words, weights, k=80)) for _ in range(20_000)]
    planted = list(range(0, 20_000, 100))
    for place in planted:
        texts[place] = edited(draw, draw.choice(gold), 40)
    found = near_copies(texts, gold, [-1] * len(texts))
    assert found.nonzero()[0].tolist() == planted
