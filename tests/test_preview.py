"""`tasks preview`: what is sent, and what becomes of the answers."""

import json

from typer.testing import CliRunner

from s3_hf.cli import app
from s3_hf.config import parse_config
from s3_hf.loop import preview
from tests.kinds import kind_reply
from tests.llm_server import LLMServer


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


def test_what_is_shown_is_what_a_run_sends(recipe, films_config, films_llm, tmp_path):
    from s3_hf import loop

    shown = {one.messages[0]["content"] for one in preview(films_config, 3, ask=True) if "/seed/" in one.slot}
    films_llm.requests.clear()
    loop.synthesize(films_config, tmp_path / "run")
    sent = {request.payload["messages"][0]["content"] for request in films_llm.requests}
    assert len(shown) == 3
    assert shown <= sent


def test_answers_and_verdicts_are_shown(spans_recipe):
    def reply(payload):
        return (
            "No question here at all." if "Ask another" in payload["messages"][0]["content"] else kind_reply(payload)
        )

    with LLMServer(reply=reply) as server:
        command = ["tasks", "preview", str(spans_recipe), "--n", "1", "--llm", server.url, "--json"]
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    seed, extrapolation = json.loads(done.stdout)
    assert seed["verdict"] == f"accepted: {seed['answer']}"
    assert extrapolation["verdict"] == "rejected: no question mark"
