import pytest
import tests.test_docs as t
from tests.test_docs import environment
from tests.documents import ROOT

old = t.blocks


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_it(page, environment, tmp_path, monkeypatch):
    monkeypatch.setattr(t, "blocks", lambda p: [b for b in old(p) if "import s3_hf" not in b.code])
    t.run_blocks(ROOT / page, "", tmp_path, environment)
