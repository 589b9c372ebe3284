"""Cards: what they say, and that nothing an LLM wrote can break them."""

import ast
import dataclasses
import os
import re
from functools import cache
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard

from s3_hf.cards import (
    END,
    DatasetFacts,
    ModelFacts,
    RoundFacts,
    RunFacts,
    Sample,
    dataset,
    dataset_card,
    markup,
    method,
    model,
    model_card,
    shared,
)
from s3_hf.cards.markup import HUB
from s3_hf.cards.metadata import size_category
from s3_hf.cards.shared import interval
from s3_hf.config import RunConfig
from s3_hf.records import Quality, Scores, Usage
from s3_hf.store import Calibration, ChoiceFacts, Difference, FinalFacts, FinalResult, Verdict, VerdictArm

GOLDEN = Path(__file__).parent / "golden"
TASK = {
    "name": "imdb",
    "pretty_name": "IMDb",
    "description": "Film reviews from IMDb, each positive or negative (Maas et al., 2011).",
    "source": "stanfordnlp/imdb",
    "splits": {"validation": 600, "test": 2000},
    "columns": {"text": "text", "label": "label", "context": None, "answers": None},
    "metrics": ["accuracy", "macro_f1"],
    "held_out": 0,
    "shared_contexts": 0,
    "labels": {"neg": "negative", "pos": "positive"},
    "prompts": {
        "rationales": "Imagine you are watching a movie; consider {count} reasons for a {label} impression.",
        "seed": "Imagine that you just watched a movie that has {rationales}. Write a {label} review about it.",
        "seed_plain": "Write a {label} review about a movie.",
        "extrapolate": "Write a {label} movie similar to: \n {text}",
        "system": "",
    },
    "license": "other",
    "language": "en",
    "homepage": "https://ai.stanford.edu/~amaas/data/sentiment/",
    "citation": "Maas et al. Learning Word Vectors for Sentiment Analysis. ACL 2011.",
    "task_category": "text-classification",
    "task_ids": ["sentiment-classification"],
}
STRUCTURE = {
    "dataset_info": {
        "features": [
            {"name": "text", "dtype": "string"},
            {"name": "label", "dtype": {"class_label": {"names": {"0": "neg", "1": "pos"}}}},
        ],
        "splits": [{"name": "train", "num_bytes": 81234, "num_examples": 631}],
        "download_size": 41234,
        "dataset_size": 81234,
    },
    "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
}


def scores(accuracy, n):
    return Scores({"accuracy": accuracy, "macro_f1": accuracy - 0.001}, n)


