"""Real parts for tests: a small gold dataset, a tiny transformer, an LLM endpoint over HTTP."""

import gc
import os
import socket

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve the other core; see s3_hf.cli
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_UPDATE_DOWNLOAD_COUNTS"] = "0"
os.environ["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
# tqdm keeps its lock when a bar cannot be written, as on a full disk: the next test that loads rows would hang.
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"

import hashlib
import random
import string
import subprocess
import sys
import threading
from pathlib import Path

import datasets
import pytest

from s3_hf.cli import main
from s3_hf.config import parse_config
from s3_hf.journal import Journal
from s3_hf.schema import merge
from tests.kinds import pairs_recipe, spans_recipe  # noqa: F401 - fixtures
from tests.llm_server import LLMServer, review

NEGATIVE = ("boring", "awful", "dull", "clumsy", "wooden", "lazy", "tired", "hollow")
POSITIVE = ("great", "tender", "witty", "radiant", "honest", "daring", "gorgeous", "precise")

RECIPE = """
from s3_hf.task import Prompts, TaskBuilder, TaskConfig


class Films(TaskBuilder):
    BUILDER_CONFIGS = [
        TaskConfig(
            name="films",
            description="Sentences about films, made up for tests.",
            source={source!r},
            splits={{"validation": "validation", "test": "test"}},
            labels={{"neg": "negative", "pos": "positive"}},
            prompts=Prompts(
                rationales="Name {{count}} reasons for a {{label}} impression of a film as a numbered list.",
                seed="You saw a film that has {{rationales}}. Write one sentence of a {{label}} review.",
                seed_plain="Write one sentence of a {{label}} review of a film.",
                extrapolate="You saw a film that has {{rationales}}. Write a {{label}} sentence like: {{text}}",
                extrapolate_plain="Write a {{label}} sentence like: {{text}}",
            ),
            max_tokens=40,
            min_words=4,
            max_length=32,
            license="mit",
        )
    ]
"""


def in_two_processes(module, *arguments, **more):
    """Run a module by torch's launcher, which `accelerate launch` calls too."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", module]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*launch, *map(str, arguments)], check=True, env=environment, timeout=300, **more)


@pytest.fixture
def typed(monkeypatch, capsys):
    """Run a command in this process; returns exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["s3-hf", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch):
    """Refuse sockets to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        host = address[0] if isinstance(address, tuple) else "localhost"
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {host}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session", autouse=True)
def _caches(tmp_path_factory):
    """Keep the caches of `datasets` out of the user's."""
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="module", autouse=True)
def _short_collections():
    """Leave all that was imported out of later collections; each training makes one, which takes 0.5 s with it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _no_thread_left(request):
    """A thread that outlives its tests may abort the interpreter at its exit: see `tests/threaded_server.py`."""
    before = {*threading.enumerate()}
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name != "tqdm_monitor"]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left), f"{request.node.name} leaves {left}"


@pytest.fixture(scope="session")
def gold_root() -> Path:
    """The real gold data in the Hub's layout, where it is at hand."""
    root = Path(os.environ.get("S3_HF_GOLD", Path(__file__).parent.parent.parent / "shared" / "gold")) / "hub"
    if not root.is_dir():
        pytest.skip("the gold data is not here: set S3_HF_GOLD to its folder")
    return root


def film_rows(n: int, seed: int) -> dict[str, list]:
    """Labelled sentences that a small model can learn from one telling word."""
    draw = random.Random(seed)
    texts, labels = [], []
    for number in range(n):
        label = number % 2
        word = draw.choice(POSITIVE if label else NEGATIVE)
        texts.append(f"the {draw.choice(['film', 'plot', 'cast', 'music'])} number {seed}{number} was {word} to watch")
        labels.append(label)
    return {"text": texts, "label": labels}


@pytest.fixture(scope="session")
def gold_folder(tmp_path_factory) -> Path:
    """A dataset folder with 40 validation and 60 test rows, two labels."""
    folder = tmp_path_factory.mktemp("films") / "gold"
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    for split, size, seed in (("validation", 40, 1), ("test", 60, 2)):
        rows = datasets.Dataset.from_dict(film_rows(size, seed), features=features)
        rows.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


