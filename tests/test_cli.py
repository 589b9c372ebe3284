"""The commands as a user types them, in a process of their own where it matters."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml

from s3_hf.cli import display
from s3_hf.errors import StorageError
from s3_hf.files import read_rows, storage_errors
from tests.conftest import film_reply
from tests.llm_server import BEHAVIOURS, Fault, LLMServer, always
from tests.run_maker import make_full_run
from tests.threaded_server import QuietHandler, ThreadedServer


def command(*arguments, env=None, check=False):
    return subprocess.run(
        [sys.executable, "-m", "s3_hf", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=check,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
    )


def test_run_status_push_predict(films_config, tmp_path):
    """The main job by its commands, each output read."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**films_config.model_dump(mode="json"), "rounds": 1}))
    run_dir = tmp_path / "run"
    made = command("run", films_config.task, "--config", config, "--run-dir", run_dir, "--json", check=True)
    result = json.loads(made.stdout)
    assert [one["number"] for one in result["rounds"]] == [0, 1]
    assert "round 1: train" in made.stderr
    assert "Traceback" not in made.stderr
    status = command("status", run_dir, "--json", check=True)
    told = json.loads(status.stdout)
    assert told["rounds"][1]["rows"] == result["rounds"][1]["rows"]
    assert told["next"] is None
    assert "mistakes" in command("status", run_dir, check=True).stdout
    pushed = command("push", run_dir, "--to", tmp_path / "hub", "--json", check=True)
    model = next(one for one in json.loads(pushed.stdout) if one["kind"] == "model" and one["round"] == 1)
    said = command("predict", model["url"], "the film was great to watch", "--json", check=True)
    assert json.loads(said.stdout)[0]["label"] in ("neg", "pos")


def test_synthesize_never_imports_torch(recipe, films_llm, tmp_path):
    code = (
        "import sys; from s3_hf.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "assert not {'torch', 'transformers', 'evaluate'} & set(sys.modules)"
    )
    arguments = ["synthesize", str(recipe), "--strategy", "zerogen", "--n", "12", "--llm", films_llm.url]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--run-dir", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "12 rows" in done.stdout


def test_a_ctrl_c_tells_what_is_kept(recipe, tmp_path):
    code = (  # tests that a shell runs in the background inherit an ignored SIGINT
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom s3_hf.cli import main\nmain()"
    )
    with LLMServer(reply=film_reply) as server:
        arguments = ["synthesize", recipe, "--strategy", "zerogen", "--n", "100000", "--llm", server.url]
        run = [sys.executable, "-c", code, *map(str, arguments), "--run-dir", str(tmp_path / "run")]
        with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            while len(server.requests) < 100:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped; the same command goes on from here\n" in err
    assert "rows so far: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize("flags", [("--seed", "5000000000"), ("--set", "sample_seed=4294967296"), ("--seed", "-1")])
def test_a_seed_that_numpy_does_not_take_is_told_at_once(typed, tmp_path, flags):
    code, out, err = typed("run", "imdb", "--run-dir", tmp_path / "run", *flags)
    assert (code, out, err.count("\n")) == (2, "", 1)
    number = flags[1].rpartition("=")[2]
    assert f"should be {'greater than or equal to 0' if number == '-1' else 'less than 4294967296'}, found" in err
    assert number in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "imdb"), "stopped; the same command goes on from here\n"),
        (("status", "run"), "stopped\n"),
        (("report", "run"), "stopped\n"),
        (("study", "cost", "run"), "stopped\n"),
        (("predict", "run", "a text"), "stopped\n"),
        (("doctor",), "stopped\n"),
    ],
)
def test_a_ctrl_c_promises_no_more_than_is_true(typed, monkeypatch, arguments, sentence):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    for place in ("starting.run", "store.open_run", "cli.checkup.checkup", "predicting.tables.read_inputs"):
        monkeypatch.setattr(f"s3_hf.{place}", stopped)
    assert typed(*arguments) == (130, "", sentence)


def test_print_config_is_a_config(typed, tmp_path):
    code, out, _ = typed("run", "imdb", "--rounds", "4", "--set", "training.args.optim=sgd", "--print-config")
    assert code == 0
    values = yaml.safe_load(out)
    assert (values["rounds"], values["training"]["args"]) == (4, {"optim": "sgd"})
    assert "# Rounds of error extrapolation after the seed (R of Algorithm 2).\nrounds: 4\n" in out
    assert "which takes minutes.\n    # One of last_layer, full.\n    influence: last_layer\n" in out
    path = tmp_path / "run.yaml"
    path.write_text(out)
    assert typed("run", "imdb", "--config", path, "--print-config")[1] == out