ROUNDS = (
    RoundFacts(0, 400, {"neg": 200, "pos": 200}, scores(0.75, 600), scores(0.742, 2000), 150),
    RoundFacts(1, 131, {"neg": 70, "pos": 61}, scores(0.79, 600), scores(0.7555, 2000), 126),
    RoundFacts(2, 100, {"neg": 41, "pos": 59}, scores(0.8, 600), scores(0.761, 2000), 120),
)
RUN = RunFacts(
    task=TASK,
    strategy="s3",
    llm="SmolLM2-135M-Instruct.Q4_1",
    endpoint="local",
    student="sentence-transformers/all-MiniLM-L6-v2",
    settings=RunConfig(task="imdb").model_dump(mode="json"),
    versions={"s3-hf": "0.1.0", "transformers": "5.23.0", "torch": "2.13.0", "datasets": "5.2.0"},
    rounds=ROUNDS,
)
DATASET = DatasetFacts(
    repo="user/s3-imdb-round2",
    run=RUN,
    structure=STRUCTURE,
    samples=(
        Sample("neg", "A film without one idea of its own.", "seed", 0),
        Sample("neg", "I looked at my watch more often than at the screen.", "error", 1),
        Sample("pos", "The leads carry every scene.\nI would see it again tomorrow.", "seed", 0),
        Sample("pos", "Slow, odd, and all the better for it.", "error", 2),
    ),
    origins={"seed": 400, "error": 231},
    rationales={"neg": ("a boring plot", "wooden acting"), "pos": ("great acting", "beautiful cinematography")},
    prompts={"0a1b2c3d4e5f": TASK["prompts"]["seed"], "5f4e3d2c1b0a": TASK["prompts"]["extrapolate"]},
    rejected={"duplicate": 3, "refusal": 12},
    given_up=1,
    usage=Usage(655, 48210, 21987),
    seconds=184.4,
    quality=Quality(3, 1, 4, 18.25, 21.5, 0.3512, 0.6234, 600, parts=12),
    checks_off={"too short, relaxed to 3 words": 0.015},
)
TRAINING = {
    "student": RUN.student,
    "rows": 631,
    "metric": "accuracy",
    "best_epoch": 2,
    "epochs": [
        {"epoch": 1, "train_loss": 0.5512, "accuracy": 0.771},
        {"epoch": 2, "train_loss": 0.2291, "accuracy": 0.8},
        {"epoch": 3, "train_loss": 0.0814, "accuracy": 0.795},
    ],
    "settings": RunConfig(task="imdb").model_dump(mode="json")["training"],
    "max_length": 256,
    "precision": "bf16",
    "seconds": 21.7,
    "samples_per_second": 87.2,
}
MODEL = ModelFacts(
    repo="user/s3-imdb-round2-all-MiniLM-L6-v2",
    run=RUN,
    dataset="user/s3-imdb-round2",
    training=TRAINING,
    sample="Slow, odd, and all the better for it.",
    revision="a" * 40,
)
VERDICT = Verdict(
    "Synthetic rows add +2.6 points (0.9 to 4.4) to your 600 gold rows.",
    "accuracy",
    2000,
    "after",
    (
        VerdictArm("gold", 0, 600, 171, 0, 0.0, 0.7865, 0.769, 0.804),
        VerdictArm("round-2", 631, 0, 57, 655, 0.21, 0.761, 0.743, 0.779, Difference(-0.0255, -0.044, -0.006)),
        VerdictArm("after", 631, 600, 157, 655, 0.21, 0.8125, 0.795, 0.829, Difference(0.026, 0.009, 0.044)),
    ),
)
FINAL = FinalResult(
    ChoiceFacts(
        "after",
        2,
        "cross-fitting",
        "accuracy",
        {
            "gold": (0.78, 0.77, 0.79),
            "synthetic": (0.75, 0.74, 0.76),
            "after": (0.8, 0.81, 0.79),
            "mixed": (0.79, 0.8, 0.78),
        },
        {"gold": 0.01, "synthetic": 0.013, "mixed": 0.008},
        600,
    ),
    FinalFacts(
        631,
        600,
        157,
        {"test": scores(0.8125, 2000), "cross-fitted": scores(0.8, 600)},
        Calibration(1.62, 600, 0.0871, 0.0214),
    ),
    None,
    Path("model"),
)
FINAL_MODEL = dataclasses.replace(
    MODEL,
    repo="user/s3-imdb",
    training=TRAINING
    | {"best_epoch": 2, "epochs": [{"epoch": 1, "train_loss": 0.41}, {"epoch": 2, "train_loss": 0.2}]},
    final=FINAL,
    verdict=VERDICT,
)
HUMAN = dataclasses.replace(RUN, strategy="gold", llm="", endpoint="", rounds=ROUNDS[:1])
PLAIN = dataclasses.replace(RUN, strategy="zerogen", rounds=ROUNDS[:1])


