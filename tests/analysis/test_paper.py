"""Table 6 of the paper, computed again from the authors' released rows."""

import pandas as pd
import pytest

from s3_hf.analysis.encoding import tokenized
from s3_hf.analysis.quality import PAPER_TABLE_6, quality_of_pairs
from s3_hf.local.assets import minilm_dir

TEXT = {"imdb": "text", "rte": "sentence2"}


@pytest.fixture
def released(gold_root):
    def rows(task):
        files = sorted((gold_root.parent / "paper").glob(f"{task}_ees_round?.parquet"))
        if not files:
            pytest.skip("the authors' rows are not here: set S3_HF_GOLD to the folder that holds `paper`")
        return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)

    return rows


@pytest.mark.parametrize("task", ["imdb", "rte"])
def test_numbers_and_lengths_are_the_published_ones(released, task):
    rows = released(task)
    pairs, *_, length = PAPER_TABLE_6[task]
    assert len(rows) == pairs
    # MiniLM has the vocabulary of DistilBERT
    lengths = [len(ids) for ids in tokenized(rows[TEXT[task]], str(minilm_dir()))]
    assert sum(lengths) / len(lengths) == pytest.approx(length, abs=0.011)


def test_edit_distances_of_rte_are_near_the_published_ones(released, gold_root):
    """The release does not tell which mistake a row was written for: the first gold row with its premise stands in."""
    gold = pd.read_parquet(gold_root / "datasets" / "nyu-mll" / "glue" / "rte" / "train-00000-of-00001.parquet")
    both = released("rte").merge(gold.drop_duplicates("sentence1"), on="sentence1", suffixes=("_added", "_mistake"))
    pairs = both.rename(columns={"sentence2_added": "added", "sentence2_mistake": "mistake"})[["mistake", "added"]]
    assert len(pairs) > 1_400
    found = quality_of_pairs(pairs.iloc[::10], str(minilm_dir()))
    _, _, distance, mistakes, _ = PAPER_TABLE_6["rte"]
    assert found["mistake_tokens"] == pytest.approx(mistakes, abs=1)
    assert found["edit_distance"] == pytest.approx(distance, abs=3), found
