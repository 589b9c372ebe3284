"""Run directory -> facts for the cards and for `s3/run.json`, with no machine path in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from s3_hf.cards import DatasetFacts, ModelFacts, RoundFacts, RunFacts, Sample
from s3_hf.files import read_json
from s3_hf.hub.names import shown, without_paths
from s3_hf.records import Scores, Usage
from s3_hf.store import RoundDir, RunDir

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN = 3
"""Rows of each label on a card."""
LONGEST_SAMPLE = 600
LONGEST_CALL = 100
ECHOED = "dummy"
"""What `huggingface_hub` sends as the model where none was asked for, and some servers answer with."""
UNNAMED = "as served"
"""What a run calls the LLM of an endpoint that it asked for no model by name; the rows say what answered."""


def run_facts(run: RunDir, number: int, rows: Dataset, license: str | None) -> RunFacts:  # noqa: A002 - the Hub's word
    """What both cards of round `number`, whose union is `rows`, say of the run."""
    llm = run.facts["llm"] or {}
    served = sorted({shown(name) for name in rows.unique("s3_model") if name not in ("", ECHOED)})
    return RunFacts(
        task=without_paths(run.facts["task"]),
        strategy=run.config.strategy,
        llm=(", ".join(served) or "unnamed") if llm.get("model") == UNNAMED else shown(llm.get("model", "")),
        endpoint=llm.get("endpoint", ""),
        student=shown(run.facts["student"] or ""),
        settings=settings(run),
        versions=run.facts["versions"],
        rounds=tuple(_round_facts(run.round(each)) for each in range(number + 1)),
        license=license,
    )


def dataset_facts(run: RunFacts, repo: str, rows: Dataset, reports: list[Mapping[str, Any]]) -> DatasetFacts:
    """What the dataset card says; `reports` are the `round.json` of all rounds in it."""
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
    """What the model card says, before the dataset's commit and the next round are known."""
    columns, row = run.task["columns"], rows[len(rows) - 1]
    text, context = _in_line(row[columns["text"]], LONGEST_CALL), None
    if columns["context"]:
        context = _in_line(row[columns["context"]], LONGEST_SAMPLE)
    return ModelFacts(repo, run, dataset, training, text, context)


def samples(run: RunFacts, rows: Dataset) -> tuple[Sample, ...]:
    """`SHOWN` rows of each label, or of all, spread evenly from the first to the last."""
    import numpy as np

    column = run.task["columns"]["label"]
    ids = np.asarray(rows[column][:] if column else [0] * len(rows))
    found: list[Sample] = []
    for number, name in enumerate(run.task["labels"] if column else ("",)):
        places = np.flatnonzero(ids == number)
        evenly = np.linspace(0, len(places) - 1, SHOWN).round().astype(int)
        for place in dict.fromkeys(places[evenly].tolist() if len(places) else []):
            row = rows[place]
            found.append(Sample(name, _shown_row(run, row), row["s3_origin"], row["s3_round"]))
    return tuple(found)


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
    """The settings that decide what is made, without addresses and paths."""
    plain: dict[str, Any] = without_paths(run.config.identity())
    return plain | {"rounds": run.config.rounds}


def provenance(run: RunDir, number: int) -> dict[str, Any]:
    """What `s3/run.json` holds of the run: versions, settings, task, prompts, usage, scores."""
    rounds = [run.round(each) for each in range(number + 1)]
    return {
        "created": run.facts["created"],
        "fingerprint": run.facts["fingerprint"],
        "versions": dict(run.facts["versions"]),
        "strategy": run.config.strategy,
        "llm": without_paths(run.facts["llm"]),
        "student": shown(run.facts["student"] or ""),
        "settings": settings(run),
        "task": without_paths(run.facts["task"]),
        "rounds": [without_paths(read_json(each.facts)) | _scores_file(each) for each in rounds],
    }


def _round_facts(folder: RoundDir) -> RoundFacts:
    report = read_json(folder.facts)
    scores = _scores_file(folder).get("scores", {})
    return RoundFacts(
        number=folder.number,
        added=report["rows"],
        labels=report["labels"],
        selection=_scores(scores.get("validation")),
        test=_scores(scores.get("test")),
        mistakes=scores.get("mistakes"),
    )


def _scores_file(folder: RoundDir) -> dict[str, Any]:
    return {"scores": read_json(folder.metrics)} if folder.metrics.exists() else {}


def _scores(found: Mapping[str, Any] | None) -> Scores | None:
    if found is None:
        return None
    return Scores({name: value for name, value in found.items() if name != "n"}, found["n"])


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest].rsplit(" ", 1)[0] + " …"


def _in_line(text: str, longest: int) -> str:
    return _cut(" ".join(text.split()), longest)