SPAN_TASK = TASK | {
    "name": "adversarial_qa",
    "pretty_name": "AdversarialQA",
    "description": "Paragraphs from Wikipedia with questions about them, each answered by a span.",
    "source": "UCLNLP/adversarial_qa",
    "columns": {"text": "question", "label": None, "context": "context", "answers": "answers"},
    "metrics": ["f1", "exact_match"],
    "held_out": 200,
    "shared_contexts": 7,
    "labels": {},
    "prompts": {
        "seed": "Given a context: {context} \n{answer} is the answer to the following question:",
        "extrapolate": "Given a context: {context} \n{answer} is the answer to: {text}.\nA question that has the same "
        "answer in the context is:",
        "rationales": "",
        "seed_plain": "",
        "system": "",
    },
    "license": "cc-by-sa-4.0",
    "task_category": "question-answering",
    "task_ids": ["extractive-qa"],
}


def span_scores(exact, f1):
    return Scores({"f1": f1, "exact_match": exact}, 1064)


SPAN_RUN = dataclasses.replace(
    RUN,
    task=SPAN_TASK,
    rounds=(
        RoundFacts(0, 400, {}, span_scores(0.051, 0.112), span_scores(0.049, 0.104), 190),
        RoundFacts(1, 131, {}, span_scores(0.062, 0.131), span_scores(0.058, 0.122), 187),
    ),
)
SPAN_DATASET = dataclasses.replace(
    DATASET,
    repo="user/s3-adversarial_qa-round1",
    run=SPAN_RUN,
    samples=(Sample("", "The Town Moor lies north of the centre.\n\nWhat lies north?\n\nTown Moor", "seed", 0),),
    origins={"seed": 400, "error": 131},
    rationales={},
    prompts={"0a1b2c3d4e5f": SPAN_TASK["prompts"]["seed"]},
)
SPAN_MODEL = dataclasses.replace(
    MODEL,
    repo="user/s3-adversarial_qa-round1-all-MiniLM-L6-v2",
    run=SPAN_RUN,
    dataset=SPAN_DATASET.repo,
    training=TRAINING
    | {
        "metric": "f1",
        "stride": 128,
        "best_epoch": 1,
        "epochs": [{"epoch": 1, "train_loss": 4.1, "f1": 0.131, "exact_match": 0.062}],
    },
    sample="What lies north of the centre?",
    context="The Town Moor lies north of the centre.",
)
PAIR_RUN = dataclasses.replace(
    RUN,
    task=TASK
    | {
        "name": "rte",
        "pretty_name": "RTE",
        "columns": {"text": "sentence2", "label": "label", "context": "sentence1", "answers": None},
        "shared_contexts": 3,
        "labels": {"entailment": "correct", "not_entailment": "wrong"},
    },
)
PAIR_MODEL = dataclasses.replace(MODEL, run=PAIR_RUN, context="Oil prices fall back.")


def dataset_of(run, **changes):
    return dataclasses.replace(DATASET, run=run, **changes)


def given(**settings):
    config = RunConfig(task="imdb", **settings).model_dump(mode="json")
    return dataclasses.replace(RUN, settings=config)


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("dataset_card", dataset_card(DATASET)),
        ("model_card", model_card(MODEL)),
        ("final_card", model_card(FINAL_MODEL)),
        ("dataset_card_spans", dataset_card(SPAN_DATASET)),
        ("model_card_spans", model_card(SPAN_MODEL)),
    ],
)
def test_card_is_as_the_golden_file(name, card):
    """`UPDATE_GOLDEN=1 pytest tests/test_cards.py` writes the files anew."""
    golden = GOLDEN / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(card, encoding="utf-8")
    assert card == golden.read_text(encoding="utf-8")


def test_dataset_front_matter():
    data = DatasetCard(dataset_card(DATASET)).data.to_dict()
    assert data["tags"] == ["synthetic", "s3-hf", "s3"]
    assert data["annotations_creators"] == data["language_creators"] == ["machine-generated"]
    assert data["source_datasets"] == ["stanfordnlp/imdb"]
    assert data["task_categories"] == ["text-classification"]
    assert data["task_ids"] == ["sentiment-classification"]
    assert data["size_categories"] == ["n<1K"]
    assert data["license"] == "other"
    assert "stanfordnlp/imdb" in data["license_details"]
    assert RUN.llm in data["license_details"]
    assert data["configs"] == STRUCTURE["configs"]
    assert data["dataset_info"] == STRUCTURE["dataset_info"]


