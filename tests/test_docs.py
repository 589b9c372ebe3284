"""The documents: their code runs or at least parses, their links lead somewhere, and no page lags behind the code."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from hf_localhub import add_user, import_tree, running
from tests.conftest import film_rows
from tests.documents import PAGES, ROOT, blocks, check_command, commands, script, settings_page
from tests.llm_server import LLMServer, review

RUN = (ROOT / "README.md", ROOT / "docs" / "tutorial.md")
README_LINES = 130


def name(page):
    return str(page.relative_to(ROOT))


WORDS = {
    "negative": ("boring plot", "wooden cast", "hollow jokes", "lazy ending", "dull music"),
    "positive": ("great plot", "tender cast", "witty jokes", "daring ending", "radiant music"),
    "card": ("broken chip", "forgotten PIN", "lost wallet", "cash machine", "annual fee"),
    "transfer": ("late salary", "wrong recipient", "standing order", "foreign currency", "double rent"),
    "login": ("locked account", "new phone", "missing code", "blank page", "old password"),
}


def reply(payload):
    """A numbered list when asked for reasons, else a text; both belong to the label in the prompt, if it names one."""
    prompt = payload["messages"][-1]["content"]
    if not (label := re.search("|".join(WORDS), prompt)):
        return "Hello."
    words = WORDS[label[0]]
    if "numbered list" in prompt or "consider" in prompt:
        return "\n".join(f"{number}. {word}" for number, word in enumerate(words, 1))
    return f"About the {words[payload['seed'] % len(words)]}: {review(payload).lower()}"


@pytest.fixture(scope="module")
def environment(tmp_path_factory, spelling_student):
    """What the blocks find: a Hub with the account `user`, an IMDb and a DistilBERT of test size, and an LLM."""
    place = tmp_path_factory.mktemp("services")
    tree, data = place / "tree", place / "hub"
    shutil.copytree(spelling_student, tree / "models" / "distilbert" / "distilbert-base-uncased")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    for split, seed in (("train", 1), ("test", 2)):
        rows = datasets.Dataset.from_dict(film_rows(50, seed), features=features)
        rows.to_parquet(tree / "datasets" / "stanfordnlp" / "imdb" / "plain_text" / f"{split}-00000-of-00001.parquet")
    import_tree(tree, data)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    with running(data) as hub, LLMServer(reply=reply, models=["writer"]) as llm:
        yield kept | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LLM_URL": llm.url,
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": add_user(data, "user"),
            "HF_HOME": str(place / "home"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "DISABLE_SAFETENSORS_CONVERSION": "1",
        }


def run_blocks(page, how, folder, environment):
    """Run the blocks of a page in an empty folder with the repository's examples, and compare the output shown."""
    out = folder / "output"
    out.mkdir()
    (folder / "work").mkdir()
    shutil.copytree(ROOT / "examples", folder / "work" / "examples")
    wanted = [block for block in blocks(page) if block.how == how and block.language in ("sh", "python")]
    done = subprocess.run(
        ["bash"], input=script(wanted, out), cwd=folder / "work", env=environment, text=True, check=False
    )
    output = {int(file.name): file.read_text() for file in out.iterdir()}
    last = max(output)
    assert done.returncode == 0, f"{page.name}, the block of line {last}:\n{output[last]}"
    before = None
    for block in blocks(page):
        if block.language == "text" and before in output:
            missing = [line for line in block.code.splitlines() if line.strip() not in output[before]]
            assert not missing, f"{page.name}, line {block.line}: {missing} not in\n{output[before]}"
        before = block.line


@pytest.mark.parametrize("page", RUN, ids=name)
def test_code_runs_as_pasted(page, environment, tmp_path):
    run_blocks(page, "", tmp_path, environment)


@pytest.mark.slow
def test_slow_code_runs_as_pasted(environment, tmp_path):
    run_blocks(ROOT / "README.md", "slow", tmp_path, environment)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_have_these_flags_and_settings(page):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for block in blocks(page):
        if block.language == "python":
            compile(block.code, f"{page}:{block.line}", "exec")
        for words in commands(block.code) if block.language == "sh" else ():
            check_command(words)
            assert words[0] != "make" or set(words[1:]) <= set(targets), words


def headings(page):
    """The anchors of a page's headings, as GitHub names them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if not link.startswith("http"):
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in headings(target), link


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_page_of_settings_is_that_of_the_code():
    """`UPDATE_GOLDEN=1 pytest tests/test_docs.py` writes it anew."""
    page = ROOT / "docs" / "settings.md"
    if os.environ.get("UPDATE_GOLDEN"):
        page.write_text(settings_page())
    assert page.read_text() == settings_page()


def test_the_tree_of_the_method_page_is_that_of_the_product():
    """It names every module of every station, and nothing that is not there."""
    tree = next(one.code for one in blocks(ROOT / "docs" / "method.md") if one.code.startswith("s3_hf/\n"))
    stations = re.findall(r"^  ([a-z]\w*(?:/|\.py))(.*(?:\n {8}.*)*)", tree, re.M)
    listed = {name for name, _ in stations if name.endswith(".py")}
    for folder, duties in stations:
        listed |= {folder + module for module in re.findall(r"\b\w+\.py\b(?!\.)", duties) if folder.endswith("/")}
    product = ROOT / "s3_hf"
    modules = {str(path.relative_to(product)) for path in product.rglob("*.py") if not path.name.startswith("__")}
    assert listed == modules
    for name in re.findall(r"^([a-z]\w*)/", tree, re.M):
        assert (ROOT / name).is_dir(), name
