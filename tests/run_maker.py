"""A run directory as the loop leaves it, made of real parts but without an LLM or training."""

import shutil
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path

import datasets
import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from s3_hf.analysis import Measured, verdict_of
from s3_hf.config import RunConfig
from s3_hf.files import RowWriter, write_json
from s3_hf.records import Example, Usage
from s3_hf.store import create_run

LABELS = ("negative", "positive")
FEATURES = datasets.Features(
    {
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=list(LABELS)),
        "s3_id": datasets.Value("string"),
        "s3_round": datasets.Value("int32"),
        "s3_origin": datasets.Value("string"),
        "s3_parent": datasets.Value("string"),
        "s3_rationales": datasets.List(datasets.Value("string")),
        "s3_model": datasets.Value("string"),
        "s3_prompt": datasets.Value("string"),
    }
)
PROMPTS = {
    "rationales": "Name {count} reasons for a {label} review.",
    "seed": "A film has {rationales}. Write a {label} sentence about it.",
    "seed_plain": "Write a {label} sentence.",
    "extrapolate": "Write a {label} sentence like: {text}",
    "system": "",
}
TASK = {
    "name": "snippets",
    "pretty_name": "Snippets",
    "description": "Sentences from film reviews.",
    "source": "someone/snippets",
    "splits": {"validation": 600, "test": 2000},
    "columns": {"text": "text", "label": "label", "context": None, "answers": None},
    "metrics": ["accuracy", "macro_f1"],
    "held_out": 0,
    "shared_contexts": 0,
    "labels": {"negative": "negative", "positive": "positive"},
    "prompts": PROMPTS,
    "license": "mit",
    "language": "en",
    "homepage": "",
    "citation": "Somebody. Snippets. 2014.",
    "task_category": "text-classification",
    "task_ids": ["sentiment-classification"],
}
RECIPE = """
from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Snippets(TaskBuilder):
    BUILDER_CONFIGS = [
        TaskConfig(
            name="snippets",
            source={source!r},
            labels={{"negative": "negative", "positive": "positive"}},
            prompts=Prompts(**{prompts!r}),
        )
    ]
"""
GOLD = {
    "validation": (
        ["a dull film that never ends , whatever they say .", "a joy from start to end ."],
        [0, 1],
    ),
    "test": (["two hours of nothing .", "this is why we watch films ."], [0, 1]),
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "bad", "film", "good", "very", "."]


def add_round(run, number, texts, model="llm-1"):
    """Write the rows and the report of a round, as the loop does."""
    folder = run.round(number)
    writer = RowWriter(folder.data, FEATURES)
    for place, (text, label) in enumerate(texts):
        origin, parent = ("error", f"val-{place:05d}") if number else ("seed", None)
        reasons = () if number else ("a plot",)
        example = Example(
            f"s3-r{number}/{place:05d}", {"text": text, "label": label}, origin, number, parent, reasons, model, "00ff"
        )
        writer.write(example.row())
    writer.commit()
    counts = {name: sum(label == each for _, label in texts) for each, name in enumerate(LABELS)}
    report = {
        "round": number,
        "rows": len(texts),
        "labels": counts,
        "origins": {"error" if number else "seed": len(texts)},
        "rationales": {"negative": ["a boring plot"], "positive": ["great acting"]},
        "prompts": {"00ff": PROMPTS["extrapolate" if number else "seed"]},
        "rejected": {"duplicate": 1},
        "given_up": 0,
        "usage": {"requests": len(texts) + 1, "prompt_tokens": 100, "completion_tokens": 50, "cost": 0.0},
        "seconds": 1.5,
    }
    write_json(folder.facts, report)