@pytest.mark.parametrize(
    ("arm", "learned"),
    [
        ("gold", ["nyu-mll/glue"]),
        ("synthetic", ["user/s3-imdb-round2"]),
        ("after", ["user/s3-imdb-round2", "nyu-mll/glue"]),
        ("mixed", ["user/s3-imdb-round2", "nyu-mll/glue"]),
    ],
)
def test_the_final_card_links_what_the_student_learned(arm, learned):
    final = dataclasses.replace(FINAL, choice=dataclasses.replace(FINAL.choice, arm=arm))
    run = dataclasses.replace(RUN, task=RUN.task | {"source": "nyu-mll/glue:rte"})
    data = ModelCard(model_card(dataclasses.replace(FINAL_MODEL, run=run, final=final))).data
    assert data.datasets == learned
    assert data.eval_results[0].dataset_type == "nyu-mll/glue"


@pytest.mark.parametrize(
    ("arm", "sources", "rows", "learned"),
    [
        ("gold", {}, 0, "600 human-labelled gold rows ({gold})"),
        ("gold", {"add_data": "more.csv"}, 0, "600 human-labelled gold rows ({gold})"),
        ("synthetic", {}, 631, "631 synthetic rows (`user/s3-imdb-round2`)"),
        ("after", {}, 631, "631 synthetic rows (`user/s3-imdb-round2`), then 600 human-labelled gold rows ({gold})"),
        (
            "mixed",
            {"add_data": "more.csv"},
            631,
            "631 rows (`user/s3-imdb-round2`) and 600 human-labelled gold rows ({gold}) together",
        ),
    ],
)
def test_the_final_card_says_what_the_student_learned(arm, sources, rows, learned):
    choice, found = dataclasses.replace(FINAL.choice, arm=arm), dataclasses.replace(FINAL.facts, rows=rows)
    final = dataclasses.replace(FINAL, choice=choice, facts=found)
    card = model_card(dataclasses.replace(FINAL_MODEL, run=given(**sources), final=final))
    learned = learned.format(gold="[stanfordnlp/imdb](https://huggingface.co/datasets/stanfordnlp/imdb)")
    assert f"as `neg` or `pos`, on {learned}.\n" in card
    body, parts = card.split("---\n", 2)[2], ("user/s3-imdb-round2", RUN.llm, "631 rows", "load_dataset", "showed the")
    if arm == "gold":
        assert f"- **Data:** {learned}.\n" in card
        assert not [each for each in (*parts, *sources.values()) if each in body]
        assert RUN.llm not in card
        assert "These terms apply: the gold data (`stanfordnlp/imdb`) states no standard licence; the weights" in card
    else:
        assert all(each in body for each in (*parts, *sources.values()))
        assert "whose terms for generated text apply" in body


def test_model_front_matter():
    data = ModelCard(model_card(dataclasses.replace(MODEL, new_version="user/next"))).data
    assert data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert data.datasets == ["user/s3-imdb-round2"]
    assert data.pipeline_tag == "text-classification"
    assert data.library_name == "transformers"
    assert data.metrics == ["accuracy", "f1"]
    assert data.new_version == "user/next"
    accuracy = data.eval_results[0]
    assert (accuracy.dataset_type, accuracy.dataset_split) == ("stanfordnlp/imdb", "test")
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.761)
    assert accuracy.metric_args == {"n": 2000, "confidence_interval_95": [0.7418, 0.7792]}


def test_a_pair_and_its_labels_are_named():
    card = dataset_card(dataclasses.replace(DATASET, run=PAIR_RUN, rationales={}))
    assert "pairs of texts: `entailment`, `not_entailment`" in card
    assert "the `sentence1` of a gold row, drawn at random, and a label" in card
    assert "3 distinct `sentence1` texts of the validation rows are in the test split too" in card
    assert 'classify({"text": context, "text_pair": "Slow, odd' in model_card(PAIR_MODEL)


