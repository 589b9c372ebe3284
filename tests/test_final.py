"""The gold stage and the verdict on real parts: cross-fitting, the final student, its calibration, the comparison."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import t

from s3_hf import loop
from s3_hf.analysis import Measured, verdict_of
from s3_hf.files import read_rows
from s3_hf.hub import write_folders
from s3_hf.loop import arms, final, training
from s3_hf.loop.choosing import best_arm
from s3_hf.records import Usage
from s3_hf.scoring import calibration_error
from s3_hf.store import ARMS, open_run
from s3_hf.task import load_task
from s3_hf.training import calibrate, predict, temperature_of
from tests.kinds import kind_reply
from tests.llm_server import LLMServer
from tests.test_kinds import settings
from tests.test_loop import changed, parquets


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr(training, "GOLD_STEPS", 10)


@pytest.fixture
def whole(films_config):
    """A run of one round with a gold stage that is chosen, and a verdict."""
    return changed(films_config, rounds=1, gold_stage="auto", verdict=True, training={"epochs": 1})


def files(path):
    return {file.relative_to(path): file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()}


def test_the_gold_stage_is_chosen_and_the_verdict_compares_with_gold_alone(whole, films_llm, tmp_path):
    result = loop.run(whole, tmp_path / "run")
    final, run = result.final, open_run(tmp_path / "run")
    assert final.choice.by == "cross-fitting"
    assert final.choice.n == 40
    assert list(final.choice.scores) == list(ARMS)
    assert all(len(each) == 3 for each in final.choice.scores.values())
    assert final.scores["test"].n == 60
    assert final.scores["cross-fitted"].n == 40
    rows = read_rows(run.final.predictions)
    assert {*rows["role"]} == {"test", "cross-fitted"}
    assert 0.1 <= final.facts.calibration.temperature <= 10
    verdict = result.verdict
    assert [arm.name for arm in verdict.arms[:2]] == ["gold", "round-0"]
    assert verdict.sentence.startswith("Synthetic rows ")
    assert verdict.n == 60
    assert not list(run.final.path.rglob("*/gold/**/*.safetensors"))
    before, asked = files(run.final.path), len(films_llm.requests)
    assert loop.run(whole, tmp_path / "run") == result
    assert files(run.final.path) == before
    assert len(films_llm.requests) == asked


@pytest.mark.parametrize("stage", ["after", "mixed"])
def test_the_gold_stage_is_taken_as_set(films_config, tmp_path, stage):
    config = changed(films_config, rounds=0, gold_stage=stage, verdict=True)
    result = loop.run(config, tmp_path / "run")
    assert result.final.choice.by == "setting"
    assert result.final.facts.gold_rows == 40
    assert result.final.facts.rows == 24
    gold, first, both = result.verdict.arms
    assert (gold.name, first.name, both.name) == ("gold", "round-0", stage)
    assert both.steps == result.final.facts.steps >= 10
    assert both.steps <= gold.steps <= both.steps + 5  # whole epochs
    assert gold.requests == 0 < first.requests == both.requests


def test_the_arms_of_the_paper_stay_the_same(films_config, tmp_path):
    plain = loop.run(changed(films_config, rounds=1), tmp_path / "plain")
    assert (plain.final, plain.verdict) == (None, None)
    assert not (tmp_path / "plain" / "final").exists()
    staged = loop.run(changed(films_config, rounds=1, gold_stage="after"), tmp_path / "staged")
    assert parquets(tmp_path / "staged") == parquets(tmp_path / "plain")
    assert [one.scores for one in staged.rounds] == [one.scores for one in plain.rounds]
    judged = loop.run(changed(films_config, rounds=1, verdict=True), tmp_path / "plain")
    assert judged.rounds == plain.rounds
    assert judged.verdict.judged == f"round-{judged.best.number}"
    assert judged.final is None
    open_run(tmp_path / "plain").final.verdict.unlink()  # as if killed before it was written
    longer = loop.run(changed(films_config, rounds=2, verdict=True), tmp_path / "plain")
    by_name = {arm.name: arm for arm in longer.verdict.arms}
    assert by_name["gold"].steps >= by_name[longer.verdict.judged].steps
    assert [arm.name for arm in longer.verdict.arms] == ["gold", *(f"round-{one.number}" for one in longer.rounds)]


def test_gold_rows_alone_need_no_gold_stage(films_config, tmp_path):
    result = loop.run(changed(films_config, strategy="gold", gold_stage="auto", verdict=True), tmp_path / "run")
    assert (result.final, result.verdict) == (None, None)


def test_the_best_round_is_the_first_of_the_best(films_config, tmp_path):
    result = loop.run(changed(films_config, rounds=2), tmp_path / "run")
    scores = [one.scores["selection"].metrics["accuracy"] for one in result.rounds]
    assert result.best.number == scores.index(max(scores))
    assert dataclasses.replace(result, rounds=result.rounds[:1]).best.number == 0


def test_each_missing_proof_of_the_final_stage_is_made_again(whole, films_llm, tmp_path):
    path = tmp_path / "run"
    first, asked = loop.run(whole, path), len(films_llm.requests)
    final = open_run(path).final
    (fold,) = final.choosing.glob("round-*/fold-1/after.parquet")
    for undone in ([final.verdict], [final.metrics], [final.model], [final.choice, fold]):
        for each in undone:
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        assert loop.run(whole, path) == first, undone
    assert len(films_llm.requests) == asked


def measured(name, values, gold_rows=300):
    return Measured(name, 600, gold_rows, 57, Usage(), np.array(values, float)[None])


@pytest.mark.parametrize(
    ("right", "gold_rows", "words"),
    [
        (range(900), 300, "Synthetic rows add +10.0 points (8.1 to 11.9) to your 300 gold rows."),
        (range(100, 900), 300, "add nothing that can be measured to your 300 gold rows (+0.0 points, "),
        (range(700), 300, "lower the score of your 300 gold rows (−10.0 points, "),
        (range(700), 0, "alone, without gold rows in the training, do worse than your 300 gold rows (−10.0 points"),
        (
            range(800),
            0,
            "alone do as well as your 300 gold rows, as far as can be measured (+0.0 points, +0.0 to +0.0)",
        ),
    ],
)
def test_the_verdict_says_what_the_interval_allows(right, gold_rows, words):
    gold = measured("gold", [place < 800 for place in range(1000)])
    other = measured("after", [place in right for place in range(1000)], gold_rows)
    verdict = verdict_of([gold, other], "after", "accuracy")
    assert words in verdict.sentence
    assert verdict.arms[0].difference is None
    difference = verdict.arms[1].difference
    assert difference.low <= difference.mean <= difference.high


def test_an_interval_counts_the_few_seeds_of_training():
    """All rows of a seed are alike, so that only the seeds spread: Student's t with two degrees of freedom."""
    gold = Measured("gold", 0, 300, 57, Usage(), np.full((3, 50), 0.5))
    by_seed = np.array([0.50, 0.52, 0.57])
    other = Measured("after", 600, 300, 57, Usage(), np.repeat(by_seed[:, None], 50, axis=1))
    difference = verdict_of([gold, other], "after", "accuracy").arms[1].difference
    half = t.ppf(0.975, 2) * by_seed.std(ddof=1) / 3**0.5
    assert difference.mean == pytest.approx(0.03)
    assert difference.high - difference.mean == pytest.approx(half, rel=0.2)
    assert difference.mean - difference.low == pytest.approx(half, rel=0.2)


