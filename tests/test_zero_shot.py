"""ZeroGen and ProGen: their prompts over HTTP, how answers are cut, and whole runs."""

import itertools
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from s3_hf import loop
from s3_hf.config import parse_config
from s3_hf.errors import ConfigError, EndpointError, RequestError, SynthesisError, TaskError
from s3_hf.files import read_json
from s3_hf.journal import Journal
from s3_hf.records import Completion, Usage
from s3_hf.store import open_run
from s3_hf.strategies import STRATEGIES, _checkpoints, _zero_shot, zerogen_names
from s3_hf.synthesis import Checks, Plan, Pool, ShownRow
from s3_hf.synthesis.checks import until_end
from s3_hf.synthesis.names import _name
from s3_hf.task import Prompts, load_task
from s3_hf.texts import covers
from tests.conftest import RECIPE, film_reply
from tests.kinds import kind_reply, pairs_recipe, spans_recipe  # noqa: F401 - fixtures
from tests.llm_server import Fault, LLMServer
from tests.test_loop import changed
from tests.test_synthesis import guided, made

STAGES = """zerogen='The movie review in {{label}} sentiment for movie "{{name}}" is: "',
                names='Movie: "',
                shown='The movie review for movie "{{name}}" is: "{{text}}"',
            ),
            max_tokens"""
RECIPES = Path(__file__).parent.parent / "dataset_scripts"
TITLES = ("Jaws", "Heat", "Alien", "Fargo", "Brazil", "Ran", "Mirror", "Playtime")


def prompts_of(server):
    return [request.payload["messages"][-1]["content"] for request in server.requests]


def staged_reply(payload):
    """A title, or a review that goes on after its closing quotation mark."""
    if payload["messages"][-1]["content"] == 'Movie: "':
        draw = random.Random(payload["seed"])
        return f'{draw.choice(TITLES)} {draw.randrange(40)}" is a film by "somebody"'
    prompt = payload["messages"][-1]["content"].rpartition("\n\n")[2]
    return film_reply(payload | {"messages": [{"role": "user", "content": prompt}]}) + '" he said.'


@pytest.fixture(scope="session")
def staged_recipe(tmp_path_factory, gold_folder):
    """The films recipe with the prompts of ZeroGen and ProGen for films."""
    path = tmp_path_factory.mktemp("staged") / "staged.py"
    path.write_text(RECIPE.replace("),\n            max_tokens", STAGES).format(source=str(gold_folder)))
    return path


@pytest.fixture
def staged_llm():
    with LLMServer(reply=staged_reply) as server:
        yield server


@pytest.fixture
def staged(films_config, staged_recipe, staged_llm):
    return changed(films_config, task=str(staged_recipe), llm=staged_llm.url, strategy="progen", rounds=1)


def test_zerogen_asks_for_names_first_then_for_texts_about_them(staged_llm, staged_recipe, tmp_path):
    examples, synthesizer = made(staged_llm, tmp_path, staged_recipe, lambda s: _zero_shot(s, 20, per_name=2))
    sent = prompts_of(staged_llm)
    assert sent[:5] == ['Movie: "'] * 5
    assert [request.payload["max_tokens"] for request in staged_llm.requests[:5]] == [16] * 5
    names = [example.rationales for example in examples]
    assert all(len(one) == 1 and '"' not in one[0] for one in names)
    assert [len(list(group)) for _, group in itertools.groupby(names)] == [4] * 5
    assert [example.columns["label"] for example in examples] == [0, 1] * 10
    for example in examples:
        word = ("negative", "positive")[example.columns["label"]]
        assert f'The movie review in {word} sentiment for movie "{example.rationales[0]}" is: "' in sent
        assert not example.columns["text"].endswith("he said.")
    assert set(synthesizer.prompts.values()) == {
        synthesizer.task.prompts.zerogen,
        synthesizer.task.prompts.names,
    }


