"""Diversity of datasets: words, near duplicates, the map of Figure 3 and the coverage of Table 8 (appendix C)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s3_hf.analysis.encoding import Encodings, encode

if TYPE_CHECKING:
    import pandas as pd

PAPER_TABLE_8 = {"qnli": (76.35, 63.03), "rte": (73.59, 14.90), "adversarial_qa": (51.02, 46.00)}
"""Task -> coverage in % of S3 and ZeroGen, as published; the paper does not state its radius."""
RADII = (0.02, 0.05, 0.1, 0.2)
"""Radii of coverage, as shares of the root mean square distance of the gold points from their centre."""
SAMPLE = 1_000
"""Most texts of each dataset that are encoded and drawn."""
LARGE = 5_000
"""Points from which PCA draws the map instead of t-SNE, which takes minutes there."""
NEAR = 0.95
"""Cosine from which two texts are near duplicates."""
BLEU_TEXTS, BLEU_ORDER = 200, 4


@dataclass(frozen=True)
class Map:
    """The map of several datasets.

    Attributes:
        points: `dataset`, `x`, `y` and the columns of the input, a row for each drawn text.
        method: `t-SNE` or `PCA`.
        coverage: `dataset`, `radius` (share, see `RADII`), `covered` share of the gold points.
        near_duplicates: dataset -> share of its drawn texts with a near duplicate among them.
    """

    points: pd.DataFrame
    method: str
    coverage: pd.DataFrame
    near_duplicates: Mapping[str, float]


def map_of(datasets: Mapping[str, pd.DataFrame], encoder: str, *, steady: bool = False) -> Map:
    """Return the map of datasets, of which one is called `gold` (appendix C.1).

    An equal number of texts of each is drawn, at most `SAMPLE`. Coverage is measured on the drawn points, also of the
    one half of the gold points by the other ("gold, other half"), which no dataset of that size can be expected to
    exceed.

    Args:
        datasets: name -> rows with a column `text`.
        encoder: see `encoding.encode`.
        steady: lay the map out like `gold_plane`, so that equal texts have equal places.
    """
    import pandas as pd

    size = min(SAMPLE, *(len(rows) for rows in datasets.values()))
    drawn = pd.concat(
        [rows.sample(size, random_state=0).assign(dataset=name) for name, rows in datasets.items()],
        ignore_index=True,
    )
    encoded = encode(list(drawn["text"]), encoder)
    is_gold = (drawn["dataset"] == "gold").to_numpy()
    method, places = ("PCA", _on_plane(encoded[is_gold], encoded)) if steady else _projected(encoded)
    drawn = drawn.assign(x=places[:, 0], y=places[:, 1])
    near = {
        name: near_duplicates(encoded[(drawn["dataset"] == name).to_numpy()])
        for name in dict.fromkeys(drawn["dataset"])
    }
    return Map(drawn, method, coverage(drawn), near)


def gold_plane(groups: Mapping[str, Sequence[str]], encoder: str, size: int) -> pd.DataFrame:
    """Return up to `size` drawn texts of each group as points: `dataset`, `x`, `y`, with three decimals.

    The axes are the two principal components of the group `gold`, so that the points of a group do not depend on which
    others there are.

    Args:
        groups: name -> texts; `gold` has at least two.
        encoder: see `encoding.encode`.
        size: most texts of each group.
    """
    import pandas as pd

    draws = {name: np.random.default_rng(0).permutation(len(texts))[:size] for name, texts in groups.items()}
    encoded = {name: encode([groups[name][place] for place in draw], encoder) for name, draw in draws.items()}
    parts = []
    for name, each in encoded.items():
        places = _on_plane(encoded["gold"], each)
        parts.append(pd.DataFrame({"dataset": name, "x": places[:, 0], "y": places[:, 1]}))
    return pd.concat(parts, ignore_index=True)


def _on_plane(gold: Encodings, encoded: Encodings) -> Encodings:
    """Return the places on the two principal components of `gold`, with three decimals."""
    from sklearn.decomposition import PCA

    places: Encodings = PCA(2, svd_solver="full").fit(gold).transform(encoded).astype(np.float64).round(3)
    return places + 0.0  # which has no negative zero


def _projected(encoded: Encodings) -> tuple[str, Encodings]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(encoded) > LARGE or len(encoded) < 4:
        return "PCA", PCA(2, random_state=0).fit_transform(encoded)
    perplexity = min(30, (len(encoded) - 1) / 3)
    return "t-SNE", TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(encoded)


def coverage(points: pd.DataFrame) -> pd.DataFrame:
    """Return the share of gold points within each radius of a point of each other dataset (Table 8).

    Args:
        points: `dataset`, `x`, `y`; one dataset is called `gold`.

    Returns:
        `dataset`, `radius`, `covered`; see `Map`.
    """
    import pandas as pd
    from scipy.spatial import cKDTree

    def places(rows: pd.DataFrame) -> Encodings:
        return np.asarray(rows[["x", "y"]].to_numpy())

    gold = places(points[points["dataset"] == "gold"])
    unit = float(np.sqrt(np.mean(np.sum((gold - gold.mean(axis=0)) ** 2, axis=1)))) if len(gold) else 0.0
    sets = {name: places(rows) for name, rows in points.groupby("dataset", sort=False) if name != "gold"}
    pairs = {name: (gold, others) for name, others in sets.items()} | {"gold, other half": (gold[::2], gold[1::2])}
    lines = []
    for name, (targets, others) in pairs.items():
        if not (len(targets) and len(others)):
            continue
        distances, _ = cKDTree(others).query(targets)
        lines += [(name, radius, float(np.mean(distances <= radius * unit))) for radius in RADII]
    return pd.DataFrame(lines, columns=["dataset", "radius", "covered"])


def near_duplicates(encoded: Encodings) -> float:
    """Return the share of the encodings that have a cosine of `NEAR` or more with another one."""
    if len(encoded) < 2:
        return 0.0
    cosines = encoded @ encoded.T
    np.fill_diagonal(cosines, -1.0)
    return float(np.mean(cosines.max(axis=1) >= NEAR))


def words_of(texts: Sequence[str]) -> dict[str, float]:
    """Return figures of the words of a dataset, over a random sample of at most `SAMPLE` texts.

    `texts`: how many count; `words`: their mean number of words; `distinct_1` to `distinct_3`: share of their
    n-grams of words that are distinct, which falls with the number of words; `self_bleu`: mean BLEU-4 of a text
    against all the others, from 0 to 1, lower where texts differ more.
    """
    draw = np.random.default_rng(0)
    chosen = draw.permutation(len(texts))[:SAMPLE]
    split = [texts[place].lower().split() for place in chosen]
    found: dict[str, float] = {"texts": len(split), "words": float(np.mean([len(words) for words in split] or [0]))}
    for order in (1, 2, 3):
        grams = [gram for words in split for gram in _grams(words, order)]
        found[f"distinct_{order}"] = len(set(grams)) / len(grams) if grams else 0.0
    return found | {"self_bleu": self_bleu(split[:BLEU_TEXTS])}


def self_bleu(texts: Sequence[Sequence[str]]) -> float:
    """Return the mean BLEU-4 of each text, a list of words, with all others as its references (Zhu et al., 2018).

    Zero precisions count as half a match, and the reference of the nearest length decides on the brevity penalty.
    """
    counts = [[Counter(_grams(words, order)) for order in range(1, BLEU_ORDER + 1)] for words in texts]
    best = [_two_highest([each[order] for each in counts]) for order in range(BLEU_ORDER)]
    scores = []
    for place, words in enumerate(texts):
        lengths = [len(other) for number, other in enumerate(texts) if number != place]
        if len(words) < BLEU_ORDER or not lengths:
            continue
        logs = []
        for order in range(BLEU_ORDER):
            own = counts[place][order]
            hits = sum(min(count, best[order][gram].other_than(place)) for gram, count in own.items())
            logs.append(np.log(max(hits, 0.5) / own.total()))
        nearest = min(lengths, key=lambda length: (abs(length - len(words)), length))
        penalty = min(0.0, 1 - nearest / len(words))
        scores.append(float(np.exp(np.mean(logs) + penalty)))
    return float(np.mean(scores)) if scores else 0.0


@dataclass
class _Highest:
    """The highest count of an n-gram in any text, the text that has it, and the highest count in all other texts."""

    first: int = 0
    place: int = -1
    second: int = 0

    def other_than(self, place: int) -> int:
        return self.second if place == self.place else self.first


def _two_highest(counts: Sequence[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], _Highest]:
    found: dict[tuple[str, ...], _Highest] = {}
    for place, each in enumerate(counts):
        for gram, count in each.items():
            kept = found.setdefault(gram, _Highest())
            if count > kept.first:
                kept.first, kept.place, kept.second = count, place, kept.first
            elif count > kept.second:
                kept.second = count
    return found


def _grams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + order]) for start in range(len(words) - order + 1)]
