"""The three verbs against a real endpoint."""

import asyncio
import collections
import random
from dataclasses import replace

import datasets
import pytest

from s3_hf.config import LLMConfig, SynthesisConfig
from s3_hf.errors import EndpointError, SynthesisError
from s3_hf.journal import Journal
from s3_hf.llm import Client
from s3_hf.records import Feedback, Mistake
from s3_hf.strategies import STRATEGIES
from s3_hf.synthesis import Checks, Synthesizer
from s3_hf.synthesis.filling import AHEAD
from s3_hf.synthesis.rationales import RATIONALE_LISTS
from s3_hf.task import load_task
from tests.conftest import film_reply
from tests.llm_server import Fault, LLMServer


def made(server, tmp_path, recipe, verb, *, name="journal.sqlite", **settings):
    """Run one verb and return its examples and the synthesizer."""

    async def all_of():
        with Journal(tmp_path / name) as journal:
            async with Client(None, (server.url,), LLMConfig(concurrency=8), journal) as client:
                checks = Checks(("negative", "positive"), min_words=4)
                synthesizer = Synthesizer(
                    load_task(str(recipe)), SynthesisConfig(**settings), 7, 0, client.generate, checks
                )
                return [example async for example in verb(synthesizer)], synthesizer

    return asyncio.run(all_of())


def plain(synthesizer, n):
    """Seed examples without rationales."""
    return synthesizer.examples(n, synthesizer.task.prompts.seed_plain, {})


async def guided(synthesizer, n):
    """Seed examples with rationales."""
    prompts = synthesizer.task.prompts
    rationales = await synthesizer.rationales(prompts.rationales)
    async for example in synthesizer.examples(n, prompts.seed, rationales):
        yield example


def test_algorithm_1(films_llm, tmp_path, recipe):
    examples, synthesizer = made(films_llm, tmp_path, recipe, lambda s: guided(s, 10), rationales_per_label=5)
    rationales = synthesizer.known_rationales
    assert {name: len(found) for name, found in rationales.items()} == {"neg": 5, "pos": 5}
    assert [example.columns["label"] for example in examples] == [0, 1] * 5
    for example in examples:
        assert len(set(example.rationales)) == 3
        assert set(example.rationales) <= set(rationales[("neg", "pos")[example.columns["label"]]])
    prompts = [request.payload["messages"][-1]["content"] for request in films_llm.requests]
    for example in examples:
        assert any(", ".join(example.rationales) in prompt for prompt in prompts)
    assert all(request.payload["temperature"] == 0.9 for request in films_llm.requests)
    assert len({request.payload["seed"] for request in films_llm.requests}) == len(films_llm.requests)


def test_uniform_labels_are_drawn(films_llm, tmp_path, recipe):
    examples, _ = made(films_llm, tmp_path, recipe, lambda s: plain(s, 40), labels="uniform")
    counts = collections.Counter(example.columns["label"] for example in examples)
    assert sorted(counts) == [0, 1]
    assert counts.total() == 40
    assert 12 <= counts[0] <= 28, counts
    assert [example.columns["label"] for example in examples] != [0, 1] * 20


def test_labels_in_the_proportions_of_the_gold_rows(films_llm, tmp_path, recipe, gold_folder):
    rows = datasets.load_dataset(str(gold_folder), split="validation")
    skewed = rows.select([n for n in range(40) if n % 2 == 0 or n % 8 == 1])  # 20 negative, 5 positive
    folder = tmp_path / "skewed" / "data"
    skewed.to_parquet(str(folder / "validation-00000-of-00001.parquet"))
    skewed.to_parquet(str(folder / "test-00000-of-00001.parquet"))
    other = tmp_path / "films.py"
    other.write_text(recipe.read_text().replace(str(gold_folder), str(folder.parent)))
    examples, _ = made(films_llm, tmp_path, other, lambda s: plain(s, 20), labels="gold")
    labels = [example.columns["label"] for example in examples]
    assert [sum(labels[:n]) for n in (5, 10, 20)] == [1, 2, 4]


