"""The search for training settings, on a real tiny BERT and Optuna."""

import optuna
import pytest
import yaml

from s3_hf import loop
from s3_hf.errors import StudentError
from s3_hf.files import read_json
from s3_hf.judging import loss_weight
from s3_hf.loop import Observer
from s3_hf.records import LABEL_P
from s3_hf.store import open_run
from s3_hf.training import tune
from s3_hf.training.loading import CHECKED_ROWS
from tests.conftest import in_two_processes
from tests.test_loop import changed
from tests.training.test_training import at_once


class StoppedError(Exception):
    """What a kill looks like from inside."""


class Counting(Observer):
    def __init__(self, stop_at=None):
        self.trials, self.steps, self.stop_at = [], [], stop_at

    def trial(self, done, total):
        self.trials.append((done, total))
        if done == self.stop_at:
            raise StoppedError

    def step(self, done, total):
        if len(self.steps) < len(self.trials):
            self.steps.append((done, total))


@pytest.fixture
def tuned_config(films_config):
    return changed(films_config, rounds=1, training={"trials": 3, "args": {"max_steps": 4}, "precision": "fp32"})


def test_a_search_goes_on_and_serves_all_rounds(tuned_config, tmp_path):
    with pytest.raises(StoppedError):
        loop.run(tuned_config, tmp_path / "run", observer=Counting(stop_at=2))
    after = Counting()
    loop.run(tuned_config, tmp_path / "run", observer=after)
    assert after.trials == [(2, 3)]
    assert after.steps == [(1, 4)]  # the first step of the trial that was left
    run = open_run(tmp_path / "run")
    chosen = read_json(run.round(0).tuned)
    assert chosen["batch_size"] in (8, 16, 32)
    assert chosen["min_steps"] == 0  # the chosen epochs are those that were tried
    assert chosen["head_learning_rate"] == pytest.approx(10 * chosen["learning_rate"])
    for number in range(2):
        used = read_json(run.round(number).model / "training.json")["settings"]
        assert {name: used[name] for name in chosen} == chosen
        assert used["trials"] == 3


def test_a_seed_may_be_a_date_or_the_highest(tuned_config, tmp_path):
    for seed in (20_240_101, 2**32 - 1):
        config = changed(tuned_config, seed=seed, rounds=0, training={"trials": 1, "seeds": 2})
        result = loop.run(config, tmp_path / str(seed))
        seeds = [each.seed for each in result.rounds[0].training.seeds if each.seed is not None]
        assert seeds == [seed, (seed + 1_000) % 2**32]


def test_settings_are_chosen_for_the_loss_that_is_trained(judged_config, tmp_path, monkeypatch):
    searched = []

    def searching(job, *more):
        searched.append(job)
        return tune(job, *more)

    monkeypatch.setattr("s3_hf.training.tune", searching)
    training = {"trials": 1, "args": {"max_steps": 4}}
    loop.run(changed(judged_config, judge_action="weight", training=training), tmp_path / "run")
    (job,) = searched
    rows = open_run(tmp_path / "run").union(0)
    assert job.weights == [loss_weight(p) for p in rows[LABEL_P][:]]
    assert len({*job.weights}) > 1


def test_the_same_seed_finds_the_same(tuned_config, tmp_path):
    found = []
    for name in ("one", "two"):
        loop.run(changed(tuned_config, rounds=0), tmp_path / name)
        found.append(read_json(open_run(tmp_path / name).round(0).tuned))
    assert found[0] == found[1]


def test_trials_that_do_not_fit_the_memory_are_left_out(tuned_config, tmp_path, monkeypatch):
    at_once(monkeypatch, 16)
    loop.run(changed(tuned_config, rounds=0, training={"trials": 6}), tmp_path / "run")
    assert read_json(open_run(tmp_path / "run").round(0).tuned)["batch_size"] in (8, 16)
    at_once(monkeypatch, CHECKED_ROWS)
    with pytest.raises(StudentError, match="found none of 2 that does"):
        loop.run(changed(tuned_config, rounds=0, training={"trials": 2}), tmp_path / "small")


@pytest.mark.slow
def test_two_processes_search_together(tuned_config, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({**tuned_config.model_dump(mode="json"), "rounds": 0}))
    in_two_processes("s3_hf", "run", tuned_config.task, "--config", config, "--run-dir", tmp_path / "run")
    folder = open_run(tmp_path / "run").round(0)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{folder.path / 'study.sqlite'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert read_json(folder.model / "training.json")["processes"] == 2
