"""Checks run on the gold rows of a task, and those that reject too many of them switched off."""

import csv
import os
from pathlib import Path

import pytest

from s3_hf import loop
from s3_hf.config import parse_config
from s3_hf.loop.checking import calibration_of, checks_of
from s3_hf.records import Completion, Usage
from s3_hf.store import open_run
from s3_hf.synthesis import Plan
from s3_hf.task import GoldOptions, load_task

GOLD = Path(os.environ.get("S3_HF_GOLD", Path(__file__).parents[2] / "shared" / "gold"))
HUB = GOLD / "hub/datasets"


@pytest.fixture
def helpdesk(tmp_path):
    """A recipe whose gold rows hold what the checks take for refusals and for talk about the task."""
    rows = [(f"The printer on floor {number} jams again every morning", number % 2) for number in range(97)]
    rows += [("I can't create a request in the app", 0), ("As an AI language model your chatbot is useless", 1)]
    rows += [("I am unable to write any message to support", 0), ("Broken again", 1)]
    with (tmp_path / "tickets.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([(text, ("calm", "angry")[label]) for text, label in rows])
    (tmp_path / "tickets.py").write_text(
        f"""
from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Tickets(TaskBuilder):
    BUILDER_CONFIGS = [
        TaskConfig(
            name="tickets",
            source={str(tmp_path / "tickets.csv")!r},
            splits={{"validation": "train", "test": "train"}},
            test_share=0.01,
            labels={{"calm": "calm", "angry": "angry"}},
            min_words=3,
            prompts=Prompts(
                rationales="Name {{count}} reasons to be {{label}}.",
                seed="Write a {{label}} ticket about {{rationales}}.",
                seed_plain="Write a {{label}} ticket.",
                extrapolate="Write a {{label}} ticket like: {{text}}",
            ),
        )
    ]
"""
    )
    return tmp_path / "tickets.py"


def test_a_check_that_rejects_gold_rows_is_switched_off(helpdesk):
    found = calibration_of(load_task(str(helpdesk)))
    refusal = found.found[0]
    assert (refusal.check, refusal.change) == ("refusal", "switched off")
    assert refusal.rejected == pytest.approx(3 / 100, abs=0.011)
    assert found.off == {"refusal"}
    assert found.left <= 0.011
    assert "check 'refusal' is switched off for this task, since it rejects 3.0% of" in found.lines()[0]
    told = f"{found.rejected:.2%} of {found.rows} gold rows ({found.left:.2%} once relaxed) and shorten"
    assert found.table()[0].startswith(f"The checks would reject {told} ")


def test_one_odd_row_switches_nothing_off(recipe):
    task = load_task(str(recipe))
    assert calibration_of(task).off == set()


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_run_leaves_out_what_rejects_gold_rows(helpdesk, calibrated):
    config = parse_config({"task": str(helpdesk), "synthesis": {"calibrate_checks": calibrated}})
    checks = checks_of(config, load_task(str(helpdesk)), set())
    answer = Completion("s", "I can't write a message to my manager", "stop", Usage(), "m")
    outcome = checks.text_of(answer, "Write.", Plan("s", "seed"))
    assert isinstance(outcome, str) is calibrated


@pytest.mark.parametrize("text", ["", "The printer on floor 3 jams again every morning"])
def test_empty_answers_and_copies_are_rejected_whatever_gold_rows_are_like(helpdesk, text):
    checks = checks_of(parse_config({"task": str(helpdesk)}), load_task(str(helpdesk)), set())
    outcome = checks.text_of(Completion("s", text, "stop", Usage(), "m"), "Write.", Plan("s", "seed"))
    assert not isinstance(outcome, str)


def test_what_is_off_is_told_and_recorded(helpdesk, films_llm, tmp_path, caplog):
    settings = {
        "task": str(helpdesk),
        "llm": films_llm.url,
        "seed_size": 2,
        "rounds": 0,
        "synthesis": {"rationales": False},
    }
    loop.synthesize(parse_config(settings), tmp_path / "run")
    assert sum("check 'refusal' is switched off" in message for message in caplog.messages) == 1
    (off,) = open_run(tmp_path / "run").round(0).synthesis().checks_off.items()
    assert off == ("refusal, switched off", pytest.approx(0.03, abs=0.011))


SOURCES = {
    "movie_snippets": (None, {}),
    "imdb": (HUB / "stanfordnlp/imdb", {}),
    "qnli": (HUB / "nyu-mll/glue", {}),
    "rte": (HUB / "nyu-mll/glue", {}),
    "adversarial_qa": (HUB / "s3-hf/adversarial_qa-dev-split", {"validation": "train", "test": "test"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_at_most_one_in_a_hundred_gold_rows_is_rejected(name):
    source, splits = SOURCES[name]
    if source is not None and not source.exists():
        pytest.skip(f"no gold data in {GOLD}")
    task = load_task(name, source and str(source), GoldOptions(splits=splits))
    found = calibration_of(task)
    assert found.rows >= 600
    assert found.left <= 0.01
    assert found.altered <= 0.005