def test_mistakes_are_extrapolated_by_the_share_of_a_label_that_is_wrong(films_llm, tmp_path, recipe):
    """All 4 of label 1's mistakes are half of its 8 rows, and label 0 has 4 of 32: four times as much is lacking."""
    rows = [{"text": f"the film was number {n} to watch", "label": int(n < 4)} for n in range(8)]
    wrong = tuple(Mistake(f"val-{n}", row, 1 - row["label"]) for n, row in enumerate(rows))

    async def grown(synthesizer, n=10):
        vars(synthesizer.task)["label_counts"] = (32, 8)
        feedback = Feedback(synthesizer.task.mined, synthesizer.task.mined, wrong)
        async for example in STRATEGIES["s3"].grow(synthesizer, feedback, n):
            yield example

    settings = {"labels": "missing", "rationales": False}
    examples, _ = made(films_llm, tmp_path, recipe, grown, **settings)
    labels = [example.columns["label"] for example in examples]
    assert (labels.count(1), labels.count(0)) == (8, 2)
    parents = collections.Counter(example.parent for example in examples if example.columns["label"])
    assert set(parents.values()) == {2}
    again, _ = made(films_llm, tmp_path, recipe, grown, name="again.sqlite", **settings)
    assert [example.row() for example in again] == [example.row() for example in examples]
    every, _ = made(films_llm, tmp_path, recipe, lambda s: grown(s, None), **settings)
    assert len(every) == 8


