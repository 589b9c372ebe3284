"""Tasks with contexts: what is asked of the LLM, what rows come of it, and whole runs over HTTP."""

import json

import datasets
import pytest

from s3_hf import loop
from s3_hf.config import parse_config
from s3_hf.errors import ConfigError, TaskError
from s3_hf.hub import write_folders
from s3_hf.store import open_run
from s3_hf.task import GoldOptions, load_task
from tests.kinds import kind_reply
from tests.llm_server import LLMServer


@pytest.fixture
def kinds_llm():
    with LLMServer(reply=kind_reply) as server:
        yield server


def settings(recipe, student, llm, **changes):
    values = {
        "task": str(recipe),
        "llm": llm.url,
        "student": str(student),
        "seed_size": 12,
        "rounds": 1,
        "round_size": 6,
        "judge": "none",
        "gold_stage": "none",
        "verdict": False,
        "training": {"epochs": 1, "min_steps": 0, "batch_size": 8, "precision": "fp32"},
    }
    return parse_config({**values, **changes})


@pytest.mark.parametrize("kind", ["pairs_recipe", "spans_recipe"])
def test_a_run_from_seed_to_published_folder(kind, request, tiny_student, kinds_llm, tmp_path):
    recipe = request.getfixturevalue(kind)
    result = loop.run(settings(recipe, tiny_student, kinds_llm), tmp_path / "run")
    task = load_task(str(recipe))
    assert set(result.rounds[-1].scores["test"].metrics) == {*task.columns.metrics}
    write_folders(open_run(tmp_path / "run"), tmp_path / "hub")
    (folder,) = (tmp_path / "hub" / "datasets" / "local").glob("*-round1")
    rows = datasets.load_dataset(str(folder), split="train")
    assert rows.features == task.features
    assert list(rows.features)[:-7] == list(task.builder.info.features)
    contexts = dict(zip(task.mined["s3_id"][:], task.mined[task.columns.context][:], strict=True))
    assert all(row[task.columns.context] == contexts[row["s3_parent"]] for row in rows)
    assert set(rows["s3_origin"][:]) == {"seed", "error"}


def test_labels_and_contexts_are_drawn_and_kept(pairs_recipe, tiny_student, kinds_llm, tmp_path):
    loop.run(settings(pairs_recipe, tiny_student, kinds_llm), tmp_path / "run")
    run = open_run(tmp_path / "run")
    seed, added = run.round(0).rows(), run.round(1).rows()
    assert [seed["label"][:].count(label) for label in range(3)] == [4, 4, 4]
    assert len(set(seed["premise"][:])) > 6
    assert seed["idx"][:] == [None] * 12
    gold = {row["s3_id"]: row for row in load_task(str(pairs_recipe)).mined}
    assert all(row["label"] == gold[row["s3_parent"]]["label"] for row in added)
    prompts = [request.payload["messages"][0]["content"] for request in kinds_llm.requests]
    assert sum("Write a similar claim" in prompt for prompt in prompts) >= 6
    assert any(prompt.endswith("Write a claim that is open.") for prompt in prompts)


def test_answers_and_carried_columns_come_along(spans_recipe, tiny_student, kinds_llm, tmp_path):
    loop.run(settings(spans_recipe, tiny_student, kinds_llm), tmp_path / "run")
    rows = open_run(tmp_path / "run").union(1)
    gold = {row["s3_id"]: row for row in load_task(str(spans_recipe)).mined}
    for row in rows:
        assert (row["title"], row["answers"]) == (gold[row["s3_parent"]]["title"], gold[row["s3_parent"]]["answers"])
        assert row["id"] == row["s3_id"]
        assert row["question"].endswith("?")


def test_other_prompts_are_a_setting(pairs_recipe, tiny_student, kinds_llm, tmp_path):
    config = settings(pairs_recipe, tiny_student, kinds_llm, prompts="chat", rounds=0)
    loop.synthesize(config, tmp_path / "run")
    assert all(request.payload["messages"][0]["content"].startswith("Text: ") for request in kinds_llm.requests)
    assert open_run(tmp_path / "run").facts["task"]["prompts"]["seed"].startswith("Text: ")
    with pytest.raises(TaskError, match=r"\(chat\), found 'chatty'"):
        loop.synthesize(settings(pairs_recipe, tiny_student, kinds_llm, prompts="chatty"), tmp_path / "other")


def test_held_out_rows_choose_the_epoch_and_no_errors_are_found_on_them(
    pairs_recipe, tiny_student, kinds_llm, tmp_path
):
    loop.run(settings(pairs_recipe, tiny_student, kinds_llm, holdout=0.5), tmp_path / "run")
    run = open_run(tmp_path / "run")
    predictions = datasets.Dataset.from_parquet(str(run.round(0).predictions), cache_dir=str(tmp_path / "cache"))
    ids = {split: set() for split in ("mined", "selection", "test")}
    for row in predictions:
        ids[row["role"]].add(row["id"])
    assert len(ids["mined"]) + len(ids["selection"]) == 36
    assert not ids["mined"] & ids["selection"]
    assert set(run.round(1).rows()["s3_parent"][:]) <= ids["mined"]
    assert run.facts["task"]["held_out"] == len(ids["selection"])


