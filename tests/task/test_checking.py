"""Gold rows in every layout, and the one sentence that each kind of bad data gets."""

import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s3_hf.errors import TaskError
from s3_hf.task import TaskConfig
from s3_hf.task.checking import read_gold, read_split
from s3_hf.texts import normalise

LABELS = {"neg": "negative", "pos": "positive"}
SQUAD = {"context": "passage", "text": "question", "label": None, "answers": "answers"}
HOUSE = "The red house stands on a hill. The house is old."


def config(source, **values):
    return TaskConfig(name="t", source=str(source), **{"labels": LABELS, "splits": SPLITS, **values})


SPLITS = {"validation": "train", "test": "train"}


def read(source, split="train", **values):
    return list(read_split(config(source, **values), split))


def json_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "rows.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def fault(source, split="train", **values):
    with pytest.raises(TaskError) as caught:
        read(source, split, **values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


GOOD = [{"text": "a fine film", "label": "pos"}, {"text": 'a "bad", bad\nfilm', "label": "neg"}]


def test_csv(csv):
    path = csv('﻿id,text,label\r\n1,a fine film,pos\r\n\r\n2,"a ""bad"", bad\nfilm",neg\r\n')
    assert read(path) == GOOD


@pytest.mark.parametrize("header", [",text,label", "text,label,", "text,label, ", "text,label,,", ",text,label,"])
def test_csv_columns_without_a_name(csv, header):
    """As pandas writes for the index, and spreadsheets for what was emptied."""
    cells = [{"text": "a film", "label": "pos"}.get(name, "0") for name in header.split(",")]
    assert read(csv(f"{header}\n{','.join(cells)}\n")) == [{"text": "a film", "label": "pos"}]


def test_json_lines_json_and_parquet(tmp_path):
    assert read(json_lines(tmp_path / "a.jsonl", *GOOD)) == GOOD
    assert read(json_lines(tmp_path / "lines.json", *GOOD)) == GOOD
    for name, content in (("list", GOOD), ("data", {"version": 1, "data": GOOD})):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content, indent=1))
        assert read(path) == GOOD
    datasets.Dataset.from_list(GOOD).to_parquet(str(tmp_path / "a.parquet"))
    assert read(tmp_path / "a.parquet") == GOOD


def test_folders_with_and_without_a_card(tmp_path):
    json_lines(tmp_path / "test.jsonl", *GOOD)
    json_lines(tmp_path / "train.jsonl", GOOD[0])
    assert read(tmp_path, "test") == GOOD
    (tmp_path / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_files: test.jsonl\n---\n")
    assert read(tmp_path) == GOOD
    assert read(tmp_path, source_config="of the recipe's own data") == GOOD


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["pos", "neg"], LABELS),
        ([1, 0], {"0": "negative", "1": "positive"}),
        ([1.0, 0], {"0": "negative", "1": "positive"}),
        ([True, False], {"false": "negative", "true": "positive"}),
    ],
)
def test_labels_as_text_integers_and_truth(tmp_path, values, labels):
    rows = read(
        json_lines(tmp_path / "a.jsonl", *({"text": "a b", "label": value} for value in values)), labels=labels
    )
    assert [row["label"] for row in rows] == list(reversed(labels))


def test_class_labels_keep_their_names_whatever_their_order(tmp_path):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])}
    )
    rows = datasets.Dataset.from_dict({"text": ["a b", "c d"], "label": [0, 1]}, features=features)
    rows.to_parquet(str(tmp_path / "data" / "train-00000-of-00001.parquet"))
    rows.to_parquet(str(tmp_path / "a.parquet"))
    for source in (tmp_path, tmp_path / "a.parquet"):
        assert [row["label"] for row in read(source)] == ["pos", "neg"]


def test_all_gold_columns_and_null_for_those_that_are_not_there(tmp_path):
    features = {"idx": datasets.Value("int32"), "text": datasets.Value("string"), "label": datasets.Value("string"),
                "note": datasets.Value("string")}  # fmt: skip
    path = json_lines(tmp_path / "a.jsonl", {"text": "a b", "label": "pos", "idx": 4, "more": [1]})
    assert read(path, features=features) == [{"idx": 4, "text": "a b", "label": "pos", "note": None}]
    path = json_lines(tmp_path / "a.jsonl", {"text": "a b", "label": "pos", "idx": "four"})
    said = fault(path, features=features)
    assert "a.jsonl', line 1, column 'idx', must fit Value('int32'), found 'four'" in said


NESTED = {
    "version": "1.1",
    "data": [
        {
            "title": "Houses",
            "paragraphs": [
                {
                    "context": HOUSE,
                    "qas": [
                        {"id": "q1", "question": "Where?", "answers": [{"text": "on a hill", "answer_start": 21}]},
                        {"id": "q2", "question": "Which colour?", "answers": [{"text": "red", "answer_start": 4}]},
                    ],
                }
            ],
        }
    ],
}


