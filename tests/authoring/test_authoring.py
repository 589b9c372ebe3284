"""`s3-hf tasks new`: what it finds in data, what it writes, and that this runs as it is."""

import ast
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from s3_hf import loop
from s3_hf.authoring.asked import NewTask
from s3_hf.authoring.writing import write_recipe
from s3_hf.config import parse_config
from s3_hf.errors import ConfigError, TaskError
from s3_hf.records import Columns
from s3_hf.store import open_run
from s3_hf.task import GoldOptions, load_task
from tests.conftest import film_rows
from tests.llm_server import LLMServer, review

GOLDEN = Path(__file__).parent.parent / "golden"
INTENTS = {f"ask_for_{number}": 40 // (number + 1) + 2 for number in range(20)}
HOUSE = "The red house number {0} stands on hill {0}. It was built in {0}."


def json_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def film_csv(path):
    rows = film_rows(40, 1)
    names = ["bad_film", "good_film"]
    lines = [f"{text},{names[label]}" for text, label in zip(rows["text"], rows["label"], strict=True)]
    path.write_text("\n".join(["review,verdict", *lines]) + "\n")
    return path


def intent_lines(path):
    rows = [
        {"utterance": f"please give me {name} now {number}", "intent": name}
        for name, count in INTENTS.items()
        for number in range(count)
    ]
    return json_lines(path, rows)


def pair_folder(folder):
    """Like GLUE's: train, validation and a test without labels."""
    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "claim": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["entailment", "not_entailment"]),
            "idx": datasets.Value("int32"),
        }
    )
    for split, size in (("train", 30), ("validation", 10), ("test", 5)):
        rows = {
            "premise": [f"House {split} {n} is red." for n in range(size)],
            "claim": [f"It is {('red', 'not red')[n % 2]}." for n in range(size)],
            "label": [n % 2 if split != "test" else -1 for n in range(size)],
            "idx": list(range(size)),
        }
        datasets.Dataset.from_dict(rows, features=features).to_parquet(
            str(folder / "data" / f"{split}-00000-of-00001.parquet")
        )
    return folder


def squad_file(path):
    paragraphs = [
        {
            "context": HOUSE.format(number),
            "qas": [
                {"id": f"{number}-0", "question": f"Which colour is house {number}?",
                 "answers": [{"text": "red", "answer_start": 4}]},
                {"id": f"{number}-1", "question": f"What stands on hill {number}?",
                 "answers": [{"text": "house", "answer_start": 8}]},
            ],
        }
        for number in range(20)
    ]  # fmt: skip
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "Houses", "paragraphs": paragraphs}]}))
    return path


def written(tmp_path, name, data, columns, **more):
    return write_recipe(NewTask(name, str(data), columns, **more), tmp_path)


