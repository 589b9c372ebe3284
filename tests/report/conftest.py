"""A complete run on single texts, whose LLM now and then repeats gold texts, and a browser for its page."""

import contextlib
import random
import shutil

import pytest

from s3_hf import loop
from s3_hf.config import parse_config
from tests.conftest import film_reply, film_rows
from tests.llm_server import LLMServer
from tests.push.conftest import hub, server  # noqa: F401 - fixtures

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PATIENCE = 300_000
"""Milliseconds after which the browser counts as stuck; a busy machine needs a few thousand."""
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
        "training": {"epochs": 1, "min_steps": 0, "batch_size": 8, "precision": "fp32"},
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


@contextlib.contextmanager
def opened(path, width=1280, scheme="light"):
    """The page in headless Chromium, once its charts are drawn, and what went wrong or left the machine."""
    playwright = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("no Chromium is here: install the package `chromium`")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=list(FLAGS), timeout=PATIENCE)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.set_default_timeout(PATIENCE)
        faults = []
        page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else 0)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda one: faults.append(one.url) if not one.url.startswith(("file:", "data:")) else 0)
        page.goto(path.as_uri())
        page.wait_for_function("[...document.querySelectorAll('.chart')].every((one) => one.dataset.drawn)")
        yield page, faults
        browser.close()


@pytest.fixture(scope="package")
def films_run(recipe, tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "films"
    with LLMServer(reply=copying_reply) as llm:
        loop.run(settings(recipe, tiny_student, llm, gold_stage="after", verdict=True), folder)
    return folder
