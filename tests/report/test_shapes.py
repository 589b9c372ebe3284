"""Pages of unusual runs and of a bench, a page of a run at work, and the curves of a training."""

import json
import struct
import subprocess
import sys
import threading

import datasets
import pandas as pd
import pytest

from s3_hf import loop
from s3_hf.bench import all_lines, spent, write_page
from s3_hf.report import write_report
from s3_hf.store import open_run
from tests.conftest import film_reply
from tests.llm_server import LLMServer
from tests.report.conftest import GOLD, opened, settings
from tests.test_bench import films  # noqa: F401 - a fixture

LABELS = [f"topic {letter}" for letter in "abcdefghijklmnopqrst"]
TOPICS = """
from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Topics(TaskBuilder):
    BUILDER_CONFIGS = [
        TaskConfig(
            name="topics",
            source={source!r},
            labels={labels!r},
            prompts=Prompts(
                rationales="Name {{count}} things that people say about {{label}} as a numbered list.",
                seed="{{rationales}} Write about {{label}}.",
                seed_plain="Write about {{label}}.",
                extrapolate="{{rationales}} {{text}} Write another about {{label}}.",
                extrapolate_plain="{{text}} Write another about {{label}}.",
            ),
            min_words=3,
            max_length=32,
        )
    ]
"""


def test_a_run_of_twenty_labels_has_a_page(tiny_student, tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS)})
    for split in ("validation", "test"):
        texts = [f"the {split} text number {number} of {LABELS[number % 20]}" for number in range(60)]
        rows = datasets.Dataset.from_dict({"text": texts, "label": [n % 20 for n in range(60)]}, features=features)
        rows.to_parquet(str(tmp_path / "gold" / "data" / f"{split}-00000-of-00001.parquet"))
    (tmp_path / "topics.py").write_text(
        TOPICS.format(source=str(tmp_path / "gold"), labels={name: name for name in LABELS})
    )
    with LLMServer() as llm:
        changes = {"seed_size": 40, "round_size": 20, "synthesis": {"rationales": False}}
        loop.run(settings(tmp_path / "topics.py", tiny_student, llm, **changes), tmp_path / "run")
    page_file = write_report([open_run(tmp_path / "run")], tmp_path / "page.html", str(tiny_student))
    with opened(page_file, 390) as (page, faults):
        assert page.locator("#run0-s-confusion table.confusion").count() == 2
        assert page.locator("#run0-s-confusion table.confusion").first.locator("tbody tr").count() == 20
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert faults == []


def test_a_run_that_ended_before_its_first_round_has_a_page(recipe, tiny_student, tmp_path):
    def reply(payload):
        copied = any(text in payload["messages"][-1]["content"] for text in GOLD)
        return "As an AI language model, I cannot write that." if copied else film_reply(payload)

    with LLMServer(reply=reply) as llm:
        loop.run(settings(recipe, tiny_student, llm), tmp_path / "run")
    assert open_run(tmp_path / "run").round(1).empty.exists()
    page_file = write_report([open_run(tmp_path / "run")], tmp_path / "page.html", str(tiny_student))
    with opened(page_file) as (page, faults):
        assert "refusal" in page.locator("#run0-s-rejected").inner_text()
        assert "fewer than two rounds were scored" in page.locator("#run0-s-moves").inner_text()
        assert faults == []


def test_a_bench_of_thirteen_arms_has_a_page(films):  # noqa: F811 - a fixture
    arms = {"s3": {"rounds": 0}, "zerogen": {}, "gold": {}}
    for number in range(1, 11):
        slow = {"training": {"learning_rate": number * 1.1e-5}}
        arms[f"an arm of a long name, rate {number}"] = {"strategy": "s3", "rounds": 0, "settings": slow}
    results = films.run(arms=arms, seeds=[0, 1], title="Thirteen arms")
    page_file = write_page(
        films.bench(), films.folder, results, spent(films.folder), all_lines(films.bench(), films.folder, results)
    )
    with opened(page_file, 390) as (page, faults):
        assert page.locator("section").first.locator("tbody tr").count() == 13
        assert page.locator(".chart svg").count() == 4  # two of each metric
        assert "an arm of a long name, rate 10" in page.locator("section").first.inner_text()
        assert page.locator("section").nth(2).locator("tbody tr").count() == len(results) == 26
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert faults == []


def test_a_page_follows_a_run_that_another_process_makes(recipe, tiny_student, tmp_path):
    go_on = threading.Event()

    def reply(payload):
        if any(text in payload["messages"][-1]["content"] for text in GOLD):
            go_on.wait()  # round 1 is written when the page of round 0 was
        return film_reply(payload)

    with LLMServer(reply=reply) as llm:
        values = settings(recipe, tiny_student, llm, endpoint={"timeout": 36_000}).model_dump(
            mode="json", exclude_unset=True
        )
        (tmp_path / "run.yaml").write_text(json.dumps(values))
        command = [sys.executable, "-m", "s3_hf"]
        making = [*command, "run", "--config", tmp_path / "run.yaml", "--run-dir", tmp_path / "run", str(recipe)]
        following = [*command, "report", tmp_path / "run", "--follow", "--encoder", str(tiny_student)]
        with (
            (tmp_path / "log").open("w") as log,
            subprocess.Popen(making, stdout=subprocess.DEVNULL, stderr=log, text=True) as run,
        ):
            while not (tmp_path / "run" / "round-0" / "metrics.json").exists() and run.poll() is None:
                threading.Event().wait(0.1)
            assert run.poll() is None, (tmp_path / "log").read_text()
            with subprocess.Popen(following, stdout=subprocess.PIPE, text=True) as report:
                assert report.stdout.readline().startswith("written: ")
                table = tmp_path / "run" / "report-tables" / "rounds.parquet"
                assert list(pd.read_parquet(table)["round"]) == [0]
                go_on.set()
                assert report.stdout.read().startswith("written: ")
            assert report.returncode == 0
        assert run.returncode == 0, (tmp_path / "log").read_text()
    assert list(pd.read_parquet(table)["round"]) == [0, 1]


def test_the_curves_of_a_training_are_reported(recipe, tiny_student, films_llm, tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "curves"))
    training = {
        "epochs": 2,
        "min_steps": 0,
        "batch_size": 8,
        "precision": "fp32",
        "args": {"report_to": "tensorboard"},
    }
    loop.run(settings(recipe, tiny_student, films_llm, rounds=0, training=training), tmp_path / "run")
    tags = set()
    for path in (tmp_path / "curves").iterdir():
        data = path.read_bytes()
        while data:  # each record: its length, a checksum of four bytes, the event, another checksum
            (length,) = struct.unpack("<Q", data[:8])
            tags |= {value.tag for value in Event.FromString(data[12 : 12 + length]).summary.value}
            data = data[16 + length :]
    assert {"train/loss", "eval/accuracy"} <= tags
