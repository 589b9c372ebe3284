import datasets
import pytest
from sklearn.metrics import accuracy_score, f1_score

from s3_hf.errors import ConfigError
from s3_hf.records import Prediction
from s3_hf.scoring import check_metric, mistakes, score


@pytest.mark.parametrize(
    ("said", "true"),
    [([0, 1, 1, 0], [0, 1, 0, 0]), ([2, 2, 2, 2, 2], [0, 1, 2, 3, 2]), ([1, 1], [1, 1]), ([0, 0, 0], [1, 1, 1])],
)
def test_scores_equal_scikit_learns(said, true):
    scores = score(said, true)
    assert scores.n == len(true)
    assert scores.metrics["accuracy"] == pytest.approx(accuracy_score(true, said))
    assert scores.metrics["macro_f1"] == pytest.approx(f1_score(true, said, average="macro", zero_division=0))


def test_mistakes_are_the_rows_that_differ():
    gold = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [2, 1, 0], "s3_id": ["v-0", "v-1", "v-2"]})
    said = [Prediction(f"v-{number}", value, ()) for number, value in enumerate([0, 1, 2])]
    found = mistakes(gold, said, "label")
    assert [(one.id, one.row, one.predicted) for one in found] == [
        ("v-0", {"text": "a", "label": 2}, 0),
        ("v-2", {"text": "c", "label": 0}, 2),
    ]


def test_unknown_metric():
    with pytest.raises(ConfigError, match="did you mean 'macro_f1'"):
        check_metric("macrof1")
