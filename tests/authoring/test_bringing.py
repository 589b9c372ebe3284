"""Data as users have it: several files and splits, columns inside of others, names of labels elsewhere."""

import json
import re

import datasets
import pytest

from s3_hf.authoring.asked import NewTask
from s3_hf.authoring.writing import write_recipe
from s3_hf.config import parse_config
from s3_hf.errors import ConfigError, TaskError
from s3_hf.hub.privacy import last_component
from s3_hf.judging import question
from s3_hf.records import Columns
from s3_hf.task import GoldOptions, load_task, task_of

TEXT_AND_LABEL = Columns("text", "label")


def csv(path, start=0, size=12, labels="xy"):
    lines = [f"a text about thing {number},{labels[number % len(labels)]}" for number in range(start, start + size)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def written(tmp_path, data, columns=TEXT_AND_LABEL, **more):
    return write_recipe(NewTask("t", str(data), columns, **more), tmp_path / "out")


def test_a_pattern_is_one_split(tmp_path, monkeypatch):
    for number in range(3):
        csv(tmp_path / "dir [v1]" / f"part-{number}.csv", 12 * number)
    made = written(tmp_path, tmp_path / "dir [v1]" / "part-*.csv")
    assert made.inferred.config.splits == {"validation": "train", "test": "train"}
    task = load_task(str(made.path))
    assert len(task.mined) + len(task.test) == 36
    csv(tmp_path / "dir [v1]" / "part-3.csv", 36)
    task = load_task(str(made.path))
    assert len(task.mined) + len(task.test) == 48
    monkeypatch.chdir(tmp_path)
    assert load_task(str(made.path)).builder.hash == task.builder.hash  # what is cached is found from any folder
    again = parse_config({"task": str(made.path), "gold": "dir [v1]/part-[01].csv"})
    assert len(task_of(again).mined) + len(task_of(again).test) == 24
    monkeypatch.chdir(tmp_path / "out")
    assert len(task_of(again.located(tmp_path)).mined) == len(task_of(again.located(tmp_path)).test) == 12


def test_files_whose_names_tell_their_splits(tmp_path, typed):
    train, dev, test = (csv(tmp_path / name / f"films_{name}.csv", start) for start, name in
                        ((0, "train"), (20, "dev"), (40, "test")))  # fmt: skip
    named = ["--text", "text", "--label", "label", "--out", tmp_path / "out"]
    data = [part for path in (train, dev, test) for part in ("--data", path)]
    code, out, err = typed("tasks", "new", "t", *data, *named)
    assert (code, err) == (0, "")
    assert "validation  12 rows of 'validation'" in out
    assert "note        split 'train' is not used" in out
    assert str(tmp_path) not in (tmp_path / "out/t.py").read_text()
    source = load_task(str(tmp_path / "out/t.py")).facts()["source"]
    assert last_component(source) == "films_train.csv and films_dev.csv and films_test.csv"
    code, out, _ = typed("tasks", "new", "u", *data, *named, "--validation", "train+validation", "--test", "test")
    assert "validation  24 rows of 'train+validation'" in out
    assert "is not used" not in out
    assert len(load_task(str(tmp_path / "out/u.py")).mined) == 24
    shown = typed("tasks", "show", tmp_path / "out/t.py", "--gold", train, "--gold", test, "--json")
    assert shown[0] == 2
    assert "must have a split 'validation', found train, test" in shown[2]
    shown = typed("tasks", "show", tmp_path / "out/t.py", "--gold", dev, "--gold", test, "--json")
    assert json.loads(shown[1])["splits"] == {"validation": 12, "test": 12}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["train.csv", "more.csv"], "must all have their split .* found 'more.csv' beside 'train.csv'; rename one"),
        (
            ["a.csv", "none.csv"],
            r"must be files where several are named, found no file '.*none\.csv'; check the paths",
        ),
        (["a.csv", "folder"], "found '.*folder', which is no file"),
        (["a.csv", "notes.txt"], r"must be of files that end in \.csv.*found '.*notes\.txt'; leave it out"),
    ],
)
def test_several_files_that_cannot_be_read(tmp_path, names, sentence):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("a note")
    for name in ("train.csv", "more.csv", "a.csv"):
        csv(tmp_path / name)
    with pytest.raises(TaskError, match=sentence):
        written(tmp_path, "|".join(str(tmp_path / name) for name in names))