@pytest.mark.parametrize(
    ("facts", "call"),
    [
        (MODEL, 'await pipeline("text-classification", '),
        (PAIR_MODEL, "tokenizer(context, { text_pair: "),
        (SPAN_MODEL, 'await pipeline("question-answering", '),
    ],
    ids=["labels", "pairs", "spans"],
)
def test_a_model_that_was_exported_says_how_javascript_uses_it(facts, call):
    assert "transformers.js" not in model_card(facts)
    card = ModelCard(model_card(dataclasses.replace(facts, onnx=True)))
    assert call in card.text
    assert {*card.data.tags} >= {"onnx", "transformers.js"}


def test_a_span_finder_is_scored_by_both_metrics():
    data = ModelCard(model_card(SPAN_MODEL)).data
    assert data.pipeline_tag == "question-answering"
    assert [each.metric_type for each in data.eval_results] == ["exact_match", "f1"]
    assert data.eval_results[0].metric_args["confidence_interval_95"]
    assert "confidence_interval_95" not in data.eval_results[1].metric_args


def test_a_licence_that_the_user_chose_is_used():
    chosen = dataclasses.replace(RUN, license="cc-by-4.0")
    for card in (
        DatasetCard(dataset_card(dataset_of(chosen))),
        ModelCard(model_card(dataclasses.replace(MODEL, run=chosen))),
    ):
        assert card.data.license == "cc-by-4.0"
        assert "license_details" not in card.data.to_dict()


def test_gold_rows_are_called_human():
    card = DatasetCard(dataset_card(dataset_of(HUMAN, prompts={}, rationales={}, origins={"human": 400})))
    assert "human-labelled" in card.text
    assert not re.search("extrapolated from an error|synthesi[sz]ed from|temperature|Prompts", card.text)
    assert "synthetic" not in card.data.tags
    assert card.data.annotations_creators == ["found"]


def test_zerogen_is_described_as_such():
    card = dataset_card(dataset_of(PLAIN, rationales={}))
    assert "without rationales and without feedback" in card
    assert "ye-etal-2022-zerogen" in card
    assert "wang-etal-2023-lets" not in card


def test_progen_is_described_as_such():
    run = dataclasses.replace(PLAIN, strategy="progen", rounds=ROUNDS[:2])
    card = dataset_card(dataset_of(run, rationales={}, origins={"seed": 400, "feedback": 131}))
    assert "then 1 round whose prompts show the rows that helped a small model most." in card
    assert "up to 50 per label. 50.0% of the new prompts begin with 8 of the selected rows of their label" in card
    assert "131 rows are `feedback` (from a round whose prompts show helpful rows)" in card
    assert "ye-etal-2022-progen" in card


@pytest.mark.parametrize("strategy", ["s3", "goldgen"])
def test_rounds_that_are_topped_up_say_so(strategy):
    run = dataclasses.replace(given(round_size=900, synthesis={"top_up": True}), strategy=strategy)
    card = dataset_card(dataset_of(run))
    asked = "asked for a new example like it with that label. A round has 900 rows: if there are more of these gold"
    assert asked in card
    assert "at most 900" not in card
    assert strategy == "s3" or "For each of the 600 gold validation rows, the LLM" in card


@pytest.mark.parametrize(
    ("size", "said"), [(None, "each of the 600"), (700, "each of the 600"), ([20, 10], "20 and then 10 of the 600")]
)
def test_goldgen_says_how_many_rows_it_was_shown(size, said):
    card = dataset_card(dataset_of(dataclasses.replace(given(round_size=size), strategy="goldgen")))
    assert f"For {said} gold validation rows, the LLM is shown" in card
    assert "A round has" not in card