@pytest.mark.parametrize(("per_name", "names", "rows"), [(None, 10, [2] * 10), (5, 2, [10] * 2)])
def test_a_small_dataset_of_zerogen_has_many_names(staged_llm, staged_recipe, tmp_path, per_name, names, rows):
    seed = STRATEGIES["zerogen"].seed
    examples, _ = made(staged_llm, tmp_path, staged_recipe, lambda s: seed(s, 20), zerogen_per_name=per_name)
    assert prompts_of(staged_llm).count('Movie: "') == names
    groups = [[one.columns["label"] for one in group] for _, group in itertools.groupby(examples, _name_of)]
    assert [len(labels) for labels in groups] == rows
    assert all(labels == [0, 1] * (len(labels) // 2) for labels in groups)


def _name_of(example):
    return example.rationales[0]


def test_the_papers_sizes_have_32_rows_of_each_label_about_a_name():
    assert [zerogen_names(rows) for rows in (150, 300, 750, 9_600, 10_600, 100_000)] == [150, 300, 300, 300, 332, 3125]


@pytest.mark.parametrize(
    ("answer", "finish", "name"),
    [
        ('Jaws" is a film', "length", "Jaws"),
        ('Movie: "The Night Circus"\nMovie: "', "length", "The Night Circus"),
        ('MovieTitle: "The Nightingale"', "stop", "The Nightingale"),
        ('"The Art of Masquerade" by Chris', "length", "The Art of Masquerade"),
        ("The Hunger (2015)", "stop", "The Hunger (2015)"),
        ("**Jaws**\n\nIt is a", "length", "Jaws"),
        ('This is the latest film in the "Jaws', "length", None),
        ('This is the latest film in the "Jaws" series', "stop", None),
        ("The Lord of the Rings: The Return of", "length", None),
        ("I'm sorry, I cannot", "length", None),
        ("<think>\nA film.\n</think>\n\nJaws", "stop", "Jaws"),
        ("<think>\nA film, as", "length", None),
        ("", "stop", None),
    ],
)
def test_names_are_read_out_of_what_chat_models_say(answer, finish, name):
    assert _name(Completion("slot", answer, finish, Usage(), "llm"), 'Movie: "') == name


def test_an_llm_that_repeats_its_names_gives_fewer(staged_recipe, tmp_path):
    def same(payload):
        return "Jaws" if payload["messages"][-1]["content"] == 'Movie: "' else staged_reply(payload)

    with LLMServer(reply=same) as server:
        examples, _ = made(server, tmp_path, staged_recipe, lambda s: _zero_shot(s, 12, per_name=2))
    assert {example.rationales for example in examples} == {("Jaws",)}
    assert len(examples) == 12


def test_a_name_that_is_refused_is_left_out(staged_recipe, tmp_path):
    def refused(payload, attempt):
        return Fault(400, {}, "filtered") if payload["max_tokens"] == 16 and payload["seed"] % 3 == 0 else None

    with LLMServer(reply=staged_reply, fault_for=refused) as server:
        examples, synthesizer = made(server, tmp_path, staged_recipe, lambda s: _zero_shot(s, 48, per_name=2))
    assert len(examples) == 48
    assert synthesizer.tally.rejected["refused by the endpoint"] > 0


@pytest.mark.parametrize("strategy", ["zerogen", "s3"])
def test_what_was_refused_at_first_changes_no_prompt_later(staged, staged_llm, tmp_path, strategy):
    """A name or a list of rationales that is answered on the next start would be in prompts that were paid for."""
    config = changed(staged, strategy=strategy, rounds=0, seed_size=16)
    refused = iter([Fault(400, {}, "filtered")])
    staged_llm._fault_for = lambda payload, attempt: next(refused, None)
    loop.synthesize(config, tmp_path / "run")
    first = open_run(tmp_path / "run").round(0)
    rows, asked = first.rows()["text"][:], len(staged_llm.requests)
    first.facts.unlink()
    loop.synthesize(config, tmp_path / "run")
    assert open_run(tmp_path / "run").round(0).rows()["text"][:] == rows
    assert len(staged_llm.requests) == asked + 1


@pytest.mark.parametrize("strategy", ["zerogen", "s3"])
def test_an_endpoint_that_refuses_everything_says_why(staged, tmp_path, strategy):
    with (
        LLMServer(fault_for=lambda payload, attempt: Fault(400, {}, "max_tokens is unknown")) as server,
        pytest.raises(RequestError, match="max_tokens is unknown"),
    ):
        loop.synthesize(changed(staged, llm=server.url, strategy=strategy, rounds=0), tmp_path / "run")


def test_names_under_way_when_the_endpoint_refuses_are_kept(staged_recipe, tmp_path):
    with LLMServer(delay=0.3, reply=staged_reply, faults=[Fault(401)]) as server:
        with pytest.raises(EndpointError, match="HTTP 401"):
            made(server, tmp_path, staged_recipe, lambda s: _zero_shot(s, 48, per_name=2))
        with Journal(tmp_path / "journal.sqlite") as journal:
            assert journal.usage().requests == len(server.requests) - 1 == 7


def test_an_llm_without_names_is_told(staged_recipe, tmp_path):
    with (
        LLMServer(reply=lambda _: "I cannot do that.") as server,
        pytest.raises(SynthesisError, match="3 names by the prompt 'Movie: \"', found none in 12 answers"),
    ):
        made(server, tmp_path, staged_recipe, lambda s: _zero_shot(s, 12, per_name=2))


def test_a_task_without_such_prompts_takes_the_plain_one(films_llm, recipe, tmp_path):
    examples, _ = made(films_llm, tmp_path, recipe, lambda s: _zero_shot(s, 6, per_name=2))
    assert set(prompts_of(films_llm)) == {
        f"Write one sentence of a {word} review of a film." for word in ("negative", "positive")
    }
    assert not any(example.rationales for example in examples)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('A fine film." says the critic', "A fine film."),
        ('"A fine film." It is', "A fine film."),
        ("A fine film\nand so on", "A fine film"),
        ("A fine film. And one th", "A fine film."),
        ('Here is a review: "A fine film."', "A fine film."),
        ("A fine film", None),
    ],
)
def test_answers_to_an_open_quotation_mark_are_cut_as_zerogen_does(answer, text):
    assert until_end(answer) == text