def test_a_pattern_without_files_and_names_that_differ(tmp_path):
    with pytest.raises(TaskError, match=r"must be files where several are named, found no file '.*\*\.csv'"):
        written(tmp_path, tmp_path / "*.csv")
    for number, names in enumerate((["x", "y"], ["y", "x"])):
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
        rows = {"text": [f"a text {number} {n}" for n in range(8)], "label": [n % 2 for n in range(8)]}
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"{number}.parquet")
    with pytest.raises(TaskError, match=r"must declare one list of names for the column 'label', found \['x', 'y'\]"):
        written(tmp_path, tmp_path / "*.parquet")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("order", [("a.parquet", "b.jsonl"), ("b.jsonl", "a.parquet")])
def test_names_in_one_of_two_files(tmp_path, order, nested):
    """The check does not depend on the order of the files."""
    label, rows = datasets.ClassLabel(names=["x", "y"]), [{"text": f"a text {n}", "label": n % 2} for n in range(8)]
    if nested:
        label, rows = {"name": label}, [{**row, "label": {"name": row["label"]}} for row in rows]
    features = datasets.Features({"text": datasets.Value("string"), "label": label})
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(TaskError, match="must declare one list of names for the column 'label', found"):
        written(tmp_path, "|".join(str(tmp_path / name) for name in order))


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        ({"validation": "train"}, "--validation and --test must stand together, found --validation alone"),
        ({"validation": "train", "test": "tset"}, "--test must name splits of .*found 'tset'; did you mean 'test'"),
        ({"validation": "train+train", "test": "test"}, "validation must name each split once, found 'train.train'"),
        (
            {"validation": "train+test", "test": "test"},
            r"which are then divided, or have none in common, found 'train\+test' and 'test'; leave 'test' out of one",
        ),
    ],
)
def test_splits_that_are_not_there(tmp_path, splits, sentence):
    csv(tmp_path / "data" / "train.csv")
    csv(tmp_path / "data" / "test.csv", 20)
    with pytest.raises(ConfigError, match=sentence):
        written(tmp_path, tmp_path / "data", splits=splits)


def test_splits_in_another_order_are_divided(tmp_path):
    """No row is on both sides, and none is lost."""
    csv(tmp_path / "data" / "train.csv")
    csv(tmp_path / "data" / "test.csv", 20)
    made = written(tmp_path, tmp_path / "data", splits={"validation": "train+test", "test": "test+train"})
    task = load_task(str(made.path))
    mined, test = set(task.mined["text"][:]), set(task.test["text"][:])
    assert len(mined) == len(test) == 12
    assert not mined & test
    assert "Both are the same split, so it is divided" in made.path.read_text()
    same = load_task(str(made.path), gold_options=GoldOptions(splits={"test": "train+test"}))
    assert set(same.test["text"][:]) == test


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        ({"validation": "train+test"}, r"t.py' cannot be used: validation and test .* found 'train\+test' and 'test'"),
        ({"test": "test+test"}, "test must name each split once, found"),
        ({"test": "train[:10%]"}, "or have none in common, found 'train' and .*; leave 'train' out of one"),
    ],
)
def test_gold_splits_that_overlap(tmp_path, splits, sentence):
    csv(tmp_path / "data" / "train.csv")
    csv(tmp_path / "data" / "test.csv", 20)
    made = written(tmp_path, tmp_path / "data")
    with pytest.raises(TaskError, match=sentence):
        task_of(parse_config({"task": str(made.path), "gold_splits": splits}))


NESTED = Columns("data.text", "meta.label")


@pytest.mark.parametrize("kind", ["jsonl", "list", "parquet"])
def test_columns_inside_of_others(tmp_path, kind):
    rows = [{"data": {"text": f"a text {n}"}, "meta": {"label": "xy"[n % 2], "by": "me"}} for n in range(12)]
    if kind == "list":
        rows = [{"data": row["data"], "meta": [{"label": [row["meta"]["label"]]}]} for row in rows]
    path = tmp_path / f"a.{'parquet' if kind == 'parquet' else 'jsonl'}"
    if kind == "parquet":
        label = {"label": datasets.ClassLabel(names=["x", "y"]), "by": datasets.Value("string")}
        features = datasets.Features({"data": {"text": datasets.Value("string")}, "meta": label})
        datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    made = written(tmp_path, path, NESTED)
    task = load_task(str(made.path))
    assert task.label_names == ("x", "y")
    assert task.mined.column_names == ["data.text", "meta.label", "s3_id"]
    assert {task.mined[0]["data.text"][:6]} == {"a text"}
    assert "one text of about" in task.prompts.seed
    asked = question(task, task.mined[0], "judge/x").messages[0]["content"]
    assert "\n\ntext: a text" in asked
    assert "Is this text x or y?" in asked


