"""Benches on real parts: a grid of runs on the films, over HTTP, with a tiny BERT."""

import collections
import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from s3_hf import loop
from s3_hf.analysis.cost import training_flops
from s3_hf.bench import BenchObserver, cells_of, check_cells, load_bench, run_cells, write_report
from s3_hf.bench.intervals import Measured, compare, holm
from s3_hf.bench.measuring import measured
from s3_hf.bench.outcomes import Outcome, Outcomes, read_outcomes
from s3_hf.errors import BudgetReached, ConfigError, RunDirError, S3Error, SynthesisError
from s3_hf.files import read_json, read_rows
from s3_hf.loop import Services
from s3_hf.schema import merge
from s3_hf.task import load_task, task_of
from tests.conftest import film_reply
from tests.kinds import kind_reply
from tests.llm_server import LLMServer
from tests.test_loop import changed

EXAMPLES = Path(__file__).parent.parent / "examples" / "bench"
ARMS = {"s3": {}, "no-ees": {"strategy": "s3", "rounds": 0}, "zerogen": {}, "gold": {}}


class Films:
    """A bench file on the films and its folder."""

    def __init__(self, home, config):
        self.path, self.folder = home / "films.yaml", home / "bench"
        self.values = {
            "tasks": {"films": {"recipe": config.task}},
            "arms": dict(ARMS),
            "students": [config.student],
            "sizes": [24],
            "seeds": [0, 1],
            "baseline": "s3",
            "settings": {
                "llm": config.llm,
                "synthesis": config.synthesis.model_dump(exclude={"rationales", "top_up"}),
                "training": {"epochs": 1, "batch_size": 8, "precision": "fp32"},
            },
        }

    def write(self, **values):
        self.values |= values
        self.path.write_text(yaml.safe_dump(self.values, sort_keys=False))
        return self.path

    def bench(self, **values):
        return load_bench(self.write(**values))

    def run(self, observer=None, **values):
        bench = self.bench(**values)
        cells = cells_of(bench)
        check_cells(cells, self.folder, Services())
        return run_cells(cells, self.folder, Services(), observer or BenchObserver(), keep_models=bench.keep_models)


@pytest.fixture
def films(films_config, tmp_path):
    return Films(tmp_path, films_config)


def payloads(server):
    return collections.Counter(json.dumps(request.payload, sort_keys=True) for request in server.requests)


def folder_of(films, arm, seed=0):
    (found,) = (films.folder / "cells").glob(f"films-{arm.translate(str.maketrans('-+', '__'))}-*-seed{seed}")
    return found


def test_a_grid_pays_once_for_the_rows_that_its_cells_share(films, films_llm):
    results = films.run()
    assert len(results) == 8
    assert {one.rows for one in results if one.arm == "gold"} == {40}
    assert max(payloads(films_llm).values()) == 1
    seed, alone = (read_rows(folder_of(films, arm) / "round-0" / "data.parquet") for arm in ("s3", "no-ees"))
    assert seed["text"][:] == alone["text"][:16]
    first = {one.arm: one for one in results if one.seed == 0}
    assert first["s3"].rounds == 2
    assert first["s3"].flops > first["no-ees"].flops > 0
    assert first["gold"].requests == 0 < first["s3"].requests
    assert not list(films.folder.rglob("*.safetensors"))


def test_a_cell_is_published_without_the_models_whose_weights_are_gone(films, typed, tmp_path, caplog):
    films.run(arms={"s3": {}}, seeds=[0])
    cell = folder_of(films, "s3")
    code, out, err = typed("push", cell, "--to", tmp_path / "out")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "left out, since they have no weights: 0, 1, 2; a bench deletes those" in caplog.text
    assert not (tmp_path / "out" / "models").exists()
    cards = [path.read_text() for path in (tmp_path / "out").rglob("README.md")]
    assert len(cards) == 3
    assert not any("published as" in card for card in cards)
    code, out, err = typed("predict", cell / "round-2" / "model", "a film")
    assert code == 2
    assert "round-2/model' must have weights, found none; a bench deletes" in err


