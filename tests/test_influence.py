import math

import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from benchmarks.influence import CONVERGED, Logistic, leave_one_out, toy
from s3_hf.errors import StudentError
from s3_hf.influence import (
    LastLayer,
    Recursion,
    TensorRows,
    full_influence,
    helpful_rows,
    last_layer_influence,
    reverse_cross_entropy,
    scored_rows,
)
from tests.conftest import film_rows


def students_view(tokenizer, rows, wrong=frozenset()):
    labels = [1 - label if place in wrong else label for place, label in enumerate(rows["label"])]
    return TensorRows(dict(tokenizer(rows["text"], padding=True, return_tensors="pt")), torch.tensor(labels))


def trained(folder, labels, batches):
    """The tiny transformer, fitted to some batches, in training mode as a Trainer leaves it."""
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for batch in batches:
        loss = torch.nn.functional.cross_entropy(model(**batch.inputs).logits, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@pytest.fixture(scope="module")
def films(tiny_student):
    """The tiny transformer trained on film rows of which every eighth is wrong: model, rows, validation rows."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_student)
    train = students_view(tokenizer, film_rows(96, 1), wrong=set(range(0, 96, 8)))
    validation = students_view(tokenizer, film_rows(48, 2))
    batches = train.random_batches(16, torch.device("cpu"), 0)
    return trained(tiny_student, 2, [next(batches) for _ in range(18)]), train, validation


def test_reverse_cross_entropy_of_two_classes_by_hand():
    """Targets softmax((1, 0)) = (0.7311, 0.2689); softmax((0, log 3)) = (0.25, 0.75)."""
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])
    by_hand = [
        -(0.25 * math.log(0.7310586) + 0.75 * math.log(0.2689414)),
        -(0.25 * math.log(0.2689414) + 0.75 * math.log(0.7310586)),
    ]
    assert reverse_cross_entropy(logits, torch.tensor([0, 1])).tolist() == pytest.approx(by_hand, abs=1e-6)


def test_reverse_cross_entropy_of_three_classes_by_hand():
    """Targets softmax((1, 0, 0)) = (0.5761, 0.2119, 0.2119); softmax((0, log 2, log 5)) = (1, 2, 5) / 8."""
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]] * 3)
    high, low = math.log(0.5761169), math.log(0.2119416)
    by_hand = [
        -(0.125 * high + 0.25 * low + 0.625 * low),
        -(0.125 * low + 0.25 * high + 0.625 * low),
        -(0.125 * low + 0.25 * low + 0.625 * high),
    ]
    assert reverse_cross_entropy(logits, torch.tensor([0, 1, 2])).tolist() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("labels", [2, 3])
def test_both_forms_tell_what_leaving_each_row_out_does(labels):
    train, validation = toy(labels)
    model, truth = leave_one_out(train, validation, labels)
    full = full_influence(model, train, validation, CONVERGED)
    last = last_layer_influence(model, train, validation, LastLayer(damping=1e-6))
    for scores in (full, last):
        assert pearsonr(scores, truth).statistic > 0.98
        assert spearmanr(scores, truth).statistic > 0.98
        assert scores.abs().sum() == pytest.approx(sum(map(abs, truth)), rel=0.2)  # the same units, too
    assert torch.allclose(full, last, atol=1e-3)  # a model that is all head has one answer


def test_last_layer_ranks_a_transformers_rows_as_all_parameters_do(films):
    model, train, validation = films
    last = last_layer_influence(model, train, validation)
    full = full_influence(model, train, validation, Recursion(batches=300, dropout=False))
    assert spearmanr(last, full).statistic > 0.6
    worst = last.argsort(descending=True)[:24]
    assert sum(int(place) % 8 == 0 for place in worst) >= 8  # of the 12 wrong rows


def test_scores_are_the_gradients_of_a_plain_backward_pass(films):
    """Without curvature (a huge damping) a score is the product of two gradients, here taken row by row."""
    model, train, validation = films
    how = Recursion(damping=1, scale=1e6, batches=1, dropout=False)
    found = full_influence(model, train, validation, how)

    def gradient(losses):
        model.zero_grad()
        decayed = [part for name, part in model.named_parameters() if "bias" not in name and "LayerNorm" not in name]
        (losses.mean() + 0.005 * sum(part.square().sum() for part in decayed)).backward()
        return torch.cat([part.grad.flatten() for part in model.parameters()])

    model.eval()
    goal = gradient(reverse_cross_entropy(model(**validation.inputs).logits, validation.labels))
    for place in (0, 1, 50):
        row = train.select(torch.tensor([place]), torch.device("cpu"))
        slope = gradient(torch.nn.functional.cross_entropy(model(**row.inputs).logits, row.labels))
        assert float(found[place]) * how.scale == pytest.approx(-float(goal @ slope), rel=1e-3)
    model.zero_grad()
    model.train()


def test_same_settings_give_the_same_scores_and_leave_the_model_as_it_was(films):
    model, train, validation = films
    before = {name: part.clone() for name, part in model.state_dict().items()}
    how = Recursion(batches=20)
    torch.manual_seed(7)
    state = torch.get_rng_state()
    scores = full_influence(model, train, validation, how)
    torch.manual_seed(8)
    assert torch.equal(full_influence(model, train, validation, how), scores)
    assert not torch.equal(full_influence(model, train, validation, Recursion(batches=20, seed=1)), scores)
    assert torch.equal(last_layer_influence(model, train, validation), last_layer_influence(model, train, validation))
    torch.manual_seed(7)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())
    assert all(part.grad is None for part in model.parameters())


def test_three_classes_end_to_end(tiny_student):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_student)
    words = ("boring", "great", "honest")

    def rows(n, wrong=()):
        truth = [place % 3 for place in range(n)]
        texts = [f"the film was {words[label]} to watch" for label in truth]
        said = [(label + 1) % 3 if place in wrong else label for place, label in enumerate(truth)]
        return TensorRows(dict(tokenizer(texts, padding=True, return_tensors="pt")), torch.tensor(said))

    train, validation = rows(60, wrong={3, 22, 41}), rows(30)
    batches = train.random_batches(12, torch.device("cpu"), 0)
    model = trained(tiny_student, 3, [next(batches) for _ in range(90)])
    ids = [f"r0-{place:02d}" for place in range(60)]
    for scores in (
        last_layer_influence(model, train, validation),
        full_influence(model, train, validation, Recursion(batches=50, dropout=False)),
    ):
        assert {3, 22, 41} == set(scores.topk(3).indices.tolist())
        pool = helpful_rows(scores.tolist(), train.labels.tolist(), ids, pool=5)
        assert list(pool) == [0, 1, 2]
        assert all(0 < len(kept) <= 5 and not set(kept) & {"r0-03", "r0-22", "r0-41"} for kept in pool.values())
        assert all(int(name[3:]) % 3 == label for label, kept in pool.items() for name in kept)


def test_pool_is_the_most_helpful_rows_of_each_class():
    scores = [-3.0, -1.0, -2.0, 0.0, -2.0, 5.0, -9.0]
    labels = [0, 0, 0, 0, 0, 1, 2]
    ids = ["a", "b", "d", "e", "c", "f", "g"]
    assert helpful_rows(scores, labels, ids, pool=3) == {0: ("a", "c", "d"), 1: (), 2: ("g",)}
    assert helpful_rows(scores[::-1], labels[::-1], ids[::-1], pool=50) == {0: ("a", "c", "d", "b"), 1: (), 2: ("g",)}


def test_a_random_subset_is_scored_where_there_are_many_rows():
    assert scored_rows(10_000, 10_000) == list(range(10_000))
    chosen = scored_rows(25_000, 10_000, seed=3)
    assert len(set(chosen)) == 10_000
    assert chosen == sorted(chosen)
    assert max(chosen) < 25_000
    assert chosen == scored_rows(25_000, 10_000, seed=3)
    assert chosen != scored_rows(25_000, 10_000, seed=4)
    assert len(scored_rows(30, largest=7)) == 7


def test_a_diverging_recursion_is_refused():
    train, validation = toy(2)
    with pytest.raises(StudentError, match=r"found that it diverged after \d+ of 500 batches at scale=0.01"):
        full_influence(Logistic(6, 2), train, validation, Recursion(scale=0.01, batches=500))


def test_a_broken_model_is_refused():
    train, validation = toy(2)
    model = Logistic(6, 2)
    torch.nn.init.constant_(model.classifier.weight, math.nan)
    with pytest.raises(StudentError, match="must be finite"):
        last_layer_influence(model, train, validation)
    with pytest.raises(StudentError, match="diverged after 1 of"):
        full_influence(model, train, validation)


def test_a_model_that_does_not_end_in_a_linear_layer_is_refused():
    class Scaled(Logistic):
        def forward(self, points):
            answer = super().forward(points)
            answer.logits = 3 * answer.logits
            return answer

    train, validation = toy(2)
    with pytest.raises(StudentError, match="must end in a linear layer that gives its logits, found 'Scaled'"):
        last_layer_influence(Scaled(6, 2), train, validation)
