"""Students as ONNX: their probabilities in ONNX Runtime and in transformers.js, and their place in a repository."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from huggingface_hub import ModelCard
from scipy.special import softmax
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoTokenizer

from s3_hf.config import TrainingConfig
from s3_hf.local.assets import minilm_dir
from s3_hf.predicting import exporting
from s3_hf.predicting.exporting import export
from s3_hf.store import ONNX_FILES, open_run
from s3_hf.task import GoldOptions, load_task
from s3_hf.training import TrainingJob, fit, load_student
from tests.push.conftest import hub, server  # noqa: F401 - fixtures
from tests.run_maker import add_final, make_full_run

KINDS = ("labels", "pairs", "spans")
NPM = "@huggingface/transformers@4"


@pytest.fixture(scope="module")
def students(tmp_path_factory, spelling_student):
    """A student of each kind, as training leaves it."""
    place, made = tmp_path_factory.mktemp("students"), {}
    for kind in KINDS:
        torch.manual_seed(3)
        auto = AutoModelForQuestionAnswering if kind == "spans" else AutoModelForSequenceClassification
        model = auto.from_pretrained(spelling_student, **({} if kind == "spans" else {"num_labels": 3}))
        with torch.no_grad():
            for name, weights in model.named_parameters():
                if name.startswith(("classifier", "qa_outputs")):
                    weights.mul_(20)  # so that probabilities are not all alike
        model.config.s3_pair = kind == "pairs"
        model.save_pretrained(place / kind)
        AutoTokenizer.from_pretrained(spelling_student, model_max_length=64).save_pretrained(place / kind)
        made[kind] = place / kind
    return made


@pytest.fixture(scope="module")
def exported(students, tmp_path_factory):
    """Each student as ONNX, in a folder of its own."""
    place = tmp_path_factory.mktemp("exported")
    return {kind: export(str(folder), place / kind) for kind, folder in students.items()}


def outputs(file, inputs):
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert {each.shape[0] for each in session.get_inputs()} != {2}
    return session.run(None, {each.name: inputs[each.name].numpy() for each in session.get_inputs()})


def differences(file, model, inputs):
    with torch.no_grad():
        wanted = model(**inputs, return_dict=False)
    found = outputs(file, inputs)
    return max(
        np.abs(softmax(mine.double().numpy(), axis=1) - softmax(theirs.astype(np.float64), axis=1)).max()
        for mine, theirs in zip(wanted, found, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_the_student_in_batches_of_any_size(kind, students, exported):
    model, tokenizer = load_student(str(students[kind]))
    model.eval()
    texts = ["the film", "a cast that was witty to watch, and a dull plot", "x", "the music number 5 " * 9, "so ?"]
    for size in (1, 3, 5):
        pairs = [texts[:size], texts[-size:]] if kind != "labels" else [texts[:size]]
        inputs = dict(tokenizer(*pairs, padding=True, truncation=True, return_tensors="pt"))
        assert differences(exported[kind].files[0], model, inputs) <= 1e-3
        assert differences(exported[kind].files[1], model, inputs) <= 0.1
    assert exported[kind].difference <= 1e-3
    for file in exported[kind].files:
        assert not any(path in file.read_bytes() for path in (b"site-packages", b"/s3_hf/", str(Path.home()).encode()))
    names = {file.relative_to(exported[kind].folder).as_posix() for file in exported[kind].folder.rglob("*.*")}
    assert names == {"config.json", "tokenizer.json", "tokenizer_config.json", *ONNX_FILES}
    assert AutoTokenizer.from_pretrained(exported[kind].folder).model_max_length == 64


def test_a_student_on_the_hub_needs_a_folder(typed):
    code, _, err = typed("export", "someone/model")
    assert code == 2
    assert "for a student on the Hub name a folder for the files by --out" in err


def test_a_name_of_nothing_is_told(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = typed("export", "tpyo")
    assert code == 2
    assert "error: there is no folder or run 'tpyo'; correct the name, or " in err


def test_a_missing_package_is_named(typed, students, monkeypatch):
    monkeypatch.setattr(exporting, "PACKAGES", ("no_such_package",))
    code, _, err = typed("export", students["labels"])
    assert code == 2
    assert "the export needs `no_such_package`, which is not installed; in a checkout `pip install '.[onnx]'`" in err


def test_a_push_publishes_the_files_and_says_so(typed, hub, monkeypatch, tmp_path, caplog):  # noqa: F811
    for name, value in {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token}.items():
        monkeypatch.setenv(name, value)
    run = make_full_run(tmp_path / "run")
    add_final(run)
    folder = tmp_path / "hub"
    code, _, err = typed("push", run.path, "--onnx", "--to", folder)
    assert code == 0, err
    model = folder / "models" / "local" / "s3-snippets"
    assert all((model / name).is_file() for name in ONNX_FILES)
    card = ModelCard.load(model / "README.md")
    assert {"onnx", "transformers.js"} <= {*card.data.tags}
    assert 'pipeline("text-classification", "local/s3-snippets", { dtype: "q8" })' in card.text
    assert not list((folder / "models").glob("*/*round*/onnx"))
    from s3_hf.hub import preview_push, push_run

    published = push_run(run, hub.name, **hub.login)
    tree = {each.path for each in hub.api.list_repo_tree(published[-1].repo, recursive=True)}
    assert tree >= {*ONNX_FILES}
    again = push_run(open_run(run.path), hub.name, **hub.login)
    assert not any(each.changed for each in again)
    (run.final.model / "onnx" / "notes.txt").write_text("mine")
    assert not any(each.changed for each in push_run(run, hub.name, **hub.login))
    assert "'onnx/notes.txt'" in caplog.text
    shutil.rmtree(run.final.model / "onnx")
    changes = preview_push(run, tmp_path / "dry", hub.name, **hub.login)[-1].changes
    assert changes.removed == tuple(sorted(ONNX_FILES))


@pytest.mark.slow
def test_eight_bits_cost_no_accuracy(tmp_path):
    """A real student of movie_snippets on all its gold test rows."""
    task = load_task("movie_snippets", gold_options=GoldOptions())
    settings = TrainingConfig(epochs=1, min_steps=0, precision="fp32")
    job = TrainingJob(
        student=str(minilm_dir()),
        student_name="MiniLM",
        metric="accuracy",
        rows=task.mined,
        selection=task.selection,
        columns=task.columns,
        label_names=task.label_names,
        max_length=64,
        stride=0,
        settings=settings,
        seed=0,
    )
    fit(job, tmp_path / "student")
    made = export(str(tmp_path / "student"))
    model, tokenizer = load_student(str(tmp_path / "student"))
    model.eval()
    texts, labels = task.test[task.columns.text][:], np.array(task.test[task.columns.label][:])
    found = {"torch": [], "fp32": [], "8 bit": []}
    for start in range(0, len(texts), 50):
        inputs = dict(tokenizer(texts[start : start + 50], padding=True, truncation=True, return_tensors="pt"))
        with torch.no_grad():
            found["torch"].append(softmax(model(**inputs).logits.double().numpy(), axis=1))
        for name, file in zip(("fp32", "8 bit"), made.files, strict=True):
            found[name].append(softmax(outputs(file, inputs)[0].astype(np.float64), axis=1))
    scores = {name: np.concatenate(each) for name, each in found.items()}
    right = {name: (each.argmax(axis=1) == labels).mean() for name, each in scores.items()}
    assert np.abs(scores["fp32"] - scores["torch"]).max() <= 1e-3
    assert abs(right["8 bit"] - right["torch"]) <= 0.005, right


@pytest.mark.slow
def test_transformers_js_reads_them(exported, students, tmp_path):
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    (tmp_path / "package.json").write_text("{}")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", NPM]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot install {NPM}: {done.stderr[-300:]}")
    shutil.copy(Path(__file__).with_name("read_onnx.mjs"), tmp_path)
    text, context = "how was the cast ?", "the plot was dull but the cast was witty to watch"

    def read(kind, dtype):
        words = ["node", "read_onnx.mjs", str(exported[kind].folder), kind, dtype, text, context]
        made = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        return json.loads(made.stdout)

    for dtype, most in (("fp32", 1e-3), ("q8", 0.1)):
        for kind in ("labels", "pairs"):
            model, tokenizer = load_student(str(students[kind]))
            inputs = tokenizer(*([text] if kind == "labels" else [context, text]), return_tensors="pt")
            wanted = model.eval()(**inputs).logits.softmax(-1)[0].tolist()
            found = read(kind, dtype)
            found = [found[name] for name in model.config.id2label.values()] if kind == "labels" else found
            assert found == pytest.approx(wanted, abs=most)
        assert read("spans", dtype)["answer"].strip()
