"""The page of real runs, read as a file and opened in Chromium."""

import json
import shutil

import pandas as pd
import pytest

from s3_hf import loop
from s3_hf.report import write_report
from s3_hf.store import locked, open_run
from s3_hf.store.opening import LOCK
from tests.conftest import film_reply, film_rows
from tests.kinds import kind_reply
from tests.llm_server import LLMServer
from tests.report.conftest import opened, settings

HOSTILE = (
    "</script><script>document.title = 'owned'</script> was awful",
    '<img src="http://example.com/x.png" onerror="document.title=1"> was great',
    "\u202etxet sdrawkcab si siht\u202c and it was dull",
    "电影很无聊 剧情也很糟糕 🎬🎬 was hollow",
    "{{ 7 * 7 }} {% raw %} ${alert(1)} `was` <b>daring</b>",
    "long " * 2_000 + "was witty",
)


@pytest.fixture(scope="module")
def films_page(films_run, tiny_student, tmp_path_factory):
    return write_report([open_run(films_run)], tmp_path_factory.mktemp("page") / "films.html", str(tiny_student))


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (1920, "light")])
def test_the_page_draws_everything_and_asks_nobody(films_page, width, scheme):
    with opened(films_page, width, scheme) as (page, faults):
        assert page.locator(".chart svg").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth") == width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(20, 24, 31)" if scheme == "dark" else "rgb(255, 255, 255)")
        assert faults == []


def test_hover_shows_a_text_and_filters_choose_mistakes(films_page, films_run):
    with opened(films_page) as (page, faults):
        point = page.locator("#run0-map .mark-symbol path").nth(3)
        point.scroll_into_view_if_needed()
        box = point.bounding_box()
        for step in (2, 3):
            page.mouse.move(box["x"] + step, box["y"] + step)
        tip = page.locator("#vg-tooltip-element")
        tip.wait_for(state="visible")
        assert "dataset" in tip.inner_text()
        assert "text" in tip.inner_text()
        chosen = page.locator(".mistake:visible")
        mistakes = pd.read_parquet(films_page.with_name("films-tables") / "mistakes.parquet")
        assert chosen.count() == len(mistakes)
        label = mistakes["label"].iloc[0]
        page.get_by_label("label", exact=True).select_option(label)
        assert chosen.count() == (mistakes["label"] == label).sum()
        page.get_by_label("round", exact=True).select_option("1")
        assert chosen.count() == ((mistakes["label"] == label) & (mistakes["round"] == 1)).sum() < len(mistakes)
        assert {each.get_attribute("data-round") for each in chosen.all()} <= {"1"}
        assert page.locator("output").first.inner_text() == f"{chosen.count()} shown"
        page.get_by_label("words", exact=True).fill("no such words anywhere")
        assert chosen.count() == 0
        assert faults == []


def test_the_tables_stand_beside_the_page(films_page, films_run):
    folder = films_page.with_name("films-tables")
    run = open_run(films_run)
    rounds = pd.read_parquet(folder / "rounds.parquet")
    results = run.results()
    assert list(rounds["rows"]) == [one.rows for one in results]
    assert list(rounds["test_accuracy"]) == [one.scores["test"].metrics["accuracy"] for one in results]
    assert list(rounds["mistakes"]) == [one.mistakes for one in results]
    confusion = pd.read_parquet(folder / "confusion.parquet")
    assert list(confusion.groupby("round")["rows"].sum()) == [60, 60]
    mistakes = pd.read_parquet(folder / "mistakes.parquet")
    written = {row["id"]: each.id for each in mistakes.itertuples() for row in each.written}
    added = run.round(1).rows()
    assert written == dict(zip(added["s3_id"], added["s3_parent"], strict=True))
    assert json.loads((folder / "figures.json").read_text())["quality"]["pairs"] == len(added)


