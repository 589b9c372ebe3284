import datasets
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from s3_hf.errors import ConfigError
from s3_hf.judging import row_scores
from s3_hf.records import Columns, Prediction
from s3_hf.scoring import check_metric, exact_match, mistakes, row_values, score, word_f1

LABELS = Columns("text", label="label")
ANSWERS = Columns("question", context="context", answers="answers")


def gold_answers(*texts):
    return {"text": list(texts), "answer_start": [0] * len(texts)}


@pytest.mark.parametrize(
    ("said", "true"),
    [([0, 1, 1, 0], [0, 1, 0, 0]), ([2, 2, 2, 2, 2], [0, 1, 2, 3, 2]), ([1, 1], [1, 1]), ([0, 0, 0], [1, 1, 1])],
)
def test_scores_equal_scikit_learns(said, true):
    scores = score(LABELS, said, true)
    assert scores.n == len(true)
    assert scores.metrics["accuracy"] == pytest.approx(accuracy_score(true, said))
    assert scores.metrics["macro_f1"] == pytest.approx(f1_score(true, said, average="macro", zero_division=0))


def test_a_decision_by_balanced_accuracy_counts_rare_labels_more():
    rows, often = [{"label": label} for label in (0, 0, 0, 1)], lambda rows: [(0.9, 0.1)] * len(rows)
    assert row_scores(rows, often, "label", "accuracy") == [1, 1, 1, 0]
    assert row_scores(rows, often, "label", "balanced_accuracy") == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0])


def test_the_values_of_rows_have_the_metric_as_their_mean():
    said, true = [0, 1, 1, 0, 0], [0, 1, 0, 0, 0]
    assert row_values("accuracy", said, true).mean() == pytest.approx(accuracy_score(true, said))
    recall = recall_score(true, said, average="macro")
    assert row_values("balanced_accuracy", said, true).mean() == pytest.approx(recall)
    assert row_values("balanced_accuracy", said, true) == pytest.approx([0.625, 2.5, 0, 0.625, 0.625])


@pytest.mark.parametrize(
    ("said", "true", "percent"),
    [
        (["1976"], ["1976"], 100.0),
        (["1999"], ["1976"], 0.0),
        (
            ["1976", "Beyonce", "climate change"],
            ["1976", "Beyoncé and Bruno Mars", "climate change"],
            66.66666666666667,
        ),
    ],
)
def test_cases_that_evaluate_publishes_for_squad(said, true, percent):
    scores = score(ANSWERS, said, [gold_answers(answer) for answer in true])
    assert list(scores.metrics) == ["f1", "exact_match"]
    assert {name: 100 * value for name, value in scores.metrics.items()} == pytest.approx(
        {"f1": percent, "exact_match": percent}, abs=1e-12
    )
    assert scores.n == len(said)


@pytest.mark.parametrize(
    ("said", "answers", "exact", "f1"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], True, 1.0),
        ("in Paris, France", ["Paris"], False, 0.5),  # 1 of 3 words, 1 of 1
        ("Paris", ["London", "the city of Paris", "Paris, France"], False, 2 / 3),  # the best of 0, 1/2 and 2/3
        ("black black cat", ["black cat cat"], False, 2 / 3),  # a word counts as often as both have it
        ("  a\tcat\nand  an owl ", ["cat and owl"], True, 1.0),
        ("a-an-the", ["aanthe"], True, 1.0),  # punctuation goes before articles
        ("U.S.A.", ["usa"], True, 1.0),
        ("Théa", ["thea"], False, 0.0),  # no article within a word, no accent taken off
        ("«the cat»", ["« cat»"], True, 1.0),  # only punctuation of ASCII goes
        ("“cat”", ["cat"], False, 0.0),
        ("İstanbul", ["i̇stanbul"], True, 1.0),
        ("straße", ["STRASSE"], False, 0.0),
        ("人工 知能", ["知能"], False, 2 / 3),
        ("10\u00a0km", ["10 km"], True, 1.0),
        ("👍🏽", ["👍🏽"], True, 1.0),
        ("", [""], True, 0.0),  # the official script gives no F1 without a shared word
        ("", ["Paris"], False, 0.0),
        ("the", ["a"], True, 0.0),
        ("?!", ["", "Paris"], True, 0.0),
    ],
)
def test_answers_scored_by_hand(said, answers, exact, f1):
    assert exact_match(said, answers) is exact
    assert word_f1(said, answers) == pytest.approx(f1)
    scores = score(ANSWERS, [said], [gold_answers(*answers)])
    assert scores.metrics == {"exact_match": exact, "f1": pytest.approx(f1)}


def test_mistakes_are_the_rows_that_differ():
    gold = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [2, 1, 0], "s3_id": ["v-0", "v-1", "v-2"]})
    said = [Prediction(f"v-{number}", value, ()) for number, value in enumerate([0, 1, 2])]
    found = mistakes(gold, said, LABELS)
    assert [(one.id, one.row, one.predicted) for one in found] == [
        ("v-0", {"text": "a", "label": 2}, 0),
        ("v-2", {"text": "c", "label": 0}, 2),
    ]


@pytest.mark.parametrize(("least_f1", "wrong"), [(None, ["v-1", "v-2"]), (0.5, ["v-2"]), (1.0, ["v-1", "v-2"])])
def test_an_answer_is_a_mistake_without_an_exact_match_or_enough_f1(least_f1, wrong):
    gold = datasets.Dataset.from_dict(
        {
            "question": ["What?"] * 4,
            "context": ["The big cat."] * 4,
            "answers": [gold_answers("big cat", "The big cat")] * 3 + [gold_answers("The")],
            "s3_id": [f"v-{number}" for number in range(4)],
        }
    )
    said = [Prediction(f"v-{number}", text, (1.0,)) for number, text in enumerate(["The big cat.", "cat", "dog", "a"])]
    found = mistakes(gold, said, ANSWERS, least_f1)
    assert [one.id for one in found] == wrong
    assert found[0].row["answers"] == gold_answers("big cat", "The big cat")
    assert found[-1].predicted == "dog"


@pytest.mark.parametrize(
    ("name", "columns", "sentence"),
    [
        ("macrof1", LABELS, "did you mean 'macro_f1'"),
        ("exact", ANSWERS, "did you mean 'exact_match'"),
        ("accuracy", ANSWERS, "no metric 'accuracy'; known are f1, exact_match"),
    ],
)
def test_unknown_metric(name, columns, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check_metric(name, columns)
    check_metric(columns.metrics[0], columns)