def test_a_model_that_thinks_has_room_for_it_in_every_answer(staged_llm, staged_recipe, recipe, tmp_path):
    made(staged_llm, tmp_path, staged_recipe, lambda s: _zero_shot(s, 4, per_name=2), thinking_tokens=900)
    made(staged_llm, tmp_path, recipe, lambda s: guided(s, 4), name="b.sqlite", thinking_tokens=900)
    asked = {request.payload["max_tokens"] for request in staged_llm.requests}
    assert {916, 1100} < asked
    assert min(asked) > 900


def test_examples_shown_are_of_the_label_and_come_before_half_of_the_prompts(staged_llm, staged_recipe, tmp_path):
    rows = {
        label: [ShownRow(f"{word} thing {n} seen", f"Film {n}") for n in range(12)] for label, word in enumerate("ab")
    }
    examples, _ = made(
        staged_llm, tmp_path, staged_recipe, lambda s: _zero_shot(s, 80, 2, Pool(rows, size=8, ratio=0.5))
    )
    assert {example.origin for example in examples} == {"feedback"}
    assert examples[0].id == "s3-r0/feedback/00000"
    guided = [prompt.split("\n\n") for prompt in prompts_of(staged_llm) if "\n\n" in prompt]
    assert 25 < len(guided) < 55
    for *shown, prompt in guided:
        letter = "b" if "positive" in prompt else "a"
        assert len(set(shown)) == len(shown) == 8
        known = {f'The movie review for movie "{row.name}" is: "{row.text}"' for row in rows["ab".index(letter)]}
        assert set(shown) <= known
        assert not any("positive" in line or "negative" in line for line in shown)


