"""How far a run is: `next` is null only where nothing is left to do, also while the run is at work."""

import json
import shutil

import pytest

from s3_hf import loop
from s3_hf.loop import Observer, status_of, training
from s3_hf.store import open_run
from tests.run_maker import add_final, add_model, add_round, make_full_run, make_run
from tests.test_loop import changed

ROWS = [("a bad film .", 0), ("a good film .", 1)]


def next_of(typed, run):
    """Return the round and the stage in `status --json`; None for null."""
    code, out, err = typed("status", run.path, "--json")
    assert code == 0, err
    told = json.loads(out)["next"]
    return told and (told["round"], told["stage"])


def run_of(path, accuracies, **changes):
    """Make a run with a finished round for each accuracy."""
    run = make_run(path, **changes)
    for number, accuracy in enumerate(accuracies):
        add_round(run, number, ROWS)
        add_model(run, number, accuracy)
    return run


def test_a_run_that_writes_or_judges_before_its_first_round_begins_with_round_0(typed, tmp_path):
    run = make_run(tmp_path / "run", judge="auto")
    run.judging.path.mkdir()
    run.judging.gold.write_text("{}")
    assert next_of(typed, run) == (0, "synthesize")


def test_between_rounds_the_next_one_is_next(typed, tmp_path):
    run = run_of(tmp_path / "run", [0.7])
    assert not run.round(1).path.exists()  # while round 0 is published, say
    assert next_of(typed, run) == (1, "synthesize")
    assert "next: round 1, synthesize: s3-hf run " in typed("status", run.path)[1]


def test_a_round_beyond_those_of_the_first_call_is_next_once_it_has_begun(typed, tmp_path):
    run = make_full_run(tmp_path / "run")
    assert next_of(typed, run_of(tmp_path / "one", [0.7, 0.8], rounds=1)) is None
    shutil.copytree(run.round(1).path, tmp_path / "one/round-2", ignore=lambda *_: ["model", "metrics.json"])
    (tmp_path / "one/round-2/round.json").unlink()
    assert next_of(typed, open_run(tmp_path / "one")) == (2, "synthesize")


@pytest.mark.parametrize("settings", [{"gold_stage": "after"}, {"verdict": True}, {}])
def test_after_the_last_round_the_final_student_and_the_verdict_are_next(typed, tmp_path, settings):
    run = run_of(tmp_path / "run", [0.7, 0.8], rounds=1, **settings)
    assert not run.final.path.exists()
    assert next_of(typed, run) == ((None, "final") if settings else None)
    add_final(run)
    if "verdict" in settings:  # that of make_run lacks round 1
        assert next_of(typed, run) == (None, "final")
        verdict = json.loads(run.final.verdict.read_text())
        verdict["arms"].append({**verdict["arms"][1], "name": "round-1"})
        run.final.verdict.write_text(json.dumps(verdict))
    assert next_of(typed, run) is None


def test_a_final_student_of_a_round_that_is_no_longer_the_best_is_made_again(typed, tmp_path):
    run = run_of(tmp_path / "run", [0.7, 0.8, 0.9], gold_stage="after")
    add_final(run)  # of round 1
    assert next_of(typed, run) == (None, "final")


@pytest.mark.parametrize(("patience", "told"), [(None, (2, "synthesize")), (1, None)])
def test_patience_ends_a_run(typed, tmp_path, patience, told):
    assert next_of(typed, run_of(tmp_path / "run", [0.7, 0.7], patience=patience)) == told


def test_a_round_without_rows_ends_a_run(typed, tmp_path):
    run = run_of(tmp_path / "run", [0.7], gold_stage="after")
    run.round(1).path.mkdir()
    run.round(1).empty.write_text("{}")
    assert next_of(typed, run) == (None, "final")


def test_a_run_on_gold_rows_has_one_round_and_nothing_after_it(typed, tmp_path):
    settings = {"strategy": "gold", "gold_stage": "auto", "verdict": True}
    assert next_of(typed, run_of(tmp_path / "new", [], **settings)) == (0, "synthesize")
    assert next_of(typed, run_of(tmp_path / "done", [0.7], **settings)) is None


def test_a_run_at_work_is_never_told_to_be_complete(judged_config, tmp_path, monkeypatch):
    """It is asked how far it is at each stage that it tells, from the judge's students to the verdict."""
    monkeypatch.setattr(training, "GOLD_STEPS", 10)
    seen = []

    class Watching(Observer):
        def look(self, *_):
            state = status_of(open_run(tmp_path / "run"))
            seen.append("final" if state.finishing else state.next and (state.next.number, state.next.stage().value))

        stage = judging = scored = final = final_scored = look

    config = changed(judged_config, rounds=1, verdict=True, gold_stage="after")
    loop.run(config, tmp_path / "run", observer=Watching())
    assert None not in seen
    wanted = [(0, "synthesize"), (0, "train"), (0, "score"), (1, "synthesize"), (1, "train"), (1, "score"), "final"]
    assert list(dict.fromkeys(seen)) == wanted
    state = status_of(open_run(tmp_path / "run"))
    assert (state.next, state.finishing) == (None, False)