CASES = {
    "review_verdicts": (lambda tmp: film_csv(tmp / "films.csv"), Columns("review", "verdict"), ""),
    "intents": (lambda tmp: intent_lines(tmp / "intents.jsonl"), Columns("utterance", "intent"), ""),
    "claims": (
        lambda tmp: pair_folder(tmp / "claims"),
        Columns("claim", "label", "premise"),
        'Short texts about houses; "claims" {so called} are made of them.',
    ),
    "house_questions": (
        lambda tmp: squad_file(tmp / "houses.json"),
        Columns("question", None, "context", "answers"),
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_recipes_are_as_agreed(tmp_path, name):
    make, columns, description = CASES[name]
    made = written(tmp_path, name, make(tmp_path), columns, description=description)
    text = made.path.read_text()
    golden = GOLDEN / f"recipe_{name}.py"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    ast.parse(text)
    task = load_task(str(made.path))
    assert task.columns == columns
    assert len(task.mined) == sum(made.inferred.counts["validation"].values())
    assert len(task.test) == sum(made.inferred.counts["test"].values())
    assert str(tmp_path) not in text


def test_the_share_of_the_test_is_given(typed, tmp_path):
    new = ("tasks", "new", "films", "--text", "review", "--label", "verdict", "--out", tmp_path, "--data")
    code, out, _ = typed(*new, film_csv(tmp_path / "films.csv"), "--test-share", "0.2")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines()[:2]] == ["32", "8"]
    assert "note        without --description" in out
    assert len(load_task(str(tmp_path / "films.py")).test) == 8
    columns = Columns("claim", "label", "premise")
    with pytest.raises(ConfigError, match="one split to divide, found 'train' and 'validation' in"):
        written(tmp_path, "claims", pair_folder(tmp_path / "pairs"), columns, test_share=0.2)
    with pytest.raises(ConfigError, match="between 0 and 1, found 1"):
        written(tmp_path, "claims", tmp_path / "pairs", columns, test_share=1)


def test_labels_in_unequal_numbers_are_on_both_sides(tmp_path):
    made = written(tmp_path, "intents", intent_lines(tmp_path / "i.jsonl"), Columns("utterance", "intent"))
    for counts in made.inferred.counts.values():
        assert set(counts) == set(INTENTS)
        assert min(counts.values()) >= 1
    assert made.inferred.config.labels["ask_for_0"] == "ask for 0"


def test_no_context_is_on_both_sides(tmp_path):
    made = written(tmp_path, "qa", squad_file(tmp_path / "qa.json"), Columns("question", None, "context", "answers"))
    task = load_task(str(made.path))
    assert not set(task.mined["context"]) & set(task.test["context"])
    assert (task.config.id, task.config.carried, task.config.question) == ("id", ("title",), True)
    assert task.mined[0]["title"] == "Houses"


def test_hidden_labels_are_told_and_not_used(tmp_path):
    found = written(tmp_path, "rte", pair_folder(tmp_path / "p"), Columns("claim", "label", "premise")).inferred
    assert found.config.splits == {"validation": "train", "test": "validation"}
    assert found.notes == ("split 'test' is not used: its labels are hidden",)
    assert found.config.labels == {"entailment": "entailment", "not_entailment": "not entailment"}


@pytest.mark.parametrize(
    ("splits", "roles"),
    [
        (("train", "dev", "test"), ("dev", "test")),
        (("train", "test"), ("train", "test")),
        (("train", "validation"), ("train", "validation")),
        (("validation", "test"), ("validation", "test")),
        (("train",), ("train", "train")),
        (("test",), ("test", "test")),
    ],
)
def test_splits_are_found(tmp_path, splits, roles):
    for split in splits:
        json_lines(tmp_path / f"{split}.jsonl", [{"text": f"a {split} {n}", "label": n % 2} for n in range(8)])
    names = {"dev": "validation"}  # by which `datasets` knows it
    found = written(tmp_path / "out", "t", tmp_path, Columns("text", "label")).inferred
    assert tuple(found.config.splits.values()) == tuple(names.get(role, role) for role in roles)
    assert found.config.labels == {"0": "0", "1": "1"}
    assert any("labels are numbers" in note for note in found.notes)


def test_answers_of_plain_text(tmp_path):
    path = tmp_path / "qa.csv"
    rows = "".join(f"{HOUSE.format(n)},Which colour?,red\n" for n in range(8))
    path.write_text(f"passage,question,answer\n{rows}")
    made = written(tmp_path, "qa", path, Columns("question", None, "passage", "answer"))
    assert "answers without a start" in made.inferred.notes[0]
    assert load_task(str(made.path)).mined[0]["answer"] == {"text": ["red"], "answer_start": [4]}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": "my task"}, "NAME must be made of letters"),
        (
            {"columns": Columns("review")},
            "one of --label and --answers must name the column to learn, found neither",
        ),
        (
            {"columns": Columns("review", "verdict", None, "answers")},
            "found --label 'verdict' and --answers 'answers'",
        ),
        ({"columns": Columns("review", None, None, "answers")}, "--answers needs --context"),
        ({"columns": Columns("review", "review")}, "each flag must name another column"),
        (
            {"columns": Columns("reviews", "verdict")},
            "--text must name a column of.*found 'reviews'; did you mean 'rev",
        ),
        ({"columns": Columns("review", "label")}, "--label must name a column of.*found 'label'; name one of them"),
        ({"data": "none.csv"}, "found no file 'none.csv'"),
        (
            {"columns": Columns("verdict", "review")},
            "--label must name a column with at least two labels.*found 40 diff",
        ),
    ],
)
def test_what_cannot_be_made_a_task_of(tmp_path, values, sentence):
    data = film_csv(tmp_path / "films.csv")
    wanted = {"name": "films", "data": data, "columns": Columns("review", "verdict"), **values}
    with pytest.raises((ConfigError, TaskError), match=sentence) as caught:
        written(tmp_path, **wanted)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*.py"))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"text": "a b", "label": ["x", "y"]}, {"text": "c d", "label": ["x"]}], "line 1.*several labels in a row"),
        ([{"text": "a b", "label": "x"}, {"text": None, "label": "y"}], "line 2, column 'text', must have text"),
        ([{"text": "a b", "label": 0.5}, {"text": "c d", "label": 1.5}], "line 1, column 'label'.*found 0.5"),
        ([{"text": "a b", "label": "x"}, {"text": "c d", "label": "x"}], "at least two labels"),
        ([{"text": "a b", "label": None}, {"text": "c d", "label": -1}], "must have rows with labels"),
        ([], "must have rows"),
    ],
)
def test_bad_data_is_told_before_a_recipe_is_written(tmp_path, rows, sentence):
    with pytest.raises(TaskError, match=sentence):
        written(tmp_path, "t", json_lines(tmp_path / "a.jsonl", rows), Columns("text", "label"))
    assert not list(tmp_path.glob("*.py"))