def test_squad_layouts(tmp_path):
    nested = tmp_path / "nested.json"
    nested.write_text(json.dumps(NESTED))
    values = {**SQUAD, "context": "context", "id": "id"}
    rows = read(nested, **values)
    assert rows[0]["context"] == HOUSE
    assert rows[0]["answers"] == {"text": ["on a hill"], "answer_start": [21]}
    flat = tmp_path / "flat.json"
    flat.write_text(json.dumps({"data": [{**row, "id": f"q{n}"} for n, row in enumerate(rows, 1)]}))
    assert read(flat, **values) == rows
    assert [row["id"] for row in read(flat, **values, features={"id": datasets.Value("string")} | dict(
        config(flat, **values).gold_features()))] == ["q1", "q2"]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "start"),
    [
        ({"text": ["house"], "answer_start": [36]}, 36),
        ([{"text": "house", "answer_start": 36}], 36),
        ('{"text": ["house"], "answer_start": [36]}', 36),
        ({"text": ["house"], "answer_start": [36.0]}, 36),
        ("house", 8),
    ],
)
def test_layouts_of_answers(tmp_path, answers, start):
    path = json_lines(tmp_path / "a.jsonl", {"passage": HOUSE, "question": "What is old?", "answers": answers})
    assert read(path, **SQUAD)[0]["answers"] == {"text": ["house"], "answer_start": [start]}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("body,label\na b,pos\n", "line 2", "must have the column 'text', found ['body', 'label']; correct"),
        ("txt,label\na b,pos\n", "line 2", "did you mean 'txt'"),
        ("text,label\na b,pos\n  ,neg\n", "line 3, column 'text'", "must have text, found '  '"),
        ("text,label\na b,pos\nNaN,neg\n", "line 3, column 'text'", "must have text, found 'NaN'"),
        ('text,label\n"a\nb",pos\nc d,\n', "line 4, column 'label'", "must have a label, found ''"),
        ("text,label\na b,great\n", "line 2, column 'label'", "must have one of the labels neg, pos, found 'great'"),
        ("text,label\na b,-1\n", "line 2, column 'label'", "found '-1'"),
        ("text,label\na b,pos\nc, d,neg\n", "line 3", "must have 2 cells, for the columns ['text', 'label'], found 3"),
        ("text,label\na b\n", "line 2", "found 1"),
        ('text,label\na b,pos\n"c d,neg\ne f,pos\n', "line 3", "unexpected end of data"),
        ('text,label\n"a" b,pos\n', "line 2", "expected after"),
        ("text,text\na b,pos\n", "line 1", "must name each column once"),
        (b"text,label\na b,pos\nthe caf\xe9 bar,neg\n", "line 3, column 'text'", "byte 0xe9 after 'the caf'"),
        (b"\xff\xfet\0e\0x\0t\0", "line 1", "must be UTF-8, found the byte 0xff"),
        ("", "rows.csv'", "must have rows, found none"),
        ("text,label\n", "rows.csv'", "must have rows, found none"),
        (f"text,label\na b,pos\n{'long ' * 2_000_000},neg\n", "line 3, column 'text'", "found 10,000,000"),
        (f"text,label\na b,pos\n{'long ' * 8_000_000},neg\n", "line 3", "field larger than"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_csv(csv, text, where, what):
    said = fault(csv(text))
    assert "rows.csv'" in said
    assert where in said
    assert what in said
    assert len(said) < 500


def bad(**values):
    return {"text": "c d", "label": "neg", **values}


@pytest.mark.parametrize(
    ("row", "column", "what"),
    [
        ({"label": "neg"}, "'text'", "must have the column 'text'"),
        (bad(text=None), "'text'", "must have text, found None"),
        (bad(text=float("nan")), "'text'", "must have text, found nan"),
        (bad(text=12), "'text'", "found 12 (int); make all of the column text"),
        (bad(text=["c", "d"]), "'text'", "found ['c', 'd'] (list)"),
        (bad(label=None), "'label'", "must have a label, found None"),
        (bad(label=float("nan")), "'label'", "must have a label, found nan"),
        (bad(label=["neg", "pos"]), "'label'", "several labels in a row are not supported"),
        (bad(label="great"), "'label'", "give the label a word in 'labels'"),
        (bad(label=1), "'label'", "integers without names are known by their digits: give '1' a word"),
        (bad(label=1.5), "'label'", "must have a label that is text or a whole number, found 1.5"),
        (bad(label=-1), "'label'", "a label of -1 is hidden"),
        (bad(text="x" * 10_000_000), "'text'", "at most 1,000,000 characters, found 10,000,000"),
        (["c d", "neg"], "rows.jsonl", "must be a JSON object"),
        (bad(text="caf\udce9"), "'text'", "must be UTF-8"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_json_lines(tmp_path, row, column, what):
    said = fault(json_lines(tmp_path / "rows.jsonl", bad(), bad(), row))
    assert "rows.jsonl', line 3" in said
    assert column in said
    assert what in said
    assert len(said) < 400


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        ({"text": ["red"], "answer_start": [5]}, "found 'red' at 5, where 'ed ' stands; it stands at 4"),
        ({"text": ["house"], "answer_start": [35]}, "it stands at 36"),
        ({"text": ["green"], "answer_start": [4]}, "the context does not contain it"),
        ({"text": ["red"], "answer_start": [400]}, "at 400 of 49 characters"),
        ({"text": ["red"], "answer_start": [-1]}, "at -1"),
        ({"text": ["red", "old"], "answer_start": [4]}, "of equal length"),
        ({"text": [" "], "answer_start": [3]}, "an answer with text, found ' '"),
        ({"text": [4], "answer_start": [3]}, "an answer with text, found 4"),
        (None, "answers as in SQuAD"),
        (12, "answers as in SQuAD"),
        ("green", "the context does not contain it"),
    ],
    ids=str,
)
def test_bad_answers(tmp_path, answers, what):
    row = {"passage": HOUSE, "question": "Which?"}
    path = json_lines(tmp_path / "qa.jsonl", {**row, "answers": "red"}, {**row, "answers": answers})
    said = fault(path, **SQUAD)
    assert "qa.jsonl', line 2, column 'answers'" in said
    assert what in said


def test_bad_squad_files(tmp_path):
    path = tmp_path / "qa.json"
    values = {**SQUAD, "context": "context", "id": "id"}
    changes = [
        (lambda qas: qas[1].update(id="q1"), "row 1, column 'id', must have an id of its own, found 'q1' as in row 0"),
        (lambda qas: qas[1].pop("id"), "row 1, must have the column 'id'"),
        (lambda qas: qas[1].update(id=None), "row 1, column 'id', must have the row's own id, found None"),
        (lambda qas: [each.update(answers=[]) for each in qas], "must have rows with answers, found none"),
        (lambda qas: qas.append("q"), "row 2, must be a JSON object"),
    ]
    for change, what in changes:
        content = json.loads(json.dumps(NESTED))
        change(content["data"][0]["paragraphs"][0]["qas"])
        path.write_text(json.dumps(content))
        assert what in fault(path, **values)
    content["data"][0]["paragraphs"][0].pop("qas")
    path.write_text(json.dumps(content))
    assert "article 'Houses', paragraph 0, must have 'context' and a list 'qas'" in fault(path, **values)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.jsonl", '{"text": "a b", "label": "pos"}\n{"text": "c d", \n', "line 2, must be one JSON object"),
        (
            "a.json",
            '[{"text": "a b",\n "label": pos}]',
            "line 2, must be JSON, found: Expecting value at character 11",
        ),
        ("a.json", '{"text": {"0": "a b"}}', "must be a list of rows, or have them under 'data'"),
        ("a.json", "", "must have rows, found none"),
        ("a.parquet", "no Parquet", "cannot be read"),
    ],
)
def test_broken_files(tmp_path, name, content, what):
    (tmp_path / name).write_text(content)
    said = fault(tmp_path / name)
    assert name in said
    assert what in said


