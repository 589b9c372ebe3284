"""The page: tables and charts of runs in one HTML file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.filters

from s3_hf.analysis.rounds import check_rounds, round_sentences
from s3_hf.cards.final import arm_title
from s3_hf.errors import check_installed
from s3_hf.files import replacing, write_text
from s3_hf.report.content import RunContent, content_of, paper_quality, plain, shown_mistakes, shown_moves
from s3_hf.store import RunDir, names_of

if TYPE_CHECKING:
    import pandas as pd

PACKAGES = ("altair", "vl_convert")
MOST_LABELS = 60
"""Labels of a confusion matrix that is shown."""
LONGEST_SHOWN = 600
"""Characters of a text that are shown before "more"."""


def check_packages() -> None:
    """Raise LocalError if the packages that draw charts are not installed."""
    check_installed("the report draws with", "report", *PACKAGES)


def write_report(runs: Sequence[RunDir], out: Path, encoder: str) -> Path:
    """Write the page about the runs to `out`, and their tables to the folder `STEM-tables` beside it.

    Args:
        runs: open runs; several are compared at the beginning of the page.
        out: HTML file to write.
        encoder: folder or Hub id of the encoder for similarities and the map.

    Raises:
        RunDirError: a run has no complete round.
        LocalError: altair or vl-convert is not installed.
        S3Error: a run is damaged, or the encoder cannot be loaded.
    """
    check_packages()
    check_rounds(runs)
    contents = [content_of(run, encoder, name) for run, name in zip(runs, names_of(runs), strict=True)]
    write_text(out, render(contents))
    _write_tables(contents, out.with_name(f"{out.stem}-tables"))
    return out


def render(contents: Sequence[RunContent]) -> str:
    """Return the HTML of the page."""
    template = environment().get_template("page.html.jinja")
    views = [_view(content, number) for number, content in enumerate(contents)]
    return template.render(
        title=", ".join(content.name for content in contents),
        runs=views,
        comparison=_comparison(contents),
        vega=javascript(),
        charts={key: spec for view in views for key, spec in view["charts"].items()} | _common_charts(contents),
    )


def javascript() -> str:
    """Return Vega and vega-embed as JavaScript that may stand in a page."""
    import vl_convert

    code: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed")
    return code.replace("</script", "<\\/script")


def environment() -> jinja2.Environment:
    """Return the environment of the templates of pages, which escapes every value."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("s3_hf.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "count": _count,
        "figure": _figure,
        "scientific": "{:.2e}".format,
        "indented": _indented,
    }
    environment.globals["longest"] = LONGEST_SHOWN
    return environment


def _view(content: RunContent, number: int) -> dict[str, Any]:
    """Return what the template shows of one run."""
    rounds = [plain(each) for each in content.rounds.to_dict("records")]
    metric = str(content.scores["metric"].iloc[0]) if len(content.scores) else ""
    tested = [name for name in content.rounds if name.startswith("test_") and name != "test_n"]
    return {
        "key": f"run{number}",
        "content": content,
        "facts": content.facts,
        "rounds": rounds,
        "sentences": round_sentences(content.rounds, content.predictions),
        "metric": metric,
        "shown_metrics": [f"mined_{metric}", *tested] if metric else [],
        "confusion": _confusion(content.confusion) if _label_names(content) else [],
        "moves": shown_moves(content),
        "move_counts": _move_counts(content.moves),
        "mistakes": shown_mistakes(content),
        "costs": content.costs.to_dict("records"),
        "labels": _label_counts(content),
        "paper_quality": paper_quality(content),
        "charts": _charts(content, f"run{number}"),
        "coverage": _coverage(content),
        "arm_titles": {
            arm.name: arm_title(arm.name, str(content.facts.get("strategy"))) for arm in content.verdict.arms
        }
        if content.verdict
        else {},
    }


def _charts(content: RunContent, key: str) -> dict[str, Any]:
    """Return the specifications of a run's charts, by the id of their place on the page."""
    from s3_hf.report import charts

    found = {}
    if len(content.scores):
        found[f"{key}-scores"] = charts.specification(charts.scores_chart(content.scores))
    if len(content.rows):
        found[f"{key}-lengths"] = charts.specification(charts.lengths_chart(content.gold, content.rows))
    if content.map is not None:
        found[f"{key}-map"] = charts.specification(charts.map_chart(content.map))
    return found


