"""The page for publication: ids in the place of gold texts, and no written text that holds a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from s3_hf.hub import GoldTexts, gold_texts, public_facts
from s3_hf.report.content import RunContent, content_of
from s3_hf.report.page import check_packages, render
from s3_hf.store import RunDir
from s3_hf.texts import normalise

if TYPE_CHECKING:
    import pandas as pd

NOTE = "this page is for publication and shows their ids; written texts with a part of one are left out, too"


def public_page(run: RunDir, encoder: str) -> str:
    """Return the HTML of the run's page without gold texts, keys of the endpoint and paths of this machine.

    Raises:
        LocalError: altair or vl-convert is not installed.
        S3Error: the run is damaged, the gold data cannot be read, or the encoder cannot be loaded.
    """
    check_packages()
    return render([public_content(content_of(run, encoder, run.path.resolve().name), run, gold_texts(run))])


def public_content(content: RunContent, run: RunDir, gold: GoldTexts) -> RunContent:
    """Return the content without gold texts: `gold` tells which texts hold one."""
    answers = not run.facts["task"]["columns"]["label"]  # an answer is a part of a gold text
    found, rows = content.map, content.rows.assign(text=_without(gold, content.rows["text"]), context="")
    if found is not None:
        points = found.points.assign(text=_without(gold, found.points["text"]))
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
        predictions=content.predictions[["round"]],
        examples={
            reason: [text for text in _without(gold, each) if text] for reason, each in content.examples.items()
        },
        map=found,
        **{name: _nameless(table) if answers else table for name, table in tables.items()},
    )


def _without(gold: GoldTexts, texts: Sequence[str]) -> list[str]:
    """Return the texts, with an empty one in the place of each that holds gold text."""
    held = gold.held_by([normalise(text) for text in texts])
    return ["" if copied else text for text, copied in zip(texts, held, strict=True)]


def _nameless(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(**{name: "" for name in ("label", "value") if name in table})
