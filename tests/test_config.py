import re

import pytest
import typer
import yaml

from s3_hf.cli import app
from s3_hf.config import LLMConfig, RunConfig, load_config, parse_config
from s3_hf.errors import ConfigError
from s3_hf.schema import merge
from s3_hf.store import create_run, open_run

SETTINGS = {name: field.default for kind in (LLMConfig, RunConfig) for name, field in kind.model_fields.items()}


def test_defaults_are_the_papers():
    config = parse_config({"task": "imdb"})
    assert (config.strategy, config.rounds, config.synthesis.temperature) == ("s3", 2, 0.9)
    assert config.round_size is None
    assert config.synthesis.per_error == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"task": "imdb", "trainin": {}}, "did you mean 'training'?"),
        ({"task": "imdb", "training": {"epoch": 3}}, "did you mean 'epochs'?"),
        ({"task": "imdb", "zzz": 1}, "--print-config"),
        ({"task": 1}, "'task'"),
        ({}, "'task' is required"),
        ({"task": "imdb", "rounds": "two"}, "found 'two'"),
        ({"task": "imdb", "rounds": -1}, "found -1"),
        ({"task": "imdb", "synthesis": {"top_p": 0}}, "synthesis.top_p"),
        (
            {"task": "imdb", "llm": ["a/b", "c/d"]},
            "must be 'local', a model id or a URL, or several URLs, found ['a/b',",
        ),
        ({"task": "imdb", "llm": ["http://127.0.0.1:1", "local"]}, "or several URLs, found ["),
        ({"task": "imdb", "gold": ""}, "at least 1 character, found ''"),
        ({"task": "imdb", "training": {"learning_rate": float("inf")}}, "finite number, found inf"),
        ({"task": "imdb", "llm": "ftp://x"}, "must begin with http:// or https://, found 'ftp://x'"),
        ({"task": "imdb", "llm": "http://:80"}, "must name a host"),
        ({"task": "imdb", "llm": "http://127.0.0.1:99999"}, "a URL must have a host and a port from 1 to 65535"),
        ({"task": "imdb", "llm": "http://[::1"}, "a URL must have a host and a port from 1 to 65535"),
        ({"task": "imdb", "llm": []}, "or several URLs, found []"),
        ({"task": "imdb", "llm": ""}, "at least 1 character, found ''"),
        ({"task": "imdb", "llm": 5}, "'llm' in settings is wrong: input should be a valid string, found 5"),
        ({"task": "imdb", "llm": ["http://127.0.0.1:1", 5]}, "'llm.1' in settings is wrong"),
        (
            {"task": "imdb", "llm": "localhost:8080/v1"},
            "must begin with http:// or https://, found 'localhost:8080/v1'",
        ),
    ],
)
def test_wrong_settings_are_named(values, sentence):
    with pytest.raises(ConfigError) as caught:
        parse_config(values)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_and_overrides(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("task: imdb\ntraining: {epochs: 5, batch_size: 8}\n")
    config = load_config(path, {"training": {"epochs": 1}})
    assert (config.training.epochs, config.training.batch_size) == (1, 8)


def test_the_record_of_a_run_is_a_config(tmp_path):
    made = create_run(tmp_path / "run", parse_config({"task": "imdb", "rounds": 5}), {"student": {"name": "x"}})
    again = load_config(made.path / "run.yaml", {"task": "rte"})
    assert (again.task, again.rounds) == ("rte", 5)


@pytest.mark.parametrize(("text", "sentence"), [("- a\n- b\n", "mapping"), ("a: [", "not valid YAML")])
def test_wrong_yaml_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load_config(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "none.yaml")


def test_fingerprint_ignores_what_changes_nothing():
    base = parse_config({"task": "imdb"})
    same = parse_config({"task": "imdb", "rounds": 5, "endpoint": {"concurrency": 64, "max_requests": 3}})
    other = parse_config({"task": "imdb", "training": {"epochs": 4}})
    assert base.fingerprint() == same.fingerprint() != other.fingerprint()


def test_a_seed_of_samples_that_is_not_set_leaves_the_fingerprint():
    base = parse_config({"task": "imdb"})
    assert "sample_seed" not in base.identity()
    assert parse_config({"task": "imdb", "sample_seed": 0}).fingerprint() != base.fingerprint()


def test_a_run_of_an_earlier_version_writes_about_names_as_it_did(tmp_path):
    config = parse_config({"task": "imdb", "strategy": "zerogen"})
    made = create_run(tmp_path / "run", config, {})
    assert open_run(made.path).config == config
    record = yaml.safe_load((made.path / "run.yaml").read_text())
    del record["config"]["synthesis"]["zerogen_per_name"]
    (made.path / "run.yaml").write_text(yaml.safe_dump(record))
    assert open_run(made.path).config.synthesis.zerogen_per_name == 32


def test_an_endpoint_may_move():
    at_one = parse_config({"task": "imdb", "llm": "http://127.0.0.1:1"})
    at_two = parse_config({"task": "imdb", "llm": ["http://127.0.0.1:2", "http://127.0.0.1:3"]})
    assert at_one.fingerprint() == at_two.fingerprint()
    assert at_two.llm_urls == ("http://127.0.0.1:2", "http://127.0.0.1:3")


def test_a_list_of_one_llm_is_that_llm():
    assert parse_config({"task": "imdb", "llm": ["a/b"]}) == parse_config({"task": "imdb", "llm": "a/b"})


def test_settings_are_frozen_and_survive_yaml():
    config = parse_config({"task": "imdb", "training": {"args": {"optim": "adamw_torch"}}})
    assert parse_config(config.model_dump(mode="json")) == config
    with pytest.raises(ValueError, match="frozen"):
        config.rounds = 3


def test_merge_goes_group_by_group():
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}}) == {"a": {"b": 9, "c": 2}, "d": 3}


def flags_of(command):
    """The flags of settings, by the setting's name, with the default that the help states."""
    group = typer.main.get_command(app)
    for word in command.split():
        group = group.commands[word]
    names = {"n": "seed_size"} if command == "synthesize" else {}
    for option in group.params:
        if (name := names.get(option.name, option.name)) in SETTINGS and option.name != "task":
            stated = re.search(r"\[default: (.+)\]", option.help)
            yield name, option.default, stated and yaml.safe_load(stated[1])


@pytest.mark.parametrize("command", ["run", "synthesize", "tasks preview"])
def test_defaults_in_the_help_are_those_of_the_settings(command):
    flags = list(flags_of(command))
    assert len(flags) >= 5
    assert {default for _, default, _ in flags} == {None}  # else an absent flag would win over the config file
    known = {name: (stated, SETTINGS[name]) for name, _, stated in flags if SETTINGS[name] is not None}
    if command == "tasks preview":
        del known["llm"]  # must be typed
    assert all(stated == default for stated, default in known.values()), known
