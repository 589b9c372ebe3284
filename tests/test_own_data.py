"""Data of five kinds, each through `tasks new`, preview, run, report and push without an edit."""

import csv
import hashlib
import json
import random

import pytest
from huggingface_hub import DatasetCard, ModelCard

from s3_hf.hub import push_run
from s3_hf.store import open_run
from s3_hf.task import load_task
from tests.authoring.test_authoring import INTENTS, intent_lines, label_reply, question_reply, squad_file
from tests.conftest import film_rows, save_student
from tests.kinds import pair_rows
from tests.llm_server import LLMServer
from tests.push.conftest import hub, server  # noqa: F401 - fixtures

SIGNS = "这家餐厅的服务味道环境价格老板菜单很好差快慢干净热情冷淡新鲜便宜贵今天昨天晚上我们大家都觉得非常特别有点"
QUICK = ("--seed-size", 40, "--rounds", 1, "--round-size", 10)
SMALL = [f"training.{one}" for one in ("epochs=1", "min_steps=0", "batch_size=16", "precision=fp32")]
SMALL += ["synthesis.rationales_per_label=6", "synthesis.rationales_per_example=2"]


def table(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def imbalanced(folder):
    """95 % of one label."""
    texts = film_rows(200, 1)["text"]
    rows = [(text, "complaint" if number % 20 == 0 else "praise") for number, text in enumerate(texts)]
    return table(folder / "reviews.csv", ["review", "kind"], rows)


def chinese(draw, size=16):
    return "".join(draw.choices(SIGNS, k=size)) + "。"


def chinese_table(folder):
    draw = random.Random(0)
    return table(
        folder / "canting.csv", ["评论", "看法"], [(chinese(draw), "好评差评"[n % 2 * 2 :][:2]) for n in range(80)]
    )


def chinese_reply(payload):
    draw = random.Random(hashlib.sha256(json.dumps(payload).encode()).hexdigest())
    if "numbered list" in payload["messages"][-1]["content"]:
        return "\n".join(f"{number}. {chinese(draw, 5)[:-1]}" for number in range(1, 9))
    return chinese(draw, 18)


def pairs(folder):
    rows, names = pair_rows(60, 1), ("entailment", "contradiction", "neutral")
    lines = zip(rows["premise"], rows["claim"], (names[label] for label in rows["label"]), strict=True)
    return table(folder / "claims.csv", ["premise", "claim", "label"], lines)


KINDS = {
    "imbalanced": (imbalanced, ["--text", "review", "--label", "kind"], label_reply),
    "twenty": (
        lambda folder: intent_lines(folder / "intents.jsonl"),
        ["--text", "utterance", "--label", "intent"],
        label_reply,
    ),
    "chinese": (chinese_table, ["--text", "评论", "--label", "看法"], chinese_reply),
    "claims": (pairs, ["--text", "claim", "--label", "label", "--context", "premise"], label_reply),
    "houses": (
        lambda folder: squad_file(folder / "houses.json"),
        ["--text", "question", "--answers", "answers", "--context", "context"],
        question_reply,
    ),
}


@pytest.fixture(scope="session")
def student(tmp_path_factory, spelling_student):
    return {
        "chinese": save_student(tmp_path_factory.mktemp("chinese"), [*SIGNS, *(f"##{sign}" for sign in set(SIGNS))]),
        "other": spelling_student,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_own_data_needs_no_edit(kind, typed, student, hub, tmp_path, caplog):  # noqa: F811 - a fixture
    make, columns, reply = KINDS[kind]
    data = make(tmp_path)
    code, told, err = typed("tasks", "new", kind, "--data", data, "--out", tmp_path, *columns)
    assert (code, err) == (0, ""), err
    recipe = str(tmp_path / f"{kind}.py")
    run_dir, page = tmp_path / "run", tmp_path / "page.html"
    trained = student.get(kind, student["other"])
    more = [part for one in SMALL for part in ("--set", one)]
    final = ["--gold-stage", "after"] if kind == "imbalanced" else ["--gold-stage", "none", "--no-verdict"]
    with LLMServer(reply=reply) as llm:
        assert typed("tasks", "preview", recipe)[0] == 0
        if kind == "imbalanced":
            more += ["--set", "synthesis.labels=missing", "--set", "training.class_weights=balanced"]
        code, _, err = typed("run", recipe, "--llm", llm.url, "--student", trained, "--judge", "none", *final,
                               "--run-dir", run_dir, *QUICK, *more)  # fmt: skip
    assert code == 0, err
    run = open_run(run_dir)
    assert len(run.round(0).rows()) == 40
    assert typed("report", run_dir, "--out", page)[0] == 0
    assert page.read_text()
    published = push_run(run, hub.name, **hub.login)
    assert {each.kind for each in published} == {"dataset", "model"}
    card = DatasetCard(hub.text(next(each.repo for each in published if each.kind == "dataset")))
    model = ModelCard(hub.text(next(each.repo for each in published if each.kind == "model"), kind="model"))
    task = load_task(recipe)
    if kind == "imbalanced":
        assert task.label_counts == (5, 95)
        assert "label 'praise' has 19 times the gold rows of 'complaint'" in told
        assert "the epoch is chosen by macro F1, since label 'praise' has 95 gold rows" in caplog.text
        assert run.round(0).training().metric == "macro_f1"
        assert "label's gold rows that it predicts wrongly" in hub.text(published[2].repo)
        assert run.final.outcome() is not None
    if kind == "twenty":
        assert set(run.round(0).synthesis().labels) == set(INTENTS)
    if kind == "chinese":
        assert "the texts seem to be in Chinese: name an LLM and a student" in told
        assert "in Chinese of about 17 characters" in task.prompts.seed
        assert (card.data.language, model.data.language) == ("zh", "zh")