def test_finished_cells_are_left_alone_and_new_ones_are_added(films, films_llm):
    films.run(arms={"s3": {}, "gold": {}}, seeds=[0])
    asked = len(films_llm.requests)
    old = folder_of(films, "s3") / "cell.json"  # of another version
    old.write_text(json.dumps({key: value for key, value in read_json(old).items() if key != "flops"}))
    films.run()
    proofs = {path: path.stat().st_mtime_ns for path in films.folder.rglob("cell.json")}
    again = films.run()
    assert len(films_llm.requests) == asked
    more = films.run(arms={"goldgen": {"rounds": 1}, "s3": {}, "gold": {}}, sizes=[24, 30], seeds=[0, 1])
    assert len(more) == 2 * (2 * 2 + 1)
    assert max(payloads(films_llm).values()) == 1
    assert {path: path.stat().st_mtime_ns for path in proofs} == proofs
    assert [one for one in more if one in again] == again


def test_changed_settings_are_named_before_anything_is_spent(films, films_llm):
    films.run(arms={"zerogen": {}}, baseline=None)
    asked = len(films_llm.requests)
    with pytest.raises(RunDirError, match=r"training\.epochs was 1 and is 2"):
        films.run(
            arms={"s3": {}, "zerogen": {}}, settings=merge(films.values["settings"], {"training": {"epochs": 2}})
        )
    assert len(films_llm.requests) == asked
    assert len(list((films.folder / "cells").iterdir())) == 2


def test_tables(films):
    bench = films.bench(paper={"source": "Table 2", "figures": {"s3": {"films": {"accuracy": 89.0, "rows": 21200}}}})
    results = films.run()
    text = write_report(bench, films.folder, results)
    assert text == (films.folder / "results.md").read_text()
    assert "89.00 (21,200)" in text
    with (films.folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["metric"]) for row in rows] == [
        (arm, m) for m in ("accuracy", "macro_f1") for arm in ARMS
    ]
    kept = read_rows(films.folder / "results.parquet")
    by_arm = {row["arm"]: row for row in kept if row["metric"] == "accuracy"}
    scores = {arm: [one.test["accuracy"] for one in results if one.arm == arm] for arm in ARMS}
    assert by_arm["zerogen"]["mean"] == pytest.approx(sum(scores["zerogen"]) / 2)
    pairs = [one - base for one, base in zip(scores["zerogen"], scores["s3"], strict=True)]
    assert by_arm["zerogen"]["difference"] == pytest.approx(sum(pairs) / 2)
    assert by_arm["s3"]["difference"] is None
    assert by_arm["zerogen"]["difference_of_rows"]
    assert by_arm["zerogen"]["p_holm"] >= by_arm["zerogen"]["p"] > 0
    for one in (one for one in results if one.arm == "zerogen"):
        outcomes = read_outcomes(folder_of(films, "zerogen", one.seed), one.rounds)
        assert {name: each.score for name, each in outcomes.metrics.items()} == pytest.approx(one.test)
    assert by_arm["s3"]["paper"] == 0.89
    cells = read_rows(films.folder / "cells.parquet")
    assert len(cells) == len(results)
    assert cells["test_accuracy"][:] == [one.test["accuracy"] for one in results]
    assert "2,000 paired resamples" in text
    assert "Of seeds alone" not in text
    (folder_of(films, "zerogen") / "round-0" / "predictions.parquet").unlink()  # as in a folder that was cleaned
    text = write_report(bench, films.folder, results)
    assert "Of seeds alone, without test rows, since cells lack the predictions: zerogen." in text


def scores(values):
    return {seed: Measured(value, None) for seed, value in values.items()}


def test_an_interval_without_rows_is_students_t():
    arm, base = scores({0: 0.75, 1: 0.77, 2: 0.74, 9: 0.1}), scores({0: 0.73, 1: 0.74, 2: 0.73, 8: 0.5})
    found = compare("accuracy", arm, base)
    assert (found.seeds, found.positive, found.rows) == (3, 3, False)
    assert found.mean == pytest.approx(0.02)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.01 / 3**0.5)
    assert found.p == pytest.approx(0.0742, abs=1e-4)
    assert compare("accuracy", scores({0: 0.5}), scores({1: 0.5})) is None
    assert compare("accuracy", scores({0: 0.5}), scores({0: 0.4})).low is None


def cell_of(right):
    hits = np.asarray(right, dtype=float)[:, None]
    outcome = Outcome(hits, np.ones_like(hits))
    return Measured(outcome.score, Outcomes(np.array([f"test-{n}" for n in range(len(hits))]), {"accuracy": outcome}))