@pytest.fixture(scope="session")
def recipe(tmp_path_factory, gold_folder) -> Path:
    """A recipe file over `gold_folder`."""
    path = tmp_path_factory.mktemp("recipes") / "films.py"
    path.write_text(RECIPE.format(source=str(gold_folder)))
    return path


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory) -> Path:
    """A real BERT, one layer of 32, freshly initialised, with a tokenizer of the films' words."""
    return save_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="session")
def spelling_student(tmp_path_factory) -> Path:
    """A student as `tiny_student`, whose tokenizer spells other words."""
    letters = [*string.ascii_letters, *string.digits, *string.punctuation]
    return save_student(tmp_path_factory.mktemp("spelling"), [*letters, *(f"##{letter}" for letter in letters)])


def save_student(folder: Path, pieces=()) -> Path:
    """Save a BERT and its tokenizer: of words, or with `pieces` one that splits unknown words into them."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = sorted(
        {word for rows in (film_rows(40, 1), film_rows(60, 2)) for text in rows["text"] for word in text.split()}
    )
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    known = dict.fromkeys([*specials, *words, *NEGATIVE, *POSITIVE, *pieces])
    vocabulary = {word: number for number, word in enumerate(known)}
    kind = models.WordPiece if pieces else models.WordLevel
    tokenizer = Tokenizer(kind(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    return folder


def film_reply(payload) -> str:
    """What the endpoint answers: a numbered list when asked for reasons, else a sentence fitting the label."""
    prompt = payload["messages"][-1]["content"]
    words = NEGATIVE if "negative" in prompt else POSITIVE
    if "numbered list" in prompt or "consider" in prompt:
        return "\n".join(f"{number}. {word} acting" for number, word in enumerate(words, 1))
    draw = random.Random(payload["seed"])
    return (
        f"The {draw.choice(['film', 'plot', 'cast', 'music'])} was {draw.choice(words)} and {review(payload).lower()}"
    )


@pytest.fixture
def films_llm():
    """A real HTTP endpoint that writes about films."""
    with LLMServer(reply=film_reply) as server:
        yield server


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield journal


@pytest.fixture
def films_config(recipe, tiny_student, films_llm):
    """Settings for a whole run in a few seconds."""
    return parse_config(
        {
            "task": str(recipe),
            "llm": films_llm.url,
            "student": str(tiny_student),
            "seed_size": 24,
            "rounds": 2,
            "gold_stage": "none",
            "verdict": False,
            "judge": "none",
            "synthesis": {"rationales_per_label": 6, "rationales_per_example": 2},
            "training": {"epochs": 2, "min_steps": 0, "batch_size": 8, "precision": "fp32"},
        }
    )


def erring_reply(number):
    """What an endpoint answers whose every third text is of the other label."""

    def reply(payload):
        if "numbered list" in payload["messages"][-1]["content"]:
            return film_reply(payload)
        draw = random.Random(hashlib.sha256(f"{number}{payload['seed']}{payload['messages']}".encode()).hexdigest())
        negative = ("negative" in payload["messages"][-1]["content"]) != (draw.random() < 0.35)
        return f"the {draw.randrange(10**6)} was {draw.choice(NEGATIVE if negative else POSITIVE)} to watch"

    return reply


@pytest.fixture
def judged_config(films_config, films_llm, tmp_path, spelling_student):
    """A run with an LLM that errs, and gold rows enough for students that know better."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    for split, size in (("validation", 90), ("test", 20)):
        draw = random.Random(split)
        labels = [number % 2 for number in range(size)]
        words = [draw.choice(POSITIVE if label else NEGATIVE) for label in labels]
        texts = [f"the {draw.randrange(10**6)} was {word} to watch" for word in words]
        rows = datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)
        rows.to_parquet(str(tmp_path / "gold" / "data" / f"{split}-00000-of-00001.parquet"))
    films_llm._reply = erring_reply(0)
    training = {"epochs": 1, "learning_rate": 5e-3, "head_learning_rate": 1e-2}
    values = {
        "gold": str(tmp_path / "gold"),
        "student": str(spelling_student),
        "judge": "gold",
        "seed_size": 40,
        "rounds": 0,
        "synthesis": {"rationales": False},
        "training": training,
    }
    return parse_config(merge(films_config.model_dump(mode="json"), values))
