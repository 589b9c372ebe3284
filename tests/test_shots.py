"""Gold rows shown before a prompt, and talk about the task rejected."""

import json
import logging

import pytest
from typer.testing import CliRunner

from s3_hf import loop
from s3_hf.cli import app
from s3_hf.config import parse_config
from s3_hf.journal import read_usage
from s3_hf.loop import preview, try_prompts
from s3_hf.loop.trying import SHOTS, SLOTS
from s3_hf.store import open_run
from s3_hf.synthesis.membership import TALKS, membership_of
from s3_hf.task import load_task
from tests.conftest import film_reply
from tests.llm_server import LLMServer
from tests.test_loop import changed

TALK = [
    f"I am happy to {verb} {what} for you, so please tell me what kind of review the request wants from me"
    for verb in ("write", "edit", "help with", "provide", "prepare", "explain")
    for what in ("this request", "the text", "a review", "these sentences", "your prompt")
]


def talk_of(payload):
    return f"{TALK[payload['seed'] % len(TALK)]}, number {payload['seed']}"


def strong_reply(payload):
    """Writes what is asked for, and talks when it is asked about a request."""
    asked = payload["messages"][-1]["content"]
    return talk_of(payload) if "this request" in asked else film_reply(payload)


def weak_reply(payload):
    """Continues a chat whose answers are sentences; else it talks about the task."""
    messages = payload["messages"]
    if "numbered list" in messages[-1]["content"] or len(messages) > 1:
        return film_reply(payload)
    return talk_of(payload)


@pytest.fixture
def strong_llm():
    with LLMServer(reply=strong_reply) as server:
        yield server


def settings_of(recipe, server, **synthesis):
    return parse_config({"task": str(recipe), "llm": server.url, "seed_size": 8, "rounds": 0, "synthesis": synthesis})


def few_shot_requests(server):
    return [request.payload["messages"] for request in server.requests if len(request.payload["messages"]) > 1]


def test_shots_are_turns_with_gold_texts_of_the_label(recipe, strong_llm, tmp_path):
    loop.synthesize(settings_of(recipe, strong_llm, shots=3), tmp_path / "run")
    gold = load_task(str(recipe)).mined
    labels = dict(zip(gold["text"][:], gold["label"][:], strict=True))
    chats = few_shot_requests(strong_llm)
    assert len(chats) >= 8
    for chat in chats:
        assert [turn["role"] for turn in chat] == ["user", "assistant"] * 3 + ["user"]
        texts = [turn["content"] for turn in chat[1::2]]
        assert len(set(texts)) == 3
        (label,) = {labels[text] for text in texts}
        assert ("negative", "positive")[label] in chat[-1]["content"]
        assert "reasons" not in "".join(turn["content"] for turn in chat[:-1:2])


def test_a_gold_row_is_not_shown_before_its_own_extrapolation(recipe):
    config = parse_config({"task": str(recipe), "llm": "http://a", "synthesis": {"shots": 19}})
    shown = [one for one in preview(config, 40) if "/gold/" in one.slot]
    assert len(shown) == 40
    for one in shown:
        source = one.messages[-1]["content"].rpartition(":")[2].strip()
        assert source
        assert source not in [turn["content"] for turn in one.messages[:-1]]


@pytest.mark.parametrize("kind", ["pairs_recipe", "spans_recipe"])
def test_shots_have_their_own_contexts(kind, request, tmp_path):
    recipe = request.getfixturevalue(kind)
    config = parse_config({"task": str(recipe), "llm": "http://a", "synthesis": {"shots": 2}})
    task = load_task(str(recipe))
    rows = {row[task.columns.text]: row[task.columns.context] for row in task.mined}
    shown = preview(config, 4)
    chats = [one.messages for one in shown if len(one.messages) > 1]
    assert chats
    for chat in chats:
        for asked, answer in zip(chat[:-1:2], chat[1::2], strict=True):
            assert rows[answer["content"]] in asked["content"]
            assert rows[answer["content"]] not in chat[-1]["content"]


def test_without_shots_nothing_is_shown_and_no_talk_asked_for(recipe, films_llm, tmp_path):
    loop.synthesize(settings_of(recipe, films_llm), tmp_path / "run")
    assert not few_shot_requests(films_llm)
    assert not any("this request" in str(request.payload["messages"]) for request in films_llm.requests)


