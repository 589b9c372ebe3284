"""Using a student: over HTTP around a real pipeline, and on files of any format."""

import json
import os
import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from s3_hf.cli import main
from s3_hf.errors import ConfigError, StudentError
from s3_hf.predicting.hosted import HostedClassifier
from s3_hf.predicting.labels import Labelled
from s3_hf.predicting.student import Classifier
from s3_hf.predicting.tables import check_out, read_texts, with_labels, write_rows
from tests.run_maker import make_full_run
from tests.text_classification_server import serving

TEXTS = ["a good film .", "a bad film .", "a very good film .", "very bad ."] * 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_full_run(tmp_path_factory.mktemp("run")).round(1).model


@pytest.fixture
def typed(monkeypatch, capsys):
    """Run a command in this process; standard output, or the error sentence."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["s3-hf", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return captured.err if stopped.value.code else captured.out

    return run


@pytest.mark.parametrize("flat", [False, True])
def test_a_hosted_model_says_what_it_says_here(model, flat):
    with serving(model, flat=flat) as server:
        said = HostedClassifier("me/model", server.url).predict(TEXTS)
    assert [(each.label, pytest.approx(each.score, abs=1e-4)) for each in Classifier(str(model)).predict(TEXTS)] == [
        (each.label, each.score) for each in said
    ]
    assert len(server.asked) == len(TEXTS)


@pytest.mark.parametrize(("key", "sent"), [(None, None), ("secret", "Bearer secret")])
def test_the_hub_token_is_never_sent_to_a_url(model, monkeypatch, key, sent):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    with serving(model) as server:
        HostedClassifier("me/model", server.url, key).predict(TEXTS[:1])
    headers = {name.lower(): value for name, value in server.asked[0][0].items()}
    assert headers.get("authorization") == sent


def test_an_endpoint_that_wakes_up_is_waited_for(model):
    with serving(model, refusals=(503, 429, 500)) as server:
        assert len(HostedClassifier("me/model", server.url).predict(TEXTS[:2])) == 2
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("refusals", "sentence"), [((400,), r"found 400 \('refused with 400'\)"), ((None,), "found something else")]
)
def test_a_refusal_is_one_sentence(model, refusals, sentence):
    with serving(model, refusals=refusals) as server, pytest.raises(StudentError, match=sentence):
        HostedClassifier("me/model", server.url).predict(TEXTS[:1])


def test_an_endpoint_that_is_none(monkeypatch):
    monkeypatch.setattr("s3_hf.predicting.hosted.PAUSE", 0.001)
    with pytest.raises(
        StudentError, match=r"http://127\.0\.0\.1:9 must answer text classification, found ConnectError"
    ):
        HostedClassifier("me/model", "http://127.0.0.1:9").predict(["x"])


def test_inference_providers_need_a_token(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(StudentError, match="a token is needed to ask me/model on Inference Providers, found none"):
        HostedClassifier("me/model")


def test_hosted_takes_a_url_or_none(typed, model):
    with serving(model) as server:
        for arguments in (("--hosted", server.url, TEXTS[0]), (TEXTS[0], "--url", server.url)):
            said = json.loads(typed("predict", "me/model", *arguments, "--json"))
            assert [each["text"] for each in said] == TEXTS[:1]
    assert "'NO_SUCH_KEY', which is not set" in typed(
        "predict", "m", "x", "--url", "http://h", "--api-key-env", "NO_SUCH_KEY"
    )


def write(path, rows):
    if path.suffix == ".csv":
        pa.csv.write_csv(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".parquet":
        pa.parquet.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("given", ["in.csv", "in.jsonl", "in.json", "in.parquet"])
@pytest.mark.parametrize("wanted", ["out.csv", "out.jsonl", "out.parquet"])
def test_a_file_in_and_a_file_out(tmp_path, given, wanted):
    rows = [{"id": number, "review": text} for number, text in enumerate(['one, "two"\nthree', "12", "é"])]
    table = read_texts(write(tmp_path / given, rows), "review")
    write_rows(tmp_path / wanted, with_labels(table, [Labelled("pos", 0.5)] * 3))
    back = read_texts(tmp_path / wanted, "review").to_pylist()
    assert back == [{**row, "predicted_label": "pos", "predicted_score": 0.5} for row in rows]


def test_predict_labels_a_file(typed, model, tmp_path):
    source = write(tmp_path / "in.csv", [{"label": "neg", "review": text} for text in TEXTS])
    assert typed("predict", model, "--file", source, "--column", "review", "--out", tmp_path / "out.parquet") == ""
    found = pa.parquet.read_table(tmp_path / "out.parquet")
    assert found.column_names == ["label", "review", "predicted_label", "predicted_score"]
    assert found["review"].to_pylist() == TEXTS
    assert set(found["predicted_label"].to_pylist()) <= {"negative", "positive"}
    lines = tmp_path / "lines.txt"
    lines.write_text(os.linesep.join(TEXTS[:2]))
    assert typed("predict", model, "--file", lines).count("\n") == 2


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("in.csv", "a,b\n1,2\n", r"must have the column 'text', found \['a', 'b'\]"),
        ("in.jsonl", '{"text": 1}\n', "must hold a text in each row, found int64"),
        ("in.jsonl", '{"text": null}\n{"text": "x"}\n', "string with 1 empty"),
        ("in.jsonl", "[1, 2]", "a row is no JSON object"),
        ("in.json", "{", "must be a readable CSV"),
        ("in.parquet", "PAR1", "must be a readable CSV"),
    ],
)
def test_a_file_that_holds_no_texts(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        read_texts(tmp_path / name, "text")


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match=r"must end in one of .*, found 'out\.xlsx'"):
        check_out(type(tmp_path)("out.xlsx"))
    nested = pa.Table.from_pylist([{"text": "x", "words": ["x"]}])
    with pytest.raises(ConfigError, match=r"write \.jsonl or \.parquet"):
        write_rows(tmp_path / "out.csv", nested)
    assert not (tmp_path / "out.csv").exists()
