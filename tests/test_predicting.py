"""Using a student: over HTTP around a real pipeline, and on files of any format."""

import csv
import io
import json
import os
import signal
import threading

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from s3_hf.config import TrainingConfig
from s3_hf.errors import ConfigError, S3Error, StudentError
from s3_hf.predicting.hosted import HostedStudent
from s3_hf.predicting.result import Result
from s3_hf.predicting.student import Student
from s3_hf.predicting.tables import check_columns, check_out, read_texts, with_results, write_rows
from s3_hf.records import Columns
from s3_hf.rows.formats import READERS
from s3_hf.training import fit, predict
from tests.llm_server import Fault, LLMServer, always
from tests.model_server import serving
from tests.run_maker import make_full_run
from tests.training.test_kinds import PAIR, SPAN, job, pairs, spans

TEXTS = ["a good film .", "a bad film .", "a very good film .", "very bad ."] * 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_full_run(tmp_path_factory.mktemp("run")).round(1).model


@pytest.fixture(scope="module")
def pair_model(tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    fit(job(tiny_student, PAIR, pairs(40, 3), pairs(20, 1), epochs=2), folder / "model", folder / "work")
    return folder / "model"


@pytest.fixture(scope="module")
def span_model(tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("span")
    fit(job(tiny_student, SPAN, spans(60, 3), spans(20, 1)), folder / "model", folder / "work")
    return folder / "model"


@pytest.fixture
def typed(typed):
    """Run a command in this process; standard output, or the error sentence."""

    def run(*arguments):
        code, out, err = typed(*arguments)
        return err if code else out

    return run


@pytest.mark.parametrize("flat", [False, True])
def test_a_hosted_model_says_what_it_says_here(model, flat):
    with serving(model, flat=flat) as server:
        said = HostedStudent("me/model", server.url).predict(TEXTS)
    assert [(each.value, pytest.approx(each.score, abs=1e-4)) for each in Student(str(model)).predict(TEXTS)] == [
        (each.value, each.score) for each in said
    ]
    assert len(server.asked) == len(TEXTS)


@pytest.mark.parametrize("flat", [False, True])
def test_a_hosted_span_finder_says_what_it_says_here(span_model, flat):
    rows = spans(6, 2)
    with serving(span_model, answers=True, flat=flat) as server:
        said = HostedStudent("me/model", server.url).predict(rows["question"][:], rows["review"][:])
    here = Student(str(span_model)).predict(rows["question"][:], rows["review"][:])
    assert [(each.value, each.score) for each in said] == [(one.value, pytest.approx(one.score)) for one in here]
    assert {each[1]["inputs"]["context"] for each in server.asked} == set(rows["review"][:])


def test_contexts_are_not_sent_to_a_classifier(model):
    with (
        serving(model) as server,
        pytest.raises(StudentError, match=r"a context cannot be sent to a classifier\), but it"),
    ):
        HostedStudent("me/model", server.url).predict(["a good film ."], ["a bad film ."])


def test_what_a_student_here_says_is_what_training_predicts(pair_model, span_model, tmp_path):
    exactly = TrainingConfig(precision="fp32")
    for folder, columns, rows in [(pair_model, PAIR, pairs(9, 2)), (span_model, SPAN, spans(9, 2))]:
        said = Student(str(folder)).predict(rows[columns.text][:], rows["review"][:])
        named = [
            (("neg", "pos")[one.value] if columns.label else one.value, pytest.approx(max(one.scores)))
            for one in predict(folder, rows, columns, exactly, tmp_path)
        ]
        assert [(one.value, one.score) for one in said] == named


def test_a_student_is_given_contexts_as_it_was_trained(tiny_student, pair_model, span_model, tmp_path):
    for folder in (pair_model, span_model):
        with pytest.raises(
            ConfigError, match="was trained on texts with a context with each, found none; see --context"
        ):
            Student(str(folder)).predict(["a film"])
    alone = job(tiny_student, Columns("review", label="label"), pairs(8, 1), pairs(8, 2), epochs=1)
    fit(alone, tmp_path / "model", tmp_path / "work")
    with pytest.raises(ConfigError, match="was trained on texts with no contexts, found some"):
        Student(str(tmp_path / "model")).predict(["a film"], ["a plot"])


@pytest.mark.parametrize(("key", "sent"), [(None, None), ("secret", "Bearer secret")])
def test_the_hub_token_is_never_sent_to_a_url(model, monkeypatch, key, sent):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    with serving(model) as server:
        HostedStudent("me/model", server.url, key).predict(TEXTS[:1])
    headers = {name.lower(): value for name, value in server.asked[0][0].items()}
    assert headers.get("authorization") == sent


def test_an_endpoint_that_wakes_up_is_waited_for(model):
    with serving(model, refusals=(503, 429, 500)) as server:
        assert len(HostedStudent("me/model", server.url).predict(TEXTS[:2])) == 2
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("refusals", "sentence"),
    [((400,), "answered HTTP 400 'refused with 400'"), ((None,), "it answered something else")],
)
def test_a_refusal_is_one_sentence(model, refusals, sentence):
    with serving(model, refusals=refusals) as server, pytest.raises(StudentError, match=sentence):
        HostedStudent("me/model", server.url).predict(TEXTS[:1])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_texts_and_keys_follow_no_redirect(status):
    with LLMServer() as other, LLMServer(faults=[Fault(status, {"location": other.url})] * 9) as server:
        with pytest.raises(StudentError, match=f"it answered HTTP {status} and redirects to '{other.url}'"):
            HostedStudent("me/model", server.url, "secret-key").predict(TEXTS[:1])
        assert not other.requests + other.lookups


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        "[]",
        "[[]]",
        '[{"label": "x"}]',
        '[{"label": "x", "score": "much"}]',
        '[{"label": "x", "score": NaN}]',
        '[{"label": {"a": 1}, "score": 1}]',
        '{"label": 1}',
        "9" * 5000,
        '"secret-key"',
        " " * (9 * 2**20),
    ],
    ids=lambda body: body[:20],
)
def test_what_is_no_prediction_is_one_sentence(body, status):
    with LLMServer(fault_for=always(Fault(status, {}, body))) as server:
        with pytest.raises(StudentError) as caught:
            HostedStudent("me/model", server.url, "secret-key").predict(TEXTS[:1])
        assert len(server.requests) == 1
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "headers", [{"retry-after": "nan"}, {"retry-after": "-5"}, {"ratelimit": f"r=0;t={'9' * 5000}"}]
)
def test_a_wait_that_is_none_is_a_growing_pause(monkeypatch, headers):
    monkeypatch.setattr("s3_hf.predicting.hosted.PATIENCE", 0.0)
    with LLMServer(fault_for=always(Fault(503, headers, "no"))) as server:
        with pytest.raises(StudentError, match="HTTP 503 'no'"):
            HostedStudent("me/model", server.url).predict(TEXTS[:1])
        assert len(server.requests) == 5
        assert server.requests[-1].at - server.requests[0].at > 3


