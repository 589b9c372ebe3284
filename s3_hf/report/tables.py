"""A page of tables and charts, such as that of a bench."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from s3_hf.files import write_text
from s3_hf.report.page import check_packages, environment, javascript

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: charts by their titles, then one table of plain texts, then notes."""

    title: str
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    charts: Mapping[str, alt.TopLevelMixin] = field(default_factory=dict)
    notes: Sequence[str] = ()


def write_tables(title: str, sections: Sequence[Section], out: Path) -> Path:
    """Write the page to `out`, and return it.

    Raises:
        LocalError: altair or vl-convert is not installed.
    """
    check_packages()
    from s3_hf.report.charts import specification

    charts = {
        f"s{number}-c{place}": specification(chart)
        for number, section in enumerate(sections)
        for place, chart in enumerate(section.charts.values())
    }
    template = environment().get_template("tables.html.jinja")
    write_text(out, template.render(title=title, sections=sections, charts=charts, vega=javascript()))
    return out
