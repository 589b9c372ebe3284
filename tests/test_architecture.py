"""The import ranks of the design, the length of modules, and what must not stand in shipped code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "s3_hf"
RANKS = [
    {"errors", "settings"},
    {"records", "config", "files", "locking", "texts", "templates"},
    {"task", "journal", "store"},
    {"llm", "scoring", "influence", "cards"},
    {"synthesis", "training", "hub"},
    {"strategies", "predicting"},
    {"loop"},
    {"bench"},
    {"starting"},
    {"cli"},
]
LONGEST = 400
MODULES = sorted(PACKAGE.rglob("*.py"))


def station(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """The stations of s3_hf that a module imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "s3_hf" else [node.module]
            )
        found |= {name.split(".")[1] for name in names if name.startswith("s3_hf.")}
    return found


def rank(name: str) -> int:
    return next(number for number, names in enumerate(RANKS) if name in names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_lower_ranks(path):
    own = station(path)
    if own in ("__init__", "__main__"):
        return
    others = imports(path) - {own}
    if own == "local":
        assert others <= {"errors"}
        return
    allowed = {name for number, names in enumerate(RANKS) for name in names if number < rank(own)}
    assert others <= allowed | ({"local"} if own in ("starting", "cli") else set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_is_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST


def test_every_station_has_a_rank():
    stations = {station(path) for path in MODULES} - {"__init__", "__main__", "local"}
    assert stations <= set().union(*RANKS)


def test_asyncio_runs_only_in_the_loop():
    callers = [path for path in MODULES if "asyncio.run(" in path.read_text() and station(path) != "local"]
    assert {station(path) for path in callers} == {"loop"}


def test_help_imports_nothing_heavy():
    code = "import sys; import s3_hf.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "transformers", "datasets", "evaluate", "pyarrow", "huggingface_hub", "pydantic"}
    assert not heavy & set(loaded)
