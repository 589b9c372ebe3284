"""Windows, simulated: no module of POSIX, no folder that can be opened, and a console that has few letters."""

import ast
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from s3_hf import files
from s3_hf.errors import LocalError
from s3_hf.local.llm import serve

ROOT = Path(__file__).parent.parent
SHIPPED = [
    path for folder in ("s3_hf", "dataset_scripts", "localhub/hf_localhub") for path in ROOT.glob(f"{folder}/**/*.py")
]
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios"}
IMPORT_ALL = f"""
posix = {POSIX}
import builtins, importlib, pkgutil
import_before = builtins.__import__
def refuse(name, globals=None, *rest, **named):
    if name.partition(".")[0] in posix and str((globals or {{}}).get("__name__")).startswith(("s3_hf", "hf_localhub")):
        raise ImportError("there is no " + name + " on Windows")
    return import_before(name, globals, *rest, **named)
builtins.__import__ = refuse
for package in ("s3_hf", "hf_localhub"):
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            print(found.name)
"""


@pytest.mark.slow
def test_every_module_is_imported_without_those_of_posix():
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"s3_hf.locking", "s3_hf.loop.rounds", "hf_localhub.server"} <= set(done.stdout.split())


def test_no_module_imports_those_of_posix_at_its_start():
    faults = [
        f"{path}: {ast.unparse(node)}"
        for path in SHIPPED
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom) and set(ast.unparse(node).split()) & POSIX
    ]
    assert not faults, "\n".join(faults)


def test_text_files_name_their_encoding_and_line_ends():
    faults = []
    for path in SHIPPED:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            wanted = {"read_text": {"encoding"}, "write_text": {"encoding", "newline"}}.get(node.func.attr, set())
            positional = node.func.attr == "read_text" and len(node.args) > 0  # also that of a git repository
            if wanted - {keyword.arg for keyword in node.keywords} and not positional:
                faults.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
    assert not faults, "\n".join(faults)


class Windows(types.SimpleNamespace):
    """`os` as on Windows: no folder is opened, and only what is open for writing is synced."""

    def __init__(self):
        super().__init__(**vars(os))
        self.name = "nt"

    def open(self, path, flags):
        assert not Path(path).is_dir()
        return os.open(path, flags)

    def fsync(self, handle):
        import fcntl

        assert fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_RDWR
        os.fsync(handle)


@pytest.mark.skipif(os.name == "nt", reason="this is Windows")
def test_files_are_written_whole_where_folders_cannot_be_opened(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "os", Windows())
    files.write_text(tmp_path / "card.md", "one\ntwo\n")
    assert (tmp_path / "card.md").read_bytes() == b"one\ntwo\n"


@pytest.fixture
def recipe_with_letters(recipe, tmp_path):
    """A recipe whose description has letters that cp1252 lacks, and one that it has."""
    path = tmp_path / "letters.py"
    path.write_text(recipe.read_text(encoding="utf-8").replace("made up", "é → ≥ 0 中 🎬"), encoding="utf-8")
    return path


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_a_console_without_a_letter_shows_its_number(recipe_with_letters, encoding):
    def output(*more):
        command = [sys.executable, "-m", "s3_hf", "tasks", "show", str(recipe_with_letters), *more]
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, capture_output=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode(encoding)

    assert "é → ≥ 0 中 🎬" in json.loads(output("--json"))["description"]
    assert ("é → ≥ 0 中 🎬" if encoding == "utf-8" else r"é \u2192 \u2265 0 \u4e2d \U0001f3ac") in output()


def test_the_embedded_llm_needs_unix_sockets(monkeypatch):
    monkeypatch.delattr("socket.AF_UNIX", raising=False)
    with pytest.raises(LocalError, match="name an endpoint by --llm"), serve():
        pass
