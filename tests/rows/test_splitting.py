"""Two parts that look alike and share nothing."""

import random
from collections import Counter

import datasets
import pytest

from s3_hf.errors import TaskError
from s3_hf.rows.splitting import divide
from s3_hf.texts import normalise


def table(**columns):
    return datasets.Dataset.from_dict(columns)


def labelled(*counts):
    labels = [number for number, count in enumerate(counts) for _ in range(count)]
    return table(text=[f"text number {row}" for row in range(len(labels))], label=labels)


def both(rows, share=0.5, label="label", group=None, seed=0, text="text"):
    rest, part = divide(rows, share, label=label, group=group, seed=seed, text=text)
    return rest, part, Counter(rest[label]) if label else None, Counter(part[label]) if label else None


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("counts", [(200, 200), (900, 90, 10), tuple(range(2, 42, 2)), (1000, 2), (3,) * 20])
def test_labels_are_on_both_sides_in_proportion(counts, share):
    rows = labelled(*counts)
    rest, part, left, right = both(rows, share)
    assert sorted(rest["text"][:] + part["text"][:]) == sorted(rows["text"])
    for label, count in enumerate(counts):
        assert left[label] + right[label] == count
        wanted = min(max(share * count, 1), count - 1)
        assert abs(right[label] - wanted) <= 1.5
        assert left[label]
        assert right[label]


def test_a_single_row_of_a_label_is_in_the_rest():
    for seed in range(5):
        _, _, left, right = both(labelled(20, 1), seed=seed)
        assert (left[1], right[1]) == (1, 0)


def test_the_seed_decides_and_rows_keep_their_order():
    rows = labelled(50, 50)
    parts = [both(rows, seed=seed)[1]["text"][:] for seed in (3, 3, 4)]
    assert parts[0] == parts[1] != parts[2]
    numbers = [int(text.split()[-1]) for text in parts[0]]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("seed", range(8))
def test_no_context_and_no_text_is_on_both_sides(seed):
    draw = random.Random(seed)
    size = draw.choice([40, 400])
    contexts = [f"Context {int(draw.paretovariate(1)) + draw.randrange(size // 4)}" for _ in range(size)]
    rows = table(
        context=[draw.choice([context, context.upper() + "!"]) for context in contexts],
        text=[f"question {draw.randrange(10 * size)}?" for _ in range(size)],
        label=[draw.choice("aaaaaab") for _ in range(size)],
    )
    rest, part, left, right = both(rows, group="context", seed=seed)
    for column in ("context", "text"):
        assert not {normalise(value) for value in rest[column]} & {normalise(value) for value in part[column]}
    assert abs(len(part) - size / 2) <= 0.1 * size
    assert left["b"]
    assert right["b"]


def test_equal_texts_stay_together_without_a_context():
    rows = table(text=["Good.", "good", "GOOD!", "bad", "worse", "!!!", "???"], label=[1, 1, 1, 0, 0, 0, 1])
    rest, part, *_ = both(rows)
    assert (
        len({side for side, texts in enumerate((rest["text"], part["text"])) for t in texts if "ood" in t.lower()}) < 2
    )


def test_statements_shared_by_all_contexts_do_not_hinder():
    """As where each text is judged against the same few hypotheses."""
    pairs = [(f"context {row}", text) for row in range(20) for text in ("it is about sports", "it is about art")]
    rows = table(context=[context for context, _ in pairs], text=[text for _, text in pairs])
    rest, part, *_ = both(rows, label=None, group="context")
    assert (len(rest), len(part)) == (20, 20)
    assert not set(rest["context"]) & set(part["context"])


def test_a_label_of_two_large_groups_is_on_both_sides():
    contexts = ["a"] * 30 + ["b"] * 30 + [f"c{row}" for row in range(100)]
    labels = (["rare"] + ["common"] * 29) * 2 + ["common"] * 100
    rows = table(context=contexts, text=[f"text {row}" for row in range(160)], label=labels)
    for share in (0.1, 0.5, 0.9):
        _, _, left, right = both(rows, share, group="context")
        assert (left["rare"], right["rare"]) == (1, 1)


@pytest.mark.parametrize("texts", [[], ["one"], ["one", "One!", "ONE"]])
def test_what_cannot_be_divided(texts):
    with pytest.raises(TaskError, match="at least two different"):
        both(table(text=texts, label=[0] * len(texts)))
