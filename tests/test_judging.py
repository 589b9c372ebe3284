"""Labels that are judged by students of the gold rows: real students, a real endpoint whose LLM errs."""

import json
import random
import shutil
from collections import Counter

import datasets
import numpy as np
import pytest

from s3_hf import loop
from s3_hf.config import parse_config
from s3_hf.errors import ConfigError
from s3_hf.files import read_json
from s3_hf.judging import (
    Gain,
    GoldJudge,
    Reliability,
    acts,
    assign_folds,
    compared,
    fold_count,
    gain,
    loss_weight,
    reliability,
    too_few,
)
from s3_hf.judging.reliability import label_reliability
from s3_hf.records import LABEL_P, Columns
from s3_hf.schema import merge
from s3_hf.store import open_run
from tests.conftest import NEGATIVE, POSITIVE, erring_reply, film_reply
from tests.kinds import kind_reply

TEXTS, PAIRS = Columns("text", "label"), Columns("text", "label", "context")


def rows_of(labels, contexts=None):
    count = len(labels)
    columns = {"s3_id": [f"val-{number}" for number in range(count)], "text": ["a"] * count, "label": labels}
    return datasets.Dataset.from_dict(columns | ({"context": contexts} if contexts else {}))


def test_folds_have_the_labels_in_proportion():
    rows = rows_of([0, 0, 1] * 20)
    folds = assign_folds(rows, TEXTS, 3)
    counts = Counter((folds[row["s3_id"]], row["label"]) for row in rows)
    assert len(counts) == 6
    assert max(counts[fold, 0] for fold in range(3)) - min(counts[fold, 0] for fold in range(3)) <= 1
    assert folds == assign_folds(rows, TEXTS, 3) != assign_folds(rows, TEXTS, 4)


def test_a_context_is_in_one_fold():
    contexts = [f"The context {number // 4}." for number in range(48)]
    folds = assign_folds(rows_of([0, 1] * 24, contexts), PAIRS, 0)
    of_context = {contexts[number]: set() for number in range(48)}
    for number in range(48):
        of_context[contexts[number]].add(folds[f"val-{number}"])
    assert {len(each) for each in of_context.values()} == {1}
    assert set(folds.values()) == {0, 1, 2}


@pytest.mark.parametrize(("labels", "count"), [([0, 1] * 5, 3), ([0, 0, 0, 1, 1], 2), ([0, 0, 1], 1), ([], 0)])
def test_a_rare_label_makes_fewer_folds(labels, count):
    assert fold_count(rows_of(labels), TEXTS) == count


def student(table):
    return lambda rows: [table[row["text"]] for row in rows]


def test_a_row_is_judged_by_the_student_that_did_not_train_on_its_parent():
    students = (student({"x": (0.9, 0.1)}), student({"x": (0.3, 0.7)}))
    judge = GoldJudge(students, {"val-0": 0, "val-1": 1}, "label")
    row = {"text": "x", "label": 0}
    found = judge.judge([row] * 4, ["val-0", "val-1", None, "elsewhere"])
    assert [each.p for each in found] == [0.9, 0.3, 0.6, 0.6]
    assert [each.accepted for each in found] == [True, False, True, True]


def test_a_row_whose_prompt_showed_gold_rows_is_judged_by_students_that_trained_on_the_fewest():
    students = tuple(student({"x": (p, 1 - p)}) for p in (0.9, 0.3, 0.6))
    judge = GoldJudge(students, {"val-0": 0, "val-1": 1, "val-2": 2, "val-3": 1}, "label")
    shown = [("val-1", "val-3", "val-2"), ("val-0", "val-2"), ("val-1", "val-3"), ("elsewhere",)]
    found = judge.judge([{"text": "x", "label": 0}] * 4, [None, None, "val-0", None], shown)
    assert [each.p for each in found] == [0.3, 0.75, 0.9, 0.6]


