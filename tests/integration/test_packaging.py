"""Wheels, sdists and editable installs of both distributions: recipes, templates and console scripts."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
INSIDE = (
    "s3_hf/dataset_scripts/imdb.py",
    "s3_hf/dataset_scripts/movie_snippets.py",
    "s3_hf/model_cards/citation.md",
    "s3_hf/model_cards/dataset/card.md",
    "s3_hf/model_cards/model/card.md",
    "s3_hf/cli/__init__.py",
    "s3_hf/authoring/recipe.py.jinja",
    "s3_hf/py.typed",
)


def build(folder, out, source):
    """Build the sdist of a distribution, and the wheel from the sdist, so that both are complete."""
    # a build leaves an .egg-info in its folder, which would tell of entry points that have changed since
    shutil.copytree(folder, source, ignore=shutil.ignore_patterns(".*", "runs", "*.egg-info", "__pycache__"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("build") / "source")


def install(wheel, target):
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)],
                   check=True, capture_output=True)  # fmt: skip


def test_the_wheel_is_complete(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert set(INSIDE) <= names
    shipped = {path.relative_to(ROOT) for path in (ROOT / "s3_hf").rglob("*.py")}
    assert {str(path) for path in shipped} <= names
    templates = {path.relative_to(ROOT) for path in (ROOT / "model_cards").rglob("*.md")}
    assert {f"s3_hf/{path}" for path in templates} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"s3_hf"}


def test_the_sdist_holds_the_two_top_level_folders(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"dataset_scripts/imdb.py", "model_cards/dataset/card.md", "pyproject.toml", "LICENSE"} <= names


def test_the_wheel_works_without_the_checkout(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    target = tmp_path / "site"
    install(wheel, target)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        f"import s3_hf; assert s3_hf.__file__.startswith({str(target)!r})\n"
        "from s3_hf.task import load_task; print(load_task('imdb').prompts.seed_plain)\n"
        "from importlib.resources import files; print((files('s3_hf.model_cards') / 'dataset/card.md').is_file())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "True"


def test_the_editable_install_finds_recipes_and_templates():
    assert {point.name for point in entry_points(group="s3_hf.tasks")} >= {"imdb", "movie_snippets"}
    assert {"s3-hf", "hf-localhub"} <= {point.name for point in entry_points(group="console_scripts")}
    assert (files("s3_hf.model_cards") / "model/card.md").is_file()


def test_the_local_hub_is_a_distribution_of_its_own(tmp_path):
    out, folder, target = tmp_path / "dist", ROOT / "localhub", tmp_path / "site"
    (wheel,) = build(folder, out, tmp_path / "source").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {str(path.relative_to(folder)) for path in (folder / "hf_localhub").rglob("*.py")}
    assert shipped | {"hf_localhub/py.typed", "hf_localhub-0.1.0.dist-info/licenses/LICENSE"} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"hf_localhub"}
    install(wheel, target)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r}); sys.modules['s3_hf'] = None\n"
        f"import hf_localhub.cli, hf_localhub.server as server; assert server.__file__.startswith({str(target)!r})\n"
        f"print(hf_localhub.add_user(server.Path({str(tmp_path / 'data')!r}), 'alice'))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hf_")