def test_an_answer_that_covers_a_row_shown_is_rejected():
    """ProGen's rule: nine tenths of the distinct words of any of them."""
    assert covers("a b c d e f g h i and more", "a b c d e f g h i j")
    assert not covers("a b c d e f g h and more", "a b c d e f g h i j")
    checks = Checks(("negative", "positive"), min_words=3)
    plan = Plan("slot", "feedback", 1, shown=(ShownRow("one two three four"), ShownRow("the cast was a great joy")))

    def verdict(text, plan):
        answer = checks.text_of(Completion("slot", text, "stop", Usage(), "llm"), "Write.", plan)
        return answer if isinstance(answer, str) else answer.reason

    said = "What a great joy the cast of this one was."
    assert verdict(said, plan) == "copy of a row shown"
    assert verdict(said, replace(plan, shown=plan.shown[:1])) == said


def test_checkpoints_are_those_of_progens_code():
    assert list(itertools.islice(_checkpoints(), 8)) == [100, 400, 1_200, 3_200, 8_000, 19_200, 44_800, 102_400]


@pytest.mark.parametrize("influence", ["last_layer", pytest.param("full", marks=pytest.mark.slow)])
def test_progen_shows_the_rows_that_help_the_student(staged, staged_llm, tmp_path, influence):
    progen = {"pool": 6, "examples": 3, "influence": influence}
    config = changed(staged, seed_size=40, round_size=16, synthesis={"progen": progen})
    result = loop.run(config, tmp_path / "run")
    assert [one.added for one in result.rounds] == [40, 16]
    run = open_run(tmp_path / "run")
    kept = read_json(run.round(1).helpful)
    rows = {row["s3_id"]: row for row in run.round(0).rows()}
    assert list(kept) == ["neg", "pos"]
    assert sum(map(len, kept.values())) > 0
    for label, names in enumerate(kept.values()):
        assert len(names) <= 6
        assert all(rows[name]["label"] == label for name in names)
    lines = {line for prompt in prompts_of(staged_llm) for line in prompt.split("\n\n")[:-1]}
    allowed = {
        f'The movie review for movie "{rows[name]["s3_rationales"][0]}" is: "{rows[name]["text"]}"'
        for names in kept.values()
        for name in names
    }
    assert lines
    assert lines <= allowed
    assert set(run.round(1).rows()["s3_origin"]) == {"feedback"}


def test_progen_grows_to_its_next_checkpoint_and_goes_on_without_asking_again(staged, staged_llm, tmp_path):
    config = changed(staged, seed_size=90, rounds=2, synthesis={"progen": {"influence_from": 10_000}})
    loop.run(changed(config, rounds=1), tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert len(run.union(1)) == 100
    first = run.round(1)
    shown = read_json(first.helpful)
    assert Counter(map(len, shown.values())).total() == 2
    assert sum(map(len, shown.values())) == 81  # all but a tenth
    before, asked = first.data.read_bytes(), len(staged_llm.requests)
    first.data.unlink()
    first.facts.unlink()
    loop.run(changed(config, rounds=1), tmp_path / "run")
    assert first.data.read_bytes() == before
    assert len(staged_llm.requests) == asked


def test_progen_on_another_kind_of_task_is_refused_before_anything_is_spent(
    films_config,
    pairs_recipe,  # noqa: F811
    spans_recipe,  # noqa: F811
    films_llm,
    tmp_path,
):
    for recipe, context in ((pairs_recipe, "premise"), (spans_recipe, "context")):
        config = changed(films_config, task=str(recipe), strategy="progen")
        with pytest.raises(
            ConfigError, match=f"labels single texts, found '{recipe.stem}' with the context '{context}'"
        ):
            loop.run(config, tmp_path / "run")
    assert not films_llm.requests
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zerogen": "Write."}, "prompt 'zerogen' lacks the field {label}"),
        ({"zerogen": "Write {label} {film}."}, "prompt 'zerogen' has the unknown field {film}"),
        ({"shown": "A text"}, "prompt 'shown' lacks the field {text}"),
        ({"names": "Movie {label}", "zerogen": "{label} {name}"}, "prompt 'names' has the unknown field {label}"),
        ({"names": "Movie"}, "need each other"),
        ({"zerogen": "{label} of {name}"}, "need each other"),
        ({"shown": "{text} of {name}"}, "need each other"),
    ],
)
def test_faulty_prompts_are_told(recipe, changes, message):
    task = load_task(str(recipe))
    faults = list(replace(task.prompts, **changes).faults(task.columns))
    assert len(faults) == 1
    assert message in faults[0]