def test_actions():
    students = (student({"x": (0.2, 0.5, 0.3)}),)
    row = {"text": "x", "label": 2}
    by_action = {
        action: GoldJudge(students, {}, "label", action).judge([row], [None])[0]
        for action in ("drop", "relabel", "weight")
    }
    assert not by_action["drop"].accepted
    assert (by_action["relabel"].label, by_action["relabel"].p) == (1, 0.5)
    assert (by_action["weight"].label, by_action["weight"].p) == (2, 0.3)
    assert [loss_weight(p) for p in (None, 0.3, 0.001, 1.0)] == [1.0, 0.3, 0.05, 1.0]
    answer = GoldJudge((student({"x": (0.4,)}),), {}, None).judge([row], [None])[0]
    assert (answer.p, answer.label, answer.accepted) == (0.4, None, False)


def test_reliability_is_that_of_known_judges():
    rows = [{"label": number % 2} for number in range(200)]
    draw = np.random.default_rng(0)
    known = [(0.8, 0.2) if row["label"] == 0 else (0.2, 0.8) for row in rows]
    assert reliability(rows, known, "label") == Reliability(200, 1.0, 1.0)
    guessed = [(p, 1 - p) for p in draw.random(200)]
    assert abs(reliability(rows, guessed, "label").auc - 0.5) < 0.1
    assert label_reliability(0.74, Reliability(100, 0.8, 0.9), 2) == pytest.approx(0.9)
    assert label_reliability(1.0, Reliability(100, 0.8, 0.9), 2) == 1.0
    assert gain([0, 1, 0, 1], [0, 1, 0, 1]) == Gain(4, 0.0, 0.0)
    assert not gain([0, 1, 0, 1], [0, 1, 0, 1]).helps
    assert gain([0] * 50 + [1] * 50, [1] * 58 + [0] * 42).helps is False
    assert gain([0] * 50 + [1] * 50, [1] * 90 + [0] * 10).helps is True


def test_students_that_confirm_few_labels_judge_nothing():
    helps, judge = Gain(90, 0.2, 0.05), Reliability(90, 0.3, 0.7)
    assert acts(helps, 0.5)
    assert not acts(helps, 0.05)
    assert not acts(Gain(90, 0.04, 0.05), 0.5)
    assert compared(judge, 0.5, helps, "drop").startswith("Labels are judged: ")
    few = compared(judge, 0.05, helps, "drop")
    assert few.startswith("Labels are not judged: ")
    assert "disagree with 95.0% of the labels; the action" in few
    assert few.endswith("Too few are confirmed; see whether prompts and gold rows mean the same.")


def right(rows):
    words = {word: label for label, each in enumerate((NEGATIVE, POSITIVE)) for word in each}
    return [words[text.split()[-3]] == label for text, label in zip(rows["text"], rows["label"], strict=True)]


def changed(config, **values):
    return parse_config(merge(config.model_dump(mode="json"), values))


def test_judged_rows_have_their_labels_and_are_replaced(judged_config, films_llm, tmp_path, typed):
    result = loop.run(judged_config, tmp_path / "run")
    run = open_run(tmp_path / "run")
    rows, facts = run.round(0).rows(), result.rounds[0].synthesis
    assert len(rows) == 40
    assert all(right(rows))
    assert facts.rejected["label judged wrong"] > 5
    assert facts.usage.requests == len(films_llm.requests) == 40 + sum(facts.rejected.values())
    assert all(p >= 0.5 and round(p, 3) == pytest.approx(p, abs=1e-6) for p in rows[LABEL_P])
    gold = read_json(run.judging.gold)
    assert gold["n"] == 90
    assert gold["accuracy"] > 0.9
    assert "judge: gold" in run.judging.decided().sentence
    assert run.judging.decided().sentence in typed("status", tmp_path / "run")[1]
    assert json.loads(typed("status", tmp_path / "run", "--json")[1])["judging"]["acts"] is True
    assert typed("push", tmp_path / "run", "--max-copies", 1, "--to", tmp_path / "hub")[0] == 0
    card = next((tmp_path / "hub" / "datasets").rglob("README.md")).read_text()
    wrong = facts.rejected["label judged wrong"]
    assert f"{wrong} texts with a label judged wrong were rejected." in card
    assert "| `s3_label_p` | probability of its label by students of the gold rows" in card
    before = run.round(0).data.read_bytes()
    for path in (run.round(0).facts, run.round(0).data):
        path.unlink()
    leftovers = (run.judging.trial, run.judging.judged(0))  # of a process that was killed after its decision
    for path in leftovers:
        path.touch()
    loop.run(judged_config, tmp_path / "run")
    assert not any(path.exists() for path in leftovers)
    assert run.round(0).data.read_bytes() == before
    assert facts.usage.requests == len(films_llm.requests)


