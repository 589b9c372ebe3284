"""Draw docs/images/rounds.svg from a run: `python docs/images/rounds.py RUN_DIR` (extra `plot`)."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from scipy.stats import binomtest

GREY, BLUE, ORANGE, PALE, GREEN = "#858585", "#4c8fd6", "#e08a3c", "#f0c08a", "#4aa564"
mpl.use("svg")
mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "s3", "font.family": "sans-serif", "font.size": 10}
mpl.rcParams |= dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], GREY)


def draw_scores(axes: Any, tables: list[pd.DataFrame], color: str, side: int, name: str) -> None:
    """Draw accuracy by round with 95 % intervals (Wilson); `side` is 1 for figures above them, -1 for below."""
    right = [int((rows["label"] == rows["value"]).sum()) for rows in tables]
    spans = [binomtest(k, len(rows)).proportion_ci(method="wilson") for k, rows in zip(right, tables, strict=True)]
    shares = [k / len(rows) for k, rows in zip(right, tables, strict=True)]
    ends = [[share - span.low for share, span in zip(shares, spans, strict=True)]]
    ends += [[span.high - share for share, span in zip(shares, spans, strict=True)]]
    places = [place - 0.1 * side for place in range(len(tables))]
    axes.errorbar(places, shares, ends, color=color, marker="o", capsize=4, label=name)
    for place, share, span in zip(places, shares, spans, strict=True):
        end = (place, span.high if side > 0 else span.low)
        style = {"color": color, "ha": "center" if side > 0 else "left", "va": "center"}
        axes.annotate(f"{share:.1%}", end, (0, 8 * side), textcoords="offset points", **style)


def draw_mistakes(axes: Any, tables: list[pd.DataFrame]) -> None:
    """Draw the mistakes of each round, and what became of those of the round before."""
    wrong = [set(rows.index[rows["label"] != rows["value"]]) for rows in tables]
    pairs = list(zip(wrong, [set(), *wrong[:-1]], strict=True))
    kept, new = [len(now & old) for now, old in pairs], [len(now - old) for now, old in pairs]
    corrected = [-len(old - now) for now, old in pairs]
    bars = (("wrong again", kept, 0, ORANGE), ("newly wrong", new, kept, PALE), ("corrected", corrected, 0, GREEN))
    for name, heights, bottom, color in bars:
        drawn = axes.bar(range(len(tables)), heights, 0.55, bottom, color=color, label=name)
        axes.bar_label(drawn, [str(abs(one) or "") for one in heights], label_type="center", color="#222222")
    axes.axhline(0, color=GREY, linewidth=0.8)


def main(run: Path) -> None:
    """Draw the run."""
    from matplotlib import pyplot as plt

    rounds = sorted(run.glob("round-*"))
    tables = [pd.read_parquet(path / "predictions.parquet").set_index("id") for path in rounds]
    rows = pd.Series([json.loads((path / "round.json").read_text())["rows"] for path in rounds]).cumsum()
    test, gold = ([table[(table["role"] == "test") == part] for table in tables] for part in (True, False))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3), layout="constrained")
    draw_scores(left, gold, ORANGE, 1, f"{len(gold[0]):,} gold validation rows, mined for mistakes")
    draw_scores(left, test, BLUE, -1, f"{len(test[0]):,} test rows")
    left.set(title="accuracy", xlim=(-0.3, len(rounds) - 0.5), ylim=(0.69, 0.88), yticks=[])
    draw_mistakes(right, gold)
    right.set(title="mistakes on gold validation", yticks=[])
    for axes in (left, right):
        axes.set_xticks(range(len(rounds)), [f"round {place}\n{n} rows" for place, n in enumerate(rows)])
        axes.spines[["top", "right", "left"]].set_visible(False)
    left.legend(frameon=False, loc="upper left", labelcolor=GREY, fontsize=9)
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), labelcolor=GREY)
    figure.savefig(Path(__file__).with_suffix(".svg"), transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