def test_ties_go_to_the_simpler_arm():
    draw = np.random.default_rng(0)
    gold = (draw.random(600) < 0.8).astype(float)
    after = gold.copy()
    after[:60] = 1 - after[:60]

    def chosen(extra):
        better = after.copy()
        better[np.flatnonzero(after == 0)[:extra]] = 1
        values = {"gold": gold, "after": better}
        return best_arm({name: [each.mean()] for name, each in values.items()}, values)[0]

    wins = int(gold.sum() - after.sum())
    assert chosen(wins + 2) == "gold"
    assert chosen(wins + 30) == "after"


def test_each_dataset_is_trained_on_with_several_seeds(films_config, tmp_path):
    training = {"seeds": 2, "average": True}
    config = changed(films_config, rounds=0, gold_stage="after", verdict=True, training=training)
    result = loop.run(config, tmp_path / "run")
    trained = result.rounds[0].training
    assert [each.seed for each in trained.seeds] == [0, 1000, None]
    best = max(each.selection for each in trained.seeds)
    kept = next(each for each in trained.seeds if each.seed == trained.kept)
    assert kept.selection == best == result.rounds[0].scores["selection"].metrics["accuracy"]
    assert kept.test == result.rounds[0].scores["test"].metrics["accuracy"]
    assert trained.test_spread[0] == sum(each.test for each in trained.seeds[:2]) / 2
    assert result.verdict.seeds == 2
    assert not list((tmp_path / "run").rglob("seeds/*/model/*.safetensors"))
    left = tmp_path / "run" / "round-0" / "seeds" / "0" / "model"  # of a run that was killed before it removed it
    left.mkdir()
    assert loop.run(config, tmp_path / "run") == result
    assert not left.exists()


