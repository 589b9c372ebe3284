"""`tasks preview`: what is sent, and what becomes of the answers."""

import json

import pytest
from typer.testing import CliRunner

from s3_hf import loop
from s3_hf.cli import app
from s3_hf.config import parse_config
from s3_hf.errors import ConfigError
from s3_hf.loop import preview
from tests.kinds import kind_reply
from tests.llm_server import LLMServer


@pytest.fixture
def named_recipe(recipe, tmp_path):
    """The films recipe with ZeroGen's prompts, names too."""
    path = tmp_path / "films.py"
    zerogen = """names='Film: "', zerogen='Write a sentence of a {label} review of "{name}".',"""
    path.write_text(recipe.read_text().replace("extrapolate=", f"{zerogen} extrapolate="))
    return path


def test_nothing_is_asked_without_an_llm(recipe, films_llm):
    config = parse_config({"task": str(recipe), "llm": films_llm.url})
    shown = preview(config, 2)
    assert [one.slot for one in shown] == [
        "rationales/neg/0",
        "rationales/pos/0",
        "r0/seed/00000",
        "r0/seed/00001",
        "r0/gold/val-00000/0",
        "r0/gold/val-00039/0",
    ]
    assert "has <reasons that the LLM names>." in shown[2].messages[0]["content"]
    assert not films_llm.requests


@pytest.mark.parametrize(("strategy", "slots"), [
    ("s3", ["rationales/neg/0", "rationales/pos/0", "r0/seed/00000", "r0/seed/00001"]),
    ("goldgen", ["rationales/neg/0", "rationales/pos/0", "r0/seed/00000", "r0/seed/00001"]),
    ("zerogen", ["r0/name/00000", "r0/seed/00000", "r0/seed/00001"]),
    ("progen", ["r0/name/00000", "r0/seed/00000", "r0/seed/00001"]),
])  # fmt: skip
def test_what_is_shown_is_what_a_run_sends(named_recipe, films_llm, tmp_path, strategy, slots):
    settings = {"task": str(named_recipe), "strategy": strategy, "llm": films_llm.url, "seed_size": 8}
    config = parse_config(settings)
    shown = [one for one in preview(config, 2, ask=True) if "/gold/" not in one.slot]
    assert [one.slot for one in shown] == slots
    films_llm.requests.clear()
    loop.synthesize(config, tmp_path / "run")
    sent = [request.payload["messages"][0]["content"] for request in films_llm.requests]
    assert {one.messages[0]["content"] for one in shown} <= set(sent)


def test_without_rationales_the_plain_prompt_is_shown(films_llm):
    settings = {"task": "movie_snippets", "llm": films_llm.url, "synthesis": {"rationales": False}}
    assert [one.slot for one in preview(parse_config(settings), 1)] == ["r0/seed/00000", "r0/gold/val-00000/0"]
    shown = CliRunner().invoke(app, ["tasks", "preview", "movie_snippets", "--n", "1", "--no-rationales", "--json"])
    assert [one["slot"] for one in json.loads(shown.stdout)["prompts"]] == ["r0/seed/00000", "r0/gold/val-00000/0"]


def test_names_stand_for_themselves_where_no_llm_is_asked(named_recipe):
    name, row = preview(parse_config({"task": str(named_recipe), "strategy": "zerogen", "llm": "http://a"}), 1)
    assert name.slot == "r0/name/00000"
    assert "<name that the LLM gives>" in row.messages[0]["content"]


def test_gold_data_asks_nothing(recipe):
    with pytest.raises(ConfigError, match="strategy 'gold' asks the LLM nothing; preview another one"):
        preview(parse_config({"task": str(recipe), "strategy": "gold"}), 1)


def test_answers_and_verdicts_are_shown(spans_recipe):
    def reply(payload):
        return (
            "No question here at all." if "Ask another" in payload["messages"][0]["content"] else kind_reply(payload)
        )

    with LLMServer(reply=reply) as server:
        command = ["tasks", "preview", str(spans_recipe), "--n", "1", "--llm", server.url, "--json"]
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    seed, extrapolation = shown["prompts"]
    assert seed["verdict"] == f"accepted: {seed['answer']}"
    assert extrapolation["verdict"] == "rejected: no question mark"
