"""The best of several texts for a slot."""

import asyncio

import numpy as np
import pytest

from s3_hf.records import Judgement
from s3_hf.synthesis.choosing import DIGITS, Candidate, Chooser
from s3_hf.synthesis.plan import Plan


def vectors(number, dimension):
    draw = np.random.default_rng(number).standard_normal((number, dimension)).astype(np.float32)
    return dict(zip(map(str, range(number)), draw / np.linalg.norm(draw, axis=1, keepdims=True), strict=True))


def best_of(known, plans, several, judge=None):
    """Return the text chosen for each plan, from texts that are numbered on, and the texts that were embedded."""
    embedded = []

    async def embed(text):
        embedded.append(text)
        return known[text]

    async def all_of():
        chooser, texts, chosen = Chooser(judge, embed, several), iter(known), []
        for plan in plans:
            written = [Candidate(next(texts), 0, (), "m") for _ in range(several)]
            judged = [await chooser.judged(plan, each, {"text": each.text}, plan.slot) for each in written]
            chosen.append(chooser.best(plan, await chooser.compared(plan, judged)).text)
        return chosen

    return asyncio.run(all_of()), embedded


@pytest.mark.parametrize("dimension", [3, 384])
@pytest.mark.parametrize("judged", [True, False])
def test_a_seed_row_is_the_likeliest_and_the_farthest_from_all_before(dimension, judged):
    """By one product with a matrix, which is doubled three times here, as by a product with each row."""
    known, several = vectors(1_200, dimension), 4
    p = {text: number % 7 / 7 for number, text in enumerate(known)} if judged else dict.fromkeys(known, 0.0)

    async def judge(columns, slot, parent, shown):
        return Judgement(p[columns["text"]], 0)

    plans = [Plan(f"r0/seed/{number:05d}", "seed", 0) for number in range(300)]
    chosen, _ = best_of(known, plans, several, judge if judged else None)
    texts, before = list(known), []
    for number, text in enumerate(chosen):
        values = {
            each: round(p[each] - max((float(known[each] @ other) for other in before), default=0.0), DIGITS)
            for each in texts[number * several : (number + 1) * several]
        }
        assert text == max(values, key=values.get)
        before.append(known[text])


def test_an_extrapolated_row_is_the_closest_to_its_gold_row_which_is_embedded_once():
    known, several = vectors(60, 16), 5
    sources = {f"gold {number}": each for number, each in enumerate(vectors(10, 16).values())}
    plans = [Plan(f"r1/error/{number}/0", "error", 0, source=source) for number, source in enumerate(sources)]
    chosen, embedded = best_of(known | sources, plans, several)
    texts = list(known)
    for number, (text, gold) in enumerate(zip(chosen, sources.values(), strict=True)):
        slot = texts[number * several : (number + 1) * several]
        assert text == max(slot, key=lambda each: round(float(known[each] @ gold), DIGITS))
    assert len(embedded) == len(set(embedded)) == 10 * several + 10
