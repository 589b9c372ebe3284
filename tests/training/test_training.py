"""Fine-tuning a real, tiny BERT."""

import functools
import json
import shutil
import subprocess
from collections import Counter
from dataclasses import replace

import datasets
import pytest
import torch
from transformers import BertForSequenceClassification
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from s3_hf.config import TrainingConfig
from s3_hf.errors import ConfigError, StudentError
from s3_hf.files import read_rows
from s3_hf.loop.training import steps_of
from s3_hf.predicting.student import Student
from s3_hf.records import Columns
from s3_hf.store import open_run
from s3_hf.training import TrainingJob, check_arguments, fit, precision, predict
from s3_hf.training.trainer import normalised_weights
from tests.conftest import film_rows, in_two_processes

COLUMNS = Columns("text", label="label")


def rows_of(content, prefix="t"):
    return datasets.Dataset.from_dict({**content, "s3_id": [f"{prefix}{n}" for n in range(len(content["text"]))]})


def job(student, **settings):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    rows = datasets.Dataset.from_dict(film_rows(120, 3), features=features)
    gold = datasets.Dataset.from_dict(film_rows(40, 1), features=features)
    given = {
        "epochs": 3,
        "min_steps": 0,
        "batch_size": 4,
        "learning_rate": 5e-3,
        "head_learning_rate": 1e-2,
        "precision": "fp32",
        **settings,
    }
    return TrainingJob(
        rows=rows,
        selection=gold,
        columns=COLUMNS,
        label_names=("neg", "pos"),
        student=str(student),
        student_name="tests/tiny",
        max_length=32,
        stride=8,
        metric="accuracy",
        seed=5,
        settings=TrainingConfig(**given),
    )


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_student_learns_and_is_found_again(tiny_student, tmp_path):
    steps = []
    fit(job(tiny_student), tmp_path / "model", tmp_path / "work", lambda done, total: steps.append((done, total)))
    test = film_rows(60, 2)
    settings = TrainingConfig(precision="fp32")
    said = predict(tmp_path / "model", rows_of(test), COLUMNS, settings, tmp_path / "work")
    right = sum(one.value == label for one, label in zip(said, test["label"], strict=True))
    assert right >= 54
    assert [one.id for one in said] == [f"t{n}" for n in range(60)]
    assert all(sum(one.scores) == pytest.approx(1, abs=1e-5) for one in said)
    assert steps[-1] == (90, 90)
    labelled = Student(str(tmp_path / "model")).predict(test["text"][:4])
    assert [one.value for one in labelled] == [("neg", "pos")[one.value] for one in said[:4]]


def test_without_selection_rows_the_last_epoch_is_kept(tiny_student, tmp_path):
    fit(replace(job(tiny_student), selection=None), tmp_path / "model", tmp_path / "work")
    facts = json.loads((tmp_path / "model" / "training.json").read_text())
    assert (facts["best_epoch"], facts["steps"], len(facts["epochs"])) == (3, 90, 3)
    assert all("accuracy" not in line and "train_loss" in line for line in facts["epochs"])
    assert not [*(tmp_path / "work").glob("checkpoint-*")]


@pytest.mark.parametrize(
    ("least", "accumulated", "steps"), [(0, 1, 30), (30, 1, 30), (31, 1, 60), (100, 1, 120), (0, 4, 8), (10, 4, 16)]
)
def test_epochs_are_raised_to_a_least_number_of_steps(tiny_student, tmp_path, least, accumulated, steps):
    one = job(tiny_student, epochs=1, min_steps=least, args={"gradient_accumulation_steps": accumulated})
    fit(one, tmp_path / "model", tmp_path / "work")
    assert steps_of(one.settings, len(one.rows), processes=1) == steps
    assert json.loads((tmp_path / "model" / "training.json").read_text())["steps"] == steps


