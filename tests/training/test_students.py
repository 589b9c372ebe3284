"""Students as users and strangers bring them: trained, or refused in one sentence before anything is paid for."""

import json
import shutil
import struct
from dataclasses import replace

import datasets
import pytest
import torch
from huggingface_hub import constants
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from s3_hf.config import TrainingConfig
from s3_hf.errors import ConfigError, StudentError
from s3_hf.predicting.student import Student
from s3_hf.records import Columns
from s3_hf.training import TrainingJob, check_arguments, check_student, fit, load_student
from tests.conftest import film_rows
from tests.llm_server import LLMServer

FEATURES = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
SIZE = 32


def job(student, max_length=512):
    rows = datasets.Dataset.from_dict(film_rows(24, 3), features=FEATURES)
    return TrainingJob(
        rows=rows,
        selection=rows,
        columns=Columns("text", label="label"),
        label_names=("neg", "pos"),
        student=str(student),
        student_name="tests/tiny",
        max_length=max_length,
        stride=8,
        metric="accuracy",
        seed=0,
        settings=TrainingConfig(epochs=1, min_steps=0, batch_size=8, precision="fp32"),
    )


@pytest.fixture(scope="module")
def trained(tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    fit(job(tiny_student), folder / "model", folder / "work")
    return folder / "model"


def roberta(folder, tokenizer, positions=42):
    """Its positions begin after the number of the padding token, 0 here: the longest input has 41 tokens."""
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=SIZE, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=SIZE, max_position_embeddings=positions, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def gpt2(folder, tokenizer):
    """It has an end token and no padding token."""
    ended = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, unk_token="[UNK]", eos_token="[SEP]")
    GPT2Model(
        GPT2Config(vocab_size=len(tokenizer), n_embd=SIZE, n_layer=1, n_head=2, n_positions=48, eos_token_id=3)
    ).save_pretrained(folder)
    ended.save_pretrained(folder)


@pytest.mark.parametrize(("kind", "longest"), [(roberta, 40), (gpt2, 48)])
def test_other_architectures_are_trained_and_read_inputs_of_any_length(tiny_student, tmp_path, kind, longest):
    kind(tmp_path / "student", AutoTokenizer.from_pretrained(tiny_student))
    student = job(tmp_path / "student")
    check_student(student)
    long = student.rows.map(lambda row: {"text": row["text"] * 30})
    fit(replace(student, rows=long), tmp_path / "model", tmp_path / "work")
    model, tokenizer = load_student(str(tmp_path / "model"))
    assert (tokenizer.model_max_length, model.config.pad_token_id) == (longest, tokenizer.pad_token_id)
    assert len(Student(str(tmp_path / "model")).predict(["a film", "the plot was great " * 100])) == 2


def test_a_check_draws_no_conclusion_for_training(tiny_student, tmp_path):
    fit(job(tiny_student), tmp_path / "a", tmp_path / "work")
    check_student(job(tiny_student))
    fit(job(tiny_student), tmp_path / "b", tmp_path / "work")
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def config(**values):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def write(name, text):
    return lambda folder: (folder / name).write_text(text)


def remove(*patterns):
    def change(folder):
        for pattern in patterns:
            for file in folder.glob(pattern):
                file.unlink()

    return change