def test_an_interval_counts_the_sampling_of_test_rows():
    """Two seeds with the same rows right: the seeds alone would give an interval without width."""
    row = np.arange(1_000)
    arm, base = ({seed: cell_of(right) for seed in (0, 1)} for right in (row < 800, (row < 700) | (row >= 950)))
    found = compare("accuracy", arm, base)
    assert found.rows
    assert found.mean == pytest.approx(0.05)
    error = (((100 + 50) / 1_000 - 0.05**2) / 1_000) ** 0.5
    assert found.high - found.mean == pytest.approx(1.96 * error, rel=0.1)
    assert found.p < 0.01
    assert compare("accuracy", arm, {**base, 1: Measured(base[1].score - 0.01, base[1].outcomes)}).rows is False


def test_holm():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.5}) == pytest.approx(
        {"b": 0.04, "c": 0.09, "a": 0.09, "d": 0.5}
    )
    assert holm({}) == {}


def test_limits_hold_for_the_whole_bench(films, films_llm):
    settings = {**films.values["settings"], "endpoint": {"max_requests": 70}}
    arms = {"zerogen": {}, "s3": {}}
    with pytest.raises(BudgetReached, match="higher max_requests"):
        films.run(settings=settings, arms=arms)
    assert len(films_llm.requests) == 70
    with pytest.raises(BudgetReached):
        films.run(settings=settings, arms=arms)
    assert len(films_llm.requests) == 70
    assert len(films.run(settings={**settings, "endpoint": {}}, arms=arms)) == 4
    assert max(payloads(films_llm).values()) == 1


def test_rows_of_other_arms(films, films_llm):
    """Table 5: a seed set of ZeroGen, and extrapolation from the errors of its student."""
    seed = {"seed_data": "arm:zerogen"}
    arms = {
        "our-add": {"strategy": "zerogen", "settings": {**seed, "add_data": "arm:s3"}},
        "syn-add": {"strategy": "s3", "settings": seed},
        "zerogen": {},
        "s3": {},
    }
    results = films.run(arms=arms, seeds=[0], baseline="zerogen")
    assert {one.arm: one.rows for one in results} == {"zerogen": 24, "s3": 24, "our-add": 32, "syn-add": 32}
    rows = {arm: [read_rows(path) for path in sorted(folder_of(films, arm).glob("*/data.parquet"))] for arm in arms}
    given = rows["zerogen"][0]["text"][:]
    assert rows["our-add"][0]["text"][:] == rows["syn-add"][0]["text"][:] == given
    assert rows["our-add"][1]["text"][:] == [text for part in rows["s3"][1:] for text in part["text"][:]]
    films.folder = films.folder.rename(films.folder.with_name("moved"))
    assert films.run() == results
    with pytest.raises(RunDirError, match=r"and patience=None, found \d and 1; set them back"):
        films.run(settings=films.values["settings"] | {"patience": 1})
    cell = next(cell for cell in cells_of(films.bench(arms=arms, seeds=[0], baseline="zerogen")) if cell.arm == "s3")
    proof = films.folder / "cells" / cell.name / "run.yaml"
    before = proof.read_bytes()
    longer = dataclasses.replace(cell, config=cell.config.model_copy(update={"rounds": 3, "patience": None}))
    with pytest.raises(RunDirError, match=r"rounds=2 and patience=None, found 3 and None; set them back"):
        check_cells([longer], films.folder, Services())
    assert proof.read_bytes() == before


def test_a_cell_with_a_gold_stage_has_the_scores_of_its_final_student(films, films_llm):
    given = {"seed_data": "arm:s3", "add_data": "arm:s3", "gold_stage": "after"}
    arms = {"s3": {}, "s3+gold": {"strategy": "s3", "rounds": 1, "settings": given}}
    plain, final = films.run(arms=arms, seeds=[0])
    folder = folder_of(films, "s3+gold")
    facts, best = (read_json(folder / "final" / name) for name in ("metrics.json", "choice.json"))
    assert (plain.rows, final.rows) == (24, facts["rows"])
    assert facts["rows"] == (16, 24)[best["round"]]
    assert final.requests == 0
    assert final.test == facts["scores"]["test"]["metrics"]
    outcomes = read_outcomes(folder, final.rounds)
    assert {name: each.score for name, each in outcomes.metrics.items()} == pytest.approx(final.test)
    assert final.flops > 0
    assert not list(films.folder.rglob("*.safetensors"))
    assert not (folder_of(films, "s3") / "final").exists()


