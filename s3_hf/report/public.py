"""The page for publication: ids in the place of gold texts, and no written text that holds a part of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from s3_hf.hub import Withheld, public_facts
from s3_hf.report.content import RunContent, content_of
from s3_hf.report.page import check_packages, render
from s3_hf.store import RunDir

if TYPE_CHECKING:
    import pandas as pd

NOTE = "this page is for publication and shows their ids; written texts with a part of one are left out, too"


def public_page(run: RunDir, encoder: str, withheld: Withheld) -> str:
    """Return the HTML of the run's page without the texts that are withheld and paths of this machine.

    It is the same whenever the facts are the same, so that a push of the same run changes nothing.

    Raises:
        LocalError: altair or vl-convert is not installed.
        S3Error: the run is damaged, the gold data cannot be read, or the encoder cannot be loaded.
    """
    check_packages()
    content = content_of(run, encoder, run.name, steady=True)
    return render([public_content(content, run, withheld)])


def public_content(content: RunContent, run: RunDir, withheld: Withheld) -> RunContent:
    """Return the content without gold texts and the texts that are withheld."""
    answers = not run.facts["task"]["columns"]["label"]  # an answer is a part of a gold text
    found, rows = content.map, content.rows.assign(text=_without(withheld, content.rows["text"]), context="")
    if found is not None:
        points = found.points.assign(text=_without(withheld, found.points["text"]))
        points.loc[points["dataset"] == "gold", "text"] = ""
        found = replace(found, points=_nameless(points) if answers else points)
    texts = dict(zip(rows["id"], rows["text"], strict=True))
    written = [[{**row, "text": texts[row["id"]]} for row in each] for each in content.mistakes["written"]]
    mistakes = content.mistakes.assign(text="", context="", written=written)
    tables = {"rows": rows, "mistakes": mistakes, "moves": content.moves, "gold": content.gold.assign(text="")}
    return replace(
        content,
        facts=public_facts(run),
        without_gold=NOTE,
        predictions=content.predictions[["round", "role", "id", "right"]],
        examples={
            reason: [text for text in _without(withheld, each) if text] for reason, each in content.examples.items()
        },
        map=found,
        **{name: _nameless(table) if answers else table for name, table in tables.items()},
    )


def _without(withheld: Withheld, texts: Iterable[str]) -> list[str]:
    """Return the texts, with an empty one in the place of each that is withheld."""
    given = list(texts)
    return ["" if private else text for text, private in zip(given, withheld.held_by(given), strict=True)]


def _nameless(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: "" for name in ("label", "value") if name in table})
