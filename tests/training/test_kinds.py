"""Pairs and spans learned by a real, tiny BERT."""

import json
import random
from dataclasses import replace

import datasets
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from s3_hf.config import TrainingConfig
from s3_hf.errors import ConfigError, StudentError
from s3_hf.local.assets import minilm_dir
from s3_hf.records import Columns
from s3_hf.scoring import score
from s3_hf.training import TrainingJob, fit, load_student, predict
from s3_hf.training.labels import LabelHead
from tests.conftest import NEGATIVE, POSITIVE, film_rows

PAIR = Columns("claim", label="label", context="review")
SPAN = Columns("question", context="review", answers="answers")
FP32 = TrainingConfig(precision="fp32")


def pairs(n, seed):
    """The label is in the review; the claim is drawn apart from it."""
    reviews, claims = film_rows(n, seed), film_rows(n, seed + 50)
    random.Random(seed).shuffle(claims["text"])
    return datasets.Dataset.from_dict({"review": reviews["text"], "claim": claims["text"], "label": reviews["label"]})


def spans(n, seed, words=(4, 70)):
    """What is asked for is the one telling word of the review, wherever it is."""
    draw, rows = random.Random(seed), []
    for number in range(n):
        filler = draw.choices(["the", "film", "to", "watch", "plot", "cast", "music"], k=draw.randint(*words))
        answer, place = draw.choice(POSITIVE + NEGATIVE), draw.randrange(len(filler))
        before = "".join(word + " " for word in filler[:place])
        row = {"review": f"{before}{answer} {' '.join(filler[place:])} .", "question": "number was number"}
        rows.append(row | {"answers": {"text": [answer], "answer_start": [len(before)]}, "s3_id": f"row-{number}"})
    return datasets.Dataset.from_list(rows)


def job(student, columns, rows, gold, **settings):
    given = {
        "epochs": 4,
        "min_steps": 0,
        "batch_size": 8,
        "learning_rate": 5e-3,
        "head_learning_rate": 1e-2,
        "precision": "fp32",
    }
    return TrainingJob(
        rows=rows,
        selection=gold,
        columns=columns,
        label_names=("neg", "pos") if columns.label else (),
        student=str(student),
        student_name="tests/tiny",
        max_length=32,
        stride=6,
        metric=columns.metrics[0],
        seed=5,
        settings=TrainingConfig(**given | settings),
    )


