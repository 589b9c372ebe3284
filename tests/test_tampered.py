"""Run directories that somebody changed: one sentence in bounded time, or the run itself."""

import json
import shutil

import datasets
import pytest
import yaml

from s3_hf.errors import S3Error
from s3_hf.loop import status_of
from s3_hf.schema import parse_yaml
from s3_hf.store import Stage, open_run
from tests.run_maker import make_full_run

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    make_full_run(folder)
    return folder


def text(name, content):
    return lambda run: (run / name).write_text(content)


def facts(**values):
    def change(run):
        path = run / "run.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))

    return change


def values(name, **more):
    def change(run):
        path = run / name
        path.write_text(json.dumps(json.loads(path.read_text()) | more))

    return change


CHANGES = {
    "alias bomb": text("run.yaml", BOMB),
    "alias of itself": text("run.yaml", "config: &a [*a]"),
    "deep": text("run.yaml", "[" * 5_000),
    "nested": text("run.yaml", "config: " + "{a: " * 100 + "1" + "}" * 100),
    "long": text("run.yaml", "a: " + "x" * 2_000_000),
    "digits": text("run.yaml", "config: " + "9" * 5_000),
    "date": text("run.yaml", "config: 2020-99-99"),
    "object": text("run.yaml", "config: !!python/object/apply:os.system [true]"),
    "list": text("run.yaml", "[1]"),
    "nothing": text("run.yaml", ""),
    "bytes": lambda run: (run / "run.yaml").write_bytes(b"\xff\xfe\x00"),
    "task that is a list": facts(task=["imdb"]),
    "digests that are a text": facts(digests="x"),
    "LLM that is a number": facts(llm=3),
    "config that is a list": facts(config=[1]),
    "round of another number": values("round-1/round.json", round=7),
    "rows of a wrong type": values("round-0/round.json", rows="many"),
    "deep round": text("round-0/round.json", "[" * 100_000),
    "no scores": values("round-0/metrics.json", scores={}),
    "scores without metrics": values("round-0/metrics.json", scores={"mined": {}, "test": {}}),
    "scores that are empty": values(
        "round-0/metrics.json", scores={role: {"metrics": {}, "n": 1} for role in ("mined", "test")}
    ),
    "scores that are a number": text("round-0/metrics.json", "3"),
    "scores of an old version that are none": text("round-0/metrics.json", '{"validation": 3}'),
    "training that is a list": text("round-0/model/training.json", "[]"),
    "journal": text("journal.sqlite", "no journal"),
    "folder as journal": lambda run: (run / "journal.sqlite").mkdir(),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_run_directory_is_one_sentence(typed, whole, tmp_path, name):
    run = shutil.copytree(whole, tmp_path / "run")
    CHANGES[name](run)
    with pytest.raises(S3Error) as raised:
        status_of(open_run(run))
    assert len(str(raised.value)) < 1_500
    code, _, err = typed("status", run)
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("name", "use", "sentence"),
    [
        ("predictions", lambda run: run.round(0).mined_predictions(), "it has no column 'id'"),
        ("data", lambda run: run.union(1), "columns differ from those of earlier rounds"),
    ],
)
def test_tables_of_other_columns(whole, tmp_path, name, use, sentence):
    run = open_run(shutil.copytree(whole, tmp_path / "run"))
    path = run.round(0).predictions if name == "predictions" else run.round(1).data
    datasets.Dataset.from_dict({"text": [1]}).to_parquet(str(path))
    with pytest.raises(S3Error, match=sentence):
        use(run)


def test_aliases_that_stay_small_are_read():
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: [*a, *a]") == {"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}, {"x": 1}]}


def test_a_model_that_lacks_a_file_says_how_to_train_it_again(films_config, tmp_path):
    from s3_hf.loop import run

    config = films_config.model_copy(update={"rounds": 0})
    run(config, tmp_path / "run")
    folder = open_run(tmp_path / "run").round(0)
    (folder.model / "config.json").unlink()
    folder.metrics.unlink()
    with pytest.raises(S3Error, match=r"there is no config\.json") as raised:
        run(config, tmp_path / "run")
    assert raised.value.__notes__ == [f"delete {folder.model} to train the student of this round again"]
    shutil.rmtree(folder.model)
    assert run(config, tmp_path / "run").rounds[0].number == 0
    assert folder.stage() is Stage.DONE
