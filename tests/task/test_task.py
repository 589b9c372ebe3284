"""Recipes: found, checked, prepared; and what is said of broken ones."""

import ast
import json
import shutil

import datasets
import pytest

from s3_hf.errors import TaskError
from s3_hf.records import Columns
from s3_hf.task import GoldOptions, Prompts, existing_examples, load_task, task_names
from tests.conftest import RECIPE


def recipe_file(tmp_path, source, *changes):
    text = RECIPE.format(source=str(source))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "films.py"
    path.write_text(text)
    return str(path)


def existing(task, *paths, number=0):
    test_rows = task.row_digests(task.test_split)
    return list(existing_examples(task.config, [str(path) for path in paths], test_rows, number))


def test_gold_splits_and_ids(recipe):
    task = load_task(str(recipe))
    assert (task.name, len(task.mined), len(task.test)) == ("films", 40, 60)
    assert task.mined[3]["s3_id"] == "val-00003"
    assert task.mined.features["label"].names == ["neg", "pos"]
    assert list(task.features)[:3] == ["text", "label", "s3_id"]


def test_samples_are_seeded_and_stratified(recipe):
    one, same, other = (
        load_task(str(recipe), gold_options=GoldOptions(size=10, seed=seed)).mined["s3_id"][:] for seed in (1, 1, 2)
    )
    assert one == same != other
    assert sorted(load_task(str(recipe), gold_options=GoldOptions(size=10)).mined["label"][:]) == [0] * 5 + [1] * 5
    assert one == sorted(one)


def test_the_recipes_of_the_product():
    assert {"imdb", "movie_snippets", "qnli", "rte", "adversarial_qa"} <= set(task_names())
    imdb = load_task("imdb")
    assert imdb.config.splits == {"validation": "train", "test": "test"}
    assert imdb.prompts.extrapolate == "Write a {label} movie similar to: \n {text}"
    assert imdb.label_words == ("negative", "positive")


def test_imdb_on_real_gold(gold_root):
    task = load_task("imdb", str(gold_root / "datasets/stanfordnlp/imdb"), GoldOptions(size=100, test_size=50))
    assert (len(task.mined), len(task.test)) == (100, 50)


def test_movie_snippets_split_is_as_documented():
    task = load_task("movie_snippets")
    assert (len(task.mined), len(task.test)) == (600, 2_000)
    texts = [text.lower() for split in (task.mined, task.test) for text in split["text"][:]]
    assert len(set(texts)) == len(texts)


def test_a_changed_recipe_is_prepared_anew(tmp_path, gold_folder):
    folder = tmp_path / "gold"
    shutil.copytree(gold_folder, folder)
    path = recipe_file(tmp_path, folder)
    assert load_task(path).label_words == ("negative", "positive")
    swapped = recipe_file(tmp_path, folder, ('"neg": "negative"', '"neg": "bad"'))
    assert load_task(swapped).label_words == ("bad", "positive")
    rows = datasets.load_dataset(str(folder), split="test").select(range(10))
    rows.to_parquet(str(folder / "data" / "test-00000-of-00001.parquet"))
    assert len(load_task(path).test) == 10


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([("{label} review of a film", "{lable} review of a film")], "unknown field {lable}"),
        ([(" like: {text}", " like that")], "lacks the field {text}"),
        ([("a {label} sentence", "a {label sentence")], "unbalanced braces"),
        ([('"pos": "positive"', '"pos": ""')], "must have a word"),
        ([('"pos": "positive"', '"pos": " Negative"')], "a word of its own, found ' Negative' for 'neg' and 'pos'"),
        ([('"neg": "negative", ', "")], "at least two label names"),
        ([("class Films(TaskBuilder)", "class Films(Nothing)")], "NameError, line 5: name 'Nothing'"),
        ([("max_tokens=40", "max_toks=40")], "TypeError, line 7: TaskConfig.__init__() got an unexpected"),
        ([("max_tokens=40", "max_tokens==40")], "SyntaxError: positional argument follows keyword argument in"),
        ([("max_tokens=40", "max_tokens=int('four\\n')")], "ValueError, line 20"),
        ([("(TaskBuilder):", ":")], "exactly one TaskBuilder"),
        ([("max_tokens=40", "max_tokens=exit(4)")], "SystemExit, line 20: 4"),
    ],
)
def test_broken_recipes_are_one_sentence(tmp_path, gold_folder, changes, sentence):
    with pytest.raises(TaskError) as caught:
        load_task(recipe_file(tmp_path, gold_folder, *changes))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names():
    with pytest.raises(TaskError, match="did you mean 'imdb'"):
        load_task("imbd")
    with pytest.raises(TaskError, match="no recipe file"):
        load_task("none/films.py")
    with pytest.raises(
        TaskError, match="splits validation, test, train, found 'validaton'; did you mean 'validation'"
    ):
        load_task("movie_snippets", gold_options=GoldOptions(splits={"validaton": "dev"}))