def add_model(run, number, accuracy=0.75):
    """Train nothing, but save a real tiny classifier and its scores, as the loop does."""
    folder = run.round(number)
    torch.manual_seed(number)
    names = dict(enumerate(LABELS))
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = BertConfig(
        vocab_size=len(WORDS), **shape, id2label=names, label2id={name: each for each, name in names.items()}
    )
    BertForSequenceClassification(config).save_pretrained(folder.model)
    tokenizer = Tokenizer(models.WordLevel({word: each for each, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=64
    ).save_pretrained(folder.model)
    training = {
        "student": run.facts["student"],
        "parameters": 1000,
        "rows": 4,
        "tokens": {"mean": 4.0, "seen": 16},
        "metric": "accuracy",
        "best_epoch": 1,
        "epochs": [{"epoch": 1, "train_loss": 0.6, "accuracy": accuracy}],
        "settings": run.config.training.model_dump(mode="json"),
        "max_length": 64,
        "seed": 0,
        "precision": "fp32",
        "processes": 1,
        "seconds": 2.0,
        "samples_per_second": 50.0,
    }
    write_json(folder.model / "training.json", training)
    scores = {"accuracy": accuracy, "macro_f1": accuracy}
    found = {"mined": {"metrics": scores, "n": 600}, "test": {"metrics": scores, "n": 2000}}
    write_json(folder.metrics, {"scores": found, "mistakes": 150})


def add_final(run):
    """Copy the student of round 1 as the final one, with the facts of its stages, as the loop writes them."""
    final, shares = run.final, {"accuracy": 0.82, "macro_f1": 0.82}
    shutil.copytree(run.round(1).model, final.model)
    scores = {arm: [0.8, 0.79, 0.81] for arm in ("gold", "synthetic", "after", "mixed")}
    choice = {"arm": "after", "round": 1, "by": "cross-fitting", "metric": "accuracy", "scores": scores, "n": 600}
    write_json(final.choice, choice)
    facts = {
        "rows": 6,
        "gold_rows": 600,
        "steps": 157,
        "scores": {"test": {"metrics": shares, "n": 2000}, "cross-fitted": {"metrics": shares, "n": 600}},
        "calibration": {"temperature": 1.4, "rows": 600, "before": 0.08, "after": 0.02},
    }
    write_json(final.metrics, facts)
    values = np.arange(2000) % 10
    measured = [
        Measured("gold", 0, 600, 171, Usage(), (values < 7)[None].astype(float)),
        Measured("round-0", 4, 0, 3, Usage(5), (values < 6)[None].astype(float)),
        Measured("after", 6, 600, 157, Usage(8), (values < 8)[None].astype(float)),
    ]
    write_json(final.verdict, asdict(verdict_of(measured, "after", "accuracy")))


@cache
def recipe():
    """A recipe file over a folder of four gold rows, in a place that lasts as long as this process."""
    keeper = tempfile.TemporaryDirectory(prefix="s3-hf-gold-")
    recipe.keeper = keeper  # removed with the process
    features = datasets.Features({name: FEATURES[name] for name in ("text", "label")})
    for split, (texts, labels) in GOLD.items():
        rows = datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)
        rows.to_parquet(Path(keeper.name) / "gold" / f"data/{split}-00000-of-00001.parquet")
    path = Path(keeper.name) / "snippets.py"
    path.write_text(RECIPE.format(source=str(path.parent / "gold"), prompts=PROMPTS))
    return path


def make_run(path, **changes):
    settings = {"task": str(recipe()), "strategy": "s3", "student": "someone/tiny-bert", "llm": "local"}
    settings |= {"judge": "none", "gold_stage": "none", "verdict": False} | changes
    facts = {
        "strategy": settings["strategy"],
        "student": settings["student"],
        "llm": {"model": "llm-1", "endpoint": "local"},
        "task": dict(TASK),
    }
    return create_run(path, RunConfig(**settings), facts)


def make_full_run(path):
    """A complete run of two rounds."""
    made = make_run(path)
    add_round(
        made, 0, [("a bad film .", 0), ("a good film .", 1), ("a very bad film .", 0), ("a very good film .", 1)]
    )
    add_model(made, 0)
    add_round(made, 1, [("good .", 1), ("bad .", 0)])
    add_model(made, 1, 0.8)
    return made