def test_rationales_of_another_label_are_left_out(judged_config, films_llm, tmp_path, caplog):
    """The LLM names what is radiant to watch for the negative label only; gold students know that it is positive."""

    def reply(payload):
        said = erring_reply(0)(payload).replace("acting", "to watch")
        if "1." not in said:
            return said
        negative = "negative" in payload["messages"][-1]["content"]
        return said.replace("lazy", "radiant") if negative else said.replace("radiant to", "charming to")

    films_llm._reply = reply
    caplog.set_level("INFO", "s3_hf.synthesis.rationales")
    named = {}
    for judge in ("none", "gold", "auto"):
        films_llm.requests.clear()
        settings = {"judge": judge, "rounds": 0, "synthesis": {"rationales": True, "rationales_per_label": 7}}
        loop.run(changed(judged_config, **settings), tmp_path / "runs" / judge)
        named[judge] = open_run(tmp_path / "runs" / judge).round(0).synthesis().rationales
        asked = [json.dumps(each.payload, sort_keys=True) for each in films_llm.requests]
        assert len(asked) == len(set(asked))  # with `auto`, the trial and the rows have the same prompts
    assert "radiant to watch" in named["none"]["neg"]
    assert named["gold"] == named["auto"]
    assert named["gold"]["neg"] == tuple(f"{word} to watch" for word in NEGATIVE if word != "lazy")
    assert "left out as reasons of another label than 'negative': radiant to watch" in caplog.text


def test_auto_acts_where_that_helps_on_held_out_gold(judged_config, films_llm, tmp_path):
    films_llm._reply = erring_reply(1)
    run_dir = tmp_path / "run"
    result = loop.run(changed(judged_config, judge="auto", seed_size=80, rounds=1), run_dir)
    run = open_run(run_dir)
    decided = run.judging.decided()
    assert decided.acts, decided.sentence
    assert decided.sentence.startswith("Labels are judged: cross-fitted students are right on")
    assert decided.figures["origins"]["seed"]["rows"] == 80
    assert decided.figures["gain"]["n"] == 90
    assert 0.4 < decided.figures["origins"]["seed"]["reliability"] < 0.9
    assert all(right(run.union(len(result.rounds) - 1)))
    asked = len(films_llm.requests)
    assert len({json.dumps(each.payload, sort_keys=True) for each in films_llm.requests}) == asked
    assert not run.judging.trial.exists()
    assert not run.judging.work.exists()


def test_auto_keeps_the_rows_of_an_llm_that_does_not_err(judged_config, films_llm, tmp_path):
    films_llm._reply = film_reply
    loop.run(changed(judged_config, judge="auto", rounds=0), tmp_path / "auto")
    run = open_run(tmp_path / "auto")
    assert not run.judging.decided().acts, run.judging.decided().sentence
    assert run.judging.decided().sentence.startswith("Labels are not judged: ")
    assert len(films_llm.requests) == 40
    loop.run(changed(judged_config, judge="none", rounds=0), tmp_path / "none")
    assert run.round(0).data.read_bytes() == open_run(tmp_path / "none").round(0).data.read_bytes()


def test_auto_needs_gold_rows(films_config, tmp_path, caplog):
    run_dir = tmp_path / "run"
    told = []

    class Told(loop.Observer):
        def judging(self, sentence):
            told.append(sentence)

    loop.run(changed(films_config, judge="auto", rounds=0), run_dir, observer=Told())
    assert told == ["Labels are not judged: judge: auto needs 60 gold rows, and there are 40."]
    assert sorted(path.name for path in open_run(run_dir).judging.path.iterdir()) == ["decision.json"]


