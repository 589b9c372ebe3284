"""What `tasks new` says of data, and what it leaves out of it."""

# ruff: noqa: RUF001

import json
import re
import shlex

import datasets
import pandas as pd
import pytest

from s3_hf.authoring.asked import NewTask
from s3_hf.authoring.writing import write_recipe
from s3_hf.errors import ConfigError, TaskError
from s3_hf.records import Columns
from s3_hf.task import load_task
from s3_hf.task.languages import NAMES, WORDS, recognise

SENTENCES = {
    "en": "I don't know what to do with my order, and the parcel is damaged.",
    "de": "Ich weiß nicht, was ich mit meiner Bestellung machen soll, das Paket ist beschädigt.",
    "fr": "Je ne sais pas quoi faire de ma commande, il y a une erreur dans le colis.",
    "es": "No sé qué hacer con mi pedido, el paquete está dañado y no me contestan.",
    "pt": "Não sei o que fazer com o meu pedido, a encomenda está danificada.",
    "it": "Non so che cosa fare con il mio ordine, il pacco è danneggiato.",
    "nl": "Ik weet niet wat ik met mijn bestelling moet doen, het pakket is beschadigd.",
    "sv": "Jag vet inte vad jag ska göra med min beställning, paketet är skadat.",
    "da": "Jeg ved ikke, hvad jeg skal gøre med min ordre, pakken er beskadiget efter levering af varen.",
    "no": "Jeg vet ikke hva jeg skal gjøre med bestillingen min, pakken er skadet etter levering av varen.",
    "fi": "En tiedä mitä tehdä tilaukseni kanssa, se on rikki.",
    "pl": "Nie wiem, co zrobić z moim zamówieniem, paczka jest uszkodzona i nie działa.",
    "cs": "Nevím, co mám dělat se svou objednávkou, balík je poškozený a není to v pořádku.",
    "tr": "Siparişim için ne yapacağımı bilmiyorum, bu paket çok hasarlı.",
    "ro": "Nu știu ce să fac cu comanda mea, este un pachet care nu mai funcționează.",
    "hu": "Nem tudom, hogy mit tegyek a rendeléssel, ez a csomag sérült.",
    "id": "Saya tidak tahu apa yang harus saya lakukan dengan pesanan ini.",
    "vi": "Tôi không biết phải làm gì với đơn hàng của tôi.",
    "ru": "Я не знаю, что мне делать с заказом, это не то.",
    "uk": "Я не знаю, що мені робити із замовленням, це не те, і він є пошкоджений.",
    "bg": "Не знам какво да правя с поръчката, това не е за мен.",
    "ar": "لا أعرف ما أفعل مع هذا الطلب من المتجر",
    "fa": "من نمی دانم با این سفارش چه کنم، بسته برای من نیست",
    "ur": "میں نہیں جانتا کہ اس آرڈر کے ساتھ کیا کروں، یہ ٹھیک نہیں ہے",
    "hi": "मुझे नहीं पता कि इस ऑर्डर का क्या करना है",
    "mr": "मला माहीत नाही की या ऑर्डरचे काय करायचे आहे",
    "zh": "我不知道该怎么处理我的订单，包裹已经损坏了，没有人回复我",
    "ja": "注文をどうすればいいのかわかりません。荷物が壊れています。",
    "ko": "주문을 어떻게 해야 할지 모르겠어요. 소포가 파손되었습니다.",
    "th": "ฉันไม่รู้ว่าจะทำอย่างไรกับคำสั่งซื้อของฉัน",
    "el": "Δεν ξέρω τι να κάνω με την παραγγελία μου",
    "he": "אני לא יודע מה לעשות עם ההזמנה שלי",
}
UNCLEAR = [
    "SKU-1234 ABX QQ-77 XJ900 ZZTOP, order_id user_name NULL VARCHAR int64",
    "👍👍👍 !!! 12345 67890",
    "ok",
    "",
    "The order was for my brother, but it is not his. Das ist nicht die Bestellung und ich will sie so.",
]


TEXT_AND_LABEL = Columns("text", "label")


def written(tmp_path, data, columns=TEXT_AND_LABEL, name="t"):
    return write_recipe(NewTask(name, str(data), columns), tmp_path / "out")


