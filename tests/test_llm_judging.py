"""Labels that are judged by the LLM: endpoints that give log-probabilities, ignore the field, or refuse it."""

import asyncio
import json
import math
from collections import Counter

import numpy as np
import pytest

from s3_hf import loop
from s3_hf.config import LLMConfig
from s3_hf.errors import BudgetReached, ConfigError, RequestError, SynthesisError
from s3_hf.files import read_json
from s3_hf.journal import Journal
from s3_hf.judging import (
    GoldJudge,
    LLMJudge,
    assign_folds,
    calibrated,
    cross_fitted,
    gold_rows,
    label_scores,
    log_probabilities,
    question,
)
from s3_hf.llm import Client
from s3_hf.llm.answers import lacks_logprobs, read_completion
from s3_hf.loop.llm_judging import LLMJudgeFacts
from s3_hf.records import LABEL_P, Completion, Request, Token, Usage
from s3_hf.store import open_run, read_facts
from s3_hf.task import load_task, task_of
from tests.conftest import NEGATIVE, POSITIVE, erring_reply
from tests.kinds import kind_reply
from tests.llm_server import Fault, LLMServer, error, refusing
from tests.test_judging import changed, right


def answer(text, *places):
    tokens = tuple(
        Token(token, tuple((each, math.log(p)) for each, p in choices.items())) for token, choices in places
    )
    return Completion("judge/x", text, "stop", Usage(), "m", tokens)


@pytest.mark.parametrize(
    ("words", "completion", "shares"),
    [
        (("negative", "positive"), answer("positive", ("pos", {"pos": 0.6, "neg": 0.2, "Neg": 0.1})), (1 / 3, 2 / 3)),
        (
            ("not in", "in"),
            answer(" In", (" ", {" ": 1.0}), ("In", {"In": 0.6, "not": 0.3, "inc": 0.1})),
            (1 / 3, 2 / 3),
        ),
        (
            ("card linking", "card arrival", "pin"),
            answer("card arrival", ("card", {"card": 0.9, "pin": 0.1}), (" arr", {" arr": 0.8, " li": 0.2})),
            (0.18, 0.72, 0.1),
        ),
        (
            ("card", "card payment"),
            answer("card", ("card", {"card": 1.0}), ("<e>", {"<e>": 0.8, " pay": 0.2})),
            (0.8, 0.2),
        ),
        (("in", "not in"), answer("It is not in the text"), (0.119, 0.881)),
        (("in", "not in"), answer("<think>not in</think>\nIn."), (0.881, 0.119)),
        (("in", "not in"), answer("Maybe inside"), (0.5, 0.5)),
        (("in", "not in"), answer("", ("The", {"The": 0.9, "A": 0.1})), (0.5, 0.5)),
    ],
)
def test_labels_are_read_from_tokens_or_else_from_the_answer(words, completion, shares):
    assert np.exp(label_scores(completion, words)) == pytest.approx(shares, abs=1e-3)


def test_a_biased_llm_is_calibrated_and_combined_with_students():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 240)
    truth = np.eye(3)[labels]
    llm = truth * 1.5 + draw.normal(0, 1, (240, 3)) + np.array([0, 0, 8.0])  # it nearly always says the last label
    students = truth * 1.5 + draw.normal(0, 1, (240, 3))
    assert np.mean(llm.argmax(1) == labels) < 0.5
    folds = np.arange(240) % 3

    def accuracy(*judges):
        return np.mean(cross_fitted(np.stack(judges, axis=1), labels, folds).argmax(1) == labels)

    assert accuracy(llm) > 0.65
    assert accuracy(llm, students) > max(accuracy(llm), accuracy(students)) + 0.03
    both = calibrated(np.stack([llm, students], axis=1), labels)
    assert both.slopes == pytest.approx((both.slopes[0], both.slopes[0]), rel=0.5)
    judge = LLMJudge(("good", "bad", "odd"), both, None, GoldJudge((), {}, "label"))
    found = judge.judgement({"label": 0}, answer("bad"), [np.array([0.0, 0.5, 0.5])])
    assert 0 <= found.p <= 1
    assert np.isfinite(log_probabilities(np.array([0.0, 1.0]))).all()