def test_set_takes_null(typed, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("patience: 2\n")
    sets = ("--set", "patience=null", "--set", "training.head_learning_rate=null")
    values = yaml.safe_load(typed("run", "imdb", "--config", path, *sets, "--print-config")[1])
    assert (values["patience"], values["training"]["head_learning_rate"]) == (None, None)
    for command in ("run", "synthesize", "tasks preview"):
        code, _, err = typed(*command.split(), "imdb", "--set", "rounds=null")
        assert (code, "found None" in err) == (2, True), command


def test_set_takes_null_over_a_bench_file(typed, tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text("{tasks: [imdb], arms: [gold], seeds: [0], settings: {test_size: -1}}")
    assert typed("bench", path, "--plan")[0] == 2
    assert typed("bench", path, "--plan", "--set", "test_size=null")[0] == 0


def test_a_plan_is_of_tasks_that_there_are(typed, tmp_path):
    path = tmp_path / "b.yaml"
    path.write_text("{tasks: [imbd], arms: [gold], seeds: [0]}")
    code, out, err = typed("bench", path, "--plan")
    assert (code, out) == (2, "")
    assert "'imbd'" in err


def test_tasks(typed, recipe):
    assert "movie_snippets" in typed("tasks")[1]
    shown = typed("tasks", "show", recipe)[1]
    assert "validation: 40 rows" in shown
    assert "Write one sentence of a {label} review of a film." in shown
    assert json.loads(typed("tasks", "show", recipe, "--json")[1])["splits"]["test"] == 60


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "imbd"), "did you mean 'imdb'"),
        (("run", "nowhere.py"), "no recipe file 'nowhere.py'"),
        (("run", "imdb", "--set", "training.epoch=1"), "did you mean 'epochs'"),
        (("run", "imdb", "--set", "rounds=many"), "found 'many'"),
        (("run", "imdb", "--set", "rounds"), "KEY=VALUE"),
        (("run", "imdb", "--config", "nowhere.yaml"), "cannot read the config file"),
        (("run", "imdb", "--strategy", "zerogn"), "did you mean 'zerogen'"),
        (("tasks", "new", "t", "--data", "t.csv", "--text", "a"), "one of --label and --answers"),
        (("tasks", "new", "t", "--data", "t.csv", "--text", "a", "--answers", "b"), "--answers needs --context"),
        (("tasks", "new", "t", "--data", "t.csv", "--text", "a", "--label", "b"), "found no file 't.csv'"),
        (("tasks", "show", "movie_snippets", "--gold", "t.csv"), "by its own code, found other gold data 't.csv'"),
        (
            ("run", "movie_snippets", "--set", "gold_splits.validation=train"),
            "by its own code, found gold_splits {'validation': 'train'}",
        ),
        (("tasks", "new", "t", "--data", "t.csv", "--text", "a", "--label", "b", "--set", "rounds=1"), "LLM of --llm"),
        (("doctor", "--gold", "t.csv"), "gold data of --task"),
        (("status", "nowhere"), "no run.yaml"),
        (("push", "nowhere", "--to", "x"), "no run.yaml"),
        (("predict", "nowhere/to/be/found", "text"), "found 'nowhere/to/be/found'"),
        (("predict", "model"), "needs texts"),
        (("predict", "model", "text", "--column", "review"), "must stand with --file"),
        (("predict", "model", "text", "--api-key-env", "KEY"), "endpoint of --hosted URL, found none"),
        (("push", "nowhere", "--to", "x", "--private"), "repositories on the Hub, found --to, too"),
        (("run", "imdb", "--strategy", "zerogn", "--print-config"), "did you mean 'zerogen'"),
        (("predict", "model", "--file", "nowhere.txt"), "--file 'nowhere.txt' cannot be read"),
        (("llm", "serve", "--gguf", "nowhere.gguf"), "nowhere.gguf"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(typed, monkeypatch, tmp_path, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = typed(*arguments)
    assert code == 2
    lines = err.strip().splitlines()
    assert sentence in lines[-1]
    assert lines[-1].startswith("error: ")
    assert not list(tmp_path.rglob("run.yaml"))


def test_quickstart_without_the_local_hub_is_one_sentence(typed, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "hf_localhub", None)
    code, _, err = typed("quickstart", "--run-dir", tmp_path / "run")
    assert code == 2
    assert err.startswith("error: the quickstart publishes to a local Hub, which needs `hf_localhub`, but it is not")
    assert "pip install ./localhub '.[local]'" in err
    assert not (tmp_path / "run").exists()


LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "imdb", "--run-dir"),
        ("synthesize", "imdb", "--run-dir"),
        ("bench", "b.yaml", "--run-dir"),
        ("push", "run", "--to"),
        ("tasks", "new", "t", "--data", "t.csv", "--text", "a", "--label", "b", "--out"),
        ("quickstart", "--run-dir"),
    ],
)
@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("file.txt", "not a directory; a file stands where a folder must be"),
        ("file.txt/a/b", "not a directory; a file stands"),
        (LONG, "file name too long; name a shorter path"),
    ],
)
def test_a_folder_that_cannot_be(typed, monkeypatch, tmp_path, arguments, folder, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").touch()
    code, _, err = typed(*arguments, folder)
    assert code == 2
    assert err.startswith(f"error: cannot write {folder!r}: {sentence}")
    assert [*tmp_path.iterdir()] == [tmp_path / "file.txt"]


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("folder.csv", "is a directory; a folder stands where a file must be"),
        ("file.txt/a.csv", "not a directory; a file stands where a folder must be"),
        (f"{LONG}.csv", "file name too long"),
    ],
)
def test_predictions_that_cannot_be_written_are_not_made(typed, monkeypatch, tmp_path, out, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").touch()
    (tmp_path / "folder.csv").mkdir()
    code, _, err = typed("predict", "model", "text", "--out", out)
    assert code == 2
    assert err.startswith(f"error: cannot write {out!r}: {sentence}")


def test_a_folder_that_is_removed_while_it_is_written_to(tmp_path):
    folder = tmp_path / "a"
    with (
        pytest.raises(StorageError, match="no such file or directory; its folder is missing or was removed"),
        storage_errors(folder / "b"),
    ):
        (folder / "b").write_text("x")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(typed, tmp_path):
    tmp_path.chmod(0o500)
    assert "permission denied" in typed("run", "imdb", "--run-dir", tmp_path / "run")[2]


@pytest.mark.parametrize(
    "arguments", [("status", LONG), ("tasks", "show", f"{LONG}.py"), ("llm", "serve", "--gguf", LONG)]
)
def test_a_path_that_is_too_long(typed, arguments):
    code, _, err = typed(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert "too long for the disk, found 'nnn" in err or sys.version_info >= (3, 14)  # there it is only a missing one
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("predict", "model", b"caf\xe9"), ("run", b"caf\xe9"), (b"caf\xe9",)])
def test_arguments_that_are_no_text(arguments):
    done = command(*(os.fsdecode(argument) for argument in arguments))
    assert done.returncode == 2
    assert done.stderr == "error: arguments must be utf-8 text, found b'caf\\xe9'; write them so\n"


