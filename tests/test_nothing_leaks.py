"""A run with a key, a password in its URL and a Hub token leaves none of the three behind."""

import json
import sqlite3
import subprocess
import sys
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import film_reply
from tests.faulty_proxy import faulty_proxy
from tests.llm_server import Fault, LLMServer
from tests.push.conftest import hub, server  # noqa: F401 - fixtures

KEY, PASSWORD, QUERY = "sk-key-4f1d9c27a8e3", "pass-83b5e0c6d1f2", "query-6a9e2b7c40d8"
VARIABLES = {"MY_LLM_KEY": KEY, "MY_PASSWORD": PASSWORD, "MY_QUERY": QUERY}
DEBUGGED = (
    "import logging, sys\n"
    "logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)\n"
    "from s3_hf.cli import main\n"
    "main()\n"
)


@pytest.fixture
def endpoint():
    """An endpoint that repeats keys in its first errors, as some do."""
    message = json.dumps({"error": {"message": f"Incorrect API key provided: Bearer {KEY} {PASSWORD} {QUERY}"}})
    with LLMServer(
        reply=film_reply, faults=[Fault(500, {}, message), Fault(429, {"retry-after": "0"}, message)]
    ) as llm:
        yield llm


@pytest.fixture
def left(tmp_path, recipe, tiny_student, endpoint, hub):  # noqa: F811 - a fixture
    """Everything that the commands print, log and write, by name: texts decoded, other files as they are."""
    settings = (
        f"llm: http://me:${{MY_PASSWORD}}@127.0.0.1:{endpoint.port}/v1?api_key=${{MY_QUERY}}\n"
        f"student: {tiny_student}\nseed_size: 12\nrounds: 0\njudge: none\n"
        f"gold_stage: none\nverdict: false\nendpoint: {{api_key_env: MY_LLM_KEY}}\n"
        "training: {epochs: 1, min_steps: 0, batch_size: 8, precision: fp32}\nsynthesis: {rationales: false}\n"
    )
    config, folder, texts = tmp_path / "settings.yaml", tmp_path / "run", {}
    config.write_text(settings)
    run = ("run", recipe, "--config", config, "--run-dir", folder)
    with faulty_proxy(hub.endpoint, (503,), only="/commit/", repeats="authorization") as proxy:
        environment = hub.environment(tmp_path / "home", HF_ENDPOINT=proxy.endpoint, **VARIABLES)
        for name, command in {
            "run": (*run, "--push-to", hub.name),
            "the printed settings": (*run, "--print-config"),
            "doctor": ("doctor", "--llm", settings.split()[1], "--api-key-env", "MY_LLM_KEY"),
            "status": ("status", folder, "--json"),
            "push": ("push", folder, "--json"),
            "folders": ("push", folder, "--to", tmp_path / "out"),
        }.items():
            ran = subprocess.run(
                [sys.executable, "-c", DEBUGGED, *map(str, command)],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0 or name == "doctor", f"{name}: {ran.stderr[-3000:]}"
            texts |= {f"{name}, standard output": ran.stdout, f"{name}, log and standard error": ran.stderr}
    assert "DEBUG" in texts["run, log and standard error"]
    assert any(QUERY in each.path for each in endpoint.requests), "${MY_QUERY} in the setting llm was not replaced"
    sent = "".join(str(each.headers) for each in endpoint.requests)
    assert KEY in sent or b64encode(f"me:{PASSWORD}".encode()).decode() in sent
    for place in (folder, tmp_path / "out", tmp_path / "home"):
        for path in filter(Path.is_file, place.rglob("*")):
            texts[path.relative_to(tmp_path).as_posix()] = content(path)
    for kind in ("dataset", "model"):
        for found in hub.api.list_datasets() if kind == "dataset" else hub.api.list_models():
            local = Path(hub.api.snapshot_download(found.id, repo_type=kind, local_dir=tmp_path / kind))
            texts |= {f"{found.id}: {path.name}": content(path) for path in local.rglob("*") if path.is_file()}
    return texts


@pytest.mark.parametrize("part", [f"me:{PASSWORD}@127.0.0.1:1/v1", f"127.0.0.1:1/v1?api_key={PASSWORD}"])
@pytest.mark.parametrize("command", ["run", "doctor", "print"])
def test_a_url_that_holds_a_secret_itself_is_refused_and_not_repeated(tmp_path, recipe, typed, part, command):
    flags = {
        "run": ("run", recipe, "--run-dir", tmp_path / "run", "--llm"),
        "print": ("run", recipe, "--print-config", "--llm"),
        "doctor": ("doctor", "--llm"),
    }
    code, out, err = typed(*flags[command], f"http://{part}")
    assert code, "a URL with a literal password or key must be refused"
    assert PASSWORD not in out + err
    assert not (tmp_path / "run").exists()


def content(path):
    """The text in a file: rows of Parquet, columns of SQLite, or the bytes as they are."""
    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False) + str(pq.read_schema(path).metadata)
    raw = path.read_bytes().decode("latin-1")
    if path.suffix != ".sqlite":
        return raw
    with closing(sqlite3.connect(path)) as journal:
        return raw + "\n".join(journal.iterdump())


def test_no_key_password_or_token_is_left_behind(left, hub):  # noqa: F811 - a fixture
    secrets = {"the key": KEY, "the password": PASSWORD, "the key in the query": QUERY, "the Hub token": hub.token}
    assert any(name.endswith("README.md") for name in left)
    assert any(name.endswith(".sqlite") for name in left)
    found = sorted(
        f"{what} in {name}: …{text[max(0, text.index(value) - 120) : text.index(value)]!r}"
        for name, text in left.items()
        for what, value in secrets.items()
        if value in text
    )
    assert not found, "\n".join(found)