def test_with_held_out_rows_mistakes_are_of_the_others():
    task = TASK | {"splits": {"validation": 450, "test": 2000}, "held_out": 150}
    card = dataset_card(dataset_of(dataclasses.replace(RUN, task=task)))
    assert (
        "*Mistakes* counts its wrong predictions on 450 other validation rows; the *selection* rows only chose the"
        in card
    )
    assert "predicts the gold validation rows that did not choose the epoch." in card
    assert "the selection scores above are of other validation rows, which only chose the epoch." in card
    human = dataclasses.replace(HUMAN, task=task)
    assert "wrong predictions on 450 other validation rows, on which it was trained here;" in dataset_card(
        dataset_of(human, quality=None)
    )
    model = model_card(dataclasses.replace(MODEL, run=human))
    assert "The selection rows chose the training epoch; other validation rows are the training data: only" in model


@pytest.mark.parametrize(("trained", "words"), [(1, "1 epoch"), (9, "9 epochs")])
def test_the_epochs_of_a_card_are_those_that_were_trained(trained, words):
    lines = [{"epoch": number + 1, "train_loss": 0.4} for number in range(trained)]
    card = model_card(dataclasses.replace(MODEL, training=TRAINING | {"epochs": lines}))
    assert f"**Settings:** {words}, batch" in card


def test_goldgen_is_described_as_such():
    card = dataset_card(dataset_of(dataclasses.replace(RUN, strategy="goldgen")))
    assert "Gold extrapolation." in card
    assert "Error extrapolation." not in card


def test_a_dataset_without_models_has_no_scores():
    bare = tuple(RoundFacts(each.number, each.added, each.labels) for each in ROUNDS[:1])
    card = dataset_card(dataset_of(dataclasses.replace(PLAIN, rounds=bare), rationales={}))
    assert "accuracy" not in card


def test_rows_that_were_added_are_no_extrapolated_ones():
    run = given(add_data=["human.jsonl", "more.csv"])
    card, model = dataset_card(dataset_of(run)), model_card(dataclasses.replace(MODEL, run=run))
    assert (
        "131 taken unchanged from `human.jsonl` and `more.csv`, and 500 **synthetic** ones, written by the LLM" in card
    )
    assert "a rationale-guided seed dataset, then rows of existing datasets, then 1 round of data extrapolated" in card
    assert "1. **Round 1.** Rows taken unchanged from `human.jsonl` and `more.csv`." in card
    assert "**Repeat** from the small model; 1 round so far." in card
    assert "No human has checked the rows that the LLM wrote." in card
    assert "500 synthetic and 131 taken unchanged from `human.jsonl` and `more.csv`" in model
    assert "a seed, existing rows and 1 round of examples extrapolated" in model
    assert "The prompts of extrapolated rows showed the LLM gold rows." in model
    assert "except those from" in model


def test_a_dataset_without_a_row_of_the_llm_names_none():
    run = dataclasses.replace(given(seed_data="one", add_data="two"), strategy="zerogen", rounds=ROUNDS[:2])
    card = dataset_card(dataset_of(run, rationales={}, prompts={}, rejected={}))
    model = model_card(dataclasses.replace(MODEL, run=run))
    assert "531 training examples for IMDb (`neg`, `pos`), all taken unchanged from `one` and `two`." in card
    assert "synthetic" not in card.split("## Rounds")[0]
    assert RUN.llm not in card + model
    assert "531 examples, all taken unchanged from `one` and `two`" in model


def test_before_the_round_of_added_rows_all_are_written():
    run = dataclasses.replace(given(add_data="two"), rounds=ROUNDS[:1])
    assert "`two`" not in dataset_card(dataset_of(run))
    assert "showed the LLM gold rows" not in model_card(dataclasses.replace(MODEL, run=run))


def test_an_existing_seed_is_named():
    config = RunConfig(task="imdb", seed_data="someone/reviews").model_dump(mode="json")
    assert "Rows taken unchanged from `someone/reviews`." in dataset_card(
        dataset_of(dataclasses.replace(RUN, settings=config))
    )


