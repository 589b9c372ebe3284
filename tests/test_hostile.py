"""What an endpoint, a card, a settings file, a model folder or a run directory may hold: one sentence or a result.

Each case is one of a seeded generator. It is given to a command in this process, which must end with a result or with
one sentence (exit code 2), without a traceback, within minutes on any machine and with at most 200 MB more memory.
"""

import contextlib
import faulthandler
import gc
import json
import random
import shutil
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests import run_maker
from tests.conftest import film_reply
from tests.threaded_server import QuietHandler, ThreadedServer

SEED = 20261125
HANG_SECONDS = 600
"""No command takes minutes; a machine at a load of 20 takes a tenth of this."""
MOST_GROWTH = 200 << 20

DEEP = "[" * 100_000 + "]" * 100_000
OBJECTS = '{"a":' * 50_000 + "1" + "}" * 50_000
DIGITS = "9" * 5000
BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 8)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
MARKUP = "\x1b]0;owned\x07\x1b[31m{{ 7 * 7 }}{% raw %}[bold]---\n---\nlicense: [x]\n```\u2028\u202e\x00\ufffe"


def memory(name: str) -> int:
    """Return VmRSS or VmHWM of this process in bytes; 0 where /proc does not tell."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path("/proc/self/status").read_text(encoding="utf-8").partition(f"{name}:")[2].split()[0]) * 1024
    return 0


@contextlib.contextmanager
def watched():
    """End the process with a traceback of all threads on a hang; fail when memory grew by more than 200 MB."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
    before = memory("VmRSS")
    # A thread in a regular expression cannot be interrupted, so there is no gentler way.
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert memory("VmHWM") - before < MOST_GROWTH


@dataclass(frozen=True)
class Case:
    name: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200