def gold_with(tmp_path, **splits):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    for split, rows in splits.items():
        made = datasets.Dataset.from_dict(rows, features=features)
        made.to_parquet(str(tmp_path / "gold" / "data" / f"{split}-00000-of-00001.parquet"))
    return tmp_path / "gold"


ROWS = {"text": ["a b", "c d"], "label": [0, 1]}


def test_gold_without_a_label(tmp_path):
    gold = gold_with(tmp_path, validation={"text": ["a b", "c d"], "label": [0, 0]}, test=ROWS)
    with pytest.raises(TaskError, match="found none of 'pos' in 2 rows"):
        load_task(recipe_file(tmp_path, gold)).mined  # noqa: B018


def test_empty_or_missing_gold(tmp_path):
    gold = gold_with(tmp_path, validation={"text": [], "label": []}, test=ROWS)
    with pytest.raises(TaskError, match="split 'validation' must have rows, found none") as caught:
        load_task(recipe_file(tmp_path, gold)).mined  # noqa: B018
    assert "\n" not in str(caught.value)
    with pytest.raises(TaskError, match="cannot be read"):
        load_task(recipe_file(tmp_path, tmp_path / "nowhere")).mined  # noqa: B018


def test_gold_without_a_column(tmp_path, gold_folder):
    path = recipe_file(tmp_path, gold_folder, ('license="mit"', 'license="mit", text="review"'))
    with pytest.raises(TaskError, match="must have the column 'review'"):
        load_task(path).mined  # noqa: B018


