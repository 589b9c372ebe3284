"""Run directory -> facts for the cards and for `s3/run.json`, without machine paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from s3_hf.cards import DatasetFacts, ModelFacts, RoundFacts, RunFacts, Sample
from s3_hf.hub.privacy import public_name, without_paths
from s3_hf.records import LABEL_P, Usage
from s3_hf.store import SELECTION, TEST, RunDir, Stage, SynthesisFacts

if TYPE_CHECKING:
    from datasets import Dataset

SHOWN = 3
"""Rows of each label, and names of models, on a card."""
LONGEST_SAMPLE = 600
LONGEST_CALL = 100
PLACEHOLDER = "dummy"
"""Model name that `huggingface_hub` sends where the settings name none, and that some servers return."""
UNNAMED = "as served"
"""Model name in `run.yaml` where the settings name none; `s3_model` has the names that servers returned."""


def run_facts(run: RunDir, number: int, rows: Dataset, license: str | None) -> RunFacts:  # noqa: A002 - the Hub's word
    """Return the facts of the run for both cards of round `number`; `rows` are those of all rounds up to it."""
    llm = run.facts["llm"] or {}
    served = sorted({public_name(name)[:LONGEST_CALL] for name in rows.unique("s3_model")} - {"", PLACEHOLDER})
    return RunFacts(
        task=without_paths(run.facts["task"]),
        strategy=run.config.strategy,
        llm=(_listed(served) or "unnamed") if llm.get("model") == UNNAMED else public_name(llm.get("model", "")),
        endpoint=llm.get("endpoint", ""),
        student=public_name(run.facts["student"] or ""),
        settings=settings(run),
        versions=run.facts["versions"],
        rounds=tuple(_round_facts(run, each) for each in range(number + 1)),
        license=license,
        judging=decided.sentence if (decided := run.judging.decided()) else "",
    )


def dataset_facts(run: RunFacts, repo: str, rows: Dataset, reports: Sequence[SynthesisFacts]) -> DatasetFacts:
    """Return the facts of the dataset card; `reports` are those of all rounds in the dataset."""
    rejected: Counter[str] = Counter()
    for report in reports:
        rejected.update(report.rejected)
    return DatasetFacts(
        repo=repo,
        run=run,
        structure={},
        samples=samples(run, rows),
        origins=dict(Counter(rows["s3_origin"][:])),
        rationales={
            label: tuple(" ".join(reason.split()) for reason in reasons)
            for report in reports
            for label, reasons in report.rationales.items()
        },
        prompts={key: text for report in reports for key, text in report.prompts.items()},
        rejected=dict(rejected),
        checks_off={name: share for report in reports for name, share in report.checks_off.items()},
        given_up=sum(report.given_up for report in reports),
        usage=sum((report.usage for report in reports), Usage()),
        seconds=sum(report.seconds for report in reports),
        judged=LABEL_P in rows.column_names,
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
    return {
        "created": run.facts["created"],
        "fingerprint": run.facts["fingerprint"],
        "versions": dict(run.facts["versions"]),
        "strategy": run.config.strategy,
        "llm": without_paths(run.facts["llm"]),
        "student": public_name(run.facts["student"] or ""),
        "settings": settings(run),
        "task": without_paths(run.facts["task"]),
        **({"judging": asdict(decided)} if (decided := run.judging.decided()) else {}),
        "rounds": [
            without_paths(asdict(run.round(each).synthesis())) | _scores(run, each) for each in range(number + 1)
        ],
    }


def public_facts(run: RunDir) -> dict[str, Any]:
    """Return what may be shown of `run.yaml`."""
    facts = provenance(run, 0)
    del facts["rounds"]
    return facts


def round_reports(run: RunDir, number: int) -> list[SynthesisFacts]:
    """Return how the rows of rounds 0 to `number` were made."""
    return [run.round(each).synthesis() for each in range(number + 1)]


def training_facts(run: RunDir, number: int) -> dict[str, Any]:
    """Return how the student of round `number` was trained."""
    facts: dict[str, Any] = without_paths(asdict(run.round(number).training()))
    return facts


def _round_facts(run: RunDir, number: int) -> RoundFacts:
    synthesis = run.round(number).synthesis()
    if run.round(number).stage() is not Stage.DONE:
        return RoundFacts(number, synthesis.rows, synthesis.labels)
    result = run.result(number)
    selection, test = result.scores[SELECTION], result.scores[TEST]
    return RoundFacts(number, synthesis.rows, synthesis.labels, selection, test, result.mistakes)


def _scores(run: RunDir, number: int) -> dict[str, Any]:
    if run.round(number).stage() is not Stage.DONE:
        return {}
    result = run.result(number)
    return {"scores": {role: asdict(each) for role, each in result.scores.items()}, "mistakes": result.mistakes}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest].rsplit(" ", 1)[0] + " …"


def _in_line(text: str, longest: int) -> str:
    return _cut(" ".join(text.split()), longest)