def test_talk_about_the_task_is_rejected_whatever_its_words(recipe, tmp_path, caplog):
    def reply(payload):
        chat = payload["messages"]
        talks = len(chat) > 1 and payload["seed"] % 3 == 0
        return talk_of(payload) if talks else weak_reply(payload)

    caplog.set_level(logging.INFO)
    with LLMServer(reply=reply) as server:
        loop.synthesize(settings_of(recipe, server, shots=2, attempts=8), tmp_path / "run")
        asked = len(server.requests)
    made = open_run(tmp_path / "run").round(0)
    assert made.synthesis().rejected["off the task"] > 0
    assert not any("for you" in text for text in made.rows()["text"][:])
    assert made.synthesis().usage.requests == asked == read_usage(tmp_path / "run/journal.sqlite").requests
    assert any("recognises 100% of the LLM's talk" in message for message in caplog.messages)


def test_an_llm_that_talks_as_it_writes_switches_the_check_off(recipe, films_llm, tmp_path, caplog):
    """The stub writes about films when it is asked about the request, too."""
    loop.synthesize(settings_of(recipe, films_llm, shots=2), tmp_path / "run")
    assert open_run(tmp_path / "run").round(0).synthesis().rows == 8
    assert any("'off the task' is left out, since it rejects" in message for message in caplog.messages)


def test_talk_is_asked_for_once_in_a_run(recipe, tmp_path):
    with LLMServer(reply=weak_reply) as server:
        loop.synthesize(settings_of(recipe, server, shots=2), tmp_path / "run")
        asked = len(server.requests)
        (tmp_path / "run/round-0/round.json").unlink()
        loop.synthesize(settings_of(recipe, server, shots=2), tmp_path / "run")
        assert len(server.requests) == asked
    talk = [request for request in server.requests if "this request" in request.payload["messages"][0]["content"]]
    assert 0 < len(talk) <= TALKS


@pytest.mark.parametrize("given", [False, True])
def test_talk_is_counted_with_the_round_that_asks_for_it_first(films_config, tmp_path, given):
    """Also where the seed is a dataset, so that this is round 1; later rounds get the answers from the journal."""
    seed = loop.synthesize(films_config, tmp_path / "seed").data
    own = {"seed_data": str(seed)} if given else {}
    with LLMServer(reply=weak_reply) as server:
        synthesis = {"shots": 2, "rationales": False}
        config = changed(films_config, llm=server.url, rounds=2 if given else 1, synthesis=synthesis, **own)
        result = loop.run(config, tmp_path / "run")
        asked = len(server.requests)
    counted = [one.synthesis.usage.requests for one in result.rounds]
    assert len(counted) == config.rounds + 1
    assert sum(counted) == asked == read_usage(tmp_path / "run/journal.sqlite").requests
    assert counted[given] > TALKS
    assert (counted[0] == 0) is given


def test_membership_is_learned_by_both_kinds_of_texts():
    gold = [f"the {noun} was {word} from start to end" for noun in ("film", "cast", "plot", "end") for word in
            ("dull", "fine", "odd", "long", "warm", "loud")]  # fmt: skip
    found = membership_of(gold, TALK, 0)
    assert found is not None
    assert found.recognised == 1
    assert not any(map(found.off_task, ["the music was fine from start to end", "the plot was dull"]))
    assert found.off_task("I am happy to explain a review for you")
    assert membership_of(gold[:5], TALK, 0) is None
    assert membership_of(gold, ["the same answer"] * 32, 0) is None


def found_by(recipe, reply, **synthesis):
    with LLMServer(reply=reply) as server:
        trial = try_prompts(settings_of(recipe, server, **synthesis))
    return trial, {(kind.shots, kind.rationales): kind.accepted for kind in trial.kinds}


def test_prompts_are_tried_with_and_without_shots(recipe):
    trial, accepted = found_by(recipe, weak_reply)
    assert accepted[0, True] == 0
    assert accepted[SHOTS, False] >= accepted[SHOTS, True] >= SLOTS - 1
    assert trial.options == f"--no-rationales --set synthesis.shots={SHOTS}"
    assert trial.advice().startswith(
        f"Of {SLOTS} texts per kind of prompt, these pass the checks: 0 with rationales, "
    )
    assert f" {accepted[SHOTS, False]} with {SHOTS} gold rows, {accepted[SHOTS, True]} with both. " in trial.advice()
    assert trial.advice().endswith(f" Use --no-rationales --set synthesis.shots={SHOTS}")


def test_reasons_are_named_beside_gold_rows_where_that_gives_more_texts(recipe):
    def reply(payload):
        chat = payload["messages"]
        bare = len(chat) > 1 and "a film that has" not in chat[-1]["content"]
        return "Short." if bare else weak_reply(payload)

    trial, accepted = found_by(recipe, reply)
    assert accepted[SHOTS, True] > accepted[SHOTS, False]
    assert trial.options == f"--set synthesis.shots={SHOTS}"