def test_rows_of_no_weight_teach_nothing(tiny_student, tmp_path):
    wrong = job(tiny_student)
    labels = [1 - label if place % 3 == 0 else label for place, label in enumerate(wrong.rows["label"])]
    flipped = wrong.rows.remove_columns("label").add_column("label", labels).cast(wrong.rows.features)
    trained = replace(wrong, rows=flipped, selection=None, weights=[float(place % 3 > 0) for place in range(120)])
    fit(trained, tmp_path / "model", tmp_path / "work")
    test = rows_of(film_rows(60, 2))
    found = predict(tmp_path / "model", test, COLUMNS, TrainingConfig(precision="fp32"), tmp_path / "work")
    assert sum(one.value == label for one, label in zip(found, test["label"], strict=True)) >= 54
    same = [
        fit(replace(job(tiny_student), weights=each), tmp_path / name, tmp_path / "work") or weights(tmp_path / name)
        for name, each in (("alike", [0.5] * 120), ("none", None))
    ]
    assert all(torch.allclose(value, same[1][name], atol=1e-4) for name, value in same[0].items())
    smooth = job(tiny_student, args={"label_smoothing_factor": 0.3})
    same = [
        fit(replace(smooth, weights=each), tmp_path / f"smooth-{name}", tmp_path / "work")
        or weights(tmp_path / f"smooth-{name}")
        for name, each in (("alike", [0.5] * 120), ("none", None))
    ]
    assert all(torch.allclose(value, same[1][name], atol=1e-4) for name, value in same[0].items())


def test_a_training_that_diverges_is_told(tiny_student, tmp_path):
    wild = job(tiny_student, learning_rate=1e30, head_learning_rate=1e30, epochs=1)
    with pytest.raises(StudentError, match=r"found that it diverged; set a lower training\.learning_rate"):
        fit(wild, tmp_path / "model", tmp_path / "work")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("own", [None, [2.0, 1.0, 1.0, 1.0]])
def test_the_labels_weigh_the_same(tiny_student, own):
    one = job(tiny_student, class_weights="balanced")
    rows = datasets.Dataset.from_dict({"text": ["a"] * 4, "label": [0, 0, 0, 1]}, features=one.rows.features)
    found = normalised_weights(replace(one, rows=rows, weights=own))
    assert sum(found) == pytest.approx(4)
    assert found[1:] == pytest.approx([found[1], found[1], 3 * found[1]])
    assert found[0] == pytest.approx(found[1] * (own or [1])[0])
    assert normalised_weights(job(tiny_student)) is None


def test_rare_labels_are_more_probable_where_labels_weigh_the_same(tiny_student, tmp_path):
    plain = job(tiny_student, epochs=1, learning_rate=1e-3, head_learning_rate=1e-3)
    rare = plain.rows.select([n for n in range(120) if n % 2 == 0 or n % 20 == 1])  # 60 negative, 6 positive
    test, found = rows_of(film_rows(60, 2)), {}
    for kind in ("none", "balanced"):
        settings = plain.settings.model_copy(update={"class_weights": kind})
        fit(replace(plain, rows=rare, selection=None, settings=settings), tmp_path / kind, tmp_path / "work")
        predictions = predict(tmp_path / kind, test, COLUMNS, settings, tmp_path / "work")
        found[kind] = sum(one.scores[1] for one in predictions)
    assert found["balanced"] > found["none"]


def test_a_trained_student_is_trained_further(tiny_student, tmp_path):
    fit(job(tiny_student), tmp_path / "first", tmp_path / "work")
    again = replace(job(tmp_path / "first", learning_rate=1e-9, head_learning_rate=1e-9), selection=None)
    fit(again, tmp_path / "second", tmp_path / "work")
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert torch.allclose(first["classifier.weight"], second["classifier.weight"], atol=1e-5)


def test_the_head_learns_at_the_rate_of_the_encoder(tiny_student, tmp_path):
    fit(job(tiny_student, head_learning_rate=None), tmp_path / "model", tmp_path / "work")
    assert json.loads((tmp_path / "model" / "training.json").read_text())["settings"]["head_learning_rate"] is None


def test_a_student_that_did_something_else_before(tiny_student, tmp_path):
    other = configured(tiny_student, tmp_path / "other", problem_type="multi_label_classification")
    fit(job(other), tmp_path / "model", tmp_path / "work")
    assert (
        json.loads((tmp_path / "model" / "config.json").read_text())["problem_type"] == "single_label_classification"
    )


def test_the_model_folder_is_publishable(tiny_student, tmp_path):
    fit(job(tiny_student), tmp_path / "model", tmp_path / "work")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "training.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
    for path in (tmp_path / "model").glob("*.json"):
        assert str(tiny_student) not in path.read_text()
    report = json.loads((tmp_path / "model" / "training.json").read_text())
    assert report["student"] == "tests/tiny"
    assert [line["epoch"] for line in report["epochs"]] == [1, 2, 3]
    best = report["epochs"][report["best_epoch"] - 1]
    assert best["accuracy"] == max(line["accuracy"] for line in report["epochs"])