def labelled(tmp_path, labels, text="a text about things {}"):
    rows = [{"text": text.format(number), "label": labels[number % len(labels)]} for number in range(24)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "a.jsonl"


@pytest.mark.parametrize("code", SENTENCES)
def test_languages(code):
    assert recognise([SENTENCES[code]]) == code


def test_languages_that_are_not_clear():
    assert [recognise([text]) for text in UNCLEAR] == [None] * len(UNCLEAR)
    assert recognise([]) is None
    assert WORDS.keys() <= NAMES.keys()


@pytest.mark.parametrize(("code", "asked"), [("de", "one text in German of about"), ("en", "one text of about")])
def test_the_language_is_in_the_recipe_the_prompts_and_the_facts(tmp_path, code, asked):
    made = written(tmp_path, labelled(tmp_path, "xy", SENTENCES[code] + " {}"))
    task = load_task(str(made.path))
    assert task.facts()["language"] == code
    assert asked in task.prompts.seed
    told = [
        note
        for note in made.inferred.notes
        if "German: name an LLM and a student" in note and "multilingual-e5-small" in note
    ]
    assert bool(told) is (code == "de")


def test_a_language_that_is_not_clear_is_left_out(tmp_path):
    made = written(tmp_path, labelled(tmp_path, "xy", "XJ-{} QQ77"))
    assert load_task(str(made.path)).facts()["language"] is None
    assert "not clear: write its code as `language`" in made.inferred.notes[-1]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["a", "b", "a|b"], "found 1 of 3 values that look like several, such as 'a|b', in 'label'; keep one in each"),
        (["a", "b", "c", "a; b"], "found 1 of 4 values that look like several, such as 'a; b', "),
        (["a", "b", "b,a"], "such as 'b,a', "),
        (["a|b", "b|c", "a|c"], "found 3 of 3 values"),
        ([f"{one}|{two}" for one in "abcd" for two in "efgh"], "found 16 of 16 values"),
        (["['a', 'b']", "['a']"], "found 1 of 2 values"),
        (["a", "b", "n/a"], None),
        (["Paris, France", "Paris"], None),
        (["input/output", "C++"], None),
        (["A+", "A", "B+", "B"], None),
        ([f"{stars}/5" for stars in range(1, 6)], None),
        (["5", *(f"{stars}/5" for stars in range(1, 6))], None),
        (["a", "b", "a|b|rare"], "found 1 of 3 values that look like several, such as 'a|b|rare'"),
        (["input", "output", "input/output"], "such as 'input/output', "),
        (["['a']", "['b']"], None),
    ],
)
def test_labels_that_look_like_several_are_refused(tmp_path, labels, found):
    data = labelled(tmp_path, labels)
    if found is None:
        assert len(written(tmp_path, data).inferred.config.labels) == len(labels)
        return
    with pytest.raises(TaskError, match=re.escape(found)):
        written(tmp_path, data)
    assert not list(tmp_path.glob("out/*.py"))


@pytest.mark.parametrize("cell", ["x|y", "x, y", '["x", "y"]', ["x", "y"]])
def test_gold_rows_with_several_labels_are_refused(tmp_path, cell):
    made = written(tmp_path, labelled(tmp_path, "xy"))
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(json.dumps({"text": "a text with both", "label": cell}) + "\n")
    with pytest.raises(
        TaskError, match=r"line 25, column 'label', must have one label, found .*; several labels in a"
    ):
        load_task(str(made.path)).mined  # noqa: B018 - reads the rows


@pytest.mark.parametrize(
    ("label", "column", "sentence"),
    [
        ({"name": "x"}, "label", "found {'name': 'x'}; name the column inside of it, such as 'label.name'"),
        ({"name": "x"}, "name", "found 'name'; did you mean 'label.name'?"),
        ({"name": "x"}, "label.nane", "found 'label.nane'; inside 'label' are label.name"),
        (["x", "y"], "label", "several labels in a row are not supported"),
    ],
)
def test_labels_that_are_nested(tmp_path, label, column, sentence):
    with pytest.raises((TaskError, ConfigError), match=sentence):
        written(tmp_path, labelled(tmp_path, [label]), Columns("text", column))


@pytest.mark.parametrize("name", ["email", "code", "random", "datasets", "s3_hf", "numpy", "site", "torch"])
def test_names_of_modules(tmp_path, typed, name):
    data = labelled(tmp_path, "xy")
    code, _, err = typed("tasks", "new", name, "--data", data, "--text", "text", "--label", "label", "--out", tmp_path)
    assert code == 2
    assert f"found {name!r}; give another one, such as '{name}_task'" in err
    assert not list(tmp_path.glob("*.py"))


def test_a_recipe_in_the_working_folder_is_no_module(tmp_path, monkeypatch):
    (tmp_path / "films.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert written(tmp_path, labelled(tmp_path, "xy"), name="films").path.exists()


def test_row_numbers_of_pandas_are_left_out(tmp_path):
    rows = {"text": [f"a text {number}" for number in range(8)], "label": ["x", "y"] * 4, "Unnamed: 0": range(8)}
    frame = pd.DataFrame(rows, index=[*range(7, -1, -2), *range(6, -1, -2)])
    frame.to_parquet(tmp_path / "a.parquet")
    made = written(tmp_path, tmp_path / "a.parquet")
    assert load_task(str(made.path)).mined.column_names == ["text", "label", "s3_id"]


def squad(number):
    answer = {"text": ["red"], "answer_start": [4]} if number % 3 else {"text": [], "answer_start": []}
    return {"context": f"The red house {number} on hill {number}.", "question": f"Which? {number}", "answers": answer}


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_unanswerable_questions_are_left_out(tmp_path, name):
    rows = [squad(number) for number in range(12)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "a.parquet")
    made = written(tmp_path, tmp_path / name, Columns("question", None, "context", "answers"))
    assert "4 of 12 rows of split 'train' have no answer: they are left out" in made.inferred.notes
    task = load_task(str(made.path))
    assert len(task.mined) + len(task.test) == 8


def test_a_folder_with_brackets_is_a_task_and_its_seed(tmp_path, typed):
    folder = tmp_path / "dir [v1]"
    folder.mkdir()
    labelled(folder, "xy")
    out = tmp_path / "out [2]"
    code, told, err = typed("tasks", "new", "t", "--data", folder, "--text", "text", "--label", "label", "--out", out)
    assert code == 0, err
    assert shlex.split(told.splitlines()[-1])[2] == str(out / "t.py")
    task = load_task(str(out / "t.py"))
    assert len(task.mined) == 12
    assert len(load_task(str(out / "t.py"), gold=str(folder)).test) == 12