def test_a_label_of_the_test_alone(tmp_path):
    json_lines(tmp_path / "train.jsonl", [{"text": f"a {n}", "label": "xy"[n % 2]} for n in range(8)])
    json_lines(tmp_path / "test.jsonl", [{"text": f"b {n}", "label": "xyz"[n % 3]} for n in range(9)])
    with pytest.raises(TaskError, match="found none of 'z' in split 'train'"):
        written(tmp_path, "t", tmp_path, Columns("text", "label"))


def test_columns_that_the_product_adds_are_left_out(tmp_path):
    rows = {"text": [f"a {n}" for n in range(8)], "label": ["x", "y"] * 4, "idx": list(range(8)), "s3_id": ["a"] * 8}
    datasets.Dataset.from_dict(rows).to_parquet(str(tmp_path / "a.parquet"))
    made = written(tmp_path, "t", tmp_path / "a.parquet", Columns("text", "label"))
    task = load_task(str(made.path))
    assert task.mined.column_names == ["text", "label", "idx", "s3_id"]
    assert task.mined["s3_id"][0] == "val-00000"
    with pytest.raises(ConfigError, match="no flag may name a column that s3-hf adds itself, found 's3_id'"):
        written(tmp_path, "other", tmp_path / "a.parquet", Columns("s3_id", "label"))
    made.path.write_text(made.path.read_text().replace('"idx": Value', '"s3_model": Value'))
    with pytest.raises(TaskError, match=r"its columns must not be named s3_id, .*found 's3_model'; leave it out"):
        load_task(str(made.path))


def test_short_names_of_labels_are_written_out_for_prompts(tmp_path):
    rows = [{"text": f"text {n}", "label": ("neg", "POS", "positron")[n % 3]} for n in range(30)]
    made = written(tmp_path, "t", json_lines(tmp_path / "a.jsonl", rows), Columns("text", "label"))
    assert made.inferred.config.labels == {"neg": "negative", "POS": "positive", "positron": "positron"}


@pytest.mark.parametrize("pair", [("pos", "pos "), ("not_spam", "not spam"), ("Pos", "pos")])
def test_labels_that_read_the_same(tmp_path, pair):
    rows = [{"text": f"text {n}", "label": (*pair, "other")[n % 3]} for n in range(30)]
    with pytest.raises(
        TaskError, match=r"labels '.*' and '.*' of column 'label' read the same; make them one"
    ) as told:
        written(tmp_path, "t", json_lines(tmp_path / "a.jsonl", rows), Columns("text", "label"))
    assert all(repr(name) in str(told.value) for name in pair)


@pytest.mark.parametrize(("name", "labels"), [("a.csv", ["0.0", "2.0", "10.0"]), ("a.jsonl", ["0", "2", "10"])])
def test_labels_that_pandas_made_floats(tmp_path, name, labels):
    rows = [{"text": f"text {n}", "label": [0.0, 2.0, 10.0][n % 3]} for n in range(30)]
    path = json_lines(tmp_path / name, rows)
    if name == "a.csv":
        path.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    made = written(tmp_path, "t", path, Columns("text", "label"))
    assert list(load_task(str(made.path)).label_names) == labels
    assert made.inferred.notes[0].startswith("labels are numbers, which tell an LLM nothing: write what they mean")