def _common_charts(contents: Sequence[RunContent]) -> dict[str, Any]:
    """Return the chart that compares several runs: their scores on test rows by round."""
    import pandas as pd

    from s3_hf.report import charts

    scored = [content.scores.assign(run=content.name) for content in contents if len(content.scores)]
    if len(contents) < 2 or not scored:
        return {}
    test = pd.concat(scored)
    return {"comparison-scores": charts.specification(charts.scores_chart(test[test["role"] == "test"]))}


def _comparison(contents: Sequence[RunContent]) -> list[dict[str, Any]]:
    """Return a line for each of several runs: strategy, models, rows and the score on test of its last round."""
    if len(contents) < 2:
        return []
    lines = []
    for number, content in enumerate(contents):
        test = content.scores[content.scores["role"] == "test"]
        lines.append(
            {
                "key": f"run{number}",
                "name": content.name,
                "strategy": content.facts.get("strategy") or "",
                "task": (content.facts.get("task") or {}).get("name", ""),
                "student": content.facts.get("student") or "",
                "gold": (content.facts.get("task") or {}).get("splits", {}).get("validation"),
                "rows": int(content.rounds["rows"].iloc[-1]),
                "verdict": content.verdict.sentence if content.verdict else "",
                "test": plain(test.iloc[-1].to_dict()) if len(test) else None,
                "requests": int(content.rounds["requests"].sum()),
                "cost": float(content.rounds["cost"].sum()),
            }
        )
    return lines


def _confusion(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the matrices by round: labels in order, and a line of shares for each."""
    found = []
    names = sorted({*table["label"], *table["value"]})
    for number, each in table.groupby("round"):
        cells = {(row.label, row.value): row for row in each.itertuples()}
        lines = [(label, [cells.get((label, value)) for value in names]) for label in names]
        found.append({"round": number, "names": names, "lines": lines})
    return found if len(names) <= MOST_LABELS else []


def _move_counts(moves: pd.DataFrame) -> list[dict[str, Any]]:
    counts = moves.groupby(["round", "role", "move"]).size().unstack(fill_value=0)
    for move in ("fixed", "broken"):
        if move not in counts:
            counts[move] = 0
    return counts.reset_index().to_dict("records") if len(moves) else []


def _label_counts(content: RunContent) -> list[dict[str, Any]]:
    """Return the number of gold and written rows, and of mistakes by round, for each label; empty for answers."""
    names = _label_names(content)
    gold = content.gold[content.gold["role"] == "mined"]["label"].value_counts() if len(content.gold) else {}
    written = content.rows["label"].value_counts() if len(content.rows) else {}
    wrong = content.mistakes.groupby(["label", "round"]).size()
    numbers = sorted(set(content.mistakes["round"]))
    return [
        {
            "label": name,
            "gold": int(gold.get(name, 0)) if len(content.gold) else None,
            "written": int(written.get(name, 0)),
            "mistakes": [int(wrong.get((name, number), 0)) for number in numbers],
        }
        for name in names
    ]


def _label_names(content: RunContent) -> list[str]:
    """Return the names of the labels; none in a task with answers, whose texts are no labels."""
    task = content.facts.get("task") or {}
    return list(task.get("labels", {})) if (task.get("columns") or {}).get("label") else []


def _coverage(content: RunContent) -> list[dict[str, Any]]:
    if content.map is None:
        return []
    table = content.map.coverage.pivot_table(index="dataset", columns="radius", values="covered", sort=False)
    return [{"dataset": name, "covered": list(line.items())} for name, line in table.iterrows()]


def _write_tables(contents: Sequence[RunContent], folder: Path) -> None:
    with replacing(folder) as temporary:
        for content in contents:
            place = temporary / content.name if len(contents) > 1 else temporary
            place.mkdir(parents=True, exist_ok=True)
            for name, table in content.tables.items():
                table.to_parquet(place / f"{name}.parquet")
            figures = {"quality": content.quality, "words": content.words, "rejected": content.rejected}
            (place / "figures.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8", newline="\n")


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None or value != value else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def _count(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:,.0f}"


def _figure(value: float | None, digits: int = 2) -> str:
    return "–" if value is None or value != value else f"{value:,.{digits}f}"