def test_a_cell_is_measured_by_the_student_that_is_scored(films, films_config, tmp_path):
    """The best round need not be the last one, and the gold stage may leave out all its rows."""
    (cell,) = cells_of(films.bench(arms={"s3": {}}, seeds=[0]))
    result = loop.run(changed(films_config, rounds=1, gold_stage="after"), tmp_path / "run")
    first, last = result.rounds
    assert first.training.epochs != last.training.epochs
    assert first.training.tokens != last.training.tokens
    plain = measured(cell, dataclasses.replace(result, final=None))
    assert (plain.rows, plain.epochs) == (last.rows, last.training.epochs)

    def final(arm, rows, training):
        choice = dataclasses.replace(result.final.choice, arm=arm, round=0)
        facts = dataclasses.replace(result.final.facts, rows=rows)
        return measured(cell, dataclasses.replace(
            result, final=dataclasses.replace(result.final, choice=choice, facts=facts, training=training)
        ))  # fmt: skip

    best = final("synthetic", first.rows, first.training)  # `final/` holds a copy of that round's student
    assert (best.rows, best.epochs) == (first.rows, first.training.epochs)
    assert best.row_flops == training_flops(first.training.parameters, first.training.tokens.mean)
    assert best.flops == plain.flops
    gold = final("gold", 0, result.final.training)
    assert (gold.rows, gold.epochs) == (0, result.final.training.epochs)
    assert gold.flops > best.flops
    after = final("after", first.rows, result.final.training)
    assert (after.rows, after.epochs) == (first.rows, result.final.training.epochs)


def test_gold_rows_alone_need_no_llm(films):
    (result,) = films.run(
        arms={"gold": {}}, seeds=[0], baseline=None, settings={**films.values["settings"], "llm": "local"}
    )
    assert (result.rows, result.requests) == (40, 0)


def test_goldgen_in_its_literal_form_extrapolates_each_gold_row_once(films):
    (result,) = films.run(arms={"goldgen": {"rounds": 1, "literal": True}}, seeds=[0], baseline=None)
    parents = read_rows(folder_of(films, "goldgen") / "round-1" / "data.parquet")["s3_parent"][:]
    assert len(set(parents)) == len(parents) == 40
    assert (result.rows, result.wanted) == (16 + 40, None)


def test_paths_lead_from_the_bench_file(films, films_recipe_beside, tmp_path_factory, monkeypatch):
    rows = "text,label\n" + "".join(
        f"a {word} film number {n} seen,{word}\n" for n in range(4) for word in ("neg", "pos")
    )
    (films.path.parent / "rows.csv").write_text(rows)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    arms = {"rows": {"strategy": "s3", "rounds": 0, "settings": {"seed_data": "rows.csv"}}}
    tasks = {"films": {"recipe": films_recipe_beside}}
    (result,) = films.run(tasks=tasks, arms=arms, seeds=[0], baseline=None)
    assert result.rows == 8


@pytest.fixture
def films_recipe_beside(films, films_config):
    """A copy of the recipe beside the bench file, by its name alone."""
    (films.path.parent / "beside.py").write_text(Path(films_config.task).read_text(encoding="utf-8"))
    return "beside.py"


def test_gold_samples_are_shared_by_the_seeds_of_an_arm(films):
    settings = films.values["settings"] | {"gold_size": 20, "test_size": 20, "sample_seed": 0}
    first, second = (task_of(cell.config) for cell in cells_of(films.bench(arms={"s3": {}}, settings=settings)))
    assert first.mined["s3_id"][:] == second.mined["s3_id"][:]
    assert first.test["s3_id"][:] == second.test["s3_id"][:]
    own = films.bench(settings=settings | {"sample_seed": None})
    assert len({tuple(task_of(cell.config).test["s3_id"][:]) for cell in cells_of(own)}) == 2