def test_training_again_gives_the_same_student(tiny_student, tmp_path):
    for name in ("a", "b"):
        fit(job(tiny_student), tmp_path / name, tmp_path / "work")
    one, two = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_best_epoch_is_kept(tiny_student, tmp_path):
    """Later epochs that ruin the student do not reach the folder."""
    fit(job(tiny_student, epochs=2), tmp_path / "model", tmp_path / "work")
    report = json.loads((tmp_path / "model" / "training.json").read_text())
    gold = film_rows(40, 1)
    said = predict(tmp_path / "model", rows_of(gold), COLUMNS, TrainingConfig(precision="fp32"), tmp_path / "work")
    accuracy = sum(one.value == label for one, label in zip(said, gold["label"], strict=True)) / 40
    assert accuracy == pytest.approx(max(line["accuracy"] for line in report["epochs"]))


def test_bf16_trains(tiny_student, tmp_path):
    fit(job(tiny_student, precision="bf16"), tmp_path / "model", tmp_path / "work")
    report = json.loads((tmp_path / "model" / "training.json").read_text())
    assert report["precision"] == "bf16"
    assert weights(tmp_path / "model")["classifier.weight"].dtype == torch.float32
    assert max(line["accuracy"] for line in report["epochs"]) > 0.8


def test_precision_is_chosen_or_obeyed():
    assert precision(TrainingConfig()) in ("bf16", "fp32")
    assert precision(TrainingConfig(precision="bf16")) == "bf16"


def test_early_stopping(tiny_student, tmp_path):
    fit(job(tiny_student, epochs=30, early_stopping=2), tmp_path / "model", tmp_path / "work")
    report = json.loads((tmp_path / "model" / "training.json").read_text())
    assert len(report["epochs"]) < 30


