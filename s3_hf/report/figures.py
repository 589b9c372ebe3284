"""Figures of the cards on the Hub: PNG files of a round's repositories, without gold texts.

They are the same bytes whenever the facts are the same, so that a push of the same run changes nothing: the map is
laid out by the principal components of the gold texts alone, so that a point stays where it is from round to round.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from s3_hf.analysis.diversity import gold_plane
from s3_hf.analysis.rounds import confusion_table, final_predictions, predictions_table, scores_table
from s3_hf.analysis.rows import gold_table, rows_table, task_with_gold
from s3_hf.cards import Figure
from s3_hf.cards.shared import metric_title
from s3_hf.errors import LocalError, S3Error
from s3_hf.hub import Figures, Repository, no_figures
from s3_hf.records import HUMAN
from s3_hf.report.content import FEWEST_DRAWN
from s3_hf.report.page import check_packages
from s3_hf.store import MINED, RunDir, has_weights

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

MOST_LABELS_ON_CARD = 20
"""Labels of a confusion matrix that can be read at the width of a card."""
DRAWN = 200
"""Texts of each dataset on the map."""

logger = logging.getLogger(__name__)


def card_figures(run: RunDir) -> Figures:
    """Return what draws the figures of each repository of the run; none without the packages of the extra `report`."""
    try:
        check_packages()
    except LocalError as error:
        logger.warning("the cards have no figures: %s", error)
        return no_figures
    return _Drawn(run)


class _Drawn:
    """The figures of a run's repositories; what several of them need is computed once."""

    def __init__(self, run: RunDir) -> None:
        self._run = run

    def __call__(self, repository: Repository) -> tuple[Figure, ...]:
        """Return the figures: scores and confusion, and of a dataset the map."""
        number = repository.round
        found = [self._scores(number), self._confusion(number)]
        if repository.type == "dataset" and number is not None:
            found.append(self._map(number))
        return tuple(each for each in found if each)

    def _scores(self, number: int | None) -> Figure | None:
        from s3_hf.report import charts

        table = self._scored if number is None else self._scored[self._scored["round"] <= number]
        if table.empty:
            return None
        metric = metric_title(str(table["metric"].iloc[0]))
        caption = f"Student's {metric} by round, with 95% intervals for the sampling of the scored gold rows"
        return _figure("scores", caption, charts.scores_chart(table))

    def _confusion(self, number: int | None) -> Figure | None:
        from s3_hf.report import charts

        columns = (self._run.facts["task"] or {})["columns"]
        if not columns["label"]:
            return None  # answers are gold texts
        table = self._confused if number is not None else confusion_table(final_predictions(self._run))
        table = table if number is None else table[table["round"] == number]
        if table.empty or table["label"].nunique() > MOST_LABELS_ON_CARD:
            return None
        caption = "Share of the test rows of each gold label (line) that is predicted as which label (column)"
        return _figure("confusion", caption, charts.confusion_chart(table), charts.confusion_width(table))

    def _map(self, number: int) -> Figure | None:
        from s3_hf.report import charts

        chosen = self._points[self._points["number"] <= number] if len(self._points) else self._points
        if chosen["dataset"].nunique() < 2:
            return None
        drawn = chosen["dataset"].value_counts().max()
        caption = (
            f"Map of up to {drawn} texts of each dataset as the student of round 0 encodes them, along the two "
            "principal components of the gold texts: near points are similar texts"
        )
        return _figure("map", caption, charts.points_chart(chosen))

    @cached_property
    def _scored(self) -> pd.DataFrame:
        return scores_table(self._run)

    @cached_property
    def _confused(self) -> pd.DataFrame:
        return confusion_table(predictions_table(self._run))

    @cached_property
    def _points(self) -> pd.DataFrame:
        """`dataset`, `number` of its round (-1 for gold rows), `x`, `y`; empty where there can be no map."""
        import pandas as pd

        none = pd.DataFrame(columns=["dataset", "number", "x", "y"])
        task, rows, encoder = task_with_gold(self._run), rows_table(self._run), self._run.round(0).model
        if isinstance(task, S3Error) or rows.empty or not has_weights(encoder):
            return none
        gold, written = gold_table(task), rows[rows["origin"] != HUMAN]
        groups = {"gold": list(gold[gold["role"] == MINED]["text"])}
        groups |= {f"round {number}": list(each["text"]) for number, each in written.groupby("round")}
        groups = {name: texts for name, texts in groups.items() if len(texts) >= FEWEST_DRAWN}
        if "gold" not in groups:
            return none
        try:
            points = gold_plane(groups, str(encoder), DRAWN)
        except S3Error as error:
            logger.warning("the cards have no map of the texts: %s", error)
            return none
        number = points["dataset"].str.removeprefix("round ").where(points["dataset"] != "gold", "-1").astype(int)
        return points.assign(number=number)


def _figure(name: str, caption: str, chart: alt.TopLevelMixin, width: int = 640) -> Figure:
    from s3_hf.report.charts import png

    return Figure(name, caption, png(chart, width))
