"""Draw `worth.svg`: accuracy by number of gold rows, with and without the rows of a strong LLM.

    python docs/images/worth.py RUN_DIR…

Each RUN_DIR is that of `s3-hf bench examples/bench/imdb_strong_writer.yaml` with one number of gold rows; the figures
are read from its `results.csv`.
"""

import sys
from pathlib import Path

import altair as alt
import pandas as pd
import vl_convert

ARMS = {"gold-steps": "gold rows alone, at equal steps", "rows-alone": "1,500 rows of the LLM alone",
        "rows+gold": "the LLM's rows, then gold rows", "union": "the LLM's and gold rows together"}  # fmt: skip

lines = []
for folder in sys.argv[1:]:
    results = pd.read_csv(Path(folder) / "results.csv").set_index("arm")
    gold = int(results.loc["gold-steps", "rows_least"])
    lines += [(ARMS[arm], gold, 100 * results.loc[arm, "mean"]) for arm in ARMS]
points = pd.DataFrame(lines, columns=["training", "gold rows", "accuracy"])
x = alt.X(
    "gold rows:Q", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(values=sorted(set(points["gold rows"])))
)
chart = (
    alt.Chart(points, width=460, height=280)
    .mark_line(point=True)
    .encode(
        x=x.title("gold rows (log scale)"),
        y=alt.Y("accuracy:Q", title="accuracy on 5,000 test rows in %", scale=alt.Scale(zero=False)),
        color=alt.Color(
            "training:N",
            sort=list(ARMS.values()),
            legend=alt.Legend(title=None, labelLimit=300, orient="bottom", columns=2),
        ),
    )
)
svg = vl_convert.vegalite_to_svg({**chart.to_dict(), "background": "white"})
Path(__file__).with_suffix(".svg").write_text(svg, encoding="utf-8")