def test_a_journal_keeps_log_probabilities(tmp_path):
    path, given = tmp_path / "journal.sqlite", answer("positive", ("pos", {"pos": 0.6, "é\n": 0.2}))

    async def put(*completions):
        for each in completions:
            await journal.put("a" * 64, each)

    bare = Completion("judge/y", "positive", "stop", Usage(), "m")
    with Journal(path) as journal:
        asyncio.run(put(given, bare))
        asyncio.run(put(Completion("judge/y", "other", "stop", Usage(), "m", given.tokens)))
    with Journal(path) as journal:
        assert journal.get("judge/x", "a" * 64) == given
        assert journal.get("judge/y", "a" * 64) == bare


def is_question(payload):
    return "Answer with one" in payload["messages"][-1]["content"]


def shown(payload):
    return payload["messages"][-1]["content"].split("text: ")[1].split("\n")[0]


def chances(payload):
    """An LLM that nearly always says "positive", less surely where the text is negative."""
    negative = any(word in shown(payload) for word in NEGATIVE)
    return (
        {"positive": 0.8, "negative": 0.15, "I": 0.05} if negative else {"positive": 0.98, "negative": 0.01, "I": 0.01}
    )


def judging_reply(payload):
    """What an LLM answers that errs when it writes, and knows labels when it is asked."""
    if is_question(payload):
        return "Negative." if any(word in shown(payload) for word in NEGATIVE) else "Positive."
    return erring_reply(0)(payload)


@pytest.fixture
def llm_config(judged_config, films_llm):
    films_llm._reply, films_llm.first_token = judging_reply, chances
    return changed(judged_config, judge="llm")


def test_the_llm_judges_by_log_probabilities(llm_config, films_llm, tmp_path, typed):
    result = loop.run(llm_config, tmp_path / "run")
    run, facts = open_run(tmp_path / "run"), result.rounds[0].synthesis
    rows = run.round(0).rows()
    assert len(rows) == 40
    assert all(right(rows))
    assert all(p >= 0.5 for p in rows[LABEL_P])
    assert facts.rejected["label judged wrong"] > 5
    questions = [each.payload for each in films_llm.requests if is_question(each.payload)]
    assert len(questions) == 90 + 40 + facts.rejected["label judged wrong"]
    assert {(each["logprobs"], each["top_logprobs"], each["temperature"]) for each in questions} == {(True, 20, 0.0)}
    assert facts.usage.requests == len(films_llm.requests)
    decided = run.judging.decided()
    assert decided.acts
    assert decided.sentence.startswith(
        "Labels are judged, as judge: llm asks: the LLM's log-probabilities, calibrated on gold rows, are right on "
        "100.0% of 90 others (AUC 1.00); "
    )
    assert not run.judging.folds.exists()
    assert decided.sentence in typed("status", tmp_path / "run")[1]
    before, asked = run.round(0).data.read_bytes(), len(films_llm.requests)
    for path in (run.round(0).facts, run.round(0).data, run.judging.llm, run.judging.decision):
        path.unlink()
    assert loop.run(llm_config, tmp_path / "run").rounds[0].synthesis == facts
    assert run.round(0).data.read_bytes() == before
    assert len(films_llm.requests) == asked
    assert typed("push", tmp_path / "run", "--max-copies", 1, "--to", tmp_path / "hub")[0] == 0
    card = next((tmp_path / "hub" / "datasets").rglob("README.md")).read_text()
    assert "| `s3_label_p` | probability of its label by the LLM; null where it was not judged" in card