def test_the_hub_token_is_refused_as_the_key_of_a_url(monkeypatch, typed):
    token = "hf_" + "Ab1" * 11
    monkeypatch.setenv("INNOCENT", token)
    with LLMServer() as server:
        with pytest.raises(ConfigError, match="found the Hub token, which is never sent to"):
            HostedStudent("me/model", server.url, token)
        error = typed("predict", "me/model", "x", "--hosted", server.url, "--api-key-env", "INNOCENT")
        assert "found the Hub token" in " ".join(error.split())
        assert not server.requests
    assert token not in error


def test_a_ctrl_c_ends_the_asking(model, monkeypatch):
    """The first thread waits to ask again for longer than a test may last."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    monkeypatch.setattr("s3_hf.retrying.PAUSE", 500)
    monkeypatch.setattr("s3_hf.retrying.LONGEST_PAUSE", 500)
    with serving(model, refusals=(503,)) as server:
        say = server.say

        def said(payload):
            if len(server.asked) == 20:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            return say(payload)

        server.say = said
        with pytest.raises(KeyboardInterrupt):
            HostedStudent("me/model", server.url).predict(TEXTS[:1] * 2_000)
    signal.signal(signal.SIGINT, before)
    assert len(server.asked) < 1_000


def test_an_endpoint_that_is_none(monkeypatch):
    monkeypatch.setattr("s3_hf.retrying.PAUSE", 0.001)
    with pytest.raises(
        StudentError, match=r"http://127\.0\.0\.1:9 must answer text classification, but it could not be reached"
    ):
        HostedStudent("me/model", "http://127.0.0.1:9").predict(["x"])


def test_inference_providers_need_a_token(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(StudentError, match="a token is needed to ask me/model on Inference Providers, found none"):
        HostedStudent("me/model")


def test_hosted_takes_a_url_or_none(typed, model, monkeypatch):
    with serving(model) as server:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # which is about the Hub
        for arguments in (("--hosted", server.url, TEXTS[0]), (TEXTS[0], f"--hosted={server.url}")):
            said = json.loads(typed("predict", "me/model", *arguments, "--json"))
            assert [each["text"] for each in said] == TEXTS[:1]
    assert "'NO_SUCH_KEY', which is not set" in typed(
        "predict", "m", "x", "--hosted", "http://h", "--api-key-env", "NO_SUCH_KEY"
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
    rows = [{"id": f"0{number}", "review": text} for number, text in enumerate(['one, "two"\nthree', "12", "é"])]
    table = read_texts(write(tmp_path / given, rows), "review")
    write_rows(tmp_path / wanted, with_results(table, [Result("label", "pos", 0.5)] * 3))
    back = read_texts(tmp_path / wanted, "review").to_pylist()
    score = "0.5" if wanted == "out.csv" else 0.5  # the cells of a CSV file are text
    assert back == [{**row, "predicted_label": "pos", "predicted_score": score} for row in rows]


BREAKS = ["one\u2028two", "one\x85two", "one\x0ctwo", "one\x1ctwo", "one\rtwo"]


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.parquet"])
def test_a_text_with_rare_line_breaks_is_one_row(tmp_path, name):
    table = pa.table({"text": BREAKS})
    write_rows(tmp_path / name, table)
    assert read_texts(tmp_path / name, "text") == table
    rows = READERS[name[1:]](tmp_path / name, "gold data").rows
    assert [row for _, row in rows] == table.to_pylist()


def test_the_index_of_pandas_is_kept(tmp_path):
    (tmp_path / "x.csv").write_text(",text\n7,a\n8,b\n")
    table = read_texts(tmp_path / "x.csv", "text")
    assert table.to_pydict() == {"": ["7", "8"], "text": ["a", "b"]}
    write_rows(tmp_path / "y.csv", table)
    assert read_texts(tmp_path / "y.csv", "text") == table
    (tmp_path / "x.csv").write_text("text,,\na,,\n")
    assert read_texts(tmp_path / "x.csv", "text").column_names == ["text"]


def test_a_categorical_column_is_text(tmp_path):
    table = pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode(), "n": [1, 2, 3]})
    pa.parquet.write_table(table, tmp_path / "x.parquet")
    assert read_texts(tmp_path / "x.parquet", "text").to_pydict() == {"text": ["a", "b", "a"], "n": [1, 2, 3]}


@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_no_number_is_null_in_json(tmp_path, name):
    nan = float("nan")
    write_rows(tmp_path / name, pa.table({"text": ["a"], "n": [nan], "all": [[nan, 1.0]], "in": [{"n": nan}]}))
    assert "NaN" not in (tmp_path / name).read_text()
    row = {"text": "a", "n": None, "all": [None, 1.0], "in": {"n": None}}
    assert read_texts(tmp_path / name, "text").to_pylist() == [row]


def test_json_lines_in_a_json_file_end_in_a_newline_alone(tmp_path):
    table = pa.table({"text": BREAKS})
    write_rows(tmp_path / "x.jsonl", table)
    assert read_texts((tmp_path / "x.jsonl").rename(tmp_path / "x.json"), "text") == table


def test_lines_of_text_end_in_a_newline_alone(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes("\r\n".join(["\ufeffa text", "", *BREAKS]).encode())
    assert read_texts(path, "text")["text"].to_pylist() == ["a text", *BREAKS]


def test_json_rows_need_not_have_all_columns(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n\n{"text": "b", "id": 1}\n{"id": 2.5, "text": "c"}\n', encoding="utf-8-sig")
    table = read_texts(path, "text")
    assert table.to_pydict() == {"text": ["a", "b", "c"], "id": [None, 1, 2.5]}
    for name in ("y.jsonl", "y.json"):
        write_rows(tmp_path / name, table[:1])
        assert read_texts(tmp_path / name, "text").num_rows == 1


def test_predict_labels_a_file(typed, model, tmp_path):
    source = write(tmp_path / "in.csv", [{"label": "neg", "review": text} for text in TEXTS])
    assert typed("predict", model, "--file", source, "--column", "review", "--out", tmp_path / "out.parquet") == ""
    both = ("predict", model, "--file", source, "--column", "review", "--out", tmp_path / "out.parquet", "--json")
    assert [each["text"] for each in json.loads(typed(*both))] == TEXTS
    found = pa.parquet.read_table(tmp_path / "out.parquet")
    assert found.column_names == ["label", "review", "predicted_label", "predicted_score"]
    assert found["review"].to_pylist() == TEXTS
    assert set(found["predicted_label"].to_pylist()) <= {"negative", "positive"}
    lines = tmp_path / "lines.txt"
    lines.write_text(os.linesep.join(TEXTS[:2]))
    assert typed("predict", model, "--file", lines).count("\n") == 2


def test_predict_answers_questions_of_a_file(typed, span_model, tmp_path):
    rows = spans(4, 2)
    source = write(tmp_path / "in.jsonl", [{**row, "answers": None} for row in rows])
    arguments = ("predict", span_model, "--file", source, "--column", "question", "--context-column", "review")
    typed(*arguments, "--out", tmp_path / "out.csv")
    here = Student(str(span_model)).predict(rows["question"][:], rows["review"][:])
    found = pa.csv.read_csv(tmp_path / "out.csv")
    assert found["predicted_answer"].to_pylist() == [one.value for one in here]
    assert found.column_names == ["review", "question", "answers", "s3_id", "predicted_answer", "predicted_score"]
    said = json.loads(typed("predict", span_model, "--context", rows[0]["review"], rows[0]["question"], "--json"))
    assert [(one["text"], one["answer"]) for one in said] == [(rows[0]["question"], here[0].value)]
    with serving(span_model, answers=True) as server:
        hosted = typed(
            "predict", "me/model", "--context", rows[0]["review"], "--hosted", server.url, rows[0]["question"]
        )
    assert hosted.startswith(f"{here[0].value}\t{here[0].score:.3f}\t")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--file", "in.csv", "--context-column", "about"), "must have the column 'about', found ['text']"),
        (("what?", "--context-column", "about"), "must stand with --file alone, found no file"),
        (
            ("--file", "in.csv", "--context", "x", "--context-column", "about"),
            "must stand with --file alone, found --context",
        ),
        (("what?",), "was trained on texts with a context with each, found none"),
    ],
)
def test_contexts_that_are_not_given(typed, span_model, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.csv", [{"text": "what?"}])
    assert sentence in typed("predict", span_model, *arguments)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("in.csv", "a,b\n1,2\n", r"must have the column 'text', found \['a', 'b'\]"),
        ("in.jsonl", '{"text": 1}\n', "must hold a text in each row, found int64"),
        ("in.jsonl", '{"text": null}\n{"text": "x"}\n', "string with 1 empty"),
        ("in.jsonl", '{"text": "x"}\n[1, 2]', r"in\.jsonl', line 2, must be a JSON object of columns, found \[1, 2\]"),
        ("in.jsonl", '{"text": "x"}\n\n{"text": "y"', r"line 3, must be one JSON object"),
        ("in.jsonl", '{"text": "x"}\n{"text": 3}\n', "column 'text' of .* must hold values of one kind"),
        ("in.jsonl", '{"text": "x", "n": 1}\n{"n": 1e400, "text": "y", "n": ["z"]}\n', "column 'n' of .* of one kind"),
        ("in.jsonl", f'{{"text": "x", "n": {10**30}}}', "column 'n' of .* too "),
        ("in.jsonl", '{"text": "x"}\n{"id": 1}\n', "string with 1 empty"),
        ("in.json", "{", "line 1, must be JSON"),
        ("in.json", "[]", "must hold rows, found none in"),
        ("in.xlsx", "PK\x03\x04", "it is binary, such as a spreadsheet"),
        ("in.txt", "\n \n", "must hold rows, found none in"),
        ("in.csv", "", "must hold rows, found none in"),
        ("in.csv", "text\n", "must hold rows, found none in"),
        ("in.csv", "text,text\na,b\n", r"line 1, must name each column once, found \['text', 'text'\]"),
        ("in.csv", 'text\n"a\nb\n', "line 2, must be CSV"),
        ("in.csv", "text\na,b\n", "line 2, must have 1 cell, for"),
        ("in.tsv", "text\na\tb\n", "line 2, must have 1 cell, for"),
        ("in.csv.gz", "text\na\n", "cannot be read .Not a gzipped file"),
        ("in.jsonl", '{"text": "x", "n": ' + "[" * 9999, "line 1, must be one JSON object, .* nested too deep"),
        ("in.json", '[{"text": "x", "n": ' + "5" * 5000 + "}]", "found a number of thousands of digits"),
        ("in.parquet", "PAR1", "must be a readable table"),
    ],
)
def test_a_file_that_holds_no_texts(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(S3Error, match=sentence):
        read_texts(tmp_path / name, "text")


def test_a_tab_separated_file(tmp_path):
    (tmp_path / "x.tsv").write_text('id\ttext\n1\ta, "b"\n2\t"c\td"\n')
    assert read_texts(tmp_path / "x.tsv", "text").to_pydict() == {"id": ["1", "2"], "text": ['a, "b"', "c\td"]}


def test_lines_of_standard_input(typed, model, monkeypatch):
    for arguments in (("-",), ("--file", "-")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(TEXTS[:3]).encode()), encoding="utf-8"))
        assert [one["text"] for one in json.loads(typed("predict", model, *arguments, "--json"))] == TEXTS[:3]


@pytest.mark.parametrize("name", ["pipe", "pipe.csv", "zero", "folder"])
def test_what_is_no_file_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe.csv").symlink_to(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="it is a folder, device or pipe, and a pipe is read by `--file - < PIPE`"):
        read_texts(tmp_path / name, "text")


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match=r"must end in one of .*, found 'out\.xlsx'"):
        check_out(type(tmp_path)("out.xlsx"))
    nested = pa.Table.from_pylist([{"text": "x", "words": ["x"]}])
    with pytest.raises(ConfigError, match=r"write \.jsonl or \.parquet"):
        write_rows(tmp_path / "out.csv", nested)
    with pytest.raises(ConfigError, match=r"write \.jsonl or \.parquet"):
        check_columns(tmp_path / "out.csv", nested)
    check_columns(tmp_path / "out.jsonl", nested)
    (tmp_path / "deep.jsonl").write_text('{"text": "x", "n": ' + "[" * 900 + "]" * 900 + "}")
    with pytest.raises(ConfigError, match="recursion depth exceeded"):
        check_columns(tmp_path / "out.jsonl", read_texts(tmp_path / "deep.jsonl", "text"))
    assert not (tmp_path / "out.csv").exists()


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path, caplog):
    texts = ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "-1", "+2.5%", "1e-3", "x=1", "", None]
    table = pa.table({"=text": texts, "n": [-1] * len(texts)})
    write_rows(tmp_path / "x.csv", table)
    with (tmp_path / "x.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["'=text", "n"]
    assert [text for text, _ in rows] == [*(f"'{text}" for text in texts[:6]), *texts[6:-1], ""]
    assert {number for _, number in rows} == {"-1"}
    assert "6 cells of" in caplog.text
    for name in ("x.jsonl", "x.parquet"):
        write_rows(tmp_path / name, table)
    assert pa.parquet.read_table(tmp_path / "x.parquet") == table