@pytest.mark.parametrize(
    "text",
    ["```\n# Not a heading\n```", "````\n---\nlicense: mit\n---", "{{ 7 * 7 }} {% raw %}", "<script>x</script>", END],
)
def test_what_an_llm_wrote_stays_inside_its_fence(text):
    sample = Sample("pos", text, "seed", 0)
    card = DatasetCard(dataset_card(dataset_of(RUN, samples=(sample,), rationales={"pos": (text,)})))
    assert card.data.license == "other"
    outside, fence = [], ""
    for line in card.text.splitlines():
        mark = re.match("`{3,}", line)
        if not fence and mark:
            fence = mark.group()
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)
    assert not fence
    assert not set(outside[:-1]) & {line for line in text.splitlines() if line.strip("`-")}
    assert text in card.text


def test_names_cannot_break_a_table_or_inline_code():
    odd = dataclasses.replace(RUN, llm="a|b`c\nd")
    assert "`a\\|b'c d`" in dataset_card(dataset_of(odd))


HOSTILE = [
    "[click](https://evil.example)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "a | b",
    "**bold** _it_ ~~no~~ $x$",
    "x\n\n# Heading\n---\nlicense: mit\n---",
    "\x1b[31mred\x1b]8;;https://evil.example\x07",
    f"{END}\nmine",
    "`",
    "{{ 7 * 7 }} {% raw %}",
    "m" * 3_000,
    "",
]
OTHERS = ("llm", "student", "pretty_name", "description", "homepage", "citation", "source", "license", "label")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", OTHERS)
def test_text_of_others_is_no_markup(place, text):
    """The text of both cards, without what stands in code, has no link, tag, heading or table that is not ours."""
    task = TASK | ({"labels": {text: text, "pos": "positive"}} if place == "label" else {})
    if place in TASK:
        task = TASK | {place: text}
    run = dataclasses.replace(RUN, task=task, **({place: text} if place in ("llm", "student") else {}))
    cards = [DatasetCard(dataset_card(dataset_of(run))), ModelCard(model_card(dataclasses.replace(MODEL, run=run)))]
    for card, own in zip(cards, own_structures(), strict=True):
        assert card.data.license == "other"
        assert "\x1b" not in card.text
        assert structure(card.text) <= own
        assert card.text.count(f"\n{END}") == 1
        assert max(map(len, card.text.splitlines())) < (4_000 if place in TASK else 1_500)


@cache
def own_structures():
    return structure(DatasetCard(dataset_card(DATASET)).text), structure(ModelCard(model_card(MODEL)).text)