def test_a_wrong_flag_is_exit_code_2(typed):
    assert typed("run", "imdb", "--rounds", "two")[0] == 2
    assert typed("run")[0] == 2


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(401, {}, "no key"), "key"),
        (Fault(404, {}, "no such model"), "404"),
        (Fault(200, {}, "<html>hello</html>"), "chat"),
    ],
)
def test_an_endpoint_that_is_none(typed, recipe, tmp_path, fault, sentence):
    with LLMServer(fault_for=lambda *_: fault) as server:
        code, _, err = typed(
            "synthesize",
            recipe,
            "--strategy",
            "zerogen",
            "--n",
            "5",
            "--llm",
            server.url,
            "--run-dir",
            tmp_path / "run",
        )
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_a_run_directory_of_other_settings(typed, recipe, films_llm, tmp_path):
    base = ("synthesize", recipe, "--llm", films_llm.url, "--n", "6", "--run-dir", tmp_path / "run")
    assert typed(*base)[0] == 0
    code, _, err = typed(*base, "--seed", "4")
    assert code == 2
    assert "seed was 0 and is 4" in err


def test_status_tells_what_a_stopped_run_spent(typed, recipe, films_llm, tmp_path):
    limits = ("--max-requests", "5", "--set", "endpoint.price_completion=1e6", "--strategy", "zerogen")
    assert typed("synthesize", recipe, "--llm", films_llm.url, *limits, "--run-dir", tmp_path / "run")[0] == 2
    usage = json.loads(typed("status", tmp_path / "run", "--json")[1])["usage"]
    assert usage["requests"] == 5
    assert usage["cost"] == usage["completion_tokens"] > 0
    assert f"spent: 5 requests, {usage['prompt_tokens']} prompt" in typed("status", tmp_path / "run")[1]
    assert f"tokens, cost {usage['cost']:.4f}" in typed("status", tmp_path / "run")[1]


