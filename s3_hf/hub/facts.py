"""Run directory -> facts for the cards and for `s3/run.json`, without machine paths.

The only module of the station that reads the files of a round: `round_reports`, `round_scores`, `training_facts`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3_hf.cards import DatasetFacts, ModelFacts, RoundFacts, RunFacts, Sample
from s3_hf.files import read_json
from s3_hf.hub.privacy import public_name, without_paths
from s3_hf.records import Scores, Usage
from s3_hf.store import RoundDir, RunDir

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN = 3
"""Rows of each label on a card."""
LONGEST_SAMPLE = 600
LONGEST_CALL = 100
PLACEHOLDER = "dummy"
"""Model name that `huggingface_hub` sends where the settings name none, and that some servers return."""
UNNAMED = "as served"
"""Model name in `run.yaml` where the settings name none; `s3_model` has the names that servers returned."""


def run_facts(run: RunDir, number: int, rows: Dataset, license: str | None) -> RunFacts:  # noqa: A002 - the Hub's word
    """Return the facts of the run for both cards of round `number`; `rows` are those of all rounds up to it."""
    llm = run.facts["llm"] or {}
    served = sorted({public_name(name) for name in rows.unique("s3_model") if name not in ("", PLACEHOLDER)})
    return RunFacts(
        task=without_paths(run.facts["task"]),
        strategy=run.config.strategy,
        llm=(", ".join(served) or "unnamed") if llm.get("model") == UNNAMED else public_name(llm.get("model", "")),
        endpoint=llm.get("endpoint", ""),
        student=public_name(run.facts["student"] or ""),
        settings=settings(run),
        versions=run.facts["versions"],
        rounds=tuple(_round_facts(run.round(each), report) for each, report in enumerate(round_reports(run, number))),
        license=license,
    )


def dataset_facts(run: RunFacts, repo: str, rows: Dataset, reports: Sequence[Mapping[str, Any]]) -> DatasetFacts:
    """Return the facts of the dataset card; `reports` are those of all rounds in the dataset."""
    rejected: Counter[str] = Counter()
    for report in reports:
        rejected.update(report.get("rejected", {}))
    return DatasetFacts(
        repo=repo,
        run=run,
        structure={},
        samples=samples(run, rows),
        origins=dict(Counter(rows["s3_origin"][:])),
        rationales={
            label: tuple(" ".join(reason.split()) for reason in reasons)
            for report in reports
            for label, reasons in report.get("rationales", {}).items()
        },
        prompts={key: text for report in reports for key, text in report.get("prompts", {}).items()},
        rejected=dict(rejected),
        given_up=sum(report.get("given_up", 0) for report in reports),
        usage=sum((Usage(**report.get("usage", {})) for report in reports), Usage()),
        seconds=sum(report.get("seconds", 0.0) for report in reports),
    )


def model_facts(run: RunFacts, repo: str, dataset: str, rows: Dataset, training: Mapping[str, Any]) -> ModelFacts:
    """Return the facts of the model card, before the dataset's commit and the next round are known."""
    columns, row = run.task["columns"], rows[len(rows) - 1]
    text, context = _in_line(row[columns["text"]], LONGEST_CALL), None
    if columns["context"]:
        context = _in_line(row[columns["context"]], LONGEST_SAMPLE)
    return ModelFacts(repo, run, dataset, training, text, context)


def samples(run: RunFacts, rows: Dataset) -> tuple[Sample, ...]:
    """Return `SHOWN` rows of each label, or of all, spread evenly from the first to the last."""
    import numpy as np

    column = run.task["columns"]["label"]
    ids = np.asarray(rows[column][:] if column else [0] * len(rows))
    chosen: list[Sample] = []
    for number, name in enumerate(run.task["labels"] if column else ("",)):
        places = np.flatnonzero(ids == number)
        evenly = np.linspace(0, len(places) - 1, SHOWN).round().astype(int)
        for place in dict.fromkeys(places[evenly].tolist() if len(places) else []):
            row = rows[place]
            chosen.append(Sample(name, _shown_row(run, row), row["s3_origin"], row["s3_round"]))
    return tuple(chosen)


def _shown_row(run: RunFacts, row: Mapping[str, Any]) -> str:
    columns = run.task["columns"]
    text = _cut(row[columns["text"]], LONGEST_SAMPLE)
    if not columns["context"]:
        return text
    lines = [_cut(row[columns["context"]], LONGEST_SAMPLE), text]
    if columns["answers"]:
        lines += row[columns["answers"]]["text"][:1]
    return "\n\n".join(lines)


def settings(run: RunDir) -> dict[str, Any]:
    """Return the settings that the rows and models depend on, without addresses and paths."""
    plain: dict[str, Any] = without_paths(run.config.identity())
    return plain | {"rounds": run.config.rounds}


def provenance(run: RunDir, number: int) -> dict[str, Any]:
    """Return what `s3/run.json` holds of the run: versions, settings, task, prompts, usage, scores."""
    scores = [round_scores(run.round(each)) for each in range(number + 1)]
    return {
        "created": run.facts["created"],
        "fingerprint": run.facts["fingerprint"],
        "versions": dict(run.facts["versions"]),
        "strategy": run.config.strategy,
        "llm": without_paths(run.facts["llm"]),
        "student": public_name(run.facts["student"] or ""),
        "settings": settings(run),
        "task": without_paths(run.facts["task"]),
        "rounds": [
            without_paths(report) | ({"scores": found} if found else {})
            for report, found in zip(round_reports(run, number), scores, strict=True)
        ],
    }


def round_reports(run: RunDir, number: int) -> list[dict[str, Any]]:
    """Return how the rows of rounds 0 to `number` were made: counts, rationales, prompts, rejections, usage."""
    return [read_json(run.round(each).facts) for each in range(number + 1)]


def round_scores(folder: RoundDir) -> dict[str, Any]:
    """Return the scores of a round's student, as its metrics file holds them; empty before it is scored."""
    scores: dict[str, Any] = read_json(folder.metrics) if folder.metrics.exists() else {}
    return scores


def training_facts(run: RunDir, number: int) -> dict[str, Any]:
    """Return how the student of round `number` was trained."""
    facts: dict[str, Any] = without_paths(read_json(run.round(number).model / "training.json"))
    return facts


def _round_facts(folder: RoundDir, report: Mapping[str, Any]) -> RoundFacts:
    scores = round_scores(folder)
    return RoundFacts(
        number=folder.number,
        added=report["rows"],
        labels=report["labels"],
        selection=_scores(scores.get("validation")),  # with --holdout too, these are of the rows that chose the epoch
        test=_scores(scores.get("test")),
        mistakes=scores.get("mistakes"),
    )


def _scores(entry: Mapping[str, Any] | None) -> Scores | None:
    if entry is None:
        return None
    return Scores({name: value for name, value in entry.items() if name != "n"}, entry["n"])


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest].rsplit(" ", 1)[0] + " …"


def _in_line(text: str, longest: int) -> str:
    return _cut(" ".join(text.split()), longest)
