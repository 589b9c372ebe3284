"""Charts of a page as Vega-Lite specifications, and as PNG files for cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3_hf.analysis.diversity import Map

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5")
"""Colours of series, tellable apart in the light and in the dark (Observable 10)."""
HEIGHT = 300
LONGEST_HOVER = 200
"""Characters of a text that hover shows."""


def scores_chart(scores: pd.DataFrame) -> alt.LayerChart:
    """Return the score by round with 95 % intervals, a line for each role (and run).

    Args:
        scores: `rounds.scores_table`, for several runs with a column `run`.
    """
    import altair as alt

    percent = scores.assign(**{name: 100 * scores[name] for name in ("score", "low", "high")})
    metric = str(scores["metric"].iloc[0]).replace("_", " ")
    series = "run" if "run" in scores else "role"
    base = alt.Chart(percent).encode(
        x=alt.X("round:O", title="round", axis=alt.Axis(labelAngle=0), scale=alt.Scale(paddingInner=0.7)),
        color=_colour(series),
        xOffset=alt.XOffset(f"{series}:N"),
        tooltip=[
            series,
            "round",
            alt.Tooltip("score", format=".1f", title=f"{metric} in %"),
            alt.Tooltip("low", format=".1f", title="from"),
            alt.Tooltip("high", format=".1f", title="to"),
            alt.Tooltip("n", title="rows"),
        ],
    )
    y = alt.Y("score:Q", title=f"{metric} in %", scale=alt.Scale(zero=False))
    bars = base.mark_errorbar().encode(
        y=alt.Y("low:Q", title=f"{metric} in %", scale=alt.Scale(zero=False)), y2="high:Q"
    )
    lines, points = base.mark_line().encode(y=y), base.mark_point(filled=True, size=70).encode(y=y)
    return alt.LayerChart(layer=[lines, bars, points]).properties(width="container", height=HEIGHT)


def lengths_chart(gold: pd.DataFrame, rows: pd.DataFrame) -> alt.Chart:
    """Return the distribution of words per text, of gold validation rows and of written rows by origin."""
    import altair as alt
    import pandas as pd

    written = rows[["origin", "words"]].rename(columns={"origin": "dataset"})
    human = pd.DataFrame({"dataset": "gold", "words": gold[gold["role"] == "mined"]["words"].astype(int)})
    both = pd.concat([human, written], ignore_index=True)
    top = max(1, int(both["words"].quantile(0.99)))
    both["words"] = both["words"].clip(upper=top)
    step = max(1, -(-top // 30))
    both["from"] = both["words"] // step * step
    counts = both.groupby(["dataset", "from"]).size().rename("rows").reset_index()
    counts["share"] = 100 * counts["rows"] / counts.groupby("dataset")["rows"].transform("sum")
    chart: alt.Chart = (
        alt.Chart(counts)
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("from:Q", title="words of a text"),
            y=alt.Y("share:Q", title="share of its texts in %"),
            color=_colour("dataset"),
            tooltip=["dataset", "from", alt.Tooltip("share", format=".1f"), "rows"],
        )
        .properties(width="container", height=HEIGHT)
    )
    return chart


def confusion_chart(confusion: pd.DataFrame) -> alt.LayerChart:
    """Return one matrix: a line for each gold label, a column for each predicted one, cells in % of the line.

    Args:
        confusion: `rounds.confusion_table` of one round.
    """
    import altair as alt

    names = sorted({*confusion["label"], *confusion["value"]})
    cells = confusion.assign(text=[f"{100 * each:.0f} %" for each in confusion["share"]])
    base = alt.Chart(cells[["label", "value", "rows", "share", "text"]]).encode(
        x=alt.X("value:N", title="predicted", sort=names, scale=alt.Scale(domain=names)),
        y=alt.Y("label:N", title="gold", sort=names, scale=alt.Scale(domain=names)),
    )
    shades = alt.Scale(domain=[0, 1], range=["#ffffff", COLOURS[0]])
    marks = base.mark_rect().encode(color=alt.Color("share:Q", scale=shades, legend=None))
    dark = alt.condition(alt.datum.share > 0.6, alt.value("#ffffff"), alt.value("#1d2430"))
    return alt.LayerChart(layer=[marks, base.mark_text().encode(text="text:N", color=dark)]).properties(
        height=max(120, 36 * len(names))
    )


def confusion_width(confusion: pd.DataFrame) -> int:
    """Return the width of a matrix in CSS pixels, after its number of labels."""
    return min(640, max(240, 60 * len({*confusion["label"], *confusion["value"]})))


def points_chart(points: pd.DataFrame) -> alt.Chart:
    """Return a map as a picture, which tells nothing of a point but its dataset.

    Args:
        points: `dataset`, `x`, `y`.
    """
    import altair as alt

    chart: alt.Chart = (
        alt.Chart(points[["dataset", "x", "y"]])
        .mark_circle(size=36, opacity=0.7)
        .encode(x=alt.X("x:Q", axis=None), y=alt.Y("y:Q", axis=None), color=_colour("dataset"))
        .properties(height=400)
    )
    return chart


def map_chart(found: Map) -> alt.Chart:
    """Return the map of Figure 3: a point for each drawn text, whose text hover shows; the legend picks a dataset."""
    import altair as alt

    points = found.points.assign(text=found.points["text"].str.slice(0, LONGEST_HOVER))
    chosen = alt.selection_point("chosen", fields=["dataset"], bind="legend")
    chart: alt.Chart = (
        alt.Chart(points[["dataset", "x", "y", "id", "label", "text"]])
        .mark_circle(size=36)
        .encode(
            x=alt.X("x:Q", axis=None),
            y=alt.Y("y:Q", axis=None),
            color=_colour("dataset"),
            opacity=alt.condition(chosen, alt.value(0.75), alt.value(0.05)),
            tooltip=["dataset", "label", "text", "id"],
        )
        .add_params(chosen)
        .properties(name="map", width="container", height=460)
    )
    return chart


def arms_chart(scores: pd.DataFrame) -> alt.LayerChart:
    """Return the score of each arm: a point for each seed, a tick at their mean.

    Args:
        scores: `arm`, `seed`, `score` as a share; arms in the order of the table.
    """
    import altair as alt

    arms = list(dict.fromkeys(scores["arm"]))
    base = alt.Chart(scores.assign(score=100 * scores["score"])).encode(
        y=alt.Y("arm:N", title=None, sort=arms, axis=alt.Axis(labelLimit=140))
    )
    x = alt.X("score:Q", title="test in %", scale=alt.Scale(zero=False))
    points = base.mark_circle(size=50, opacity=0.6, color=COLOURS[0]).encode(
        x=x, tooltip=["arm", "seed", alt.Tooltip("score", format=".1f")]
    )
    means = base.mark_tick(thickness=3, size=18, color=COLOURS[2]).encode(
        x=alt.X("mean(score):Q", title="test in %", scale=alt.Scale(zero=False)),
        tooltip=["arm", alt.Tooltip("mean(score)", format=".1f", title="mean")],
    )
    return alt.LayerChart(layer=[points, means]).properties(width="container", height=max(120, 26 * len(arms)))


def differences_chart(differences: pd.DataFrame, baseline: str) -> alt.LayerChart:
    """Return the points that each arm is above the baseline, with intervals.

    Args:
        differences: `arm`, `mean`, `low`, `high` as shares.
        baseline: name of the arm that they are compared with.
    """
    import altair as alt
    import pandas as pd

    points = differences.assign(**{name: 100 * differences[name] for name in ("mean", "low", "high")})
    base = alt.Chart(points).encode(
        y=alt.Y("arm:N", title=None, sort=list(differences["arm"]), axis=alt.Axis(labelLimit=140)),
        tooltip=["arm", *(alt.Tooltip(name, format="+.1f") for name in ("mean", "low", "high"))],
    )
    title = f"points above {baseline}, 95 % interval"
    bars = base.mark_errorbar(color=COLOURS[0]).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    means = base.mark_point(filled=True, size=70, color=COLOURS[0]).encode(x=alt.X("mean:Q", title=title))
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 4]).encode(x="zero:Q")
    return alt.LayerChart(layer=[zero, bars, means]).properties(
        width="container", height=max(120, 26 * len(differences))
    )


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return the Vega-Lite specification of a chart; it refers to nothing outside."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("$schema", None)
    spec["background"] = "transparent"
    return spec


def png(chart: alt.TopLevelMixin, width: int = 640) -> bytes:
    """Return the chart as a PNG on white, `width` CSS pixels wide at twice the resolution; no browser is needed."""
    import vl_convert

    spec = {**chart.to_dict(), "width": width, "background": "white"}
    data: bytes = vl_convert.vegalite_to_png(spec, scale=2)
    return data


def _colour(name: str) -> alt.Color:
    import altair as alt

    return alt.Color(f"{name}:N", scale=alt.Scale(range=list(COLOURS)), legend=alt.Legend(orient="top", title=None))