def test_bad_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    places = pa.py_buffer(b"\0\0\0\0\3\0\0\0\7\0\0\0")
    for values, what in (
        (pa.array(["a b", None]), "row 1, column 'text', must have text, found None"),
        (pa.array([1, 2]), "row 0, column 'text', must have text, found 1 (int)"),
        (pa.StringArray.from_buffers(2, places, pa.py_buffer(b"a bcaf\xe9")), "row 1, column 'text', must be UTF-8"),
    ):
        pq.write_table(pa.table({"text": values, "label": ["pos", "neg"]}), path)
        assert what in fault(path)


def test_bad_folders(tmp_path):
    json_lines(tmp_path / "train.jsonl", GOOD[0])
    json_lines(tmp_path / "test.jsonl", GOOD[0], bad(text=3))
    said = fault(tmp_path, "test")
    assert "test.jsonl', split 'test', line 2, column 'text'" in said
    assert "cannot be read" in fault(tmp_path, "valid")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    folder = tmp_path / "hub"
    datasets.Dataset.from_dict({"text": ["a b", "c d"], "label": [0, -1]}, features=features).to_parquet(
        str(folder / "data" / "validation-00000-of-00001.parquet")
    )
    said = fault(folder, "validation")
    assert "00001.parquet', split 'validation', row 1, column 'label', must have one of the labels neg, pos, " in said
    assert "found -1" in said
    assert "hidden" in said


def test_files_that_are_not_there(tmp_path):
    assert "found no file" in fault(tmp_path / "none.csv")
    path = json_lines(tmp_path / "a.jsonl", *GOOD)
    assert "has one split, 'train', found 'validation'" in fault(path, "validation")


def test_one_split_is_divided(tmp_path):
    rows = [{"text": f"text {n // 2}{'!' * (n % 2)}", "label": "pos" if n % 10 < 2 else "neg"} for n in range(200)]
    path = json_lines(tmp_path / "a.jsonl", *rows)
    parts = {split: list(read_gold(config(path, test_share=0.3), split)) for split in SPLITS}
    assert [len(part) for part in parts.values()] == [140, 60]
    assert [sum(row["label"] == "pos" for row in part) for part in parts.values()] == [28, 12]
    texts = [{normalise(row["text"]) for row in part} for part in parts.values()]
    assert not texts[0] & texts[1]
    other = list(read_gold(config(path, test_share=0.3, split_seed=1), "test"))
    assert len(other) == 60
    assert other != parts["test"]
