"""What a page shows of one run: tables of `analysis`, cut to what a reader can look through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_hf.analysis.cost import costs_of
from s3_hf.analysis.diversity import Map, map_of, words_of
from s3_hf.analysis.quality import PAPER_TABLE_6, pairs_of, quality_of_pairs
from s3_hf.analysis.rounds import confusion_table, moves_table, predictions_table, rounds_table, scores_table
from s3_hf.analysis.rows import GOLD_COLUMNS, gold_table, mistakes_table, rows_table, task_with_gold
from s3_hf.errors import S3Error
from s3_hf.files import read_json
from s3_hf.store import MINED, TEST, FinalResult, RunDir, Verdict
from s3_hf.task import Task

if TYPE_CHECKING:
    import pandas as pd

MOST_MISTAKES = 400
"""Mistakes on the page, those of the last round with written rows first."""
MOST_MOVES = 100
"""Rows on the page that became right or wrong, of each kind and round."""
FEWEST_DRAWN = 8
"""Texts that each dataset of the map must have."""


@dataclass(frozen=True)
class RunContent:
    """The tables of one run, as `analysis` returns them.

    Attributes:
        name: name of the run's folder, with a number where two runs have the same.
        path: folder of the run.
        facts: content of `run.yaml`.
        without_gold: why the gold texts are missing; empty where they were read.
        rejected: reason -> answers, over all rounds.
        examples: reason -> some of these answers.
        final: the final student; None without one.
        verdict: what the synthetic rows add to the gold rows; None without one.
        map: None without gold texts, or with too few rows.
        quality: Table 6 of the mistakes; empty without gold texts.
        words: dataset -> figures of its words.
    """

    name: str
    path: Path
    facts: dict[str, Any]
    without_gold: str
    rounds: pd.DataFrame
    scores: pd.DataFrame
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    moves: pd.DataFrame
    gold: pd.DataFrame
    rows: pd.DataFrame
    mistakes: pd.DataFrame
    costs: pd.DataFrame
    rejected: dict[str, int]
    examples: dict[str, list[str]]
    final: FinalResult | None
    verdict: Verdict | None
    map: Map | None
    quality: dict[str, float]
    words: dict[str, dict[str, float]]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name, as they are written beside the page; gold texts stand in `mistakes` and `map`."""
        tables = {
            "rounds": self.rounds,
            "scores": self.scores,
            "confusion": self.confusion,
            "moves": self.moves,
            "rows": self.rows,
            "mistakes": self.mistakes,
            "costs": self.costs,
        }
        return tables | ({"map": self.map.points, "coverage": self.map.coverage} if self.map else {})


def content_of(run: RunDir, encoder: str, name: str, *, steady: bool = False) -> RunContent:
    """Return the tables of a run.

    Args:
        run: an open run with a complete round.
        encoder: see `analysis.encoding.encode`.
        name: name of the run on the page.
        steady: see `diversity.map_of`.

    Raises:
        S3Error: a file of the run is damaged, or the encoder cannot be loaded.
    """
    import pandas as pd

    found = task_with_gold(run)
    gold = gold_table(found) if isinstance(found, Task) else pd.DataFrame(columns=list(GOLD_COLUMNS))
    predictions, rows = predictions_table(run), rows_table(run)
    mistakes = mistakes_table(predictions, rows, gold)
    pairs = pairs_of(mistakes)
    datasets = _datasets(gold, rows)
    rejected: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    last = run.round(len(run.rounds()))
    for folder in [*run.rounds(), *([last] if last.empty.exists() else [])]:
        for reason, answers in (read_json(folder.rejected) if folder.rejected.exists() else {}).items():
            examples.setdefault(reason, []).extend(answers)
        made = read_json(folder.empty)["rejected"] if folder.empty.exists() else folder.synthesis().rejected
        for reason, count in made.items():
            rejected[reason] = rejected.get(reason, 0) + count
    return RunContent(
        name=name,
        path=run.path,
        facts=dict(run.facts),
        without_gold=str(found) if isinstance(found, S3Error) else "",
        rounds=rounds_table(run),
        scores=scores_table(run),
        predictions=predictions,
        confusion=confusion_table(predictions),
        moves=moves_table(predictions),
        gold=gold,
        rows=rows,
        mistakes=mistakes,
        costs=costs_of(run),
        rejected=dict(sorted(rejected.items(), key=lambda item: -item[1])),
        examples=examples,
        final=run.final.result(),
        verdict=run.final.outcome(),
        map=_map(datasets, encoder, steady=steady),
        quality=quality_of_pairs(pairs, encoder) if len(pairs) else {},
        words={name: words_of(list(each["text"])) for name, each in datasets.items()},
    )


def shown_mistakes(content: RunContent) -> list[dict[str, Any]]:
    """Return up to `MOST_MISTAKES` mistakes as records, those with written rows first, then the later rounds."""
    chosen = content.mistakes.assign(bare=content.mistakes["written"].map(len) == 0)
    chosen = chosen.sort_values(["bare", "round"], ascending=[True, False], kind="stable")
    return [plain(each) for each in chosen.drop(columns="bare").head(MOST_MISTAKES).to_dict("records")]


def shown_moves(content: RunContent) -> list[dict[str, Any]]:
    """Return up to `MOST_MOVES` rows for each round, role and move, with their texts."""
    texts = content.gold.drop_duplicates(["role", "id"])[["role", "id", "text"]]
    chosen = content.moves[content.moves["role"].isin([MINED, TEST])].merge(texts, how="left", on=["role", "id"])
    chosen = chosen.groupby(["round", "role", "move"], sort=False).head(MOST_MOVES)
    return [plain(each) for each in chosen.to_dict("records")]


def paper_quality(content: RunContent) -> tuple[float, ...] | None:
    """Return the published line of Table 6 for the run's task, in the order of `quality.COLUMNS`, if there is one."""
    return PAPER_TABLE_6.get(str((content.facts.get("task") or {}).get("name")))


def _datasets(gold: pd.DataFrame, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the datasets to compare by name: gold validation rows, and the written rows by origin."""
    found = {"gold": gold[gold["role"] == MINED]} if len(gold) else {}
    return found | {str(origin): each for origin, each in rows.groupby("origin", sort=False)}


def _map(datasets: dict[str, pd.DataFrame], encoder: str, *, steady: bool) -> Map | None:
    large = {name: each for name, each in datasets.items() if len(each) >= FEWEST_DRAWN}
    if "gold" not in large or len(large) < 2:
        return None
    shown = {name: each[["id", "text", "label"]] for name, each in large.items()}
    return map_of(shown, encoder, steady=steady)


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record with None for missing values, which pandas holds as NaN."""
    return {
        str(name): None if isinstance(value, float) and value != value else value for name, value in record.items()
    }
