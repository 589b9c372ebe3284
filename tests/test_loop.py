"""Whole runs on real parts: HTTP endpoint, `datasets`, Trainer on a tiny BERT."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import pytest
import yaml

from s3_hf import loop
from s3_hf.config import TrainingConfig, parse_config
from s3_hf.errors import BudgetReached, ConfigError, RunDirError, S3Error, StorageError, StudentError, TaskError
from s3_hf.files import read_json, read_rows
from s3_hf.store import Stage, open_run
from s3_hf.task import load_task
from tests.conftest import film_reply
from tests.llm_server import LLMServer

LABEL_WORDS = ("negative", "positive")


def changed(config, **values):
    from s3_hf.schema import merge

    return parse_config(merge(config.model_dump(mode="json"), values))


def parquets(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("data.parquet")}


def test_s3_runs_its_rounds(films_config, tmp_path):
    result = loop.run(films_config, tmp_path / "run")
    assert [one.number for one in result.rounds] == list(range(len(result.rounds)))
    first = result.rounds[0]
    assert first.rows == 24
    run = open_run(tmp_path / "run")
    for before, one in zip(result.rounds, result.rounds[1:], strict=False):
        rows = run.round(one.number).rows()
        assert len(rows) == one.added == before.mistakes
        assert set(rows["s3_origin"]) == {"error"}
        assert all(parent.startswith("val-") for parent in rows["s3_parent"])
    facts = read_json(run.round(0).facts)
    assert facts["labels"] == {"neg": 12, "pos": 12}
    assert len(facts["rationales"]["pos"]) == 6
    assert all(len(row["s3_rationales"]) == 2 for row in run.round(0).rows())
    assert set(run.round(0).rows()["s3_prompt"]) <= set(facts["prompts"])


def test_labels_of_extrapolations_are_those_of_the_mistakes(films_config, tmp_path):
    loop.run(changed(films_config, rounds=1), tmp_path / "run")
    run = open_run(tmp_path / "run")
    predictions = {row["id"]: row for row in read_rows(run.round(0).predictions) if row["role"] == "mined"}
    for row in run.round(1).rows():
        mistake = predictions[row["s3_parent"]]
        assert mistake["value"] != mistake["label"] == row["label"]


def test_going_on_gives_the_same_bytes(films_config, films_llm, tmp_path):
    """Every stage undone and done again over the same completions gives the same files, and asks nothing."""
    whole = tmp_path / "run"
    loop.run(films_config, whole)
    before, asked = parquets(whole), len(films_llm.requests)
    metrics = [file.read_text() for file in sorted(whole.rglob("metrics.json"))]
    for folder in whole.glob("round-*"):
        shutil.rmtree(folder)
    loop.run(films_config, whole)
    assert parquets(whole) == before
    assert [file.read_text() for file in sorted(whole.rglob("metrics.json"))] == metrics
    assert len(films_llm.requests) == asked


def test_each_missing_proof_is_made_again(films_config, films_llm, tmp_path):
    path = tmp_path / "run"
    first = loop.run(changed(films_config, rounds=1), path)
    asked = len(films_llm.requests)
    folder = open_run(path).round(0)
    folder.metrics.unlink()
    assert folder.stage() is Stage.SCORE
    shutil.rmtree(folder.model)
    assert folder.stage() is Stage.TRAIN
    again = loop.run(changed(films_config, rounds=1), path)
    assert again == first
    assert len(films_llm.requests) == asked


def test_a_limit_stops_cleanly_and_a_higher_one_goes_on(films_config, films_llm, tmp_path):
    limited = changed(films_config, rounds=0, endpoint={"max_requests": 20})  # rationales take 8
    with pytest.raises(BudgetReached, match="higher max_requests") as caught:
        loop.run(limited, tmp_path / "run")
    assert len(films_llm.requests) == 20
    partial = open_run(tmp_path / "run").round(0).partial
    assert str(partial) in caught.value.__notes__[0]
    assert 0 < len(read_rows(partial)) < 24
    result = loop.run(changed(films_config, rounds=0), tmp_path / "run")
    assert result.rounds[0].rows == 24
    assert not partial.exists()


def test_settings_that_changed_are_named(films_config, tmp_path):
    loop.synthesize(films_config, tmp_path / "run")
    with pytest.raises(RunDirError, match=r"training\.epochs was 2 and is 7"):
        loop.run(changed(films_config, training={"epochs": 7}), tmp_path / "run")


def test_a_second_run_leaves_the_first_alone(films_config, tmp_path):
    refused = threading.Event()

    def reply(payload):
        refused.wait(60)
        return film_reply(payload)

    with LLMServer(reply=reply) as server, ThreadPoolExecutor() as other:
        config = changed(films_config, rounds=0, llm=server.url)
        first = other.submit(loop.run, config, tmp_path / "run")
        while not server.requests and not first.done():
            time.sleep(0.01)
        for again in (loop.run, loop.synthesize):
            with pytest.raises(RunDirError, match=r"one process at a time and process '\d+'"):
                again(config, tmp_path / "run")
        assert not open_run(tmp_path / "run").results()
        refused.set()
        assert first.result().rounds[0].rows == 24
        assert loop.run(config, tmp_path / "run").rounds == first.result().rounds


def changing_recipe(recipe, tmp_path):
    """A copy of the recipe over a copy of its gold data, and functions that change either."""
    path, gold = tmp_path / "films.py", tmp_path / "gold"
    source = recipe.read_text().partition("source='")[2].partition("'")[0]
    shutil.copytree(source, gold)
    path.write_text(recipe.read_text().replace(source, str(gold)))

    def replaced(old, new):
        path.write_text(path.read_text().replace(old, new))

    def put_in_front(split):
        (file,) = gold.glob(f"data/{split}-*")
        rows = read_rows(file)
        datasets.concatenate_datasets([rows.select([1]), rows]).to_parquet(file)

    return path, replaced, put_in_front


def test_gold_data_labels_and_prompts_that_changed_are_named(films_config, recipe, tmp_path):
    path, replaced, put_in_front = changing_recipe(recipe, tmp_path)
    config = changed(films_config, task=str(path))
    loop.synthesize(config, tmp_path / "run")

    def refused(what):
        with pytest.raises(RunDirError, match=rf"the {what} of '.*run' must be what .* another --run-dir"):
            loop.run(changed(config, rounds=3), tmp_path / "run")

    replaced("a {label} sentence like", "one {label} sentence like")
    refused("prompts")
    replaced("'positive'".replace("'", '"'), '"good"')
    refused("labels and prompts")
    replaced('"good"', '"positive"')
    replaced("one {label} sentence like", "a {label} sentence like")
    loop.synthesize(config, tmp_path / "run")
    put_in_front("validation")
    refused("gold data and validation split")
    assert loop.run(changed(config, rounds=0), tmp_path / "new").rounds[0].rows == 24


def test_a_run_without_digests_goes_on(films_config, recipe, tmp_path):
    path, replaced, put_in_front = changing_recipe(recipe, tmp_path)
    config = changed(films_config, task=str(path), rounds=0)
    loop.run(config, tmp_path / "run")
    facts = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert facts.pop("digests").keys() == {"gold data", "validation split", "labels", "prompts"}
    (tmp_path / "run" / "run.yaml").write_text(yaml.safe_dump(facts))
    replaced("a {label} sentence like", "one {label} sentence like")
    loop.run(config, tmp_path / "run")
    put_in_front("validation")
    with pytest.raises(RunDirError, match="must be of its 41 rows, found 40 with other ids"):
        loop.run(changed(config, rounds=1), tmp_path / "run")


def test_synthesized_rows_are_trained_on_under_the_name_of_the_student(films_config, tmp_path):
    loop.synthesize(films_config, tmp_path / "run")
    assert open_run(tmp_path / "run").facts["student"] is None
    loop.run(changed(films_config, rounds=0), tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run.facts["student"] == films_config.student
    loop.synthesize(films_config, tmp_path / "run")
    assert open_run(tmp_path / "run") == run


def test_a_round_without_rows_ends_the_run(films_config, films_llm, tmp_path, caplog):
    films_llm._reply = lambda payload: "no" if "like:" in str(payload) else film_reply(payload)
    first = loop.run(films_config, tmp_path / "run")
    assert [one.number for one in first.rounds] == [0]
    assert "round 1 adds no rows" in caplog.text
    run, asked = open_run(tmp_path / "run"), len(films_llm.requests)
    assert read_json(run.round(1).empty)["rejected"] == {"too short": 4 * first.rounds[0].mistakes}
    assert not run.round(1).data.exists()
    assert loop.run(films_config, tmp_path / "run") == first
    assert len(films_llm.requests) == asked


def test_no_row_is_a_gold_row_that_a_sample_leaves_out(films_config, films_llm, recipe, tmp_path):
    task = load_task(str(recipe))
    copies = iter([*task.test["text"][:10], *task.mined["text"][:10]])
    films_llm._reply = lambda payload: next(copies, None) or film_reply(payload)
    config = changed(films_config, synthesis={"rationales": False}, gold_size=2, test_size=2)
    facts = read_json(loop.synthesize(config, tmp_path / "run").facts)
    assert (facts["rows"], facts["rejected"]) == (24, {"in the test split": 10, "copy of a gold row": 10})


def test_convergence_stops(films_config, tmp_path):
    result = loop.run(changed(films_config, rounds=6, patience=1), tmp_path / "run")
    scores = [one.scores["selection"].metrics["accuracy"] for one in result.rounds]
    assert len(scores) < 7
    assert scores[-1] <= max(scores[:-1]) or not result.rounds[-1].mistakes


@pytest.mark.parametrize("strategy", ["zerogen", "goldgen", "gold"])
def test_baselines(films_config, films_llm, tmp_path, strategy):
    config = changed(films_config, strategy=strategy, round_size=10, rounds=1)
    result = loop.run(config, tmp_path / "run")
    rows = open_run(tmp_path / "run").union(len(result.rounds) - 1)
    if strategy == "zerogen":
        assert len(result.rounds) == 1
        assert not any(rows["s3_rationales"])
    elif strategy == "goldgen":
        assert rows["s3_origin"][:] == ["seed"] * 24 + ["gold"] * 10
    else:
        assert rows["s3_origin"][:] == ["human"] * 40
        assert not films_llm.requests


def test_imdb_with_the_papers_prompts_on_real_gold(films_config, films_llm, gold_root, spelling_student, tmp_path):
    gold = str(gold_root / "datasets" / "stanfordnlp" / "imdb")
    config = changed(films_config, task="imdb", gold=gold, gold_size=40, test_size=40, rounds=1)
    config = changed(config, student=str(spelling_student))
    result = loop.run(config, tmp_path / "run")
    grown = result.rounds[1]
    assert grown.added + grown.synthesis.given_up == result.rounds[0].mistakes > 0
    sent = {request.payload["messages"][0]["content"].partition(" that has ")[0] for request in films_llm.requests}
    assert "Now imagine that you just watched a movie" in sent
    assert any(text.startswith(f"Write a {word} movie similar to: \n ") for text in sent for word in LABEL_WORDS)
    rows = open_run(tmp_path / "run").round(1).rows()
    assert rows.features["label"].names == ["neg", "pos"]


def test_few_rows_are_learned_in_more_epochs(films_config, films_llm, tmp_path):
    config = changed(films_config, rounds=0, training={"min_steps": TrainingConfig().min_steps, "epochs": 2})
    training = loop.run(config, tmp_path / "run").rounds[0].training
    assert (training.steps, len(training.epochs)) == (36, 12)  # 24 rows in batches of 8


def test_without_rationales(films_config, films_llm, tmp_path):
    folder = loop.synthesize(changed(films_config, synthesis={"rationales": False}), tmp_path / "run")
    assert not any(folder.rows()["s3_rationales"])
    assert len(films_llm.requests) == 24


def test_seed_data_is_taken_as_the_seed(films_config, films_llm, tmp_path):
    rows = [
        {"text": f"the film was {word} number {n}", "label": n % 2} for n, word in enumerate(["dull", "great"] * 6)
    ]
    path = tmp_path / "given.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = loop.run(changed(films_config, seed_data=str(path), rounds=1), tmp_path / "run")
    assert result.rounds[0].rows == 12
    seed = open_run(tmp_path / "run").round(0).rows()
    assert seed["text"][:] == [row["text"] for row in rows]
    assert seed["s3_origin"][:] == ["given"] * 12
    assert result.rounds[0].synthesis.origins == {"given": 12}
    assert all(request.payload for request in films_llm.requests)  # rationales and extrapolations only
    assert result.rounds[1].added > 0


def test_all_gold_rows_are_no_shortage(films_config, tmp_path, caplog):
    loop.run(changed(films_config, strategy="gold", seed_size=400, rounds=0), tmp_path / "run")
    assert "rows" not in caplog.text


def test_rows_are_added_after_the_seed(films_config, films_llm, tmp_path):
    """As in the paper's Table 5: additional data on another seed set, or on gold data; then extrapolation goes on."""
    sources = []
    for part in range(2):
        rows = [{"text": f"the plot was {word} part {part} {n}", "label": n % 2} for n, word in enumerate("ab" * 4)]
        sources.append(str(tmp_path / f"{part}.jsonl"))
        Path(sources[-1]).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    gold = loop.run(changed(films_config, strategy="gold", add_data=sources, rounds=1), tmp_path / "gold")
    assert [one.rows for one in gold.rounds] == [40, 56]
    assert not films_llm.requests
    added = open_run(tmp_path / "gold").round(1).rows()
    assert added["s3_origin"][:] == ["given"] * 16
    assert added["s3_id"][:] == [f"s3-r1/given/{number:05d}" for number in range(16)]
    grown = loop.run(changed(films_config, add_data=sources[0], rounds=2), tmp_path / "grown")
    assert [one.added for one in grown.rounds][:2] == [24, 8]
    assert set(open_run(tmp_path / "grown").round(2).rows()["s3_origin"][:]) == {"error"}
    with pytest.raises(ConfigError, match="rounds must be 1 or more"):
        loop.run(changed(films_config, add_data=sources, rounds=0), tmp_path / "none")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"seed_data": "nowhere.csv"}, "found no file 'nowhere.csv'"),
        ({"add_data": "nowhere.csv", "rounds": 1}, "found no file 'nowhere.csv'"),
        ({"endpoint": {"api_key_env": "NOPE"}}, "'NOPE', which is not set"),
        ({"endpoint": {"max_cost": 1}}, "needs prices"),
    ],
)
def test_what_cannot_be_read_or_asked_is_told_before_a_student_judges(films_config, tmp_path, values, sentence):
    """And before there is a run directory, whose settings would stay."""
    with pytest.raises(S3Error, match=sentence):
        loop.run(changed(films_config, judge="gold", **values), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rows_to_be_added_are_read_before_the_seed_is_paid_for(films_config, films_llm, tmp_path):
    path = tmp_path / "added.jsonl"
    path.write_text('{"text": "a fine film", "label": 1}\n{"text": "a dull film", "label": "meh"}\n')
    with pytest.raises(TaskError, match="meh"):
        loop.run(changed(films_config, add_data=str(path), rounds=1), tmp_path / "run")
    assert not films_llm.requests


@pytest.mark.parametrize("strategy", ["s3", "goldgen"])
@pytest.mark.parametrize("size", [7, 100])
def test_a_round_is_topped_up_to_its_size(films_config, films_llm, tmp_path, strategy, size):
    """With more rows than there are to extrapolate, and with some that are given up."""
    synthesis = {"top_up": True, "attempts": 1}
    config = changed(films_config, strategy=strategy, round_size=size, rounds=1, seed_size=12, synthesis=synthesis)
    lost = iter(range(1000))
    films_llm._reply = lambda payload: "no" if "like:" in str(payload) and next(lost) % 3 == 0 else film_reply(payload)
    result = loop.run(config, tmp_path / "run")
    assert result.rounds[1].added == size
    parents = open_run(tmp_path / "run").round(1).rows()["s3_parent"][:]
    sources = 40 if strategy == "goldgen" else result.rounds[0].mistakes
    # which answers are lost depends on the order of arrival, so what is even is how often each row was asked for
    prompts = [request.payload["messages"][-1]["content"] for request in films_llm.requests]
    asked = Counter(prompt.partition("like: ")[2] for prompt in prompts if "like: " in prompt)
    assert max(asked.values()) - (min(asked.values()) if len(asked) == sources else 0) <= 1
    assert len(asked) == sources if size > sources else len(set(parents)) == size


def test_unknown_names_are_told_before_anything_is_spent(films_config, films_llm, tmp_path):
    with pytest.raises(StudentError, match="nowhere"):
        loop.run(changed(films_config, student=str(tmp_path / "nowhere")), tmp_path / "run")
    for values, sentence in (
        ({"strategy": "s33"}, "did you mean 's3'"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'"),
        ({"training": {"args": {"lerning_rate": 1}}}, "did you mean 'learning_rate'"),
        ({"training": {"args": {"learning_rate": 1}}}, "use `training.learning_rate`"),
        ({"training": {"args": {"lr_scheduler_type": "cosin"}}}, "cosin is not a valid SchedulerType"),
        ({"llm": "local"}, r"call s3_hf\.run, which starts it, or set llm to a URL or a model id"),
        ({"student": "local"}, r"call s3_hf\.run, which finds it, or set student to a Hub id or folder"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            loop.run(changed(films_config, **values), tmp_path / "run")
    assert not films_llm.requests
    assert not (tmp_path / "run").exists()


@pytest.fixture
def small_disk():
    """A disk of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    folder = Path(tempfile.mkdtemp())
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_in_training_keeps_what_was_made(films_config, films_llm, small_disk):
    run_dir = small_disk / "run"
    loop.synthesize(films_config, run_dir)
    asked = len(films_llm.requests)
    filler = small_disk / "filler"
    filler.write_bytes(b"0" * (shutil.disk_usage(small_disk).free - 20_000))
    with pytest.raises(StorageError, match="make room") as caught:
        loop.run(changed(films_config, rounds=0), run_dir)
    assert "\n" not in str(caught.value)
    filler.unlink()
    loop.run(changed(films_config, rounds=0), run_dir)
    assert len(films_llm.requests) == asked
