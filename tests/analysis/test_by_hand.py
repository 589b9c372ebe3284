"""Every figure of `analysis` against a case computed by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from s3_hf.analysis import diversity
from s3_hf.analysis.cost import paper_costs, training_flops
from s3_hf.analysis.quality import quality_of_pairs
from s3_hf.analysis.rounds import confusion_table, moves_table, round_sentences
from s3_hf.analysis.rows import likeness, mistakes_table
from s3_hf.cards.shared import interval


def predictions(*lines):
    names = ["round", "role", "id", "label", "value", "right", "probability"]
    return pd.DataFrame([(*line[:5], line[3] == line[4], 0.8) for line in lines], columns=names)


PREDICTED = predictions(
    (0, "mined", "a", "x", "y"),
    (0, "mined", "b", "y", "y"),
    (0, "mined", "c", "y", "x"),
    (1, "mined", "a", "x", "x"),
    (1, "mined", "b", "y", "x"),
    (1, "mined", "c", "y", "x"),
    (0, "test", "a", "x", "x"),
    (0, "test", "b", "x", "y"),
    (0, "test", "c", "x", "x"),
    (0, "test", "d", "y", "y"),
)


def test_the_papers_own_costs_come_out():
    costs = paper_costs().set_index("arm")
    assert costs.loc["S3 (paper)", "flops_per_row"] == pytest.approx(2.03e11, rel=2e-3)
    assert costs.loc["ZeroGen (paper)", "flops"] == pytest.approx(4.06e17, rel=2e-3)
    assert costs.loc["S3 (paper)", "flops"] == pytest.approx(3.11e17, rel=2e-3)
    assert training_flops(10, 7) == 420


def test_an_interval_is_wilsons():
    assert interval(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert interval(0.3, 0) == (0, 1)


def test_confusion_is_a_share_of_the_gold_label():
    found = confusion_table(PREDICTED).set_index(["round", "label", "value"])
    assert found["rows"].to_dict() == {(0, "x", "x"): 2, (0, "x", "y"): 1, (0, "y", "y"): 1}
    assert found["share"].to_dict() == pytest.approx({(0, "x", "x"): 2 / 3, (0, "x", "y"): 1 / 3, (0, "y", "y"): 1})


def test_what_moved_between_rounds():
    found = moves_table(PREDICTED)
    assert found.to_dict("records") == [
        {"round": 1, "role": "mined", "id": "a", "label": "x", "move": "fixed"},
        {"round": 1, "role": "mined", "id": "b", "label": "y", "move": "broken"},
    ]


def test_each_round_has_a_sentence():
    """Of 100 test rows 60 are right at first; then 20 are fixed and 8 broken; then one is broken."""

    def tested(number, right):
        return [(number, "test", f"t{place}", "x", "x" if right(place) else "y") for place in range(100)]

    scored = predictions(
        *tested(0, lambda place: place < 60),
        *tested(1, lambda place: 8 <= place < 80),
        *tested(2, lambda place: 9 <= place < 80),
    )
    rounds = pd.DataFrame({"round": [0, 1, 2, 3], "added": [400, 1100, 90, 5], "mistakes": [1234, 20, 19, None]})
    first, second, third = round_sentences(rounds, scored)
    assert first == "Round 0: 400 rows; its student is right on 60.0 % of 100 test rows."
    assert second == (
        "Round 1: 1,100 rows after 1,234 mistakes on mined gold rows. Of 100 test rows its student fixes 20 and "
        "breaks 8: +12.0 points (+1.9 to +22.1), better."
    )
    assert third == (
        "Round 2: 90 rows after 20 mistakes on mined gold rows. Of 100 test rows its student fixes 0 and "
        "breaks 1: -1.0 points (-3.0 to +1.0), no difference that can be measured."
    )
    assert round_sentences(rounds, predictions()) == []


@pytest.mark.parametrize(("fixed", "broken", "told"), [(4, 0, False), (5, 0, False), (6, 0, True), (7, 1, False)])
def test_few_moves_are_told_by_an_exact_test(fixed, broken, told):
    """Two-sided p-values: 0.125, 0.0625, 0.03125 and 0.0703."""
    scored = predictions(
        *[(0, "test", f"t{place}", "x", "y" if place < fixed else "x") for place in range(100)],
        *[(1, "test", f"t{place}", "x", "y" if place >= 100 - broken else "x") for place in range(100)],
    )
    sentence = round_sentences(pd.DataFrame({"round": [0, 1], "added": [9, 9], "mistakes": [9, 9]}), scored)[1]
    assert f"fixes {fixed} and breaks {broken}: " in sentence
    assert sentence.endswith(", better." if told else ", no difference that can be measured.")


def test_a_mistake_stands_beside_what_was_written_for_it():
    rows = pd.DataFrame(
        [
            {"id": "s0", "round": 0, "origin": "seed", "parent": "", "text": "seed", "p": math.nan},
            {"id": "s1", "round": 1, "origin": "error", "parent": "a", "text": "A dull film", "p": 0.25},
            {"id": "s2", "round": 2, "origin": "error", "parent": "a", "text": "of a later round", "p": math.nan},
        ]
    )
    gold = pd.DataFrame([{"role": "mined", "id": "a", "text": "a dull film!", "context": ""}])
    found = mistakes_table(PREDICTED, rows, gold)
    assert list(zip(found["round"], found["id"], found["fixed"], strict=True)) == [
        (0, "a", True),
        (0, "c", False),
        (1, "b", None),
        (1, "c", None),
    ]
    (written,) = found["written"][0]
    assert written == {"id": "s1", "text": "A dull film", "likeness": 100.0, "p": 0.25}
    assert [len(each) for each in found["written"]] == [1, 0, 0, 0]
    assert (found["text"][0], found["text"][1]) == ("a dull film!", "")


def test_likeness_is_of_normalised_texts():
    assert likeness("One, two!", "one two") == 100
    assert likeness("abcd", "abxy") == 50


def test_table_6_of_two_pairs(tiny_student):
    pairs = pd.DataFrame(
        {"mistake": ["the film was", "the film was great"], "added": ["the film great to watch", "the film was great"]}
    )
    found = quality_of_pairs(pairs, str(tiny_student))
    cosine = found.pop("cosine")
    # with the two special tokens: 5 and 6 against 7 and 6; "was" becomes "great to watch" in 3 edits
    assert found == {"pairs": 2, "edit_distance": 1.5, "mistake_tokens": 5.5, "added_tokens": 6.5}
    assert cosine < quality_of_pairs(pairs.tail(1), str(tiny_student))["cosine"] == pytest.approx(1, abs=1e-5)
    assert quality_of_pairs(pairs.head(0), str(tiny_student)) == {"pairs": 0}


def test_coverage_counts_gold_points_within_a_radius():
    places = {"gold": [(0, 0), (2, 0), (0, 2), (2, 2)], "s3": [(0, 0.1), (2, 0.3)]}
    points = pd.DataFrame(
        [(name, *place) for name, each in places.items() for place in each], columns=["dataset", "x", "y"]
    )
    found = diversity.coverage(points).set_index(["dataset", "radius"])["covered"]
    # the root mean square distance of the gold points from their centre is the square root of 2
    assert {radius: found["s3", radius] for radius in diversity.RADII} == {0.02: 0, 0.05: 0, 0.1: 0.25, 0.2: 0.25}
    assert found["gold, other half", 0.2] == 0


def test_near_duplicates_are_pairs_above_the_cosine():
    found = np.array([[1, 0], [0.999, 0.0447], [0, 1]], dtype=np.float32)
    assert diversity.near_duplicates(found) == pytest.approx(2 / 3)
    assert diversity.near_duplicates(found[:1]) == 0


def test_words_of_texts():
    found = diversity.words_of(["a b a b", "c d"])
    assert (found["texts"], found["words"]) == (2, 3)
    assert found["distinct_1"] == pytest.approx(4 / 6)
    assert found["distinct_2"] == pytest.approx(3 / 4)
    assert diversity.words_of([])["distinct_1"] == 0


def test_self_bleu_is_1_for_equal_texts_and_low_for_different_ones():
    same = ["one", "two", "three", "four", "five"]
    assert diversity.self_bleu([same, same]) == pytest.approx(1)
    other = ["six", "seven", "eight", "nine", "ten"]
    # no n-gram in common: half a match of 5, 4, 3 and 2 n-grams
    assert diversity.self_bleu([same, other]) == pytest.approx((0.5**4 / (5 * 4 * 3 * 2)) ** 0.25)
    longer = [*same, "six"]
    # 5/6, 4/5, 3/4, 2/3 of the longer one; the shorter one has all n-grams and a brevity penalty
    expected = ((5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25 + math.exp(1 - 6 / 5)) / 2
    assert diversity.self_bleu([same, longer]) == pytest.approx(expected)
    assert diversity.self_bleu([["short"]]) == 0