def test_an_llm_whose_reasons_mislead_it_is_shown_gold_rows_alone(recipe):
    """It writes texts like the rows it is shown, and talks as soon as a prompt names reasons."""

    def reply(payload):
        chat = payload["messages"]
        misled = "a film that has" in chat[-1]["content"]
        return talk_of(payload) if misled else weak_reply(payload)

    trial, accepted = found_by(recipe, reply)
    assert accepted[0, True] == accepted[SHOTS, True] == 0
    assert accepted[SHOTS, False] >= SLOTS - 1
    assert trial.options == f"--no-rationales --set synthesis.shots={SHOTS}"


def test_an_llm_that_names_no_reasons_gets_prompts_without_them(recipe):
    def reply(payload):
        asked = payload["messages"][-1]["content"]
        return "I cannot name any." if "numbered list" in asked else strong_reply(payload)

    trial, accepted = found_by(recipe, reply)
    assert accepted[0, True] == accepted[SHOTS, True] == 0
    assert trial.options.startswith("--no-rationales")


def test_without_rationales_two_kinds_of_prompts_are_tried(recipe):
    trial, accepted = found_by(recipe, weak_reply, rationales=False, shots=2)
    assert list(accepted) == [(0, False), (2, False)]
    assert f"{accepted[0, False]} without gold rows, {accepted[2, False]} with 2 gold rows." in trial.advice()
    assert trial.options == "--set synthesis.shots=2"


def test_an_llm_that_needs_no_examples_is_told_so(recipe, strong_llm):
    trial = try_prompts(settings_of(recipe, strong_llm))
    assert trial.options == ""
    assert trial.advice().endswith("The prompts need no examples.")


def test_new_recommends_shots_for_a_weak_llm(tmp_path, recipe):
    gold = load_task(str(recipe)).mined
    lines = "".join(f"{row['text']},{('bad', 'good')[row['label']]}\n" for row in gold)
    (tmp_path / "films.csv").write_text(f"text,label\n{lines}")

    with LLMServer(reply=weak_reply) as server:
        columns = ["--text", "text", "--label", "label"]
        command = ["tasks", "new", "my_films", "--data", str(tmp_path / "films.csv"), *columns]
        done = CliRunner().invoke(app, [*command, "--out", str(tmp_path), "--llm", server.url])
    assert done.exit_code == 0, done.output
    assert f"--llm {server.url} --no-rationales --set synthesis.shots={SHOTS}" in " ".join(done.output.split())


def test_new_keeps_its_recipe_where_the_llm_cannot_be_asked(tmp_path, recipe, monkeypatch):
    """What can be known before is told before a recipe is written."""
    gold = load_task(str(recipe)).mined
    lines = "".join(f"{row['text']},{('bad', 'good')[row['label']]}\n" for row in gold)
    (tmp_path / "films.csv").write_text(f"text,label\n{lines}")
    columns = ["--text", "text", "--label", "label", "--out", str(tmp_path), "--llm", "http://127.0.0.1:9"]
    command = ["tasks", "new", "my_films", "--data", str(tmp_path / "films.csv"), *columns]
    assert "not set" in str(CliRunner().invoke(app, [*command, "--api-key-env", "NOPE"]).exception)
    assert not (tmp_path / "my_films.py").exists()
    monkeypatch.setenv("MINE", "key")
    done = CliRunner().invoke(app, [*command, "--api-key-env", "MINE", "--set", "endpoint.retries=0"])
    assert done.exit_code == 0
    assert "the prompts could not be tried: the endpoint 'http://127.0.0.1:9' " in done.output
    assert "kept" not in done.output
    assert done.output.endswith(" --llm http://127.0.0.1:9 --api-key-env MINE --set endpoint.retries=0\n")
    assert (tmp_path / "my_films.py").exists()


def test_preview_shows_advice_and_the_table(recipe, strong_llm):
    command = ["tasks", "preview", str(recipe), "--n", "1", "--llm", strong_llm.url]
    done = CliRunner().invoke(app, command)
    assert "The checks would reject 0.00% of 40 gold rows and shorten 0.00%." in done.output
    assert "The prompts need no examples." in " ".join(done.output.split())
    shown = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert shown["checks"]["rows"] == 40


def test_doctor_shows_the_checks_of_a_task(recipe):
    done = CliRunner().invoke(app, ["doctor", "--task", str(recipe), "--json"])
    found = json.loads(done.stdout)["checks on gold"]["found"]
    assert found == "The checks would reject 0.00% of 40 gold rows and shorten 0.00%."