def test_calibrated_weights_give_the_same_labels_with_other_probabilities(films_config, tmp_path):
    result = loop.run(changed(films_config, rounds=0), tmp_path / "run")
    folder, rows = result.rounds[0].model_dir, load_task(films_config.task).test
    columns = load_task(films_config.task).columns

    def predicted():
        found = predict(folder, rows, columns, films_config.training, tmp_path / "work")
        return [each.value for each in found], np.array([each.scores for each in found])

    labels, before = predicted()
    calibrate(folder, 2.5)
    same, after = predicted()
    assert same == labels
    assert np.allclose(after, softmax(np.log(before) / 2.5, axis=1), atol=1e-5)
    wrong = np.array(([[0.99, 0.01]] * 6 + [[0.01, 0.99]] * 4) * 60)
    references = [0, 0, 0, 1, 1, 0, 1, 0, 1, 1] * 60
    temperature = temperature_of(wrong, references)
    assert temperature > 2
    softer = softmax(np.log(wrong) / temperature, axis=1)
    assert calibration_error(softer, references) < calibration_error(wrong, references)


def test_a_run_predicts_with_its_final_student_and_may_abstain(films_config, tmp_path, typed):
    run = tmp_path / "run"
    loop.run(changed(films_config, rounds=0, gold_stage="after", verdict=True), run)
    code, out, _ = typed("predict", run, "the film was great to watch", "--json")
    assert code == 0
    (one,) = json.loads(out)
    assert one["label"] in ("neg", "pos")
    code, out, _ = typed("predict", run, "the film was great to watch", "--abstain", "0.9999", "--json")
    assert (code, json.loads(out)[0]["label"]) == (0, "")
    assert typed("predict", run, "the film was great", "--abstain", "0.9999")[1].startswith("abstained\t")
    code, out, _ = typed("status", run)
    assert "S3 rows, then gold rows (as set)" in out
    assert "Synthetic rows add" in out or "Synthetic rows lower" in out
    state = json.loads(typed("status", run, "--json")[1])
    assert state["next"] is None
    assert state["verdict"]["n"] == state["final"]["facts"]["scores"]["test"]["n"] == 60
    (run / "final" / "verdict.json").unlink()
    assert json.loads(typed("status", run, "--json")[1])["next"] == {"round": None, "stage": "final"}
    assert "next: the final student: s3-hf run" in typed("status", run)[1]


def test_arms_of_answers_have_equal_steps_by_windows(spans_recipe, tiny_student, tmp_path):
    with LLMServer(reply=kind_reply) as server:
        config = settings(spans_recipe, tiny_student, server, gold_stage="mixed", verdict=True)
        config = changed(config, rounds=0, training={"max_length": 16, "epochs": 1})
        result = loop.run(config, tmp_path / "run")
        with loop.context.opened(config, tmp_path / "run", None, None, trains=True) as context:
            material = final.FullJobs(context, result.best).material
            total = arms.total_steps(context, material)
    assert material.inputs > len(material.synthetic)
    assert result.rounds[0].training.steps == -(-material.inputs // config.training.batch_size)
    one_pass = -(-(material.inputs + material.gold_inputs) // config.training.batch_size)
    assert total <= result.final.facts.steps < total + one_pass
    gold, _, both = result.verdict.arms
    assert gold.steps >= both.steps


@pytest.mark.parametrize("kind", ["pairs_recipe", "spans_recipe"])
def test_pairs_and_answers_have_a_final_student_too(kind, request, tiny_student, tmp_path):
    with LLMServer(reply=kind_reply) as server:
        config = settings(request.getfixturevalue(kind), tiny_student, server, gold_stage="auto", verdict=True)
        result = loop.run(changed(config, rounds=0), tmp_path / "run")
    final, task = result.final, load_task(config.task)
    assert len(final.choice.scores) == 4
    assert final.choice.n == final.scores["cross-fitted"].n == len(task.mined)
    assert set(final.scores["test"].metrics) == {*task.columns.metrics}
    assert (final.facts.calibration is None) == (kind == "spans_recipe")
    assert result.verdict.metric == task.columns.metrics[0]
    write_folders(open_run(tmp_path / "run"), tmp_path / "hub")
    (card,) = (tmp_path / "hub" / "models" / "local").glob(f"s3-{task.name}/README.md")
    assert result.verdict.sentence in card.read_text()
