"""The paper's studies as tables, a line for each run and one for the published figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from s3_hf.analysis.cost import costs_of, paper_costs
from s3_hf.analysis.diversity import PAPER_TABLE_8, map_of, words_of
from s3_hf.analysis.quality import COLUMNS, PAPER_TABLE_6, pairs_of, quality_of_pairs
from s3_hf.analysis.rounds import predictions_table
from s3_hf.analysis.rows import gold_table, mistakes_table, rows_table, task_with_gold
from s3_hf.errors import S3Error
from s3_hf.store import MINED, RunDir, names_of

if TYPE_CHECKING:
    import pandas as pd


def quality_study(runs: Sequence[RunDir], encoder: str) -> pd.DataFrame:
    """Return Table 6 of the runs: `run`, then `quality.COLUMNS`.

    Args:
        runs: runs whose mistakes were extrapolated.
        encoder: see `encoding.encode`.

    Raises:
        S3Error: the gold texts of a run cannot be read, or a file is damaged.
    """
    import pandas as pd

    lines: list[dict[str, Any]] = []
    for run, name in zip(runs, names_of(runs), strict=True):
        mistakes = mistakes_table(predictions_table(run), rows_table(run), _gold(run))
        lines.append({"run": name, **quality_of_pairs(pairs_of(mistakes), encoder)})
    for task in _tasks(runs):
        if task in PAPER_TABLE_6:
            lines.append({"run": f"paper, {task}", **dict(zip(COLUMNS, PAPER_TABLE_6[task], strict=True))})
    return pd.DataFrame(lines, columns=["run", *COLUMNS])


def diversity_study(runs: Sequence[RunDir], encoder: str) -> pd.DataFrame:
    """Return words and coverage of the runs' rows and of the gold rows of the first run.

    All datasets are drawn to one size and laid on one map. Columns: `dataset`, those of `diversity.words_of`,
    `near_duplicates`, and `covered_R` for each radius R: the share of the gold points that the dataset covers.

    Args:
        runs: runs of one task.
        encoder: see `encoding.encode`.

    Raises:
        S3Error: the gold texts of the first run cannot be read, or a file is damaged.
    """
    import pandas as pd

    gold = _gold(runs[0])
    sets = {"gold": gold[gold["role"] == MINED][["text"]]}
    for run, name in zip(runs, names_of(runs, *sets), strict=True):
        sets[name] = rows_table(run)[["text"]]
    found = map_of(sets, encoder)
    lines = []
    for name, rows in sets.items():
        covered = found.coverage[found.coverage["dataset"] == (name if name != "gold" else "gold, other half")]
        line = {"dataset": name, **words_of(list(rows["text"])), "near_duplicates": found.near_duplicates[name]}
        lines.append(line | {f"covered_{each.radius}": each.covered for each in covered.itertuples()})
    for task in _tasks(runs):
        if task in PAPER_TABLE_8:
            ours, zerogen = (value / 100 for value in PAPER_TABLE_8[task])
            radius = "covered_at_unknown_radius"
            lines += [
                {"dataset": f"paper, S3, {task}", radius: ours},
                {"dataset": f"paper, ZeroGen, {task}", radius: zerogen},
            ]
    return pd.DataFrame(lines)


def cost_study(runs: Sequence[RunDir]) -> pd.DataFrame:
    """Return the costs of all trainings of the runs (`cost.costs_of`), their sums, and the paper's own.

    `arm` names the run and its round.
    """
    import pandas as pd

    parts = []
    for run, name in zip(runs, names_of(runs), strict=True):
        costs = costs_of(run)
        if costs.empty:
            continue
        total = costs.drop(columns=["arm", "flops_per_row"]).sum().to_frame().T.assign(arm="all rounds")
        both = pd.concat([costs, total], ignore_index=True)
        parts.append(both.assign(arm=f"{name}, " + both["arm"]))
    return pd.concat([*parts, paper_costs()], ignore_index=True)


def _gold(run: RunDir) -> pd.DataFrame:
    found = task_with_gold(run)
    if isinstance(found, S3Error):
        raise found
    return gold_table(found)


def _tasks(runs: Sequence[RunDir]) -> list[str]:
    return list(dict.fromkeys(str((run.facts["task"] or {}).get("name", "")) for run in runs))
