"""A complete run on single texts, whose LLM now and then repeats gold texts."""

import random

import pytest

from s3_hf import loop
from s3_hf.config import parse_config
from tests.conftest import film_reply, film_rows
from tests.llm_server import LLMServer
from tests.push.conftest import hub, server  # noqa: F401 - fixtures

GOLD = [text for rows in (film_rows(40, 1), film_rows(60, 2)) for text in rows["text"]]


def settings(recipe, student, llm, **changes):
    values = {
        "task": str(recipe),
        "llm": llm.url,
        "student": str(student),
        "seed_size": 24,
        "rounds": 1,
        "round_size": 8,
        "judge": "none",
        "gold_stage": "none",
        "verdict": False,
        "training": {"epochs": 1, "batch_size": 8, "precision": "fp32"},
        "synthesis": {"rationales_per_label": 6, "rationales_per_example": 2},
    }
    return parse_config({**values, **changes})


def copying_reply(payload):
    """What `film_reply` answers, but for a refusal or a gold text, bare or within another one, in some answers."""
    draw, answer = random.Random(payload["seed"]), film_reply(payload)
    if "\n" in answer or draw.random() > 0.4:
        return answer
    if draw.random() < 0.4:
        return "As an AI language model, I cannot write that."
    gold = draw.choice(GOLD)
    return gold if draw.random() < 0.5 else f"Everybody says that {gold} and I agree"


@pytest.fixture(scope="package")
def films_run(recipe, tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "films"
    with LLMServer(reply=copying_reply) as llm:
        loop.run(settings(recipe, tiny_student, llm, gold_stage="after", verdict=True), folder)
    return folder