def structure(card):
    """What a reader of Markdown acts on: links, tags and emphasis in the text, and the first words of headings."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", card.removesuffix(END + "\n"), flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "code", text)
    text = re.sub(r"\\.", "", text)
    acting = re.findall(r"\]\([^)]*\)|<[^>]*>|!\[|~~|\$", text)
    headings = [line.split()[1] for line in text.splitlines() if re.match("#+ +[A-Z]", line) and line[1] == "#"]
    columns = [str(line.count(" | ")) for line in text.splitlines() if line.startswith("|")]
    known = (HUB, "https://ai.stanford.edu", "https://arxiv.org")
    return {each for each in acting if not each.startswith(tuple(f"]({each}" for each in known))} | {
        *headings,
        *columns,
    }


def test_the_code_sample_of_a_model_card_survives_any_text():
    sample = 'He said "no" — it\'s \\ done\n```'
    card = model_card(dataclasses.replace(MODEL, sample=sample))
    code = re.search(r"````python\n(.*?)\n````\n", card, re.DOTALL)
    compile(code.group(1), "card", "exec")
    assert ast.literal_eval(re.search(r"classify\((.+), truncation", code.group(1)).group(1)) == sample


def test_interval_is_wilsons():
    low, high = interval(0.76, 2000)
    assert (round(low, 4), round(high, 4)) == (0.7408, 0.7782)
    assert interval(1.0, 10)[1] == pytest.approx(1)
    assert interval(0.0, 10)[0] == pytest.approx(0)


@pytest.mark.parametrize(
    ("rows", "name"), [(999, "n<1K"), (1000, "1K<n<10K"), (200_000, "100K<n<1M"), (10**7, "10M<n<100M")]
)
def test_size_category(rows, name):
    assert size_category(rows) == name


@pytest.mark.parametrize(
    ("strategy", "rounds", "text"),
    [
        ("zerogen", 1, "zero-shot prompts, without rationales and without feedback from a small model."),
        ("progen", 1, "zero-shot prompts."),
        ("goldgen", 2, "then data extrapolated from human-labelled rows, whether a small model gets them right or"),
        (
            "s3",
            1,
            "rationale-guided seed dataset, the start for the rounds that extrapolate a small model's errors.",
        ),
        ("s3", 2, "then 1 round of data extrapolated from the errors"),
        ("s3", 3, "then 2 rounds of data extrapolated from the errors"),
        ("mine", 2, "written by the LLM `SmolLM2-135M-Instruct.Q4_1` with mine."),
    ],
)
def test_summary_names_what_each_strategy_does(strategy, rounds, text):
    run = dataclasses.replace(RUN, strategy=strategy, rounds=ROUNDS[:rounds])
    assert text in dataset.summary(dataset_of(run))


@pytest.mark.parametrize(
    ("held_out", "part", "other"), [(0, "validation", "the validation rows that"), (150, "selection", "450 other")]
)
def test_no_figure_stands_under_the_name_of_another_part(held_out, part, other):
    task = TASK | {"splits": {"validation": 450, "test": 2000}, "held_out": held_out}
    run = dataclasses.replace(RUN, task=task)
    rows, trained = dataset_of(run), dataclasses.replace(MODEL, run=run)
    wrong = {"validation", "selection"} - {part}
    for table in (
        dataset.round_table(rows),
        model.score_table(trained),
        model.epoch_table(trained),
        model.training_settings(trained),
    ):
        assert not any(name in table for name in wrong), table
    assert f"measured on 600 {part} and 2,000 test rows" in dataset.rounds(rows)
    assert other in dataset.rounds(rows)


def test_steps_of_a_seed_without_rationales():
    plain = given(synthesis={"labels": "uniform"})
    assert method.steps(dataset_of(dataclasses.replace(plain, rounds=ROUNDS[:1]), rationales={})) == (
        "1. **Seed.** The LLM wrote each row from the same zero-shot prompt with its label."
    )
    spans = dataclasses.replace(SPAN_RUN, settings=given(synthesis={"answers": "phrases"}).settings)
    assert "drawn at random, and a phrase of it as the answer." in method.steps(dataset_of(spans, rationales={}))


def test_rejections_are_sorted_by_number():
    lines = method.rejections(dataset_of(RUN, rejected={"few": 1, "many": 2_000}, given_up=2)).splitlines()
    assert lines[0].endswith("2 rows were given up.")
    assert lines[-2:] == ["| many | 2,000 |", "| few | 1 |"]
    assert method.rejections(dataset_of(RUN, rejected={})).startswith("None:")


@pytest.mark.parametrize(("seconds", "text"), [(4.2, "4 s"), (184.4, "3 min 4 s"), (9_000, "2 h 30 min")])
def test_duration(seconds, text):
    assert markup.duration(seconds) == text


def test_a_table_aligns_its_columns():
    assert markup.table([("a", "l"), ("b", "r")], [("x", "1")]) == "| a | b |\n|:--|--:|\n| x | 1 |"


def test_terms_name_each_source_once():
    run = given(seed_data="one", add_data=["one", "two"])
    assert shared.terms(run, weights=True) == [
        "the gold data (stanfordnlp/imdb) states no standard licence",
        "rows were taken over from one and two, whose licence applies",
        f"other text was written by {RUN.llm}, whose terms for generated text apply",
        f"the weights started from {RUN.student}, whose licence applies",
    ]