def test_a_server_that_checks_names_is_asked_for_the_model_it_serves(typed, recipe, tmp_path):
    with LLMServer(reply=film_reply, models=["qwen/qwen3"]) as server:
        run_dir = tmp_path / "run"
        assert typed("synthesize", recipe, "--llm", server.url, "--n", "4", "--run-dir", run_dir)[0] == 0
        assert set(read_rows(run_dir / "round-0" / "data.parquet")["s3_model"][:]) == {"qwen/qwen3"}
        assert yaml.safe_load((run_dir / "run.yaml").read_text())["config"]["llm_model"] is None
        assert typed("tasks", "preview", recipe, "--llm", server.url)[0] == 0
        server.models = ["qwen/qwen3", "gpt-oss"]
        asked = ("synthesize", recipe, "--llm", server.url, "--n", "8")
        code, _, err = typed(*asked, "--run-dir", tmp_path / "other")
        assert (code, "found it unset and 'qwen/qwen3', 'gpt-oss'; choose one" in " ".join(err.split())) == (2, True)
        assert typed(*asked, "--set", "llm_model=gpt-oss", "--run-dir", tmp_path / "named")[0] == 0


def findings(typed, *arguments, code=0):
    exit_code, out, _ = typed("doctor", "--json", *arguments)
    assert exit_code == code
    return json.loads(out)


def test_doctor_asks_one_tiny_chat(typed):
    with LLMServer(models=["qwen/qwen3", "gpt-oss"], fault_for=BEHAVIOURS["mistral: seed forbidden"]) as server:
        found = findings(typed, "--llm", server.url, code=2)["LLM endpoint"]
        assert not found["ok"]
        assert "found it unset and 'qwen/qwen3', 'gpt-oss'; choose one with --set llm_model=NAME" in found["found"]
        assert not server.requests
        found = findings(typed, "--llm", server.url, "--set", "llm_model=gpt-oss")
        assert len(server.requests) == 2
    assert found["torch"]["ok"]
    assert found["training precision"]["found"] in ("bf16", "fp32")
    assert found["LLM endpoint"]["ok"]
    told = found["LLM endpoint"]["found"]
    assert told.startswith(f"asked {server.url}/v1/chat/completions: gpt-oss answers '")
    assert told.endswith("; it refuses fields: 'seed' is left out")
    assert "all-MiniLM-L6-v2" in found["embedded student"]["found"]
    assert found["extra 'plot'"]["found"].startswith("matplotlib 3")
    assert re.fullmatch(r"altair [0-9.]+, vl-convert-python \S+", found["extra 'report'"]["found"])
    extras = {name: found[f"extra {name!r}"]["found"] for name in declared_extras()}
    assert all(f"extra {name!r}" not in found for name in ("dev", "none"))
    for name, packages in declared_extras().items():
        assert [each.split()[0] for each in extras[name].split(", ")] == packages or "not installed" in extras[name]


