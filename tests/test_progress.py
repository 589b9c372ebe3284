"""What a user sees while a round is written: rows in any order, what is asked for, and a line whatever happens."""

import asyncio
import json
import logging
import re
import time

import pytest

import s3_hf
from s3_hf.llm import Client, ClientStatus
from s3_hf.loop import asking
from s3_hf.records import Usage
from s3_hf.starting import Progress, progress
from s3_hf.store import Stage
from tests.conftest import film_reply
from tests.llm_server import Fault, LLMServer, chat


@pytest.fixture
def arguments(films_config):
    """Keyword arguments of a round 0 of 24 rows, with lines as often as they can be printed."""
    keys = {"student", "seed_size", "judge", "gold_stage", "verdict", "synthesis", "training"}
    return {**films_config.model_dump(mode="json", include=keys), "rounds": 0}


def lines_of(capsys, wanted=""):
    """Wait for a line with these words; return all that were printed."""
    err = ""
    while True:
        err += capsys.readouterr().err
        if wanted in err:
            return err.splitlines()
        time.sleep(0.01)


def test_a_line_is_printed_also_when_nothing_arrives(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.05)
    with Progress() as shown:
        time.sleep(0.2)
        assert not capsys.readouterr().err  # no stage has begun
        shown.stage(0, Stage.SYNTHESIZE)
        lines_of(capsys, "nothing new for ")
        shown.rows(3, 24, ClientStatus(finished=5))
        lines = lines_of(capsys, "5 answers, 0.0/s, 0 tokens/s, nothing new for ")
    assert lines[-1].startswith("  3 of 24 rows, 5 answers")


def test_news_of_a_moment_ago_are_not_called_old(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.1)
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Progress() as shown:
        shown.stage(0, Stage.TRAIN)
        now[0] = 0.05
        shown.step(1, 30)
        now[0] = 0.12
        assert lines_of(capsys, "1 of 30")[-1] == "  1 of 30 steps, 0.0 steps/s"
        now[0] = 9.05
        assert lines_of(capsys, "1 of 30")[-1] == "  1 of 30 steps, 0.0 steps/s, nothing new for 9 s"


def test_the_last_count_is_printed_once(capsys):
    with Progress() as shown:
        shown.stage(0, Stage.TRAIN)
        for done in (1, 2, 3, 3, 3):
            shown.step(done, 3)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "round 0: train"
    assert re.fullmatch(r"  3 of 3 steps, [0-9.]+ steps/s", second)


