"""A small gold dataset and recipe of each kind with contexts, and an LLM that answers their prompts."""

import hashlib
import random
from pathlib import Path

import datasets
import pytest

PLACES = ("film", "plot", "cast", "music", "song", "scene", "story", "set")
WORDS = ("boring", "awful", "dull", "clumsy", "great", "tender", "witty", "radiant")

PAIRS = """
from datasets import ClassLabel, Value

from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Pairs(TaskBuilder):
    BUILDER_CONFIGS = [
        TaskConfig(
            name="pairs",
            description="Sentences about films and what follows from them, made up for tests.",
            source={source!r},
            context="premise",
            text="claim",
            labels={{"entailment": "correct", "contradiction": "wrong", "neutral": "open"}},
            features={{
                "premise": Value("string"),
                "claim": Value("string"),
                "label": ClassLabel(names=["entailment", "contradiction", "neutral"]),
                "idx": Value("int32"),
            }},
            prompts=Prompts(
                seed="{{context}} Write a claim that is {{label}}.",
                extrapolate="{{context}} The claim: {{text}} is {{label}}. Write a similar claim that is {{label}}.",
            ),
            other_prompts={{
                "chat": Prompts(
                    seed="Text: {{context}} Name a {{label}} claim.",
                    extrapolate="Text: {{context}} Name a {{label}} claim like: {{text}}",
                )
            }},
            max_tokens=40,
            min_words=3,
            max_length=48,
        )
    ]
"""

SPANS = """
from datasets import List, Value

from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Spans(TaskBuilder):
    BUILDER_CONFIGS = [
        TaskConfig(
            name="spans",
            description="Sentences about films and questions about them, made up for tests.",
            source={source!r},
            context="context",
            text="question",
            label=None,
            answers="answers",
            id="id",
            carried=("title",),
            features={{
                "id": Value("string"),
                "title": Value("string"),
                "context": Value("string"),
                "question": Value("string"),
                "answers": {{"text": List(Value("string")), "answer_start": List(Value("int32"))}},
                "metadata": {{"split": Value("string")}},
            }},
            prompts=Prompts(
                seed="{{context}} Ask what has the answer {{answer}}.",
                extrapolate="{{context}} The answer to {{text}} is {{answer}}. Ask another question like it.",
            ),
            max_tokens=40,
            min_words=3,
            max_length=32,
            stride=8,
            question=True,
            task_ids=("extractive-qa",),
        )
    ]
"""


def sentence(draw: random.Random, number: int) -> tuple[str, str, str]:
    """A sentence about two things, with the first one and its adjective."""
    first, second = draw.sample(PLACES, 2)
    good, bad = draw.sample(WORDS, 2)
    return f"the {first} number {number} was {good} but the {second} was {bad} to watch", first, good


def pair_rows(n: int, seed: int) -> dict[str, list]:
    draw = random.Random(seed)
    rows: dict[str, list] = {"premise": [], "claim": [], "label": [], "idx": list(range(n))}
    for number in range(n):
        text, first, good = sentence(draw, seed * 1_000 + number)
        label = number % 3
        word = (good, draw.choice([word for word in WORDS if word != good]), "number")[label]
        rows["premise"].append(text)
        rows["claim"].append(f"the {first} of {seed * 1_000 + number} was {word}")
        rows["label"].append(label)
    return rows


def span_rows(n: int, seed: int) -> dict[str, list]:
    draw = random.Random(seed)
    rows: dict[str, list] = {key: [] for key in ("id", "title", "context", "question", "answers", "metadata")}
    for number in range(n):
        text, first, good = sentence(draw, seed * 1_000 + number)
        rows["id"].append(f"gold-{seed}-{number}")
        rows["title"].append(first)
        rows["context"].append(text)
        rows["question"].append(f"how was the {first} of {seed * 1_000 + number} ?")
        rows["answers"].append({"text": [good], "answer_start": [text.index(good)]})
        rows["metadata"].append({"split": "made up"})
    return rows


def recipe_over(folder: Path, name: str, template: str, features: datasets.Features, rows) -> Path:
    for split, size, seed in (("validation", 36, 1), ("test", 30, 2)):
        made = datasets.Dataset.from_dict(rows(size, seed), features=features)
        made.to_parquet(str(folder / "gold" / "data" / f"{split}-00000-of-00001.parquet"))
    path = folder / f"{name}.py"
    path.write_text(template.format(source=str(folder / "gold")))
    return path


@pytest.fixture(scope="session")
def pairs_recipe(tmp_path_factory) -> Path:
    """A recipe for pairs with three labels."""
    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "claim": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["entailment", "contradiction", "neutral"]),
            "idx": datasets.Value("int32"),
        }
    )
    return recipe_over(tmp_path_factory.mktemp("pairs"), "pairs", PAIRS, features, pair_rows)


@pytest.fixture(scope="session")
def spans_recipe(tmp_path_factory) -> Path:
    """A recipe for questions with answers in a context."""
    text = datasets.Value("string")
    answers = {"text": datasets.List(text), "answer_start": datasets.List(datasets.Value("int32"))}
    columns = {"id": text, "title": text, "context": text, "question": text, "answers": answers}
    features = datasets.Features(columns | {"metadata": {"split": text}})
    return recipe_over(tmp_path_factory.mktemp("spans"), "spans", SPANS, features, span_rows)


def kind_reply(payload) -> str:
    """A claim, or a question where one is asked for, that belongs to this payload."""
    prompt = payload["messages"][-1]["content"]
    draw = random.Random(hashlib.sha256(f"{prompt}{payload['seed']}".encode()).hexdigest())
    place, number = draw.choice(PLACES), draw.randrange(10_000)
    if "Ask" in prompt:
        return f"What was it like for the {place} of {number} to watch?"
    return f"The {place} of {number} was {draw.choice(WORDS)} to watch."