def declared_extras():
    """Return the extras for users with their packages, as pyproject.toml has them."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    return {
        name: [re.match(r"[\w.-]+", each)[0] for each in needs]
        for name, needs in project["optional-dependencies"].items()
        if name != "dev"
    }


def test_doctor_names_a_package_that_an_extra_lacks(typed, monkeypatch):
    def version_of(name):
        if name in ("vl-convert-python", "onnxscript"):
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("s3_hf.cli.checkup.version", version_of)
    found = findings(typed)
    for extra, package in (("report", "vl-convert-python"), ("onnx", "onnxscript")):
        assert not found[f"extra {extra!r}"]["ok"]
        told = found[f"extra {extra!r}"]["found"]
        assert told == (
            f"{package} is not installed; in a checkout `pip install '.[{extra}]'`, or from an index "
            f"`pip install 's3-hf[{extra}]'`"
        )


def test_doctor_tells_what_an_endpoint_refuses(typed, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-wrong")
    with LLMServer() as fine, LLMServer(fault_for=always(Fault(401, {}, "no"))) as locked:
        found = findings(typed, "--llm", fine.url, "--llm", locked.url + "/v1", code=2)
        assert found["LLM endpoint 1"]["ok"]
        assert not found["LLM endpoint 2"]["ok"]
        assert "HTTP 401" in found["LLM endpoint 2"]["found"]
        assert found["LLM endpoint 2"]["found"].endswith(
            "set endpoint.api_key_env (--api-key-env) to the environment variable that holds its key"
        )
        told = findings(typed, "--llm", locked.url, "--api-key-env", "MY_KEY", code=2)["LLM endpoint"]["found"]
        assert told.endswith("HTTP 401 'no'; correct the key in 'MY_KEY' (endpoint.api_key_env)")
        assert [received.headers.get("authorization") for received in locked.lookups] == [None, "Bearer sk-wrong"]
    monkeypatch.delenv("MY_KEY")
    for more in ((), ("--llm", "http://127.0.0.1:9")):
        found = findings(typed, "--api-key-env", "MY_KEY", *more, code=2)
        told = found["LLM endpoint" if more else "LLM key"]["found"]
        assert "found 'MY_KEY', which is not set; export it" in told


def test_doctor_repeats_no_key(typed):
    key = "sk-proj-Ab12Cd34Ef56Gh78"
    for arguments in (("--api-key-env", key), ("--llm", f"http://h?api_key={key}"), ("--llm", f"http://u:{key}@h")):
        code, out, err = typed("doctor", *arguments)
        assert (code, key in out + err) == (2, False)


def test_doctor_waits_for_a_hub_that_drips(typed, monkeypatch):
    class Drips(QuietHandler):
        def do_GET(self):  # noqa: N802 - the name that http.server calls
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"H")
                    time.sleep(0.05)

    monkeypatch.setattr("s3_hf.cli.checkup.TIMEOUT", 0.5)
    with ThreadedServer(Drips).serving() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.address)
        found = findings(typed)["Hub"]
    assert not found["ok"]
    assert found["found"].startswith(f"{server.address} cannot be reached (")


def test_markup_and_terminal_escapes_are_text(typed, tmp_path):
    run = make_full_run(tmp_path / "x[/b] [bold]red")
    facts = json.loads(run.round(0).facts.read_text())
    run.round(0).facts.write_text(json.dumps(facts | {"rejected": {"\x1b[31mred\x9b": 1}}))
    code, out, _ = typed("status", run.path)
    assert code == 0
    assert "\\u001b[31mred\\u009b 1" in out
    assert not {"\x1b", "\x9b"} & set(out)
    display.show_results(run.results(), f"{run.path}")


def test_results_are_read_at_40_columns(tmp_path, monkeypatch, capsys):
    results = make_full_run(tmp_path / "run").results()
    monkeypatch.setenv("COLUMNS", "40")
    display.show_results(results, "a run")
    out = capsys.readouterr().out
    assert "round 1\n  rows added 2\n  rows 6\n  mistakes 150\n  validation accuracy 80.0%\n" in out
    assert max(map(len, out.splitlines())) <= 40
    monkeypatch.setenv("COLUMNS", "120")
    display.show_results(results, "[bold]a run")
    assert "[bold]a run" in capsys.readouterr().out


def test_hints_are_commands(typed, films_config, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**films_config.model_dump(mode="json"), "rounds": 0}))
    run_dir = tmp_path / "a run [1]"
    flags = ("--config", config, "--run-dir", run_dir)
    assert typed("synthesize", films_config.task, *flags, "--no-rationales")[0] == 0
    assert typed("status", run_dir)[1].splitlines()[-1].startswith("next: round 0, train: s3-hf run ")
    hint = typed("status", run_dir)[1].splitlines()[-1].partition(": s3-hf ")[2]
    code, out, _ = typed(*shlex.split(hint))
    assert code == 0
    assert f"publish it: s3-hf push '{run_dir}'\n" in out


def test_a_recipe_beside_is_named(typed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films.py").touch()
    assert "there is no task 'films'; the recipe file beside it is named as 'films.py'" in typed("run", "films")[2]


def test_a_list_of_urls_in_one_flag(typed):
    code, _, err = typed("run", "imdb", "--llm", "http://a:1,http://b:2")
    assert (code, "repeat the flag for several: --llm URL --llm URL" in err) == (2, True)


def test_a_check_says_what_it_waits_for(typed, recipe, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("s3_hf.loop.context.PATIENCE", 0.0)
    typed("run", recipe, "--student", tmp_path, "--llm", "http://127.0.0.1:9", "--run-dir", tmp_path / "run")
    assert "still reading the gold data and the student; what is not on this machine comes from http" in caplog.text