def test_students_and_the_llm_judge_together(llm_config, tmp_path):
    result = loop.run(changed(llm_config, judge="both", rounds=1), tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert "cross-fitted students and the LLM's log-probabilities together" in run.judging.decided().sentence
    assert run.judging.model(2).exists()
    assert len(read_json(run.judging.llm)["tokens"]["slopes"]) == 2
    assert all(right(run.union(len(result.rounds) - 1)))


LACKING = {"ignored": None, "refused": Fault(400, {}, error("This model does not support log probabilities."))}


@pytest.mark.parametrize("how", LACKING)
def test_without_log_probabilities_its_answers_judge(llm_config, films_llm, tmp_path, caplog, how):
    films_llm.first_token = None
    films_llm._fault_for = refusing(logprobs=LACKING[how]) if LACKING[how] else None
    config = changed(llm_config, endpoint={"concurrency": 1})
    facts = loop.run(config, tmp_path / "run").rounds[0].synthesis
    run = open_run(tmp_path / "run")
    assert all(right(run.round(0).rows()))
    assert (
        "the LLM's answers (the endpoint gives log-probabilities for none of them), calibrated on gold rows, are "
        "right on 100.0% of 90 others"
    ) in run.judging.decided().sentence
    assert sum("gives no log-probabilities" in line for line in caplog.messages) == 1
    assert sum("logprobs" in each.payload for each in films_llm.requests) == 1
    assert facts.usage.requests == len(films_llm.requests)
    run.round(0).facts.unlink()
    loop.run(changed(config, rounds=1), tmp_path / "run")
    assert sum("logprobs" in each.payload for each in films_llm.requests) == 1


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("top_logprobs must be between 0 and 5", [20, 5]),
        ("Expected a value <= 8, but got 20 instead: top_logprobs", [20, 8]),
        ("Requested sample logprobs of 20, which is greater than max allowed: 10", [20, 10]),
        ("top_logprobs is too large", [20, 5]),
        ("Logprobs is not enabled for this model", [20, None]),
        ("[{'msg': 'unknown role', 'input': {'logprobs': True, 'top_logprobs': 20}}]", [20]),
        ("this text speaks of logprobs", [20]),
    ],
)
def test_what_a_refusal_says_of_log_probabilities(journal, message, sent):
    asked = []

    def fault(payload, _):
        asked.append(payload.get("top_logprobs"))
        return Fault(400, {}, error(message)) if len(asked) == 1 else None

    request = Request("judge/x", ({"role": "user", "content": "?"},), 8, 0.0, 1.0, (), 0, 20)

    async def ask(server):
        async with Client(None, (server.url,), LLMConfig(concurrency=1), journal) as client:
            return await client.generate(request)

    with LLMServer(fault_for=fault) as server:
        server.first_token = lambda _: {"good": 0.9, "bad": 0.1}
        if len(sent) > 1:
            assert len(asyncio.run(ask(server)).tokens) == (sent[1] is not None)
        else:
            with pytest.raises(RequestError):
                asyncio.run(ask(server))
    assert asked == sent


def test_an_odd_answer_ends_its_tokens_only():
    def place(token, top):
        return {"token": token, "logprob": -0.1, "top_logprobs": [{"token": each, "logprob": -0.1} for each in top]}

    request = Request("judge/x", (), 8, 0.0, 1.0, (), 0, 20)
    bodies = {
        kind: {"choices": [{"message": {"content": "card linking"}, "logprobs": logprobs}]}
        for kind, logprobs in (
            ("malformed place", {"content": [place("card", ["card", "pin"]), place(" linking", [])]}),
            ("thoughts alone", {"content": [place("</think>", ["</think>"])]}),
            ("lacking", None),
        )
    }
    assert {kind: len(read_completion(body, request).tokens) for kind, body in bodies.items()} == {
        "malformed place": 1, "thoughts alone": 0, "lacking": 0
    }  # fmt: skip
    assert [kind for kind, body in bodies.items() if lacks_logprobs(body)] == ["lacking"]


def test_answers_without_log_probabilities_have_a_calibration_of_their_own(llm_config, films_llm, tmp_path):
    """An endpoint that gives none from the first row on is judged by the labels that it names, as on gold rows."""
    real = chances

    def unsure(payload):
        """Log-probabilities that are far from each other only a little, so that their slope is steep."""
        return {word: 0.5 + 0.02 * (p - 0.5) for word, p in real(payload).items()}

    films_llm.first_token = unsure
    with pytest.raises(BudgetReached):
        loop.run(changed(llm_config, endpoint={"max_requests": 91}), tmp_path / "run")
    run = open_run(tmp_path / "run")
    facts = read_facts(run.judging.llm, LLMJudgeFacts)
    assert facts.tokens.slopes != facts.named.slopes
    films_llm.first_token = None
    loop.run(llm_config, tmp_path / "run")
    rows = run.round(0).rows()
    named = facts.named.probabilities(np.log([[[0.119, 0.881]], [[0.881, 0.119]]])).round(3)
    assert all(right(rows))
    assert {round(p, 2) for p in rows[LABEL_P]} <= {round(float(p), 2) for p in named.ravel()}