def test_an_arm_is_left_out_with_the_one_whose_rows_it_takes(films):
    def reply(payload):
        return "Sorry." if "Write one sentence of a" in payload["messages"][-1]["content"] else film_reply(payload)

    arms = {"zerogen": {}, "syn-add": {"strategy": "s3", "rounds": 1, "settings": {"seed_data": "arm:zerogen"}}}
    with LLMServer(reply=reply) as server, pytest.raises(SynthesisError, match="usable examples") as caught:
        films.run(
            arms={**arms, "gold": {}},
            seeds=[0],
            baseline=None,
            settings=films.values["settings"] | {"llm": server.url},
        )
    assert "left out: films-zerogen" in caught.value.__notes__[0]
    assert "films-syn_add" in caught.value.__notes__[0]
    assert read_json(folder_of(films, "gold") / "cell.json")["rows"] == 40


def test_curves_show_training_against_test(films):
    """Figure 1; watching changes nothing that is made."""
    bench = films.bench(arms={"zerogen": {}, "gold": {}}, baseline=None)
    plain = films.run()
    films.folder = films.folder.with_name("watched")
    settings = merge(films.values["settings"], {"training": {"watch": True}})
    results = films.run(settings=settings)
    assert [one.scores for one in results] == [one.scores for one in plain]
    assert not any("train_accuracy" in line for one in plain for line in one.epochs)
    write_report(bench, films.folder, results)
    lines = read_rows(films.folder / "curves.parquet")
    assert len(lines) == len(results)
    assert lines["test_accuracy"][0] == results[0].test["accuracy"]
    assert 0 <= lines["train_accuracy"][0] <= 1
    assert (films.folder / "curves.csv").read_text().startswith("task,student,size,arm,seed,epoch,train_loss")
    assert (films.folder / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"arms": {"s33": {}}, "baseline": None}, "did you mean 's3'"),
        ({"arms": {"s3": {"round": 1}}}, "did you mean 'rounds'"),
        ({"arms": {"s3": {}, "again": {"strategy": "s3"}}}, "are the same cell"),
        ({"arms": {"zerogen": {"rounds": 1}}, "baseline": None}, "adds none"),
        ({"arms": {"s3": {}, "no-ees": {"strategy": "s3", "rounds": 0}, "no_ees": {}}}, "strategy 'no_ees'"),
        ({"arms": {"s3": {"settings": {"seed_size": 5}}}}, "the grid decides it"),
        ({"arms": {"s3": {"settings": {"training": {"epoch": 5}}}}}, "did you mean 'epochs'"),
        ({"arms": {"s3": {"settings": {"seed_data": "arm:zerogen"}}}}, "arm 'zerogen', which is not there"),
        ({"arms": {"s3": {"tasks": ["film"]}}}, "found 'film'"),
        ({"arms": {"s3": {}, "gold": {"sized": True}}, "sizes": [41]}, "its 40 gold validation rows, found 41"),
        ({"sizes": [1], "arms": {"zerogen": {}}, "baseline": None}, "a row for each label"),
        ({"sizes": [2]}, "a row for the seed and for each of 2 rounds"),
        ({"sizes": []}, "needs 'sizes'"),
        ({"sizes": [100], "arms": {"progen": {}}, "baseline": None}, "more rows than ProGen's first round, 100"),
        (
            {"arms": {"zerogen": {}, "s3": {"settings": {"add_data": "arm:zerogen"}}}},
            "what arm 'zerogen' adds to its seed, which is nothing",
        ),
        (
            {
                "tasks": ["imdb", "rte"],
                "arms": {"zerogen": {"tasks": ["rte"]}, "s3": {"settings": {"seed_data": "arm:zerogen"}}},
            },
            "'s3' on task 'imdb' takes rows of arm 'zerogen', which has none on this task",
        ),
        ({"tasks": {"films": {"arms": {"s4": {}}}}}, "settings for arms of the file, found 's4'"),
        ({"tasks": {"films": {"arms": {"s3": {"seed": 1}}}}}, "'seed' of 's3' on 'films' cannot be set there"),
        ({"seeds": [0, 0]}, "must differ"),
        ({"baseline": "s33"}, "must be one of the arms"),
        ({"students": ["/nowhere/student"]}, "found '/nowhere/student'"),
        ({"tasks": ["imbd"]}, "did you mean 'imdb'"),
        ({"paper": {"source": "T", "figures": {"s4": {}}}}, "found 's4'"),
        ({"metric": "accuracy"}, "did you mean 'metrics'"),
        ({"metrics": ["acuracy"]}, "metrics must be among accuracy, .*, found 'acuracy'; did you mean 'accuracy'"),
        ({"arms": {"s3": {"tasks": []}}, "baseline": None}, "found that no arm is for any task"),
        ({"name": "../x"}, "'name' in .* is wrong"),
        ({"arms": [["gold"]]}, "'arms' in .* is wrong"),
    ],
)
def test_a_bad_file_is_one_sentence_and_spends_nothing(films, films_llm, values, sentence):
    with pytest.raises(S3Error, match=sentence) as caught:
        films.run(**values)
    assert "\n" not in str(caught.value)
    assert not films_llm.requests
    assert not films.folder.exists()