def test_texts_of_both_splits_are_told(typed, tmp_path):
    for split, start in (("train", 0), ("test", 20)):
        rows = [{"text": f"text {n + start}", "label": "xy"[n % 2]} for n in range(40)]
        json_lines(tmp_path / f"{split}.jsonl", rows)
    made = written(tmp_path, "t", tmp_path, Columns("text", "label"))
    assert made.inferred.notes[0].startswith("20 of 40 test texts are validation texts too: ")
    assert "shared   20 test rows are validation rows too\n" in typed("tasks", "show", made.path)[1]


@pytest.mark.parametrize(
    ("text", "size", "min_words", "max_tokens", "max_length"),
    [
        ("这家餐厅的服务非常好我们一家人都很满意下次还会再来并且推荐给朋友" * 4, "129 characters", 1, 288, 256),
        ("この映画はとても面白かったです。", "17 characters", 1, 64, 64),
        ("อาหารอร่อยมาก บริการดี ", "24 characters", 1, 64, 64),
        ("이 영화는 정말 재미있고 배우들의 연기가 좋았습니다 ", "8 words", 5, 64, 64),
        ("the film was good and its actors were too ", "10 words", 5, 64, 64),
    ],
)
def test_lengths_with_and_without_spaces(tmp_path, text, size, min_words, max_tokens, max_length):
    rows = [{"text": f"{text}{'abcdefgh'[n]}", "label": "xy"[n % 2]} for n in range(8)]
    made = written(tmp_path, "t", json_lines(tmp_path / "a.jsonl", rows), Columns("text", "label"))
    config = load_task(str(made.path)).config
    assert f" of about {size} with" in config.prompts.seed_plain
    assert (config.min_words, config.max_tokens, config.max_length) == (min_words, max_tokens, max_length)


def test_the_commands_can_be_typed(typed, tmp_path):
    out = tmp_path / "my data's"
    told = typed("tasks", "new", "films", "--data", film_csv(tmp_path / "films.csv"), "--text", "review", "--label",
                 "verdict", "--out", out)[1]  # fmt: skip
    assert shlex.split(told.splitlines()[-1]) == ["s3-hf", "run", str(out / "films.py"), "--llm", "URL"]


def test_nothing_is_overwritten(tmp_path):
    data = film_csv(tmp_path / "films.csv")
    made = written(tmp_path, "films", data, Columns("review", "verdict"))
    made.path.write_text("mine")
    with pytest.raises(TaskError, match="must not be there yet"):
        written(tmp_path, "films", data, Columns("review", "verdict"))
    assert made.path.read_text() == "mine"


