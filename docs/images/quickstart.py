"""Draw docs/images/quickstart.svg: `python docs/images/quickstart.py RUN_DIR` (extra `plot`)."""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from scipy.stats import binomtest

GREY, BLUE, ORANGE, GREEN = "#858585", "#4c8fd6", "#e08a3c", "#4aa564"
mpl.use("svg")
mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "s3", "font.family": "sans-serif", "font.size": 10}
mpl.rcParams |= dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], GREY)


def wrong(rows):
    return set(rows.index[rows["label"] != rows["value"]])


def main(run: Path) -> None:
    from matplotlib import pyplot as plt

    rounds = sorted(run.glob("round-*"))
    tables = [pd.read_parquet(path / "predictions.parquet").set_index("id") for path in rounds]
    written = [json.loads((path / "round.json").read_text())["rows"] for path in rounds]
    test = [table[table["split"] == "test"] for table in tables]
    errors = [wrong(table[table["split"] != "test"]) for table in tables]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.9), layout="constrained")
    scores = [100 * (1 - len(wrong(rows)) / len(rows)) for rows in test]
    spans = [binomtest(len(rows) - len(wrong(rows)), len(rows)).proportion_ci(method="wilson") for rows in test]
    ends = [[score - 100 * span.low for score, span in zip(scores, spans, strict=True)]]
    ends += [[100 * span.high - score for score, span in zip(scores, spans, strict=True)]]
    places = range(len(rounds))
    left.errorbar(places, scores, ends, color=BLUE, marker="o", capsize=4)
    for place, score in zip(places, scores, strict=True):
        left.annotate(f"{score:.1f}", (place, score), (8, -3), textcoords="offset points", color=BLUE)
    left.set(title=f"accuracy on {len(test[0]):,} test rows, in %", xlim=(-0.3, len(rounds) - 0.5))
    before = [set(), *errors[:-1]]
    kept = [len(now & old) for now, old in zip(errors, before, strict=True)]
    new = [len(now - old) for now, old in zip(errors, before, strict=True)]
    mended = [-len(old - now) for now, old in zip(errors, before, strict=True)]
    bars = (("wrong as before", kept, 0, ORANGE), ("newly wrong", new, kept, "#f0c08a"), ("corrected", mended, 0, GREEN))
    for name, heights, bottom, color in bars:
        drawn = right.bar(places, heights, 0.55, bottom, color=color, label=name)
        texts = [str(abs(height)) if height else "" for height in heights]
        right.bar_label(drawn, texts, label_type="center", color="#222222")
    right.axhline(0, color=GREY, linewidth=0.8)
    right.set(title="mistakes on gold validation", yticks=[])
    right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), labelcolor=GREY)
    for axes in (left, right):
        totals = [sum(written[: place + 1]) for place in places]
        axes.set_xticks(places, [f"round {place}\n{rows} rows" for place, rows in enumerate(totals)])
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".svg"), transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