def test_contexts_of_the_test_split_are_counted_and_left_out(tmp_path, pairs_recipe):
    gold = pairs_recipe.parent / "gold" / "data"
    folder = tmp_path / "gold" / "data"
    test = datasets.Dataset.from_parquet(str(gold / "test-00000-of-00001.parquet"), cache_dir=str(tmp_path))
    validation = datasets.Dataset.from_parquet(
        str(gold / "validation-00000-of-00001.parquet"), cache_dir=str(tmp_path)
    )
    both = datasets.concatenate_datasets([validation, test.select(range(4))])
    test.to_parquet(str(folder / "test-00000-of-00001.parquet"))
    both.to_parquet(str(folder / "validation-00000-of-00001.parquet"))
    task = load_task(str(pairs_recipe), str(tmp_path / "gold"))
    assert (len(task.mined), task.shared_contexts) == (40, 4)
    clean = load_task(str(pairs_recipe), str(tmp_path / "gold"), GoldOptions(exclude_test_contexts=True))
    assert (len(clean.mined), clean.facts()["shared_contexts"]) == (36, 4)
    assert not {each.text for each in clean.contexts} & set(test["premise"][:])
    given, mined, new = tmp_path / "given.jsonl", clean.mined[5], "the set number 7 was new but the song was old"
    texts = [f"{mined['premise']} ", test["premise"][0], new]
    given.write_text("".join(json.dumps({"premise": text}) + "\n" for text in texts))
    for excluded, parents in ((False, (mined["s3_id"], "val-00036", None)), (True, (mined["s3_id"], None))):
        options = GoldOptions(exclude_test_contexts=excluded, contexts=str(given))
        assert (
            tuple(each.parent for each in load_task(str(pairs_recipe), str(tmp_path / "gold"), options).contexts)
            == parents
        )
    given.write_text(json.dumps({"premise": texts[1]}))
    with pytest.raises(TaskError, match="found none but those of test rows"):
        load_task(str(pairs_recipe), str(tmp_path / "gold"), options).contexts  # noqa: B018


def test_phrases_of_unlabelled_contexts_are_asked_for(spans_recipe, tiny_student, kinds_llm, tmp_path):
    text = "The Town Moor lies north of Newcastle. Every June the Hoppings funfair is held on the Town Moor."
    (tmp_path / "wiki.jsonl").write_text(f'{{"context": "{text}", "title": "Newcastle"}}\n')
    config = settings(spans_recipe, tiny_student, kinds_llm, contexts=str(tmp_path / "wiki.jsonl"), seed_size=6)
    rows = loop.synthesize(config, tmp_path / "run").rows()
    assert set(rows["context"][:]) == {text}
    assert set(rows["title"][:]) == {"Newcastle"}
    assert rows["s3_parent"][:] == [None] * 6
    for row in rows:
        (answer,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert text[start : start + len(answer)] == answer


@pytest.mark.parametrize("rows", ['{"premise": "  "}\n', '{"premise": null}\n{"premise": ""}\n'])
def test_contexts_must_have_text(pairs_recipe, tiny_student, kinds_llm, tmp_path, rows):
    (tmp_path / "blank.jsonl").write_text(rows)
    config = settings(pairs_recipe, tiny_student, kinds_llm, contexts=str(tmp_path / "blank.jsonl"))
    with pytest.raises(
        TaskError, match=r"blank\.jsonl' must have a row with text in the column 'premise', found none"
    ):
        loop.synthesize(config, tmp_path / "run")
    assert not kinds_llm.requests


def test_a_threshold_makes_a_near_answer_right(spans_recipe, tiny_student, kinds_llm, tmp_path):
    strict = loop.run(settings(spans_recipe, tiny_student, kinds_llm, rounds=0), tmp_path / "strict").rounds[0]
    config = settings(spans_recipe, tiny_student, kinds_llm, rounds=0, mistake_f1=0.01)
    mild = loop.run(config, tmp_path / "mild").rounds[0]
    assert mild.mistakes <= strict.mistakes


def test_a_metric_of_another_kind_is_refused_before_anything_is_spent(spans_recipe, tiny_student, kinds_llm, tmp_path):
    with pytest.raises(ConfigError, match="accuracy"):
        loop.run(settings(spans_recipe, tiny_student, kinds_llm, metric="accuracy"), tmp_path / "run")
    assert not kinds_llm.requests


def test_the_recipes_of_the_paper_read_real_gold(gold_root):
    for name, folder, sizes in (
        ("qnli", "nyu-mll/glue", (10_293, 5_463)),
        ("rte", "nyu-mll/glue", (2_490, 277)),
    ):
        task = load_task(name, str(gold_root / "datasets" / folder))
        assert (len(task.mined), len(task.test)) == sizes
        assert (
            task.builder.info.features
            == datasets.load_dataset(str(gold_root / "datasets" / folder), name, split="validation").features
        )
    folder = str(gold_root / "datasets/s3-hf/adversarial_qa-dev-split")
    task = load_task("adversarial_qa", folder, GoldOptions(splits={"validation": "train", "test": "test"}))
    assert (len(task.mined), len(task.test), task.shared_contexts) == (1_936, 1_064, 0)