def test_by_the_command_and_from_another_folder(tmp_path):
    """The recipe finds its data by its own place, not by the folder that a command is typed in."""
    film_csv(tmp_path / "films.csv")
    command = [sys.executable, "-m", "s3_hf", "tasks"]
    new = [*command, "new", "films", "--data", "films.csv", "--text", "review", "--label", "verdict", "--out", "mine"]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache")}
    made = subprocess.run(new, cwd=tmp_path, capture_output=True, text=True, check=True, env=environment)
    assert "validation  20 rows of 'train': bad_film 10, good_film 10" in made.stdout
    assert "  s3-hf tasks preview mine/films.py --llm URL\n  s3-hf run mine/films.py --llm URL" in made.stdout
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    show = [*command, "show", "../mine/films.py", "--json"]
    shown = subprocess.run(show, cwd=elsewhere, capture_output=True, text=True, check=True, env=environment)
    assert json.loads(shown.stdout)["splits"] == {"validation": 20, "test": 20}
    with (tmp_path / "films.csv").open("a") as file:
        file.write("a film without a verdict,\n")
    bad = subprocess.run(show, cwd=elsewhere, capture_output=True, text=True, check=False, env=environment)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.splitlines()[-1].endswith(
        "films.csv', line 42, column 'verdict', must have a label, found ''; write it or drop the row"
    )
    again = subprocess.run(new, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith("error: recipe 'mine/films.py' must not be there yet")


def label_reply(payload) -> str:
    """What an LLM answers to the prompts of a written recipe: a list of its own for each label, or a sentence."""
    prompt = payload["messages"][-1]["content"]
    label = re.findall(r'label (?:of "[^"]*" is |of the two is )?"([^"]*)"', prompt)[-1]
    if "numbered list" in prompt:
        return "\n".join(
            f"{n}. matter {hashlib.sha256(f'{label} {n}'.encode()).hexdigest()[:12]}" for n in range(1, 9)
        )
    return f"{label.title().replace(' ', '')}s say: {review(payload).lower()}"


def question_reply(payload) -> str:
    return f"{review(payload).rstrip('.')}?"


def run(tmp_path, student, recipe, reply, **values):
    with LLMServer(reply=reply) as server:
        settings = {
            "task": str(recipe),
            "llm": server.url,
            "student": str(student),
            "seed_size": 40,
            "rounds": 1,
            "round_size": 10,
            "judge": "none",
            "gold_stage": "none",
            "verdict": False,
            "synthesis": {"rationales_per_label": 6, "rationales_per_example": 2},
            "training": {"epochs": 1, "min_steps": 0, "batch_size": 16, "precision": "fp32"},
        }
        loop.run(parse_config({**settings, **values}), tmp_path / "run")
    return open_run(tmp_path / "run")


@pytest.mark.parametrize("name", CASES)
def test_a_written_recipe_runs_as_it_is(tmp_path, spelling_student, name):
    make, columns, _ = CASES[name]
    made = written(tmp_path, name, make(tmp_path), columns)
    done = run(tmp_path, spelling_student, made.path, label_reply if columns.label else question_reply)
    rows = done.round(0).rows()
    assert len(rows) == 40
    assert 0 < len(done.round(1).rows()) <= 10
    assert list(rows.features)[: len(rows.features) - 7] == list(made.inferred.config.gold_features())
    if columns.label:
        assert len(set(rows[columns.label])) == len(made.inferred.config.labels)
    else:
        assert set(rows["title"]) == {"Houses"}
        assert all(row["question"].endswith("?") for row in rows)


def test_rotten_tomatoes_as_csv(tmp_path, gold_root, spelling_student):
    folder = gold_root / "datasets/cornell-movie-review-data/rotten_tomatoes"
    datasets.load_dataset(str(folder), split="validation").to_csv(str(tmp_path / "rotten.csv"))
    made = written(tmp_path, "rotten_tomatoes", tmp_path / "rotten.csv", Columns("text", "label"))
    assert {split: sum(counts.values()) for split, counts in made.inferred.counts.items()} == {
        "validation": 533,
        "test": 533,
    }
    done = run(tmp_path, spelling_student, made.path, label_reply)
    assert done.round(0).rows().features["label"].names == ["0", "1"]
    assert 0 < len(done.round(1).rows()) <= 10


def test_a_label_with_one_row(tmp_path):
    """It is in the gold validation rows, is told of, and cannot be sampled in proportion."""
    rows = [{"text": f"text {n}", "label": "xy"[n % 2]} for n in range(20)] + [{"text": "one", "label": "z"}]
    made = written(tmp_path, "t", json_lines(tmp_path / "a.jsonl", rows), Columns("text", "label"))
    assert made.inferred.notes[0] == "label 'z' is not in the test rows"
    task = load_task(str(made.path))
    assert task.mined["label"][:].count(2) == 1
    with pytest.raises(TaskError, match="a sample of 6 of 11 gold rows must hold each label in proportion"):
        load_task(str(made.path), gold_options=GoldOptions(size=6)).mined  # noqa: B018


def test_a_recipe_that_would_be_taken_for_a_dataset_script(tmp_path):
    """`datasets` refuses a folder with a Python file of its name."""
    folder = tmp_path / "films"
    folder.mkdir()
    film_csv(folder / "train.csv")
    wanted = NewTask("films", str(folder), Columns("review", "verdict"))
    with pytest.raises(ConfigError, match="--out must be another folder"):
        write_recipe(wanted, folder)
    written_there = write_recipe(wanted, tmp_path).path
    shutil.copy(written_there, folder / "films.py")
    with pytest.raises(TaskError, match="scripts are no longer supported"):
        load_task(str(written_there)).mined  # noqa: B018
