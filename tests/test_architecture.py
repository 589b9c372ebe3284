"""The import ranks of the design, the length of modules, and what must not stand in shipped code.

Every import counts, wherever it stands in a file: at the top, inside a function, or under `TYPE_CHECKING`.
"""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = {"s3_hf": ROOT / "s3_hf", "s3_hf.dataset_scripts": ROOT / "dataset_scripts"}
FOLDERS |= {"hf_localhub": ROOT / "localhub" / "hf_localhub"}
RANKS = [
    {"errors"},
    {"schema", "keys", "proxies"},
    {"records", "config", "files", "locking", "retrying", "texts", "templates"},
    {"overlaps", "rows"},
    {"task", "journal", "store"},
    {"llm", "scoring", "influence", "cards"},
    {"synthesis", "judging", "training", "hub"},
    {"strategies", "predicting", "analysis"},
    {"report"},
    {"loop"},
    {"bench"},
    {"starting"},
    {"authoring"},
    {"cli"},
]
RANK = {station: number for number, stations in enumerate(RANKS) for station in stations}
RANK |= {"local": 1, "dataset_scripts": RANK["task"] + 1}
USERS_OF_LOCAL = {"starting", "authoring", "cli", "dataset_scripts"}
USERS_OF_LOCALHUB = {"s3_hf.cli.quickstart"}
ASYNC = {"llm", "synthesis", "judging", "strategies", "journal", "loop"}
"""`journal` so that an answer is awaited until it is durable, `loop` because it opens the client and runs the rest."""
LONGEST = 300


def name_of(path: Path, package: str, folder: Path) -> str:
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join([package, *parts]).removesuffix(".__init__")


MODULES = {
    name_of(path, package, folder): path
    for package, folder in FOLDERS.items()
    for path in sorted(folder.rglob("*.py"))
}
PRODUCT = {name: path for name, path in MODULES.items() if name.startswith("s3_hf.")}


def station(module: str) -> str:
    return module.split(".")[1]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of the repository, and `hf_localhub` or `s3_hf` where unresolved, that a module imports."""
    names = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else str(node.module) for name in whole}
    return frozenset(name for name in names if name.split(".")[0] in ("s3_hf", "hf_localhub"))


def upward(module: str) -> Iterator[str]:
    own = station(module)
    for other in imports(module):
        if other in ("s3_hf", "hf_localhub") or other.startswith("hf_localhub."):
            allowed = other != "s3_hf" and module in USERS_OF_LOCALHUB
        elif station(other) == "local" and own != "local":
            allowed = own in USERS_OF_LOCAL
        else:
            allowed = station(other) == own or RANK[station(other)] < RANK[own]
        if not allowed:
            yield f"{module} imports {other}"


def test_every_station_has_a_rank():
    assert {station(module) for module in PRODUCT} - set(RANK) == {"__main__"}


def test_modules_import_only_lower_ranks():
    faults = [fault for module in PRODUCT if module != "s3_hf.__main__" for fault in upward(module)]
    assert not faults, "\n".join(faults)


def test_modules_import_each_other_in_no_circle():
    graph = {module: imports(module) - {module} for module in MODULES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def test_the_local_hub_knows_nothing_of_the_product():
    hub = [module for module in MODULES if module.startswith("hf_localhub")]
    faults = [(module, other) for module in hub for other in imports(module) if other.startswith("s3_hf")]
    assert not faults


def test_modules_are_short():
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert not {module: lines for module, lines in lengths.items() if lines > LONGEST}


def test_only_the_command_line_prints():
    printing = [
        module
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "rich.print")
    ]
    assert {station(module) for module in printing} <= {"cli"}


def test_coroutines_stand_only_where_the_llm_is_asked():
    coroutines = {
        module for module in PRODUCT for node in ast.walk(tree(module)) if isinstance(node, ast.AsyncFunctionDef)
    }
    assert {station(module) for module in coroutines} - {"local"} <= ASYNC


def test_one_place_runs_coroutines():
    runs = [
        f"{module}: {ast.unparse(node)}"
        for module in PRODUCT
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("asyncio.run", "asyncio.Runner")
    ]
    assert {run.partition(":")[0] for run in runs if not run.startswith("s3_hf.local")} == {"s3_hf.loop.asynchronous"}


def test_help_imports_nothing_heavy():
    code = "import sys; import s3_hf.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "transformers", "datasets", "evaluate", "pyarrow", "huggingface_hub", "pydantic"}
    assert not heavy & set(loaded)