def test_too_few_folds_with_answers_are_told(llm_config, films_llm, tmp_path):
    task = task_of(llm_config)
    folds = assign_folds(gold_rows(task), task.columns, llm_config.seed)
    known = {row["text"] for row in task.mined if folds[row["s3_id"]] == 0}
    films_llm._fault_for = lambda payload, _: None if shown(payload) in known else Fault(400, {}, "no")
    at_once = changed(llm_config, endpoint={"concurrency": 90})  # else refusals in a row make the client wait
    with pytest.raises(SynthesisError, match="found 30 of 90 answered, in 1 folds"):
        loop.run(at_once, tmp_path / "run")


def test_a_budget_holds_for_questions_too(llm_config, films_llm, tmp_path):
    for limit in (50, 120):
        with pytest.raises(BudgetReached, match=f"{limit}"):
            loop.run(changed(llm_config, endpoint={"max_requests": limit}), tmp_path / "run")
        assert len(films_llm.requests) == limit
    facts = loop.run(llm_config, tmp_path / "run").rounds[0].synthesis
    assert facts.usage.requests == len(films_llm.requests)
    asked = Counter(json.dumps(each.payload, sort_keys=True) for each in films_llm.requests)
    assert max(asked.values()) == 1


def test_existing_rows_are_judged_by_the_llm(llm_config, films_llm, tmp_path):
    given = [
        {"text": f"the {n} was {(NEGATIVE, POSITIVE)[n % 2 ^ (n % 4 == 0)][0]} to watch", "label": n % 2}
        for n in range(24)
    ]
    path = tmp_path / "given.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    films_llm._fault_for = lambda payload, _: Fault(400, {}, "no") if "the 3 was" in json.dumps(payload) else None
    facts = loop.synthesize(changed(llm_config, seed_data=str(path)), tmp_path / "run").synthesis()
    assert facts.rejected == {"label judged wrong": 6, "refused by the endpoint": 1}
    assert facts.rows == 17
    assert facts.usage.requests == 90 + 23


def test_a_text_that_the_endpoint_refuses_to_judge_costs_one_attempt(llm_config, films_llm, tmp_path):
    known, refused = {row["text"] for row in task_of(llm_config).mined}, []

    def fault(payload, _):
        if not is_question(payload) or shown(payload) in known:
            return None
        refused[1:] = []
        refused.append(shown(payload))
        return Fault(400, {}, "no") if shown(payload) == refused[0] else None

    films_llm._fault_for = fault
    facts = loop.synthesize(changed(llm_config, synthesis={"attempts": 20}), tmp_path / "run").synthesis()
    assert (facts.rows, facts.given_up, facts.rejected["refused by the endpoint"]) == (40, 0, 1)


def test_what_the_llm_cannot_judge_is_told_before_anything_is_paid_for(
    films_config, films_llm, spans_recipe, tmp_path
):
    for judge in ("llm", "both"):
        with pytest.raises(ConfigError, match=f"judge: {judge} must be used on a task with labels"):
            loop.run(changed(films_config, task=str(spans_recipe), judge=judge), tmp_path / "run")
    with pytest.raises(ConfigError, match="judge: llm needs a strategy that asks the LLM, found 'gold'"):
        loop.run(changed(films_config, strategy="gold", judge="llm"), tmp_path / "run")
    with pytest.raises(ConfigError, match="judge: both needs a student"):
        loop.synthesize(changed(films_config, judge="both"), tmp_path / "run")
    assert not films_llm.requests


def test_pairs_are_judged_by_the_llm(films_config, films_llm, pairs_recipe, tmp_path):
    def reply(payload):
        return "in" if is_question(payload) else kind_reply(payload)

    films_llm._reply = reply
    config = changed(films_config, task=str(pairs_recipe), judge="llm", judge_action="weight", seed_size=6, rounds=0)
    loop.run(config, tmp_path / "run")
    rows = open_run(tmp_path / "run").round(0).rows()
    assert len(rows) == 6
    assert all(p is not None for p in rows[LABEL_P])
    task = load_task(str(pairs_recipe))
    asked = question(task, task.mined[0], "judge/x").messages[0]["content"]
    assert f"{task.columns.context}: {task.mined[0][task.columns.context]}" in asked
    assert task.label_words[0] in asked
