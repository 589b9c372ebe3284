"""What the pushed cards tell to do works as it stands, in a fresh process that knows the Hub alone."""

import json
import re

import pytest

from s3_hf.hub import push_run


def code_on(card):
    return "\n".join(re.findall(r"^```python\n(.*?)^```", card, re.S | re.M))


@pytest.mark.parametrize("xet", ["0", pytest.param("1", marks=pytest.mark.slow)], ids=["xet", "lfs"])
def test_code_on_the_pushed_cards_runs_as_pasted(hub, run, tmp_path, xet):
    data, model = push_run(run, **hub.login)[2:]
    off = {"HF_HUB_DISABLE_XET": xet}
    shown = hub.python(tmp_path / "home", "-c", code_on(hub.text(data.repo)), cwd=tmp_path, **off)
    assert "'s3_origin': 'seed'" in shown
    code = code_on(hub.text(model.repo, kind="model"))
    assert f'revision="{data.commit}"' in code
    shown = hub.python(tmp_path / "home", "-c", code + "print(rows.num_rows)", cwd=tmp_path, **off)
    assert "'label': '" in shown
    assert shown.splitlines()[-1] == "6"


def test_streaming_and_automodel_and_predict(hub, run, tmp_path):
    data, model = push_run(run, **hub.login)[2:]
    code = (
        "import sys\n"
        "from datasets import load_dataset\n"
        "from transformers import AutoModelForSequenceClassification\n"
        "from s3_hf.cli import main\n"
        f"stream = load_dataset({data.repo!r}, split='train', streaming=True, revision={data.commit!r})\n"
        f"names = AutoModelForSequenceClassification.from_pretrained({model.repo!r}).config.id2label\n"
        "print(len(list(stream)), sorted(names.values()))\n"
        f"sys.argv = ['s3-hf', 'predict', {model.repo!r}, 'a good film .', '--json']\n"
        "main()\n"
    )
    first, _, rest = hub.python(tmp_path / "home", "-c", code).partition("\n")
    assert first == "6 ['negative', 'positive']"
    assert json.loads(rest)[0]["label"] in ("negative", "positive")