def cases(named, count, make):
    """Return the named cases and `count` generated ones, as parameters."""
    chance = random.Random(SEED)
    found = [Case(name, body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"))
             for name, body in named.items()]  # fmt: skip
    found += [Case(f"generated {number}", make(chance)) for number in range(count)]
    return [pytest.param(case, id=case.name.replace(" ", "-")) for case in found]


def odd(chance, depth=0):
    """Return an odd JSON value."""
    choices = [None, True, -1, 0, 10**30, 1e308, "", "\0", "x" * 3000, MARKUP, "0", [], {}]
    if depth < 3 and chance.random() < 0.4:
        return chance.choice([[odd(chance, depth + 1)] * 2, {"content": odd(chance, depth + 1)}])
    return chance.choice(choices)


def mutated(chance, text: bytes) -> bytes:
    """Return the bytes of a valid text after a few changes: bytes flipped, cut out, repeated, or cut off."""
    data = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        at, to = sorted((chance.randrange(len(data) or 1), chance.randrange(len(data) or 1)))
        how = chance.randrange(4)
        if how == 0 and data:
            data[at] = chance.randrange(256)
        elif how == 1:
            del data[at : min(to, at + 20)]
        elif how == 2:
            data[at:at] = data[at:to] * 3
        else:
            data[at:at] = chance.choice([b"\xff\xfe", b"{", b"[", b'"', b"\0", b"NaN", b"&a *a", DIGITS.encode()])
    return bytes(data)


def replaced(chance, value):
    """Return a JSON value in which one inner value is odd."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value))
        return {**value, key: replaced(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.7:
        return [replaced(chance, value[0]), *value[1:]]
    return odd(chance)


def refused_or_done(typed, *arguments):
    """Run a command: a result, or exit code 2 and one sentence, which `doctor` gives among its findings."""
    with watched():
        code, out, err = typed(*arguments)
    told = out + err
    assert "Traceback" not in told
    assert code in (0, 2), told[-2000:]
    if code == 2:
        assert any(line.startswith(("error: ", "--  LLM")) for line in told.splitlines()), told[-2000:]
        assert len(err) < 20_000
    return code, told


# Answers and lists of an endpoint.

GOOD = {
    "id": "1",
    "object": "chat.completion",
    "model": "stub",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "text"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def with_content(content, **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "length", **more}
    return json.dumps({**GOOD, "choices": [choice]})


ANSWERS = {
    "deep": DEEP,
    "deep objects": OBJECTS,
    "5,000 digits": json.dumps(GOOD).replace('"prompt_tokens": 1', f'"prompt_tokens": {DIGITS}'),
    "choices NaN": '{"choices": NaN}',
    "choices infinite": '{"choices": 1e999, "usage": {"prompt_tokens": 1e999}}',
    "usage NaN": json.dumps(GOOD).replace('"prompt_tokens": 1', '"prompt_tokens": NaN'),
    "no JSON": "<html>",
    "not UTF-8": b'{"choices": [{"message": {"content": "\xff"}}]}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "half a surrogate pair": with_content("a").replace('"a"', '"\\ud800 was dull and boring to see at all"'),
    "dots": with_content("." * 20_000 + "x"),
    "spaces": with_content("1. " + " " * 30_000 + "x"),
    "stars": with_content("*" * (10 << 20)),
    "brackets": with_content("[" * 200_000),
    "quotes": with_content('"' * 100_001),
    "numbers of a list": with_content("\n".join(f"{number}. \t \t" for number in range(20_000))),
    "think that does not close": with_content("<think>" * 20_000),
    "markup": with_content(MARKUP),
    "a model that is markup": json.dumps({**GOOD, "model": MARKUP}),
    "a model of 1 MB": json.dumps({**GOOD, "model": "m" * (1 << 20)}),
    "many choices": json.dumps({**GOOD, "choices": GOOD["choices"] * 50_000}),
    "many keys": "{" + ",".join(f'"k{number}": 0' for number in range(100_000)) + "}",
    "message is a list": json.dumps({"choices": [{"message": [1]}]}),
    "content of parts": with_content([{"type": "text", "text": {"a": 1}}, 5, None]),
}
LISTS = {
    "deep": DEEP,
    "5,000 digits": '{"data": [{"id": "m", "created": ' + DIGITS + "}]}",
    "data NaN": '{"data": NaN}',
    "data of numbers": '{"data": [1, null, {"id": 5}, {"id": {}}, []]}',
    "id is markup": json.dumps({"data": [{"id": MARKUP}]}),
    "id of 1 MB": json.dumps({"data": [{"id": "m" * (1 << 20)}]}),
    "many": json.dumps({"data": [{"id": f"m{number}"} for number in range(100_000)]}),
    "half a surrogate pair": '{"data": [{"id": "\\ud800"}]}',
    "no JSON": "<html>",
    "not UTF-8": b"\xff",
}


class Endpoint(QuietHandler):
    def _send(self, case):
        self.send_response(case.status)
        for name, value in (("Content-Type", "application/json"), *case.headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(case.body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(case.body)

    def do_GET(self):  # noqa: N802
        self._send(self.server.listing)

    def do_POST(self):  # noqa: N802
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.hostile:
            self._send(self.server.hostile.pop())
            return
        choice = {"index": 0, "message": {"role": "assistant", "content": film_reply(payload)}}
        self._send(Case("", json.dumps({**GOOD, "choices": [{**choice, "finish_reason": "stop"}]}).encode()))


@pytest.fixture(scope="module")
def endpoint():
    with ThreadedServer(Endpoint).serving() as server:
        server.listing, server.hostile = Case("", b'{"data": [{"id": "stub"}]}'), []
        yield server


def synthesize(typed, recipe, endpoint, run_dir):
    more = ("--strategy", "zerogen", "--n", "4", "--llm", endpoint.address, "--run-dir", run_dir, "--json")
    return refused_or_done(typed, "synthesize", recipe, *more)


@pytest.mark.parametrize(
    "case", cases(ANSWERS, 12, lambda chance: json.dumps(replaced(chance, GOOD)).encode())
    + [pytest.param(Case(f"header {name}", b"{}", ((name, value),), status), id=f"header-{name}-{number}")
       for number, (status, name, value) in enumerate([
           (307, "X-No-Location", "1"), (307, "Location", ""), (302, "Location", "http://[x"),
           (429, "Retry-After", "-5"), (429, "Retry-After", "nan"), (429, "Retry-After", "x" * 9000),
           (429, "RateLimit", f'"a";r=1;t={DIGITS}'), (503, "Retry-After", "Wed, 21 Oct 99999 07:28:00 GMT"),
       ])]
)  # fmt: skip
def test_an_answer_costs_no_other(typed, recipe, endpoint, tmp_path, case):
    """One hostile answer among good ones: the rows are written, for it is asked again or passed over."""
    endpoint.hostile[:] = [case]
    code, told = synthesize(typed, recipe, endpoint, tmp_path / "run")
    if case.status not in (302, 307):
        assert code == 0, told[-2000:]
    assert "\x1b]0;" not in told


@pytest.mark.parametrize("case", cases(LISTS, 6, lambda chance: json.dumps(
    replaced(chance, {"object": "list", "data": [{"id": "stub", "object": "model"}]})).encode()))  # fmt: skip
def test_a_list_of_models_is_passed_over(typed, recipe, endpoint, tmp_path, case, monkeypatch):
    monkeypatch.setattr(endpoint, "listing", case)
    endpoint.hostile.clear()
    _, told = synthesize(typed, recipe, endpoint, tmp_path / "run")
    _, checked = refused_or_done(typed, "doctor", "--llm", endpoint.address)
    assert "\x1b]0;" not in told + checked


# Settings.

SETTINGS = {
    "alias bomb": BOMB,
    "alias loop": "a: &a [*a]",
    "alias loop in a setting": "synthesis: &a {temperature: *a}",
    "deep": f"rounds: {DEEP}",
    "deep by dashes": "- " * 3000,
    "5,000 digits": f"rounds: {DIGITS}",
    "5,000 hexadecimal digits": f"rounds: 0x{'f' * 5000}",
    "sexagesimal": f"rounds: 1{':1' * 20_000}",
    "half a surrogate pair": 'student: "\\ud800"',
    "tag": "a: !!python/object/apply:os.system [true]",
    "not UTF-8": b"a: \xff",
    "NUL": b"a: \0",
    "a list": "- 1",
    "a word": "word",
    "infinite": "synthesis: {temperature: .inf}\nbudget: {max_cost: .nan}",
    "markup in a key": json.dumps({MARKUP: 1}),
    "not closed": "{" * 20,
    "long": "x: " + "y" * (20 << 20),
}
VALID = {
    "rounds": 1,
    "seed_size": 8,
    "student": "local",
    "llm": "local",
    "synthesis": {"temperature": 0.9, "rationales_per_label": 4},
    "training": {"epochs": 1, "min_steps": 0, "batch_size": 8},
}


@pytest.mark.parametrize("case", cases(SETTINGS, 10, lambda chance: (
    yaml.safe_dump(replaced(chance, VALID), allow_unicode=False).encode() if chance.random() < 0.5
    else mutated(chance, yaml.safe_dump(VALID).encode()))))  # fmt: skip
def test_a_file_of_settings_is_refused_or_printed(typed, recipe, tmp_path, case):
    (tmp_path / "settings.yaml").write_bytes(case.body)
    refused_or_done(typed, "run", recipe, "--config", tmp_path / "settings.yaml", "--print-config")


# Model folders.


def header(content: bytes, length=None) -> bytes:
    return struct.pack("<Q", len(content) if length is None else length) + content


MODELS = {
    ("config.json", "deep"): DEEP,
    ("config.json", "deep objects"): OBJECTS,
    ("config.json", "a list"): "[]",
    ("config.json", "empty"): "",
    ("config.json", "5,000 digits"): '{"model_type": "bert", "vocab_size": ' + DIGITS + "}",
    ("config.json", "huge"): '{"model_type": "bert", "architectures": ["BertForSequenceClassification"], '
    '"vocab_size": 2000000000, "hidden_size": 2000000, "num_attention_heads": 1}',
    ("config.json", "many layers"): '{"model_type": "bert", "architectures": ["BertForSequenceClassification"], '
    '"num_hidden_layers": 1000000, "hidden_size": 8, "num_attention_heads": 2}',
    ("config.json", "id2label"): '{"model_type": "bert", "id2label": {"x": [1]}, "label2id": 5}',
    ("config.json", "architectures"): '{"model_type": "bert", "architectures": [{"a": 1}, null]}',
    ("config.json", "code"): '{"model_type": "x", "auto_map": {"AutoConfig": "evil.py--Evil"}}',
    ("model.safetensors", "empty"): "",
    ("model.safetensors", "cut off"): None,
    ("model.safetensors", "huge header"): header(b"{}", 1 << 60),
    ("model.safetensors", "deep header"): header(DEEP.encode()),
    ("model.safetensors", "other offsets"): header(
        b'{"bert.pooler.dense.bias": {"dtype": "F32", "shape": [9], "data_offsets": [0, 999999999]}}'
    ),
    ("tokenizer.json", "deep"): DEEP,
    ("tokenizer.json", "empty"): "{}",
    ("tokenizer_config.json", "a list"): "[]",
    ("tokenizer_config.json", "deep"): OBJECTS,
}


@pytest.fixture(scope="module")
def full_run(tmp_path_factory):
    return run_maker.make_full_run(tmp_path_factory.mktemp("full") / "run").path


@pytest.mark.parametrize("file_name", MODELS, ids=lambda key: "-".join(key).replace(" ", "-"))
def test_a_model_folder_is_refused_or_predicts(typed, full_run, tmp_path, file_name):
    model, content = tmp_path / "model", MODELS[file_name]
    shutil.copytree(full_run / "round-0" / "model", model)
    path = model / file_name[0]
    data = path.read_bytes()[:-40] if content is None else content if isinstance(content, bytes) else content.encode()
    path.write_bytes(data)
    refused_or_done(typed, "predict", model, "a good film .", "--json")


# Cards.

TEXTS = {
    "markup": MARKUP,
    "front matter": "---\nlicense: mit\n---\n",
    "templates": "{{ ''.__class__.__mro__ }}{% for x in range(10**9) %}x{% endfor %}",
    "html": "<script>alert(1)</script><!--",
    "ticks": "`" * 5000,
    "pipes and lines": "a | b\n| --- | --- |\r\n\u2028# Heading",
    "backslashes": "\\" * 5000,
    "tags of YAML": "&a *a !!python/object {x: [",
    "long": "word " * 100_000,
    "stars": "*" * 200_000 + "x",
    "nothing": " ",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_card_shows_texts_as_texts(typed, tmp_path, name):
    from huggingface_hub import DatasetCard

    run = run_maker.make_run(tmp_path / "run")
    texts = [(f"{TEXTS[name]} {number}", number % 2) for number in range(4)]
    run_maker.add_round(run, 0, texts, model=TEXTS[name])
    facts = json.loads(run.round(0).facts.read_text())
    facts["rationales"] = {"negative": [TEXTS[name]], "positive": [TEXTS[name]]}
    run.round(0).facts.write_text(json.dumps(facts))
    run_maker.add_model(run, 0)
    code, told = refused_or_done(typed, "push", run.path, "--to", tmp_path / "hub", "--max-copies", "1")
    assert "\x1b]0;" not in told
    if code == 0:
        written = list((tmp_path / "hub").rglob("README.md"))
        assert written
        for card in written:
            data = DatasetCard.load(card).data
            assert data.license == "mit" or isinstance(data.license, str)
            assert card.stat().st_size < 1 << 20


# Run directories.

PLACES = ("run.yaml", "round-0/round.json", "round-1/metrics.json", "round-0/model/training.json")
TAMPERED = {
    "empty": "",
    "deep": DEEP,
    "alias bomb": BOMB,
    "alias loop": "a: &a [*a]",
    "digits": DIGITS,
    "a list": "[1]",
    "not UTF-8": b"\xff\xfe\0",
}
BYTES = {
    "round-0/data.parquet": (b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1"),
    "journal.sqlite": (b"", b"SQLite format 3\0" + b"\xff" * 200),
}


def tampered():
    chance = random.Random(SEED)
    for place in PLACES:
        for name, content in chance.sample(sorted(TAMPERED.items()), 4):
            yield pytest.param(place, content, id=f"{place}-{name}".replace(" ", "-"))
    for place, contents in BYTES.items():
        for number, content in enumerate(contents):
            yield pytest.param(place, content, id=f"{place}-{number}")
    for number in range(10):
        yield pytest.param(chance.choice(PLACES), chance.randrange(1 << 30), id=f"generated-{number}")


@pytest.mark.parametrize(("place", "content"), list(tampered()))
def test_a_run_directory_is_refused_or_read(typed, full_run, tmp_path, place, content):
    run = tmp_path / "run"
    shutil.copytree(full_run, run)
    if isinstance(content, int):
        content = mutated(random.Random(content), (run / place).read_bytes())
    (run / place).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused_or_done(typed, "status", run)
    if place.startswith("round-0/"):
        refused_or_done(typed, "push", run, "--to", tmp_path / "hub", "--max-copies", "1", "--json")


@pytest.mark.parametrize("place", ["run.yaml", "run.lock", "round-0/round.json", "round-0/model", "journal.sqlite"])
def test_a_link_in_a_run_directory_changes_nothing_elsewhere(typed, full_run, tmp_path, place):
    run, outside = tmp_path / "run", tmp_path / "outside"
    shutil.copytree(full_run, run)
    outside.mkdir()
    (outside / "secret").write_text("secret: 1\n")
    if (run / place).is_dir():
        shutil.rmtree(run / place)
    (run / place).unlink(missing_ok=True)
    (run / place).symlink_to(outside if place.endswith("model") else outside / "secret")
    for command in (("status", run), ("push", run, "--to", tmp_path / "hub", "--max-copies", "1")):
        refused_or_done(typed, *command)
    assert (outside / "secret").read_text() == "secret: 1\n"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert not list((tmp_path / "hub").rglob("secret"))
