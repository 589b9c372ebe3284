"""The commands as a user types them, each in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from harness import HERE, TestHub

CANNOT = "error: the Hub cannot write its data to"
HUB = [sys.executable, "-m", "hf_localhub"]


def typed(*arguments):
    return subprocess.run([*HUB, *map(str, arguments)], capture_output=True, text=True)


def test_add_import_and_serve(tmp_path):
    data, tree = tmp_path / "data", tmp_path / "tree"
    (tree / "datasets/o/d").mkdir(parents=True)
    (tree / "datasets/o/d/x.txt").write_text("x")
    token = typed("user", "add", "alice", "--data", data).stdout.strip()
    assert token.startswith("hf_")
    assert typed("user", "add", "team", "--org", "--token", token, "--data", data).stdout.strip() == token
    reader = typed("user", "add", "alice", "--role", "read", "--data", data).stdout.strip()
    assert typed("import", tree, "--data", data).stdout == "datasets  o/d  1 files\n"
    assert typed("import", tree, "--data", data).stdout == "datasets  o/d  1 files, unchanged\n"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = [*HUB, "serve", "--data", str(data), "--port", str(port)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line == f"export HF_ENDPOINT=http://127.0.0.1:{port}\n"
        hub = TestHub(line.strip().partition("=")[2], data, tmp_path, token, "", reader)
        answer = hub.ask("GET", "/api/whoami-v2", reader)
        assert [org["name"] for org in answer.json["orgs"]] == ["team"]
        assert hub.ask("GET", "/datasets/o/d/resolve/main/x.txt").body == b"x"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("serve", "--data", "file"), f"{CANNOT} 'file': not a directory; name another folder"),
        (("user", "add", "me", "--data", "file/a"), f"{CANNOT} 'file/a': not a directory; name another"),
        (("import", "tree", "--data", "n" * 300), f"{CANNOT} '{'n' * 300}': file name too long; name another"),
        (("import", "tree", "--data", "data"), "error: wanted folders datasets/<owner>/<name>"),
        (("user", "add", "a/b", "--data", "data"), "error: the account name 'a/b' must be"),
        (("serve", "--data", ""), "error: an argument must not be empty, found ''; leave it out"),
    ],
)  # fmt: skip
def test_each_error_is_one_sentence(tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    done = typed(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_an_unknown_role_is_refused(tmp_path):
    done = typed("user", "add", "me", "--role", "owner", "--data", tmp_path)
    assert done.returncode == 2
    assert "--role" in done.stderr


def test_the_python_snippet_of_the_readme_runs(tmp_path):
    readme = (HERE.parents[1] / "README.md").read_text()
    code = readme.partition("```python\n")[2].partition("```")[0]
    code = code.rstrip() + "\n    print(api.repo_info('alice/rows', repo_type='dataset').id)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "alice/rows\n"), done.stderr