def test_names_and_rows_shown_are_for_single_texts(pairs_recipe):  # noqa: F811
    columns = load_task(str(pairs_recipe)).columns
    prompts = Prompts(seed="{context} {label}", extrapolate="{context} {label} {text}", shown="{text}")
    assert list(prompts.faults(columns)) == ["prompt 'shown' must be empty in a task with a context, found '{text}'"]


def test_zerogen_of_pairs_writes_for_gold_contexts(pairs_recipe, films_config, tmp_path):  # noqa: F811
    """The recipe's own ZeroGen prompt comes first; its label is told by the word of the label's name."""
    path = tmp_path / "quoted.py"
    source = pairs_recipe.read_text()
    prompt = """zerogen='"{context}" The following claim is {label}: "',\n            ),\n            other"""
    path.write_text(source.replace("),\n            other", prompt))
    with LLMServer(reply=lambda payload: kind_reply(payload) + '" and so on') as server:
        config = changed(films_config, task=str(path), llm=server.url, strategy="zerogen", seed_size=9)
        rows = loop.synthesize(config, tmp_path / "run").rows()
        assert len(rows) == 9
        words = ("correct", "wrong", "open")
        for row in rows:
            assert f'"{row["premise"]}" The following claim is {words[row["label"]]}: "' in prompts_of(server)
            assert not row["claim"].endswith("so on")


def test_recipes_hold_zerogens_prompts_by_label_name():
    filled = {
        name: [
            task.prompts.zerogen.format(label=word, name="Jaws", context="It rained.", answer="It")
            for word in task.label_words or ("",)
        ]
        for name in ("imdb", "movie_snippets", "qnli", "rte", "adversarial_qa")
        for task in [load_task(str(RECIPES / f"{name}.py"))]
    }
    movie = [f'The movie review in {word} sentiment for movie "Jaws" is: "' for word in ("negative", "positive")]
    sentence = '"It rained."\nBased on the above description, the following sentence is definitely'
    assert filled == {
        "imdb": movie,
        "movie_snippets": [
            f'Write one sentence from a {word} review of the movie "Jaws".' for word in ("negative", "positive")
        ],
        "qnli": [
            'Information: "It rained."\nQuestion (answer in above information): "',
            'Information: "It rained."\nQuestion (answer not in above information): "',
        ],
        "rte": [f'{sentence} correct: "', f'{sentence} wrong: "'],
        "adversarial_qa": ['The context is: "It rained."\n"It" is the answer of the following question: "'],
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"pool": 0}, "pool"), ({"feedback_ratio": 2}, "feedback_ratio"), ({"pol": 3}, "did you mean 'pool'")],
)
def test_wrong_settings_of_progen_are_named(setting, message):
    with pytest.raises(ConfigError, match=message):
        parse_config({"task": "imdb", "synthesis": {"progen": setting}})


def test_recipe_faults_reach_the_user(staged_recipe, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(staged_recipe.read_text().replace("names='Movie: \"',", ""))
    with pytest.raises(TaskError, match=r"prompt 'names' and the field \{name\}"):
        load_task(str(path))