def test_the_speed_is_that_of_the_training_at_hand(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    clock = iter([0, 1, 2, 100, 101, 102])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = Progress()
    shown.stage(0, Stage.TRAIN)
    for done in (1, 2, 1, 2, 3):  # two seeds, and 98 seconds of scoring between them
        shown.step(done, 4)
    assert capsys.readouterr().err.splitlines()[-1].startswith("  3 of 4 steps, 1.0 steps/s")


def test_each_trial_of_a_search_shows_its_steps(capsys):
    with Progress() as shown:
        for done in range(2):
            shown.trial(done, 2)
            for step in (1, 2):
                shown.step(step, 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[::2] == [f"search for training settings, trial {number} of 2" for number in (1, 2)]
    assert [line.split(",")[0] for line in lines[1::2]] == ["  2 of 2 steps"] * 2


def test_a_duplicate_does_not_restart_the_clock(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    clock = iter([0, 0, 200, 201])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    shown = Progress()
    shown.stage(0, Stage.SYNTHESIZE)
    for done in (0, 200, 199):
        shown.rows(done, 398, ClientStatus())
    assert "199 of 398 rows, 0 answers, 0.0/s, 0 tokens/s, 201 s left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ClientStatus(finished=7), "7 answers, 0.0/s, 0 tokens/s"),
        (ClientStatus(retries=1_200), "0 answers, 0.0/s, 0 tokens/s, 1,200 repeated"),
        (
            ClientStatus(retries=3, reason="answered HTTP 429 'slow\x1b[31m down'"),
            "0 answers, 0.0/s, 0 tokens/s, 3 repeated (the last one answered HTTP 429 'slow\\u001b[31m down')",
        ),
    ],
)
def test_repeated_requests_have_the_reason_of_the_last_failure(status, words, monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.001)
    with Progress() as shown:
        shown.stage(0, Stage.SYNTHESIZE)
        time.sleep(0.01)
        capsys.readouterr()
        shown.asking("names", status)
        line = lines_of(capsys, words)[-1]
    assert re.sub(", nothing new for .*", "", line) == f"  asking for names: {words}"


def costs_of(capsys, *reports):
    """Return the costs in the lines about rows: pairs of `done` and the cost that the journal has by then."""
    shown = Progress(prices=True)
    for stage in reports:
        shown.stage(1, Stage.SYNTHESIZE)
        for done, cost in stage:
            shown.rows(done, 100, ClientStatus(usage=Usage(cost=cost)))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  ")]
    return [line.partition(", cost ")[2].partition(",")[0] for line in lines]


def test_the_forecast_of_the_cost_is_that_of_the_rows_of_the_stage(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    seed, after = [(0, 1.0), (50, 6.0), (100, 11.0)], [(0, 11.0), (1, 11.1), (50, 15.0)]
    assert costs_of(capsys, seed) == ["", "6.00 of about 11.00", "11.00 of about 11.00"]
    assert costs_of(capsys, seed, after)[3:] == ["", "11.10 of about 21.00", "15.00 of about 19.00"]


def test_rows_that_the_journal_answers_are_no_part_of_the_forecast(monkeypatch, capsys):
    """A resumed round has 60 rows for nothing; each of the others costs 0.10."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    assert costs_of(capsys, [(1, 6.0), (60, 6.0), (70, 7.0)]) == ["", "", "7.00 of about 10.00"]


def test_rows_are_counted_in_any_order_after_what_is_asked_for_first(recipe, arguments, tmp_path, monkeypatch):
    """The answer to slot 0 comes last; all other rows are counted before it."""
    seen = []

    class Held(Client):
        async def generate(self, request):
            completion = await super().generate(request)
            if request.slot == "r0/seed/00000":
                while seen[-1] < ("rows", 20, 24):
                    await asyncio.sleep(0.01)
            return completion

    class Watching(Progress):
        def asking(self, what, status):
            seen.append((what, status.finished))

        def rows(self, done, total, status):
            seen.append(("rows", done, total))

    monkeypatch.setattr(asking, "Client", Held)
    monkeypatch.setattr("s3_hf.starting.running.Progress", Watching)
    with LLMServer(reply=film_reply) as server:
        s3_hf.run(recipe, run_dir=tmp_path / "run", llm=server.url, endpoint={"concurrency": 2}, **arguments)
    first = next(place for place, one in enumerate(seen) if one[0] == "rows")
    assert {one[0] for one in seen[:first]} == {"rationales"}
    assert {one[0] for one in seen[first:]} == {"rows"}
    assert seen[-1] == ("rows", 24, 24)


def test_the_same_refusal_is_logged_once_with_its_count_and_a_short_round_too(recipe, arguments, tmp_path, caplog):
    def refused(payload, attempt):
        number = payload["seed"]
        return Fault(400, {}, f"{number} tokens are too many") if number % 4 == 0 else None

    arguments["synthesis"] |= {"rationales": False}
    with LLMServer(reply=film_reply, fault_for=refused) as server:
        result = s3_hf.run(recipe, run_dir=tmp_path / "run", llm=server.url, progress=False, **arguments)
    tries = result.rounds[0].synthesis.given_up
    messages = [record.getMessage() for record in caplog.records]
    assert sum("tokens are too many" in message for message in messages) == 2
    assert any(message.startswith(f"{tries} requests were refused like this: the endpoint") for message in messages)


def test_a_short_round_is_a_warning(recipe, arguments, tmp_path, caplog):
    def reply(payload):
        return "No." if "negative" in payload["messages"][-1]["content"] else film_reply(payload)

    arguments["synthesis"] |= {"rationales": False, "attempts": 1}
    with LLMServer(reply=reply) as server:
        s3_hf.run(recipe, run_dir=tmp_path / "run", llm=server.url, progress=False, **arguments)
    assert "round 0 has 12 of 24 rows: 48 slots were given up (too short 48)" in caplog.messages


def test_no_escape_of_an_endpoint_reaches_the_terminal(recipe, arguments, tmp_path, typed, monkeypatch, capsys):
    """In the model's name, in errors of several kinds, and in lines of progress."""
    monkeypatch.setattr(logging.root, "handlers", [])  # else the command line leaves logging as it is
    escape = "\x1b[31m\x9b2J\u202e"
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    kinds = {
        3: Fault(500, {}, escape),
        4: Fault(400, {}, json.dumps({"error": {"message": escape}})),
        5: Fault(429, {"retry-after": "0"}, json.dumps({"message": escape})),
        6: Fault(200, {}, escape),
        7: Fault(200, {}, chat("a film", model=escape)),
    }
    settings = {"task": str(recipe), **arguments, "synthesis": {"rationales": False}}
    (tmp_path / "s.yaml").write_text(json.dumps(settings))
    with LLMServer(
        reply=film_reply, fault_for=lambda payload, attempt: kinds.get(payload["seed"] % 8) if attempt == 1 else None
    ) as server:
        command = (
            "synthesize",
            recipe,
            "--config",
            tmp_path / "s.yaml",
            "--llm",
            server.url,
            "--run-dir",
            tmp_path / "run",
        )
        code, out, err = typed(*command)
    assert code == 0, err
    assert "requests were refused" in err or "refuses a request" in err
    assert err.count("\\x1b[31m") > 1
    assert not {"\x1b", "\x9b", "\u202e"} & {*out, *err}
    logging.getLogger("s3_hf").warning("the file %s", escape)
    assert capsys.readouterr().err == "the file \\u001b[31m\\u009b2J\\u202e\n"