def test_hostile_texts_are_text(tiny_student, tmp_path, recipe):
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    for split, seed in (("validation", 1), ("test", 2)):
        rows = film_rows(30, seed)
        rows = {"text": [*HOSTILE, *rows["text"]], "label": [0, 1, 0, 0, 1, 1, *rows["label"]]}
        made = datasets.Dataset.from_dict({**rows, "text": [f"{text} {split}" for text in rows["text"]]}, features)
        made.to_parquet(str(tmp_path / "gold" / f"{split}.parquet"))
    replies = iter(range(10**6))

    def reply(payload):
        prompt = payload["messages"][-1]["content"]
        if "numbered list" in prompt:
            return film_reply(payload)
        number = next(replies)
        beginning = HOSTILE[number % 5][:16]  # the whole text would be a copy of a gold row
        return f"{beginning} number {number} was {'awful' if 'negative' in prompt else 'great'} to watch"

    with LLMServer(reply=reply) as llm:
        loop.run(settings(recipe, tiny_student, llm, gold=str(tmp_path / "gold")), tmp_path / "run")
    page_file = write_report([open_run(tmp_path / "run")], tmp_path / "page.html", str(tiny_student))
    with opened(page_file, 390) as (page, faults):
        assert page.title().startswith("run")
        assert page.locator("img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        seen = page.locator("body").inner_text()
        assert "{{ 7 * 7 }}" in seen
        assert faults == []


@pytest.mark.parametrize("kind", ["pairs_recipe", "spans_recipe"])
def test_a_run_with_contexts_has_a_page(kind, request, tiny_student, tmp_path):
    with LLMServer(reply=kind_reply) as llm:
        config = settings(request.getfixturevalue(kind), tiny_student, llm, seed_size=12, synthesis={})
        loop.run(config, tmp_path / "run")
    page_file = write_report([open_run(tmp_path / "run")], tmp_path / "page.html", str(tiny_student))
    tables = tmp_path / "page-tables"
    assert len(pd.read_parquet(tables / "mistakes.parquet")) > 0
    with opened(page_file) as (page, faults):
        assert page.locator(".chart svg").count() == 3
        assert faults == []


def test_a_run_that_stopped_early_a_gold_run_and_several_have_pages(
    recipe, tiny_student, films_run, films_llm, tmp_path
):
    loop.synthesize(settings(recipe, tiny_student, films_llm), tmp_path / "rows")
    loop.run(settings(recipe, tiny_student, films_llm, strategy="gold", rounds=0), tmp_path / "gold")
    runs = [open_run(path) for path in (films_run, tmp_path / "rows", tmp_path / "gold")]
    page_file = write_report(runs, tmp_path / "page.html", str(tiny_student))
    with opened(page_file) as (page, faults):
        lines = page.locator("#comparison tbody tr")
        assert lines.count() == 3
        assert "–" in lines.nth(1).inner_text()
        assert page.locator("#run1").get_by_text("No student was scored in this run.").count() == 1
        assert faults == []
    assert (tmp_path / "page-tables" / "gold" / "rounds.parquet").exists()


def test_a_page_without_gold_says_so(films_run, tiny_student, tmp_path):
    moved = tmp_path / "run"
    shutil.copytree(films_run, moved)
    text = (moved / "run.yaml").read_text()
    (moved / "run.yaml").write_text(text.replace("films.py", "gone.py"))
    page = write_report([open_run(moved)], tmp_path / "page.html", str(tiny_student)).read_text()
    assert "The gold texts are missing on this page" in page
    assert 'id="run0-map"' not in page


def test_the_command_writes_the_page_and_refuses_what_is_no_run(films_run, tiny_student, tmp_path, typed):
    code, out, _ = typed("report", films_run, "--out", tmp_path / "page.html", "--encoder", tiny_student, "--follow")
    assert (code, out) == (0, f"written: {tmp_path / 'page.html'}\n")  # a complete run is not followed
    code, _, said = typed("report", tmp_path / "nothing")
    assert code == 2
    assert "must be a run directory, found no run.yaml" in said
    (tmp_path / "begun").mkdir()
    shutil.copy(films_run / "run.yaml", tmp_path / "begun")
    code, _, said = typed("report", tmp_path / "begun", "--encoder", tiny_student)
    assert code == 2
    assert "a run must have a complete round to report on" in said
    code, _, said = typed("report", films_run, "--encoder", tmp_path / "no-encoder")
    assert code == 2
    assert said.splitlines()[-1].startswith("error: the model must be an encoder with a tokenizer")
    assert "student" not in said.replace(str(tmp_path), "")


def test_a_report_writes_nothing_to_a_run(films_run, tiny_student, tmp_path, typed):
    run = shutil.copytree(films_run, tmp_path / "run")
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    command = ("report", run, "--out", tmp_path / "page.html", "--encoder", tiny_student)
    assert typed(*command, "--follow")[0] == 0
    (run / LOCK).unlink()
    before.pop(run / LOCK)
    for flags in ((), ("--follow",)):
        assert typed(*command, *flags)[0] == 0
        assert set(run.rglob("*")) == {*before}
    with locked(run):  # by a run that is at work, which a report does not wait for
        assert typed(*command)[0] == 0
    assert {file: file.stat().st_mtime_ns for file in before if file != run} == {
        file: time for file, time in before.items() if file != run
    }


def test_the_studies_are_commands(films_run, tiny_student, typed, monkeypatch, tmp_path):
    code, out, _ = typed("study", "cost", films_run, "--json")
    costs = {line["arm"]: line for line in json.loads(out)}
    trained = open_run(films_run).round(1).training()
    assert code == 0
    assert costs["films, round 1"]["flops"] == 6 * trained.parameters * trained.tokens.seen
    assert costs["films, all rounds"]["flops"] == costs["films, round 0"]["flops"] + costs["films, round 1"]["flops"]
    assert costs["S3 (paper)"]["flops"] == pytest.approx(3.11e17, rel=2e-3)
    code, out, _ = typed("study", "quality", films_run, "--encoder", tiny_student)
    assert code == 0
    monkeypatch.chdir(films_run)
    lines = json.loads(typed("study", "quality", ".", "--encoder", tiny_student, "--json")[1])
    assert [line["run"] for line in lines] == ["films"]
    assert "edit distance" in out
    code, out, _ = typed("study", "diversity", films_run, "--encoder", tiny_student, "--json")
    gold, rows = json.loads(out)
    assert (gold["dataset"], rows["dataset"], gold["texts"], rows["texts"]) == ("gold", "films", 40, 32)
    assert 0 <= rows["covered_0.05"] <= rows["covered_0.2"] <= 1
    begun = tmp_path / "begun"
    shutil.copytree(films_run, begun, ignore=shutil.ignore_patterns("round-*"))
    for name in ("quality", "diversity", "cost"):
        code, _, err = typed("study", name, begun)
        assert (code, "must have a complete round to report on" in err) == (2, True)