def test_any_training_argument_can_be_set(tiny_student, tmp_path):
    fit(job(tiny_student, args={"max_steps": 4, "eval_strategy": "no", "save_strategy": "no",
                                "load_best_model_at_end": False}), tmp_path / "model", tmp_path / "work")  # fmt: skip
    assert (tmp_path / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({"lerning_rate_": 1}, "no field of TrainingArguments"),
        ({"bf16": True}, "use `training.precision`"),
        ({"output_dir": "x"}, "run directory"),
        ({"metric_for_best_model": "eval_loss"}, "use `metric`"),
        ({"gradient_accumulation_steps": 0}, "must be 1 or more"),
    ],
)
def test_arguments_are_checked_by_name(args, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check_arguments(TrainingConfig(args=args), "accuracy")


@pytest.mark.parametrize(
    "args",
    [
        {"lr_scheduler_type": "cosin"},
        {"optim": "adamw"},
        {"eval_strategy": False},
        {"eval_strategy": "no"},
        {"fp16": True},
        {"deepspeed": "nowhere.json"},
        {"lr_scheduler_kwargs": {"cycles": 3}},
        {"lr_scheduler_type": "cosine_with_min_lr"},
        {"optim": "lomo"},
        {"adam_beta1": 2.0},
    ],
)
def test_arguments_are_checked_by_value(args, request):
    request.addfinalizer(unset_hf_deepspeed_config)  # `transformers` keeps a configuration that could not be read
    from accelerate.state import PartialState

    PartialState._reset_state()
    with pytest.raises(ConfigError, match=rf"training\.args .*'{next(iter(args))}'.* cannot be used") as caught:
        check_arguments(TrainingConfig(precision="bf16", args=args), "accuracy")
    assert "\n" not in str(caught.value)
    check_arguments(TrainingConfig(), "accuracy")
    assert not PartialState._shared_state  # nothing was set up


def test_a_classifier_of_other_labels_gets_a_new_head(tiny_student, tmp_path):
    other = job(tiny_student)
    features = other.rows.features | {"label": datasets.ClassLabel(names=["neg", "mixed", "pos"])}
    three = replace(
        other,
        rows=other.rows.cast(datasets.Features(features)),
        label_names=("neg", "mixed", "pos"),
        settings=other.settings.model_copy(update={"epochs": 1}),
    )
    fit(three, tmp_path / "three", tmp_path / "work")
    fit(job(tmp_path / "three"), tmp_path / "two", tmp_path / "work")
    assert weights(tmp_path / "three")["classifier.weight"].shape == (3, 32)
    assert weights(tmp_path / "two")["classifier.weight"].shape == (2, 32)
    config = json.loads((tmp_path / "three" / "config.json").read_text()) | {"intermediate_size": 48}
    (tmp_path / "three" / "config.json").write_text(json.dumps(config))
    with pytest.raises(StudentError, match=r"'bert\..* have another shape than its config says"):
        fit(job(tmp_path / "three"), tmp_path / "none", tmp_path / "work")


def at_once(monkeypatch, most):
    """A device whose memory holds so many rows in one pass."""
    real = BertForSequenceClassification.forward
    sizes = []

    @functools.wraps(real)  # `Trainer` reads the signature
    def forward(self, input_ids, *args, **kwargs):
        if len(input_ids) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 has 10.00 GiB.")
        sizes.append(len(input_ids))
        return real(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(BertForSequenceClassification, "forward", forward)
    return sizes


def configured(student, folder, **values):
    shutil.copytree(student, folder)
    config = json.loads((folder / "config.json").read_text()) | values
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_batches_that_do_not_fit_the_memory_are_computed_in_parts(tiny_student, tmp_path, monkeypatch, caplog):
    """The student is that of whole batches but for rounding; dropout would draw other numbers."""
    still = configured(tiny_student, tmp_path / "still", hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    whole, steps = job(still, batch_size=6, learning_rate=2e-3), []
    fit(whole, tmp_path / "whole", tmp_path / "work")
    sizes = at_once(monkeypatch, 4)
    fit(whole, tmp_path / "parts", tmp_path / "work", lambda done, total: steps.append((done, total)))
    told = [record.getMessage() for record in caplog.records]
    assert [text for text in told if "going on with 3 rows at once" in text]  # of 6 rows of a batch
    assert [text for text in told if "going on with 4 rows at once" in text]  # of 24 rows to evaluate
    assert steps[-1] == (60, 60)
    assert Counter(sizes)[3] >= 120
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-4
    losses = [json.loads((tmp_path / name / "training.json").read_text())["epochs"] for name in ("whole", "parts")]
    assert [one["train_loss"] for one in losses[0]] == pytest.approx(
        [one["train_loss"] for one in losses[1]], rel=1e-3
    )


def test_too_little_memory_for_one_row_is_one_sentence(tiny_student, tmp_path, monkeypatch):
    at_once(monkeypatch, 0)
    with pytest.raises(StudentError, match=r"found that 1 rows do not .*lower training\.max_length") as caught:
        fit(job(tiny_student), tmp_path / "model", tmp_path / "work")
    assert "\n" not in str(caught.value)


def test_wrong_value_of_an_argument(tiny_student, tmp_path):
    with pytest.raises(ConfigError, match=r"training\.args"):
        fit(job(tiny_student, args={"lr_scheduler_type": "zigzag"}), tmp_path / "model", tmp_path / "work")


def test_a_student_that_does_not_exist(tmp_path):
    wrong = replace(job(tmp_path), student=str(tmp_path / "nowhere"))
    with pytest.raises(StudentError, match="nowhere") as caught:
        fit(wrong, tmp_path / "model", tmp_path / "work")
    assert "\n" not in str(caught.value)
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(StudentError, match="safetensors"):
        fit(replace(wrong, student=str(tmp_path / "pickled")), tmp_path / "model", tmp_path / "work")


@pytest.mark.slow
def test_two_processes_share_the_training(films_config, films_llm, tmp_path):
    """One process asks the LLM, both train."""
    import yaml

    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({**films_config.model_dump(mode="json"), "rounds": 1}))
    command = ["run", films_config.task, "--config", config, "--run-dir", tmp_path / "run", "--json"]
    done = in_two_processes("s3_hf", *command, stdout=subprocess.PIPE)
    assert len(json.loads(done.stdout)["rounds"]) == 2
    report = json.loads((tmp_path / "run" / "round-0" / "model" / "training.json").read_text())
    assert report["processes"] == 2
    folder = open_run(tmp_path / "run").round(1)
    written = [row for row in read_rows(folder.predictions) if row["role"] == "test"]
    test = rows_of(film_rows(60, 2))
    alone = predict(folder.model, test, COLUMNS, TrainingConfig(precision="fp32"), tmp_path / "work")
    assert [row["value"] for row in written] == [one.value for one in alone]
    slots = [request.payload["seed"] for request in films_llm.requests]
    assert len(slots) == len(set(slots))


@pytest.mark.slow
def test_two_processes_share_out_the_rows_of_each_epoch(tiny_student, tmp_path):
    in_two_processes("tests.training.orders", tiny_student, tmp_path)
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    epochs = [
        Counter(tuple(token for token in row if token) for row in one + other)
        for one, other in zip(*found, strict=True)
    ]
    assert epochs[0] == epochs[1]
    assert epochs[0].total() == 120
