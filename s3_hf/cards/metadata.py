"""Front matter of the cards: what the Hub, `load_dataset` and leaderboards read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import DatasetCardData, EvalResult, ModelCardData, SpaceCardData

from s3_hf.cards.facts import SHARES, DatasetFacts, ModelFacts, RunFacts
from s3_hf.cards.markup import is_hub_id
from s3_hf.cards.shared import TITLES, interval, terms
from s3_hf.records import Scores
from s3_hf.store import GOLD, SYNTHETIC

LONGEST_TITLE = 100
"""Characters of the title of a Space."""
OTHER_LICENSE = "gold-data-and-llm-terms"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_METRIC_IDS = {"macro_f1": "f1"}
"""Metrics whose id on the Hub is another one."""


def dataset_metadata(facts: DatasetFacts) -> DatasetCardData:
    """Return the front matter of a dataset card."""
    run, task = facts.run, facts.run.task
    creators = ["found"] * bool(run.human or run.existing_rows) + ["machine-generated"] * bool(run.synthetic_rows)
    tags = ["synthetic"] * bool(run.synthetic_rows) + ["s3-hf", run.strategy]
    return DatasetCardData(
        pretty_name=run.title,
        language=task["language"],
        **_license(run, weights=False),
        task_categories=[task["task_category"]],
        task_ids=list(task["task_ids"]) or None,
        size_categories=[size_category(run.rows)],
        annotations_creators=creators,
        language_creators=[*creators],
        source_datasets=[gold] if (gold := _gold_id(task)) else None,
        tags=tags,
        **facts.structure,
    )


def model_metadata(facts: ModelFacts) -> ModelCardData:
    """Return the front matter of a model card, with its test scores as `model-index`."""
    run = facts.run
    return ModelCardData(
        language=run.task["language"],
        **_license(run, weights=True, gold_alone=facts.gold_alone),
        library_name="transformers",
        pipeline_tag=run.task["task_category"],
        base_model=run.student if is_hub_id(run.student) else None,
        datasets=_learned(facts) or None,
        metrics=[_METRIC_IDS.get(name, name) for name in run.metrics if facts.test] or None,
        tags=["s3-hf", run.strategy, *(["onnx", "transformers.js"] if facts.onnx else [])],
        model_name=facts.repo.rsplit("/", 1)[-1],
        eval_results=_eval_results(run, facts.test) or None,
        new_version=facts.new_version,
    )


def _gold_id(task: Mapping[str, Any]) -> str | None:
    """Return the Hub id of the gold data, without its configuration, or None if it is not on the Hub."""
    name = str(task["source"]).partition(":")[0]
    return name if is_hub_id(name) else None


def _learned(facts: ModelFacts) -> list[str]:
    """Return the ids of the datasets that the model learned: synthetic rows, and in the gold stage the gold rows."""
    arm = facts.final.choice.arm if facts.final else SYNTHETIC
    gold = _gold_id(facts.run.task) if arm != SYNTHETIC else None
    return [*([] if arm == GOLD else [facts.dataset]), *([gold] if gold else [])]


def space_metadata(run: RunFacts, dataset: str, models: Sequence[str]) -> SpaceCardData:
    """Return the front matter of a static Space about a dataset and models."""
    return SpaceCardData(
        title=f"{run.title}: report"[:LONGEST_TITLE],
        sdk="static",
        **_license(run, weights=False),
        datasets=[dataset],
        models=list(models) or None,
        tags=["s3-hf"],
        emoji="📈",
        colorFrom="blue",
        colorTo="gray",
    )


def size_category(rows: int) -> str:
    """Return the Hub's name for the size of a dataset with this number of rows."""
    return next((name for limit, name in _SIZES if rows < limit), "n>10M" if rows >= 10**8 else "10M<n<100M")


def _license(run: RunFacts, *, weights: bool, gold_alone: bool = False) -> dict[str, Any]:
    if run.license:
        return {"license": run.license}
    details = "; ".join(terms(run, weights=weights, gold_alone=gold_alone))
    return {"license": "other", "license_name": OTHER_LICENSE, "license_details": details}


def _eval_results(run: RunFacts, test: Scores | None) -> list[EvalResult]:
    task = run.task
    if test is None:
        return []
    return [
        EvalResult(
            task_type=task["task_category"],
            dataset_type=_gold_id(task) or task["name"],
            dataset_name=task["pretty_name"],
            dataset_split="test",
            metric_type=_METRIC_IDS.get(name, name),
            metric_name=TITLES[name],
            metric_value=round(test.metrics[name], 4),
            metric_args=_precision(name, test.metrics[name], test.n),
        )
        for name in run.metrics
    ]


def _precision(metric: str, value: float, n: int) -> dict[str, Any]:
    """Return the number of test rows and, for a share, its interval."""
    bounds = {"confidence_interval_95": [round(bound, 4) for bound in interval(value, n)]}
    return {"n": n} | (bounds if metric in SHARES else {})
