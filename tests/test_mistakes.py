"""What a newcomer may get wrong: one sentence and exit code 2, whatever the command."""

import json

import pytest

ROWS = "".join(f"text number {number},{number % 2}\n" for number in range(30))

FILES = {
    "list.yaml": "- a\n",
    "empty.yaml": "",
    "unknown.yaml": "synthesis: {progen: {pol: 3}}\n",
    "group.yaml": "training: 3\n",
    "none.yaml": "training:\n",
    "nul.yaml": "a\0b",
    "number.yaml": "training: {1: 2}\n",
    "run.yaml": "task: imdb\nrounds: 1\n",
    "bench.yaml": "{tasks: [movie_snippets], arms: [gold], seeds: [0]}\n",
    "ok.csv": f"text,label\n{ROWS}",
    "ok.txt": ROWS,
    "empty.csv": "",
    "semicolon.csv": "text;label\na;b\n",
    "recipe.py/x.txt": "",
    "syntax.py": "def (",
    "nothing.py": "",
    "damaged/run.yaml": "config: 3\n",
    "model/config.json": json.dumps({"model_type": "bert", "architectures": ["BertForSequenceClassification"]}),
    "broken/config.json": "{",
}

NEW = ("tasks", "new", "t", "--text", "text", "--label", "label", "--data")


@pytest.fixture
def typed(typed, monkeypatch, tmp_path):
    """Run a command beside the files, without a Hub; returns exit code and standard error."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def run(*arguments):
        code, _, err = typed(*arguments)
        return code, err

    return run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "imdb", "--gold", ""), "must not be empty, found '' after '--gold'; leave it out"),
        (("run", "imdb", "--run-dir="), "must not be empty, found '--run-dir=' after 'imdb'"),
        (("predict", "model", ""), "must not be empty, found '' after 'model'"),
        ((*NEW, ""), "must not be empty, found '' after '--data'"),
        (("run", "imdb", "--rounds", "-1"), "found -1"),
        (("run", "imdb", "--holdout", "nan"), "found nan"),
        (("run", "imdb", "--max-cost", "inf"), "finite number, found inf"),
        (("run", "imdb", "--set", ".=3"), "--set takes KEY=VALUE"),
        (("run", "imdb", "--set", "training..epochs=3"), "--set takes KEY=VALUE"),
        (("run", "imdb", "--set", "training=3"), "dictionary"),
        (("run", "imdb", "--set", "training.epochs.x=1"), "found {'x': 1}"),
        (("run", "imdb", "--llm", "a/b", "--llm", "c/d"), "or several URLs, found ['a/b', 'c/d']"),
        (("run", "imdb", "--llm", "127.0.0.1:8080"), "must begin with http:// or https://"),
        (("run", "imdb", "--config", "list.yaml"), "mapping of settings, found list"),
        (("run", "imdb", "--config", "empty.yaml"), "mapping of settings, found nothing"),
        (("run", "imdb", "--config", "unknown.yaml"), "'synthesis.progen.pol' in unknown.yaml; did you mean 'pool'?"),
        (("run", "imdb", "--config", "group.yaml"), "found 3"),
        (("run", "imdb", "--config", "none.yaml"), "found None"),
        (("run", "imdb", "--config", "nul.yaml"), "not valid YAML"),
        (("run", "imdb", "--config", "number.yaml"), "keys should be strings"),
        (("run", "imdb", "--config", "bench.yaml"), "unknown setting"),
        (("run", "imdb", "--config", "recipe.py"), "Is a directory"),
        (("run", "recipe.py"), "no recipe file 'recipe.py'"),
        (("run", "syntax.py"), "SyntaxError"),
        (("run", "nothing.py"), "exactly one TaskBuilder"),
        (("bench", "run.yaml", "--plan"), "'tasks' is required in run.yaml"),
        (("bench", "list.yaml", "--plan"), "found list"),
        (("bench", "bench.yaml", "--small", "--plan"), "needs a section 'small'"),
        (("status", "damaged"), "is damaged"),
        (("push", "ok.csv"), "must be a run directory"),
        (("predict", "model", "x"), "safetensors weights"),
        (("predict", "broken", "x"), "is not valid JSON"),
        (("predict", "damaged", "x"), "is damaged"),
        (("predict", "ok.csv", "x"), "found 'ok.csv'"),
        (("predict", "model", "--file", "empty.csv"), "must hold rows"),
        (
            ("predict", "model", "--file", "semicolon.csv"),
            "must separate cells by commas, found ';' in the header ['text;label']",
        ),
        (("predict", "model", "--file", "recipe.py"), "found 'recipe.py' (it is a folder, device or pipe"),
        (
            ("predict", "model", "--hosted", "ftp://h"),
            "an address must begin with http:// or https://, found 'ftp://h'",
        ),
        (("predict", "model", "x", "--hosted", "http://[::1"), "a URL must have a host and a port from 1 to 65535"),
        ((*NEW, "empty.csv"), "must have rows"),
        ((*NEW, "semicolon.csv"), "line 1, must separate cells by commas, found ';' in the header ['text;label']"),
        (
            (*NEW, "ok.txt"),
            "also with .gz, .bz2, .xz), a folder or a Hub id, found the file 'ok.txt'",
        ),
        (("tasks", "show", "imdb", "--gold", "ok.txt"), "found the file 'ok.txt'; rename or convert it"),
        (("quickstart", "--seed", "-1"), "found -1"),
    ],
)
def test_a_mistake_is_one_sentence(typed, arguments, sentence):
    code, err = typed(*arguments)
    assert code == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert sentence in last


@pytest.mark.parametrize(
    "arguments",
    [
        ("llm", "serve", "--port", "-1"),
        ("llm", "serve", "--processes", "0"),
        ("bench", "bench.yaml", "--cpus", "-1"),
        ("run", "imdb", "--rounds", "1.5"),
        ("tasks", "preview", "imdb", "--n", "0"),
    ],
)
def test_a_number_that_cannot_be_is_told_by_its_flag(typed, arguments):
    code, err = typed(*arguments)
    assert code == 2
    assert f"Invalid value for '{arguments[-2]}'" in err


def test_what_ends_in_capitals_is_read_by_its_kind(typed, tmp_path):
    (tmp_path / "OK.CSV").write_text((tmp_path / "ok.csv").read_text())
    assert "found ['text', 'label']" in typed("predict", "model", "--file", "OK.CSV", "--column", "review")[1]
    assert typed(*NEW, "OK.CSV")[0] == 0