@pytest.mark.parametrize(("name", "content"), [
    ("seed.csv", "text,label\na fine film,pos\na bad film,0\n"),
    ("seed.jsonl", '{"text": "a fine film", "label": 1}\n{"text": "a bad film", "label": "neg"}\n'),
    ("seed.json", '[{"text": "a fine film", "label": "1"}, {"text": "a bad film", "label": 0}]'),
])  # fmt: skip
def test_existing_examples(recipe, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    found = existing(load_task(str(recipe)), path, path, number=1)
    assert [example.columns["label"] for example in found] == [1, 0, 1, 0]
    assert [example.id for example in found] == [f"s3-r1/given/0000{number}" for number in range(4)]
    assert {example.origin for example in found + existing(load_task(str(recipe)), path)} == {"given"}


@pytest.mark.parametrize("name", ["seed.csv", "seed.jsonl"])
@pytest.mark.parametrize("labels", ['{"1": "pos", "0": "neg"}', '{"1": "*", "2": "**", "-1": "none"}'])
def test_a_number_is_the_name_of_an_existing_label_where_names_are_numbers(tmp_path, labels, name):
    numbers = sorted(map(int, ast.literal_eval(labels)))
    rows = [{"text": f"a film of {number}", "label": number} for number in numbers]
    for split in ("validation", "test"):
        gold = [json.dumps(row | {"text": f"{split} {row['text']}"}) for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(gold))
    task = load_task(recipe_file(tmp_path, tmp_path, ('{"neg": "negative", "pos": "positive"}', labels)))
    as_csv = "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows)
    (tmp_path / name).write_text(as_csv if name.endswith("csv") else "\n".join(map(json.dumps, rows)))
    for found in (task.mined["label"], [one.columns["label"] for one in existing(task, tmp_path / name)]):
        assert [task.label_names[label] for label in found] == [str(number) for number in numbers]
    (tmp_path / "unknown.jsonl").write_text('{"text": "a film", "label": 5}')
    with pytest.raises(TaskError, match="known by their digits: give '5' a word"):
        existing(task, tmp_path / "unknown.jsonl")


@pytest.mark.parametrize(("name", "content", "said"), [
    ("a.csv", "text,label\na fine film,great\n", r"existing data '.*a.csv', line 2, column 'label', must have one of"),
    ("a.csv", "text,label\na fine film,2\n", "line 2, .*must have one of the labels neg, pos, found '2'"),
    ("a.csv", "text,label\n ,pos\n", "line 2, column 'text', must have text"),
    ("a.csv", "texts,label\na fine film,pos\n", "must have the column 'text', .* did you mean 'texts'"),
    ("a.csv", "text,label\n", "existing data .* must have rows"),
    ("a.csv", "text,id\na fine film,1\n", "must have the column 'label', found .*labelled by `s3-hf predict` first"),
    ("a.txt", "a fine film", r"existing data must be a file that ends in .*a\.txt'; rename"),
])  # fmt: skip
def test_existing_examples_with_a_fault(recipe, tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(TaskError, match=said):
        existing(load_task(str(recipe)), path)


def test_labels_that_a_student_gave_are_taken(recipe, tmp_path):
    path = tmp_path / "pool.csv"
    path.write_text("text,predicted_label,predicted_score\na fine film,pos,0.9\na film,,0.5\na dull film,neg,0.8\n")
    found = existing(load_task(str(recipe)), path)
    assert [(one.columns["text"], one.columns["label"]) for one in found] == [("a fine film", 1), ("a dull film", 0)]


def test_no_existing_row_is_a_test_row(recipe, pairs_recipe, tmp_path):
    task, pairs = load_task(str(recipe), gold_options=GoldOptions(test_size=10)), load_task(str(pairs_recipe))
    unseen = next(text for text in task.test_split["text"] if text not in task.test["text"][:])
    path = tmp_path / "given.csv"
    path.write_text(f"text,label\na fine film,pos\n{unseen.upper()}!,pos\n")
    with pytest.raises(
        TaskError, match=r"given\.csv', line 3, column 'text', must not be a text of the gold test split"
    ):
        existing(task, path)
    claim, premise = pairs.test[0]["claim"], pairs.test[0]["premise"]
    path.write_text(f"premise,claim,label\nanother film,{claim},0\n{premise},{claim},0\n")
    found = existing_examples(pairs.config, [str(path)], pairs.row_digests(pairs.test_split))
    assert next(found).columns["claim"] == claim
    with pytest.raises(TaskError, match="line 3, column 'claim', must not be a text of the gold test split"):
        next(found)


def test_existing_examples_that_are_not_there(recipe, tmp_path):
    task = load_task(str(recipe))
    with pytest.raises(TaskError, match="existing data must be there, found no file"):
        existing(task, tmp_path / "none.parquet")
    folder = tmp_path / "two"
    folder.mkdir()
    for split in ("test", "validation"):
        datasets.Dataset.from_dict(ROWS).to_parquet(folder / f"{split}.parquet")
    with pytest.raises(TaskError, match=r"must have a split 'train', found \['validation', 'test'\]; rename one"):
        existing(task, folder)


def test_prompts_say_what_is_wrong():
    prompts = Prompts("{rationales} {label}", "{label} {text}", "{count} {label}", "{label}")
    assert list(prompts.faults(Columns("text", "label"))) == []
    assert "'rationales' must be empty" in next(prompts.faults(Columns("text", "label", "context")))
    pair = Prompts("{context} {label}", "{context} {text} {label}")
    assert list(pair.faults(Columns("text", "label", "context"))) == []
    assert "unknown field {label}" in next(pair.faults(Columns("text", None, "context", "answers")))
    assert "'rationales' must be written" in next(pair.faults(Columns("text", "label")))
    named = Prompts("{rationales} {label}", "{label} {text} {rationales}", "{count} {label}", "{label}")
    assert "'extrapolate_plain' and {rationales} in 'extrapolate' need each other" in next(
        named.faults(Columns("text", "label"))
    )


@pytest.mark.parametrize("share", [0, 1, 1.5, -1])
def test_the_share_of_the_test_is_a_share(recipe, tmp_path, share):
    path = tmp_path / "films.py"
    path.write_text(recipe.read_text().replace("max_tokens=40", f"max_tokens=40, test_share={share}"))
    with pytest.raises(TaskError, match=rf"'test_share' must lie between 0 and 1, found {share}; correct it"):
        load_task(str(path))