def test_a_file_that_is_no_mapping_is_sent_to_the_page_of_benches(tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(S3Error, match=r"must hold a mapping of settings, found list; see docs/bench\.md for one$"):
        load_bench(tmp_path / "list.yaml")


def test_the_small_variant(films):
    path = films.write(small={"seeds": [7], "settings": {"training": {"epochs": 3}}})
    bench = load_bench(path, small=True, settings={"llm": "http://127.0.0.1:1"})
    assert (bench.name, bench.seeds, bench.sizes) == ("films-small", (7,), (24,))
    assert bench.settings["training"] == {"epochs": 3, "batch_size": 8, "precision": "fp32"}
    assert {cell.config.llm for cell in cells_of(bench) if cell.arm == "s3"} == {"http://127.0.0.1:1"}
    assert load_bench(path).seeds == (0, 1)
    with pytest.raises(ConfigError, match=r"'settings' in .* is wrong"):
        load_bench(films.write(settings=3), small=True)
    with pytest.raises(ConfigError, match="--small needs a section"):
        load_bench(films.write(small=None), small=True)


def test_the_example_of_the_docs_is_small_under_small(tmp_path):
    text = (EXAMPLES.parent.parent / "docs" / "bench.md").read_text()
    path = tmp_path / "b.yaml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    sizes = {cell.size for cell in cells_of(load_bench(path, small=True))}
    assert sizes == {None, 300}
    assert {cell.config.training.min_steps for cell in cells_of(load_bench(path)) if cell.size} == {0}
    assert 21_200 in {cell.size for cell in cells_of(load_bench(path))}


def test_flags_win_over_all_settings_of_the_file(films):
    values = {
        "tasks": {
            "films": {
                "settings": {"training": {"epochs": 5}},
                "arms": {"s3": {"training": {"epochs": 6, "min_steps": 7}}},
            }
        },
        "arms": {"s3": {"settings": {"llm": "a/b"}}},
    }
    bench = load_bench(films.write(**values), settings={"training": {"epochs": 2}, "llm": "http://127.0.0.1:1"})
    assert {(cell.config.training.epochs, cell.config.llm) for cell in cells_of(bench)} == {(2, "http://127.0.0.1:1")}
    assert {cell.config.training.min_steps for cell in cells_of(bench)} == {7}
    with pytest.raises(ConfigError, match="'rounds' of the command line cannot be set there"):
        load_bench(films.path, settings={"rounds": 2})


def test_progen_grows_by_its_own_schedule_unless_the_file_says_another(films):
    arms = {"progen": {}, "late": {"strategy": "progen", "seed_share": "1/2"}, "s3": {}}
    bench = films.bench(arms=arms, tasks={"films": {"seed_share": "3/4"}}, sizes=[1000], seeds=[0])
    sizes = {cell.arm: (cell.config.seed_size, cell.config.round_size) for cell in cells_of(bench)}
    assert sizes == {"progen": (100, (300, 600)), "late": (500, 250), "s3": (750, 125)}


def test_another_llm_has_a_journal_of_its_own(films):
    def journals(**settings):
        return {cell.shared for cell in cells_of(load_bench(films.write(), settings=settings))} - {None}

    found = [journals(llm="local"), journals(llm="a/b"), journals(llm="c/d"), journals(llm="http://a", llm_model="m")]
    assert len(set.union(*found)) == 4 * 2
    assert journals(llm="http://a") == journals(llm="http://b")


def test_metrics_are_those_of_the_task(pairs_recipe, spans_recipe, films):
    with LLMServer(reply=kind_reply) as server:
        tasks = {"pairs": {"recipe": str(pairs_recipe)}, "spans": {"recipe": str(spans_recipe)}}
        settings = {**films.values["settings"], "llm": server.url, "synthesis": {}}
        values = {"tasks": tasks, "arms": {"s3": {"rounds": 1}, "gold": {}}, "sizes": [12], "settings": settings}
        results = films.run(**values, seeds=[0], metrics=["accuracy", "exact_match", "f1"])
    assert [(one.task, set(one.test)) for one in results if one.arm == "s3"] == [
        ("pairs", {"accuracy", "macro_f1"}),
        ("spans", {"exact_match", "f1"}),
    ]
    assert {one.rows for one in results if one.arm == "s3"} == {12}
    figures = {"pairs": {"accuracy": 70.0}, "spans": {"exact_match": 10.0, "f1": 40.0}}
    paper = {"source": "T", "figures": {"s3": figures}, "flops": {"s3": 3.11e17}, "row_flops": 2.03e11}
    text = write_report(films.bench(paper=paper), films.folder, results)
    assert [line.split(": ")[1] for line in text.splitlines() if line.startswith("## ")] == [
        "accuracy",
        "exact match",
        "F1",
        "accuracy, exact_match, f1",
    ]
    (s3,) = (line for line in text.splitlines() if line.startswith(f"| {films.values['students'][0]} | s3 |"))
    scores = [value for one in results if one.arm == "s3" for name, value in one.test.items() if name != "macro_f1"]
    assert s3.endswith(f"| {100 * sum(scores) / 3:.1f} | 40.00 |")
    assert "| 3.11e+17 |" in text
    assert "2.03e+11 for a row" in text
    for one in results:
        (folder,) = (films.folder / "cells").glob(f"{one.task}-{one.arm}-*")
        outcomes = read_outcomes(folder, one.rounds)
        assert {name: each.score for name, each in outcomes.metrics.items()} == pytest.approx(one.test)


def test_a_task_that_a_strategy_cannot_do(spans_recipe, films, films_llm):
    with pytest.raises(ConfigError, match="'progen' must be used on a task that labels single texts, found 'spans'"):
        films.run(tasks={"spans": {"recipe": str(spans_recipe)}}, arms={"progen": {}}, sizes=[120], baseline=None)
    assert not films_llm.requests


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("small", [False, True], ids=["whole", "small"])
def test_the_ready_files(path, small, tmp_path):
    bench = load_bench(path, small=small)
    cells = cells_of(bench)
    for config in {cell.task: cell.config for cell in cells}.values():
        load_task(config.task, prompts=config.prompts)
    if small:
        assert {cell.config.llm for cell in cells} == {cell.config.student for cell in cells} == {"local"}
    if bench.paper:
        figures = [figures for arm in bench.paper.figures.values() for figures in arm.values()]
        assert all(1 < value < 100 for one in figures for name, value in one.items() if name != "rows")
        known = {entry.paper_task or name for name, entry in bench.tasks.items()}
        assert known <= {task for arm in bench.paper.figures.values() for task in arm}


def command(films, *more):
    return [sys.executable, "-m", "s3_hf", "bench", str(films.path), "--run-dir", str(films.folder), *more]


def test_killed_half_way_and_gone_on(films):
    """`kill -9` in the middle of the grid: the same command finishes it, and no request is repeated."""
    with LLMServer(delay=0.02, reply=film_reply) as server:
        settings = {**films.values["settings"], "llm": server.url, "endpoint": {"concurrency": 4}}
        films.write(settings=settings, seeds=[0])
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command(films), env=environment, stderr=subprocess.DEVNULL)
        while len(list(films.folder.glob("cells/*/cell.json"))) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = subprocess.run(command(films, "--json"), env=environment, capture_output=True, text=True, check=True)
        cells = json.loads(done.stdout)["cells"]
        assert len(cells) == 4
        in_flight = sum(count - 1 for count in payloads(server).values())
        assert in_flight <= 4
        asked = len(server.requests)
        plan = subprocess.run(command(films, "--plan"), env=environment, capture_output=True, text=True, check=True)
        assert plan.stdout.count("done  films-") == 4
        assert len(server.requests) == asked