@pytest.mark.parametrize(("n", "wanted"), [(None, 12), (12, 12), (7, 7), (1, 1)])
def test_no_more_examples_are_asked_for_than_are_wanted(films_llm, tmp_path, recipe, n, wanted):
    """Several for each mistake, the last mistake with fewer."""
    rows = [{"text": f"the film was number {n} to watch", "label": n % 2} for n in range(4)]
    wrong = tuple(Mistake(f"val-{n}", row, 1 - row["label"]) for n, row in enumerate(rows))

    async def grown(synthesizer):
        feedback = Feedback(synthesizer.task.mined, synthesizer.task.mined, wrong)
        async for example in STRATEGIES["s3"].grow(synthesizer, feedback, n):
            yield example

    examples, _ = made(films_llm, tmp_path, recipe, grown, per_error=3, rationales=False)
    assert len(examples) == len(films_llm.requests) == wanted
    counts = collections.Counter(example.parent for example in examples)
    assert sorted(counts.values(), reverse=True) == [*[3] * (wanted // 3), *([1] if wanted % 3 else [])]


def test_algorithm_2_keeps_the_label(films_llm, tmp_path, recipe):
    rows = [{"s3_id": f"val-{n}", "text": f"the film was number {n} to watch", "label": n % 2} for n in range(6)]
    turns = [(row, number) for row in rows for number in range(2)]

    async def twice(synthesizer):
        prompts = synthesizer.task.prompts
        rationales = await synthesizer.rationales(prompts.rationales)
        async for example in synthesizer.extrapolate(turns, "error", prompts.extrapolate, rationales):
            yield example

    examples, _ = made(films_llm, tmp_path, recipe, twice)
    assert [(example.parent, example.columns["label"]) for example in examples] == [
        (row["s3_id"], row["label"]) for row in rows for _ in range(2)
    ]
    sent = [request.payload["messages"][-1]["content"] for request in films_llm.requests]
    assert all(any(row["text"] in content for content in sent) for row in rows)


def test_order_of_arrival_changes_nothing(tmp_path, recipe):
    def reply(payload):
        return film_reply({**payload, "seed": payload["seed"] % 7})  # seven texts: many duplicates

    def jittered(number):
        draw = random.Random(number)

        def verb(synthesizer):
            ask = synthesizer.generate

            async def generate(request):
                completion = await ask(request)
                await asyncio.sleep(number and draw.choice([0, 0.01, 0.1]))
                return completion

            synthesizer.generate = generate
            return plain(synthesizer, 12)

        return verb

    found = []
    with LLMServer(reply=reply) as server:
        for number in range(4):
            examples, synthesizer = made(server, tmp_path, recipe, jittered(number), name=f"{number}.sqlite")
            found.append((examples, synthesizer.tally))
        assert len({str(request.payload) for request in server.requests}) == len(server.requests) / 4
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0][1].rejected["duplicate"] > 0 == found[0][1].waiting
    texts = [example.columns["text"] for example in found[0][0]]
    assert len(set(texts)) == len(texts)


def test_rationales_belong_to_the_label_that_names_them_most(tmp_path, recipe):
    def reply(payload):
        own = "dull plot" if "negative" in payload["messages"][-1]["content"] else "great cast"
        stray = ["great cast", "dull plot"][payload["seed"] % 2]
        return f"1. {own}\n2. {own} indeed\n3. {own} by far\n4. {stray}\n5. a film"

    with LLMServer(reply=reply) as server:
        _, synthesizer = made(server, tmp_path, recipe, lambda s: guided(s, 2))
    assert synthesizer.known_rationales["neg"] == ("dull plot", "dull plot indeed", "dull plot by far")
    assert synthesizer.known_rationales["pos"] == ("great cast", "great cast indeed", "great cast by far")


DULL = ("dull cast", "dull music")


def test_a_phrase_with_a_label_s_word_is_no_rationale(tmp_path, recipe):
    """Whatever its case, and where the word has several parts."""

    def reply(payload):
        own = "dull" if "bad news" in payload["messages"][-1]["content"] else "great"
        return f"1. {own} plot\n2. Bad News of {own} plots\n3. Praise for {own} casts\n4. the {own} cast"

    words = recipe.read_text().replace('"negative"', '"bad news"').replace('"positive"', '"praise"')
    (tmp_path / "recipe.py").write_text(words)
    with LLMServer(reply=reply) as server:
        _, synthesizer = made(
            server, tmp_path, tmp_path / "recipe.py", lambda s: guided(s, 2), rationales_per_example=2
        )
    assert synthesizer.known_rationales == {
        "neg": ("dull plot", "the dull cast"),
        "pos": ("great plot", "the great cast"),
    }


def test_more_lists_are_asked_until_there_are_k_rationales_that_are_not_the_prompts_own(tmp_path, recipe):
    """Each list repeats the prompt's example and adds one phrase."""

    def reply(payload):
        phrase = "".join("abcdefghij"[int(digit)] * 3 for digit in f"{payload['seed'] % 10_000:04}")
        return f"1. wooden acting\n2. {phrase} scenes"

    def with_example(synthesizer):
        prompts = synthesizer.task.prompts
        template = f"1. wooden acting\n2. slow pacing\n\n{prompts.rationales}"
        synthesizer.task = replace(synthesizer.task, prompts=replace(prompts, rationales=template))
        return guided(synthesizer, 2)

    with LLMServer(reply=reply) as server:
        _, synthesizer = made(server, tmp_path, recipe, with_example, rationales_per_label=7)
        lists = sum("acting" in str(request.payload["messages"]) for request in server.requests)
    assert {len(phrases) for phrases in synthesizer.known_rationales.values()} == {7}
    assert lists == 2 * 2 * RATIONALE_LISTS
    assert not any("acting" in phrase for phrases in synthesizer.known_rationales.values() for phrase in phrases)


@pytest.mark.parametrize(("per_example", "kept"), [(2, DULL), (3, ("dull plot", *DULL))])
def test_reasons_of_another_label_are_left_out_where_enough_are_left(tmp_path, recipe, caplog, per_example, kept):
    async def means(label, phrases):
        return [label == 1 or phrase != "dull plot" for phrase in phrases]

    def reply(payload):
        word = "dull" if "negative" in payload["messages"][-1]["content"] else "great"
        return f"1. {word} plot\n2. {word} cast\n3. {word} music"

    def told(synthesizer):
        synthesizer.means = means
        return guided(synthesizer, 2)

    with LLMServer(reply=reply) as server:
        settings = {"rationales_per_example": per_example, "rationales_per_label": 3}
        _, synthesizer = made(server, tmp_path, recipe, told, **settings)
    assert synthesizer.known_rationales == {"neg": kept, "pos": ("great plot", "great cast", "great music")}
    assert ("of 3 rationales for 'negative' are left" in caplog.text) == (kept == DULL)


def test_too_few_rationales_are_told(tmp_path, recipe, caplog):
    def reply(payload):
        own = "dull plot" if "negative" in payload["messages"][-1]["content"] else "great cast"
        return f"1. {own}\n2. {own} indeed\n3. {own} by far"

    with LLMServer(reply=reply) as server:
        made(server, tmp_path, recipe, lambda s: guided(s, 2), rationales_per_label=5)
    assert "3 of 5 rationales for 'negative' are left after 24 lists: prompts draw from these" in caplog.messages


def test_a_rejected_slot_is_asked_again(tmp_path, recipe):
    def reply(payload):
        return "I'm sorry, I cannot." if payload["seed"] % 2 else film_reply(payload)

    with LLMServer(reply=reply) as server:
        examples, synthesizer = made(server, tmp_path, recipe, lambda s: plain(s, 20), attempts=6)
    assert len(examples) == 20
    assert synthesizer.tally.rejected["refusal"] > 0
    assert synthesizer.tally.usage.requests == len(server.requests) == 20 + synthesizer.tally.rejected.total()


def test_a_request_that_the_endpoint_refuses_costs_its_slot_only(tmp_path, recipe):
    def refused(payload, attempt):
        return Fault(400, {}, "too long") if payload["seed"] % 4 == 0 else None

    with LLMServer(reply=film_reply, fault_for=refused) as server:
        examples, synthesizer = made(server, tmp_path, recipe, lambda s: plain(s, 20))
    assert len(examples) == 20
    assert synthesizer.tally.rejected["refused by the endpoint"] == synthesizer.tally.given_up > 0


@pytest.mark.parametrize("status", [401, 402])
def test_what_is_under_way_when_the_endpoint_refuses_is_awaited_and_kept(tmp_path, recipe, status):
    faults = [Fault(status, {}, "no"), *[None] * 100]
    with LLMServer(delay=0.3, reply=film_reply, faults=faults) as server:
        with pytest.raises(EndpointError, match=f"HTTP {status}"):
            made(server, tmp_path, recipe, lambda s: plain(s, 40))
        assert len(server.requests) == 8  # no new one after the refusal
        with Journal(tmp_path / "journal.sqlite") as journal:
            assert journal.usage().requests == 7
        examples, _ = made(server, tmp_path, recipe, lambda s: plain(s, 40))
        asked = collections.Counter(request.payload["seed"] for request in server.requests)
    assert len(examples) == 40
    assert sorted(asked.values())[-2:] == [1, 2]


def test_a_refused_list_of_rationales_costs_nothing_else(tmp_path, recipe):
    def refused(payload, attempt):
        return Fault(400, {}, "filtered") if payload["seed"] == first[0] else None

    with LLMServer(reply=film_reply) as server:
        made(server, tmp_path, recipe, lambda s: guided(s, 4), name="other.sqlite")
        first = [server.requests[0].payload["seed"]]
    with LLMServer(reply=film_reply, fault_for=refused) as server:
        examples, synthesizer = made(server, tmp_path, recipe, lambda s: guided(s, 4))
    assert len(examples) == 4
    assert synthesizer.tally.rejected == {"refused by the endpoint": 1}


def test_slots_given_up_are_replaced(tmp_path, recipe):
    def reply(payload):
        return "No." if payload["seed"] % 2 else film_reply(payload)

    with LLMServer(reply=reply) as server:
        examples, synthesizer = made(server, tmp_path, recipe, lambda s: plain(s, 20), attempts=1)
    assert 15 < len(examples) <= 20
    assert synthesizer.tally.given_up > 0


def test_an_llm_that_only_refuses_is_told_early(tmp_path, recipe):
    with LLMServer(reply=lambda _: "I'm sorry, I cannot.") as server:
        with pytest.raises(SynthesisError, match="refusal"):
            made(server, tmp_path, recipe, lambda s: plain(s, 5_000), attempts=1)
        assert len(server.requests) < 2_500
        with pytest.raises(SynthesisError, match="numbered list"):
            made(server, tmp_path, recipe, lambda s: guided(s, 10), name="other.sqlite")


def test_more_slots_than_the_window(films_llm, tmp_path, recipe):
    def narrow(synthesizer):
        synthesizer.window = 4
        return plain(synthesizer, 15)

    examples, _ = made(films_llm, tmp_path, recipe, narrow)
    assert [example.id for example in examples] == [f"s3-r0/seed/{number:05d}" for number in range(15)]


def test_a_slot_that_is_answered_late_holds_up_no_other(films_llm, tmp_path, recipe):
    at_release = []

    def late(synthesizer):
        ask, others = synthesizer.generate, []

        async def generate(request):
            completion = await ask(request)
            if request.slot == "r0/seed/00000":
                for _ in range(3_000):
                    if synthesizer.tally.waiting == 39:  # an answer is counted a little after it came
                        break
                    await asyncio.sleep(0.01)
                at_release.extend([len(others), synthesizer.tally.waiting])
            others.append(request.slot)
            return completion

        synthesizer.generate, synthesizer.window = generate, 4
        return plain(synthesizer, 40)

    examples, _ = made(films_llm, tmp_path, recipe, late)
    assert at_release == [39, 39]
    assert [example.id for example in examples] == [f"s3-r0/seed/{number:05d}" for number in range(40)]


def test_no_more_slots_are_begun_than_may_wait(films_llm, tmp_path, recipe):
    """The first slot is held until nothing more is asked: texts wait for it, but not without bound."""
    at_release = []

    def late(synthesizer):
        ask = synthesizer.generate

        async def generate(request):
            completion = await ask(request)
            if request.slot == "r0/seed/00000":
                while synthesizer.tally.waiting < AHEAD * 2 - 1:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                at_release.append(synthesizer.tally.waiting)
            return completion

        synthesizer.generate, synthesizer.window = generate, 2
        return plain(synthesizer, AHEAD * 2 + 10)

    examples, _ = made(films_llm, tmp_path, recipe, late)
    assert at_release == [AHEAD * 2 - 1]
    assert len(examples) == AHEAD * 2 + 10


def test_system_prompt_is_sent_first(films_llm, tmp_path, recipe):
    def with_system(synthesizer):
        prompts = replace(synthesizer.task.prompts, system="You review films.")
        synthesizer.task = replace(synthesizer.task, prompts=prompts)
        return plain(synthesizer, 2)

    made(films_llm, tmp_path, recipe, with_system)
    assert films_llm.requests[0].payload["messages"][0] == {"role": "system", "content": "You review films."}