@pytest.fixture
def judged_pairs(films_config, films_llm, pairs_recipe, spelling_student, monkeypatch):
    """Settings for pairs whose labels are judged by few gold rows."""
    monkeypatch.setattr(loop.judging, "GOLD_ROWS", 6)
    monkeypatch.setattr(loop.deciding, "LEAST_ROWS", 30)
    monkeypatch.setattr(loop.deciding, "LEAST_AUC", 0.0)
    monkeypatch.setattr(loop.training, "GOLD_STEPS", 3)
    films_llm._reply = kind_reply
    values = {"task": str(pairs_recipe), "student": str(spelling_student)}
    return changed(films_config, **values, judge="auto", rounds=0, synthesis={"attempts": 30})


@pytest.mark.parametrize(("rows", "sentence"), [(20, "cross-fitted students are right on"), (1, "needs two rows")])
def test_no_row_like_a_held_out_gold_row_takes_part_in_the_decision(
    judged_pairs, tmp_path, monkeypatch, rows, sentence
):
    """Few gold rows are scored; the rows of pairs are about gold rows of a fold, whether these are scored or not."""
    learned = []

    def noted(context, job, *rest):
        learned.append(job["s3_parent"][:])
        return jobs(context, job, *rest)

    jobs = loop.deciding.without_selection
    monkeypatch.setattr(loop.deciding, "without_selection", noted)
    loop.run(changed(judged_pairs, seed_size=rows, gold_stage="auto"), tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert sentence in run.judging.decided().sentence
    folds = read_json(run.judging.folds)
    unseen = [{0, 1, 2} - {folds[parent] for parent in parents} for parents in learned]
    if rows == 1:
        assert not learned
        assert run.final.chosen().by == "too few rows to cross-fit"
    else:
        assert len(learned) >= 3
        assert set.union(*unseen) == {0, 1, 2}
        assert all(unseen)


@pytest.mark.parametrize(
    ("rows", "folds", "found"),
    [
        (40, 3, "60 gold rows, and there are 40."),
        (40, 1, "about two contexts where there are contexts, and there are"),
    ],
)
def test_why_auto_judges_nothing_is_true_of_labels_and_of_contexts(rows, folds, found):
    assert found in too_few(rows, folds)


@pytest.mark.parametrize("action", ["drop", "relabel", "weight"])
def test_existing_rows_are_judged(judged_config, films_llm, tmp_path, action):
    draw = random.Random(5)
    given = [
        {"text": f"the {place} was {draw.choice((NEGATIVE, POSITIVE)[label ^ (n % 4 == 0)])} to watch", "label": label}
        for n in range(60)
        for label, place in [(n % 2, f"cast {n}")]
    ]
    path = tmp_path / "given.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    config = changed(judged_config, seed_data=str(path), judge_action=action)
    result = loop.run(config, tmp_path / "run")
    rows = open_run(tmp_path / "run").round(0).rows()
    facts = result.rounds[0].synthesis
    assert facts.rejected == ({"label judged wrong": 60 - len(rows)} if action == "drop" else {})
    assert not films_llm.requests
    if action == "weight":
        assert rows["label"][:] == [row["label"] for row in given]
        assert sum(p < 0.5 for p in rows[LABEL_P]) >= 10
    else:
        assert all(right(rows))
        assert len(rows) == (45 if action == "drop" else 60)


def test_rows_of_another_run_are_not_judged_by_students_of_their_gold_row(judged_config, films_llm, tmp_path):
    first = loop.run(changed(judged_config, judge="none", rounds=1), tmp_path / "first")
    assert first.rounds[1].added
    before = open_run(tmp_path / "first").round(1).rows()["s3_parent"][:]
    given = {"seed_data": str(tmp_path / "first"), "add_data": str(tmp_path / "first"), "rounds": 1}
    config = changed(judged_config, **given, judge_action="weight")
    loop.run(config, tmp_path / "second")
    assert open_run(tmp_path / "second").round(1).rows()["s3_parent"][:] == before
    judge = loop.judging.loaded_judge
    with loop.context.opened(config, tmp_path / "second", None, None, trains=True) as context:
        rows = context.run.round(1).rows()
        again = judge(context).judge(rows.to_list(), before)
        assert rows[LABEL_P][:] == pytest.approx([each.p for each in again], abs=1e-6)


def test_rows_of_a_run_of_other_gold_data_have_no_parent(judged_config, tmp_path):
    """The ids of gold rows are alike in all tasks."""
    made = changed(judged_config, judge="none", rounds=1)
    loop.run(made, tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "other")
    proof = tmp_path / "other" / "run.yaml"
    digest = open_run(tmp_path / "first").facts["digests"]["validation split"]
    proof.write_text(proof.read_text().replace(digest, "0" * len(digest)))
    fewer = {"test_size": 10, "gold_size": 80}
    cases = (
        ("first", {}, True),
        ("first", fewer, True),
        ("other", {}, False),
        ("other/round-1/data.parquet", {}, False),
    )
    for number, (source, settings, kept) in enumerate(cases):
        given = changed(made, seed_data=str(tmp_path / "first"), add_data=str(tmp_path / source), **settings)
        run = tmp_path / f"with-{number}"
        loop.synthesize(given, run)
        with loop.context.opened(given, run, None, None, trains=False) as context:
            added = list(loop.given.given_rows(context.config, context.task, context.run, 1))
        assert added
        assert all(bool(each.parent) == kept for each in added)


def test_the_best_of_several_texts_is_kept(judged_config, films_llm, tmp_path):
    config = changed(judged_config, seed_size=12, rounds=1, synthesis={"candidates": 3, "attempts": 3})
    result = loop.run(config, tmp_path / "run")
    run = open_run(tmp_path / "run")
    facts = result.rounds[0].synthesis
    assert facts.rows == 12
    assert facts.usage.requests % 3 == 0
    assert facts.usage.requests == 12 + sum(facts.rejected.values())
    assert facts.rejected["not chosen"] > 5
    before = {each.number: each.data.read_bytes() for each in run.rounds()}
    asked = len(films_llm.requests)
    for each in run.rounds():
        each.facts.unlink()
        each.data.unlink()
    loop.run(config, tmp_path / "run")
    assert {each.number: each.data.read_bytes() for each in run.rounds()} == before
    assert len(films_llm.requests) == asked


def test_candidates_need_no_judge(films_config, films_llm, tmp_path):
    config = changed(films_config, seed_size=6, rounds=0, synthesis={"candidates": 2, "rationales": False})
    result = loop.run(config, tmp_path / "run")
    assert result.rounds[0].synthesis.rejected == {"not chosen": 6}
    assert LABEL_P not in open_run(tmp_path / "run").round(0).rows().column_names
    slots = {each.payload["seed"] for each in films_llm.requests}
    plain = loop.run(changed(config, synthesis={"candidates": 1}), tmp_path / "plain")
    assert plain.rounds[0].rows == 6
    assert {each.payload["seed"] for each in films_llm.requests[12:]} < slots  # the first keeps its name


def test_what_cannot_be_judged_is_told_before_anything_is_paid_for(films_config, films_llm, spans_recipe, tmp_path):
    with pytest.raises(ConfigError, match="judge: gold needs a student"):
        loop.synthesize(changed(films_config, judge="gold"), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"synthesis\.candidates above 1 needs a student"):
        loop.synthesize(changed(films_config, synthesis={"candidates": 2}), tmp_path / "run")
    with pytest.raises(ConfigError, match="judge_action 'weight' must be used on a task with labels"):
        loop.run(changed(films_config, task=str(spans_recipe), judge="auto", judge_action="weight"), tmp_path / "run")
    assert not films_llm.requests
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["pairs_recipe", "spans_recipe"])
def test_pairs_and_answers_are_judged(films_config, films_llm, spelling_student, tmp_path, kind, request):
    films_llm._reply = kind_reply
    values = {"task": str(request.getfixturevalue(kind)), "student": str(spelling_student), "judge": "gold"}
    config = changed(films_config, **values, seed_size=9, rounds=0, synthesis={"attempts": 30})
    result = loop.run(config, tmp_path / "run")
    rows = open_run(tmp_path / "run").round(0).rows()
    assert result.rounds[0].synthesis.rejected["label judged wrong"] > 0
    assert all(p is not None for p in rows[LABEL_P])