def test_the_judge_is_shown_two_columns_of_one_name_by_their_whole_names(tmp_path):
    rows = [{"a": {"text": f"a claim {n}"}, "b": {"text": f"a text {n}"}, "label": "xy"[n % 2]} for n in range(12)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = load_task(str(written(tmp_path, tmp_path / "a.jsonl", Columns("b.text", "label", "a.text")).path))
    asked = question(task, task.mined[0], "judge/x").messages[0]["content"]
    assert "\n\na.text: a claim" in asked
    assert "Is this b.text x or y?" in asked


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '{"0": "sad", "1": "glad"}'),
        ("a.json", '["sad", "glad"]'),
        ("a.txt", "sad\nglad\n"),
        ("a.csv", "0,sad\n1,glad\n"),
        ("a.csv", 'id,name\n"0", sad\n1,"glad"\n'),
        ("a.tsv", "0\tsad\n1\tglad\n"),
    ],
)
def test_words_of_labels_in_a_file(tmp_path, typed, name, content):
    (tmp_path / name).write_text(content)
    data = csv(tmp_path / "data.csv", labels="01")
    new = ("tasks", "new", "t", "--data", data, "--text", "text", "--label", "label", "--out", tmp_path)
    code, out, _ = typed(*new, "--label-names", tmp_path / name)
    assert code == 0
    assert "labels are numbers" not in out
    assert load_task(str(tmp_path / "t.py")).label_words == ("sad", "glad")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "found none for '0', in"),
        ("{", "readable file"),
        ("[" * 100_000, "readable file"),
        (b"0,sad\n1,gl\xe4d", "readable file"),
        ('{"0": "sad", "1": 1}', "found none for '1' in"),
        ('{"0": "sad", "0": "bad", "1": "glad"}', "found a label twice, in"),
        ('{"0": "sad", "1": " "}', "found none for '1' in"),
        ("[1, 2]", "found none for '0' in"),
        ("{}", "found none for '0', in"),
        ('{"0": "sad"}', "found none for '1', in"),
        ('{"0": "sad", "1": "glad", "2": "mad"}', "found '2', which is no label, in"),
        ("a,sad\nb,glad", "found 'a', which is no label, in"),
        ("id,name\n0,sad", "found 'id', which is no label, in"),
        ("arts, crafts\nmusic, dance", "found 'arts', which is no label, in"),
        ("id,name\n0", "found 'id', which is no label, in"),
        ("sad\nglad\nmad", "found '2', which is no label, in"),
    ],
)
def test_a_file_whose_words_do_not_fit(tmp_path, content, sentence):
    names = tmp_path / "names.json"
    names.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=f"--label-names must name a .*{re.escape(sentence)}"):
        written(tmp_path, csv(tmp_path / "data.csv", labels="01"), label_names=names)
    assert not list(tmp_path.glob("out/*.py"))


def test_words_of_labels_need_labels(tmp_path):
    with pytest.raises(ConfigError, match="--label-names needs --label"):
        written(tmp_path, "a.csv", Columns("text", None, "context", "answers"), label_names=tmp_path / "a.json")


def test_a_column_that_names_the_labels_is_told(tmp_path):
    rows = [
        {"text": f"a text {n}", "label": n % 2, "label_text": ["sad", "glad"][n % 2], "by": "me"} for n in range(9)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert (
        "column 'label_text' names the labels: --label label_text takes its words"
        in written(tmp_path, tmp_path / "a.jsonl").inferred.notes
    )


def test_skewed_labels_are_told(tmp_path):
    notes = written(tmp_path, csv(tmp_path / "a.csv", size=40, labels="xxxxy")).inferred.notes
    assert any(note.startswith("label 'x' has 4 times the gold rows of 'y': the epoch is chosen by") for note in notes)