def truncated(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1_000])


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def header(folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")


def other_tokenizer(folder):
    """A tokenizer with more tokens than the model has embeddings."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"more{number}" for number in range(1_000)])
    tokenizer.save_pretrained(folder)


def other_words(folder):
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text())
    values["model"]["vocab"] = {
        word if word.startswith("[") else f"x{number}": number for word, number in values["model"]["vocab"].items()
    }
    path.write_text(json.dumps(values))


DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000

UNTRUSTED = {
    "no configuration": (remove("config.json"), "(there is no config.json); name the folder"),
    "configuration that is a list": (write("config.json", "[]"), "its config.json holds a list"),
    "configuration that is no JSON": (write("config.json", "{"), "restore its files"),
    "configuration that is no text": (lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe"), "restore"),
    "deep configuration": (write("config.json", DEEP), "nested too deeply"),
    "levels": (config(a=json.loads("[" * 40 + "]" * 40)), "more than 20 levels"),
    "deep tokenizer": (write("tokenizer.json", DEEP), "found"),
    "deep tokenizer configuration": (write("tokenizer_config.json", DEEP), "nested too deeply"),
    "layers": (config(num_hidden_layers=10**9), "'num_hidden_layers' beyond 1,000); correct it"),
    "some layers": (config(num_hidden_layers=900), "found"),
    "width": (config(hidden_size=10**9, num_attention_heads=1), "a far larger model than its"),
    "vocabulary": (config(vocab_size=10**9), "a far larger model than its"),
    "token types": (config(type_vocab_size=2**30), "a far larger model than its"),
    "labels": (config(num_labels=10**9), "'num_labels' beyond 100,000"),
    "digits": (write("config.json", '{"model_type": "bert", "hidden_size": ' + "9" * 5_000 + "}"), "found"),
    "infinite": (config(hidden_size=float("inf")), "beyond"),
    "negative": (config(hidden_size=-1), "found"),
    "zero": (config(num_attention_heads=0), "found"),
    "size of a wrong type": (config(hidden_size="x" * 10_000), "found"),
    "heads": (config(num_attention_heads=7), "found"),
    "no model type": (config(model_type="nonesuch"), "found"),
    "model type that is a list": (config(model_type=["bert"]), "found"),
    "activation": (config(hidden_act="nonesuch"), "found"),
    "kernel": (config(attn_implementation="org/kernel"), "asks for the code 'org/kernel'); remove 'attn_impl"),
    "kernel in a part": (config(_attn_implementation={"": "org/kernel"}), "asks for the code"),
    "code": (config(model_type="own", auto_map={"AutoConfig": "x.Own"}), "found"),
    "adapter": (write("adapter_config.json", "{}"), "(an adapter of another model); merge it"),
    "pickled weights": (pickled, "there is no model.safetensors); weights of another format, such as pytorch_model"),
    "truncated weights": (truncated, "its model.safetensors is damaged"),
    "empty weights": (write("model.safetensors", ""), "its model.safetensors is damaged"),
    "header of a terabyte": (header, "its model.safetensors is damaged"),
    "Git LFS pointer": (write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n"), "`git lfs pull`"),
    "no tokenizer": (remove("tokenizer*", "vocab*", "special*"), "found"),
    "tokenizer without tokens": (write("tokenizer.json", "{}"), "found"),
    "tokenizer class": (write("tokenizer_config.json", '{"tokenizer_class": ["x"]}'), "found"),
    "tokenizer of another model": (other_tokenizer, "its tokenizer has tokens up to number"),
}  # fmt: skip
"""Name -> what is changed in a folder, and a part of the sentence."""


def index(folder, **weights):
    (folder / "model.safetensors").rename(folder / "elsewhere.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))


UNTRUSTED |= {
    "index that leads elsewhere": (lambda folder: index(folder, a="../x.safetensors"), "names files elsewhere"),
    "index of a file that is not there": (
        lambda folder: index(folder, a="b.safetensors"),
        "there is no b.safetensors",
    ),
    "index of other values": (lambda folder: index(folder, a=3), "names files elsewhere"),
}

STUDENTS = {
    "weights of another model": (
        lambda folder: shutil.copy(folder.parent / "other" / "model.safetensors", folder),
        "its weights are not those of the model that its config describes",
    ),
    "tokenizer for other words": (other_words, "knows 0 of"),
}
"""The same for what only a student to be trained must fulfil."""

TRAINED = {
    "labels without names": (config(id2label={"0": "neg"}, label2id={"neg": 0}), "found"),
    "names of wrong types": (config(id2label={"0": ["neg"], "1": None}), "found"),
    "names with other numbers": (config(id2label={"5": "neg", "7": "pos"}), "found"),
    "names that are a list": (config(id2label=["neg", "pos"]), "found"),
    "keys that are no numbers": (config(id2label={"a": "neg", "b": "pos"}), "found"),
    "architectures that are a number": (config(architectures=3), "found"),
    "architectures that hold a number": (config(architectures=[3]), "found 3"),
    "architectures that are no list": (config(architectures="BertModel"), "found B"),
    "another architecture": (config(architectures=["GPT2ForSequenceClassification"], model_type="gpt2"), "found"),
}
"""The same for what only a trained student must fulfil."""


def refused(raised, sentence):
    text = str(raised.value)
    assert sentence in text
    assert "\n" not in text
    assert len(text) < 900


@pytest.mark.parametrize("name", [*UNTRUSTED, *STUDENTS])
def test_a_folder_that_is_no_student_is_one_sentence(tiny_student, tmp_path, name):
    change, sentence = (UNTRUSTED | STUDENTS)[name]
    gpt2(tmp_path / "other", AutoTokenizer.from_pretrained(tiny_student))
    folder = shutil.copytree(tiny_student, tmp_path / "student")
    change(folder)
    with pytest.raises(StudentError) as raised:
        check_student(job(folder))
    refused(raised, sentence)


@pytest.mark.parametrize("name", [*UNTRUSTED, *TRAINED])
def test_a_model_folder_that_is_none_is_one_sentence(trained, tmp_path, name):
    change, sentence = (UNTRUSTED | TRAINED)[name]
    folder = shutil.copytree(trained, tmp_path / "model")
    change(folder)
    with pytest.raises(StudentError) as raised:
        Student(str(folder))
    refused(raised, sentence)


def test_a_student_is_refused_before_the_first_request(typed, recipe, tiny_student, tmp_path):
    folder = shutil.copytree(tiny_student, tmp_path / "student")
    pickled(folder)
    with LLMServer() as server:
        code, _, err = typed("run", recipe, "--llm", server.url, "--student", folder, "--run-dir", tmp_path / "run")
    assert code == 2
    assert "error: the model must be an encoder with a tokenizer" in err
    assert (server.requests, (tmp_path / "run").exists()) == ([], False)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no/such/folder", "(there is no such folder); correct the path, or name a model on the Hub as OWNER/NAME"),
        ("./nowhere", "there is no such folder"),
        ("someone/else", "HF_HUB_OFFLINE is set, and it is not in the cache); unset HF_HUB_OFFLINE, or name a folder"),
    ],
)
def test_a_student_that_is_not_here(monkeypatch, tmp_path, name, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudentError) as raised:
        check_student(job(name))
    refused(raised, sentence)


@pytest.mark.parametrize("args", [{"eval_strategy": False, "save_strategy": False, "load_best_model_at_end": False},
                                  {"adam_epsilon": "1e-6"}, {"max_steps": "4"}])  # fmt: skip
def test_values_that_yaml_reads_otherwise_are_understood(args):
    check_arguments(TrainingConfig(args=args), "accuracy")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({"max_steps": "four"}, "max_steps has a wrong type: .*found 'four'"),
        ({"dataloader_num_workers": "two"}, "dataloader_num_workers has a wrong type"),
        ({"max_grad_norm": [1]}, "max_grad_norm has a wrong type"),
        ({"report_to": "wandb"}, "requires wandb"),
        ({"report_to": ["nonesuch"]}, "nonesuch is not supported"),
    ],
)
def test_values_of_wrong_types_and_missing_packages_are_told_at_once(args, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check_arguments(TrainingConfig(args=args), "accuracy")


def test_a_hub_student_is_read_from_its_repository(tiny_student, tmp_path, monkeypatch):
    from huggingface_hub import HfApi

    from hf_localhub import add_user, running

    data = tmp_path / "hub"
    token = add_user(data, "someone")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with running(data) as hub:
        api = HfApi(hub.endpoint, token=token)
        api.create_repo("someone/tiny")
        api.upload_folder(repo_id="someone/tiny", folder_path=tiny_student)
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        check_student(job("someone/tiny"))
        with pytest.raises(StudentError, match=r"it is not on the Hub, or you may not read it\); check the name"):
            check_student(job("someone/else"))


def test_no_global_hook_is_left(tiny_student):
    from torch.nn.modules import module

    check_student(job(tiny_student))
    assert not module._global_parameter_registration_hooks
    assert torch.is_grad_enabled()