@pytest.fixture(scope="module")
def pair_model(tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    fit(job(tiny_student, PAIR, pairs(120, 3), pairs(40, 1)), folder / "model", folder / "work")
    return folder / "model"


@pytest.fixture(scope="module")
def span_model(tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("span")
    fit(job(tiny_student, SPAN, spans(160, 3), spans(40, 1)), folder / "model", folder / "work")
    return folder / "model"


def test_a_pair_is_learned(pair_model, tmp_path):
    rows = pairs(60, 2)
    said = predict(pair_model, rows, PAIR, FP32, tmp_path)
    assert score(PAIR, [one.value for one in said], rows["label"][:]).metrics["accuracy"] > 0.9
    assert [one.id for one in said] == [str(number) for number in range(60)]
    swapped = rows.rename_columns({"review": "claim", "claim": "review"})
    assert [one.value for one in predict(pair_model, swapped, PAIR, FP32, tmp_path)] != [one.value for one in said]


def test_a_pair_is_context_then_text_and_the_longer_is_cut():
    tokenizer = AutoTokenizer.from_pretrained(str(minilm_dir()))
    tokenizer.model_max_length = 12
    short, long = "the cast was great", " ".join(["film"] * 30)
    rows = datasets.Dataset.from_dict({"review": [short, long, long], "claim": ["to watch", short, long]})
    inputs = LabelHead(PAIR, tokenizer).encode(rows, targets=False).inputs
    assert [tokenizer.decode(ids) for ids in inputs["input_ids"]] == [
        f"[CLS] {short} [SEP] to watch [SEP]",
        f"[CLS] {'film ' * 5}[SEP] {short} [SEP]",
        f"[CLS] {'film ' * 4}[SEP] {'film ' * 5}[SEP]",
    ]
    assert inputs["token_type_ids"][0] == [0] * 6 + [1] * 3


def test_spans_are_found_in_contexts_longer_than_an_input(span_model, tmp_path):
    rows = spans(60, 2)
    said = predict(span_model, rows, SPAN, FP32, tmp_path)
    metrics = score(SPAN, [one.value for one in said], rows["answers"][:]).metrics
    assert metrics["exact_match"] > 0.9
    assert metrics["f1"] >= metrics["exact_match"]
    assert [one.id for one in said] == rows["s3_id"][:]
    assert all(0 < one.scores[0] <= 1 for one in said)
    far = [place for place, row in enumerate(rows) if row["answers"]["answer_start"][0] > 150]  # beyond 32 tokens
    assert far
    assert [said[place].value for place in far] == [rows[place]["answers"]["text"][0] for place in far]


def test_the_order_of_rows_does_not_matter(span_model, tmp_path):
    rows = spans(30, 4)
    said = predict(span_model, rows, SPAN, FP32, tmp_path)
    order = random.Random(0).sample(range(30), 30)
    again = predict(span_model, rows.select(order), SPAN, FP32, tmp_path)
    assert [(one.id, one.value) for one in again] == [(said[place].id, said[place].value) for place in order]
    assert predict(span_model, rows.select([]), SPAN, FP32, tmp_path) == []


def test_the_report_tells_what_was_learned_from(span_model, pair_model):
    report = json.loads((span_model / "training.json").read_text())
    assert (report["max_length"], report["stride"], report["rows"]) == (32, 6, 160)
    assert [set(line) for line in report["epochs"]] == [{"epoch", "train_loss", "f1", "exact_match"}] * 4
    assert report["epochs"][report["best_epoch"] - 1]["f1"] == max(line["f1"] for line in report["epochs"])
    model, tokenizer = load_student(str(span_model))
    assert report["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert report["tokens"]["seen"] > 4 * 160 * report["tokens"]["mean"]  # long contexts are several inputs
    assert (model.config.s3_stride, tokenizer.model_max_length) == (6, 32)
    report = json.loads((pair_model / "training.json").read_text())
    lengths = [len(ids) for ids in tokenizer(pairs(120, 3)["review"][:], pairs(120, 3)["claim"][:])["input_ids"]]
    assert report["tokens"] == {"mean": round(sum(lengths) / 120, 1), "seen": 4 * sum(lengths)}
    assert "stride" not in report


def test_the_epoch_that_is_kept_is_the_best_on_gold(span_model, tmp_path):
    gold = spans(40, 1)
    report = json.loads((span_model / "training.json").read_text())
    said = [one.value for one in predict(span_model, gold, SPAN, FP32, tmp_path)]
    assert score(SPAN, said, gold["answers"][:]).metrics["f1"] == pytest.approx(
        max(line["f1"] for line in report["epochs"])
    )


def test_a_student_of_the_other_kind(span_model, pair_model, tiny_student, tmp_path):
    for folder, columns, sentence in [
        (pair_model, SPAN, r"must be \.\.\.ForQuestionAnswering .*, found BertForSequenceClassification; name"),
        (span_model, PAIR, r"must be \.\.\.ForSequenceClassification .*, found BertForQuestionAnswering; name"),
        (tiny_student, SPAN, "found BertModel"),
    ]:
        with pytest.raises(StudentError, match=sentence):
            predict(folder, spans(2, 1).add_column("claim", ["a", "b"]), columns, FP32, tmp_path)
    with pytest.raises(StudentError, match=r"Classification or \.\.\.ForQuestionAnswering to be used here"):
        load_student(str(tiny_student))


def test_only_the_head_learns_at_the_learning_rate_of_the_head(tiny_student, tmp_path):
    slow = job(tiny_student, SPAN, spans(16, 1), spans(4, 2), epochs=1, learning_rate=1e-12, weight_decay=0)
    fit(slow, tmp_path / "model", tmp_path / "work")
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_student, tmp_path / "model"))
    encoder = {name.removeprefix("bert."): weight for name, weight in after.items() if name.startswith("bert.")}
    assert all(torch.allclose(weight, before[name], atol=1e-7) for name, weight in encoder.items())
    assert after["qa_outputs.bias"].abs().max() > 1e-3  # 0 at first


def test_windows_too_short_for_a_question(tiny_student, tmp_path):
    small = replace(job(tiny_student, SPAN, spans(4, 1), spans(4, 2)), max_length=5)
    with pytest.raises(ConfigError, match=r"training\.max_length .* at least 6 tokens, found 5; raise it"):
        fit(small, tmp_path / "model", tmp_path / "work")
