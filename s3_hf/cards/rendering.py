"""Facts -> card text: what a published dataset or model says of itself.

Pure: the caller gathers the facts (without machine paths), this renders `model_cards/*.md` and reads the
result back. Text that an LLM wrote stands in fences longer than any run of backticks in it.
"""

from __future__ import annotations

import json
import math
import re
from functools import cache, partial
from typing import Any

import jinja2
from huggingface_hub import CardData, DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData

from s3_hf.cards.facts import HUMAN, SHARES, DatasetFacts, ModelFacts, RunFacts, method
from s3_hf.errors import HubError
from s3_hf.templates import template_environment

END = "<!-- s3-hf: generated up to this line; what you write below it is kept -->"
"""Last line of a generated card."""

OTHER_LICENSE = "gold-data-and-llm-terms"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    "macro_f1": ("f1", "Macro F1"),
    "exact_match": ("exact_match", "Exact match"),
    "f1": ("f1", "F1"),
}


def dataset_card(facts: DatasetFacts) -> str:
    """Return the README of a dataset repository: front matter that `load_dataset` understands, then the text."""
    human = facts.run.strategy == HUMAN
    written_by = ["found"] * bool(human or facts.run.taken) + ["machine-generated"] * bool(facts.run.written)
    task, tags = facts.run.task, ["s3-hf", facts.run.strategy]
    data = DatasetCardData(
        pretty_name=facts.run.title,
        language=task["language"],
        **_license(facts.run, ("gold", "given", "llm")),
        task_categories=[task["task_category"]],
        task_ids=list(task["task_ids"]) or None,
        size_categories=[size_category(facts.run.rows)],
        annotations_creators=written_by,
        language_creators=[*written_by],
        source_datasets=[task["source"]] if is_hub_id(task["source"]) else None,
        tags=["synthetic", *tags] if facts.run.written else tags,
        **facts.structure,
    )
    return _rendered("dataset_card.md", DatasetCard, data, facts)


def model_card(facts: ModelFacts) -> str:
    """Return the README of a model repository, with its test scores as `model-index`."""
    run, name = facts.run, facts.repo.rsplit("/", 1)[-1]
    data = ModelCardData(
        language=run.task["language"],
        **_license(run, ("gold", "given", "llm", "student")),
        library_name="transformers",
        pipeline_tag=run.task["task_category"],
        base_model=run.student if is_hub_id(run.student) else None,
        datasets=[facts.dataset],
        metrics=[_METRICS[name][0] for name in run.metrics if run.last.test] or None,
        tags=["s3-hf", run.strategy],
        model_name=name,
        eval_results=_eval_results(run) or None,
        new_version=facts.new_version,
    )
    return _rendered("model_card.md", ModelCard, data, facts)


def is_hub_id(name: str) -> bool:
    """True for `namespace/name`."""
    return bool(_HUB_ID.fullmatch(name))


def size_category(rows: int) -> str:
    """The Hub's name for a dataset of so many rows."""
    return next((name for limit, name in _SIZES if rows < limit), "n>10M" if rows >= 10**8 else "10M<n<100M")


def interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95% confidence interval of a share that was measured on `n` rows."""
    z = 1.959964
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, center - half), min(1.0, center + half)


def terms(run: RunFacts, of: tuple[str, ...]) -> list[str]:
    """One clause for each thing whose terms apply: `gold` data, `given` rows, `llm`, `student`."""
    task = run.task
    source = task["source"] or task["pretty_name"]
    stated = "states no standard licence" if task["license"] in ("", "other") else f"is under {task['license']}"
    given, written = " and ".join(run.sources), "other text" if run.sources else "the text"
    clauses = {
        "gold": f"the gold data ({source}) {stated}",
        "given": f"rows were taken over from {given}, whose licence applies" if given else "",
        "llm": f"{written} was written by {run.llm}, whose terms for generated text apply" if run.written else "",
        "student": f"the weights started from {run.student}, whose licence applies",
    }
    return [clauses[name] for name in of if clauses[name]]


def _license(run: RunFacts, of: tuple[str, ...]) -> dict[str, Any]:
    if run.license:
        return {"license": run.license}
    return {"license": "other", "license_name": OTHER_LICENSE, "license_details": "; ".join(terms(run, of))}


def _eval_results(run: RunFacts) -> list[EvalResult]:
    task, test = run.task, run.last.test
    if test is None:
        return []
    return [
        EvalResult(
            task_type=task["task_category"],
            dataset_type=task["source"] if is_hub_id(task["source"]) else task["name"],
            dataset_name=task["pretty_name"],
            dataset_split="test",
            metric_type=_METRICS[name][0],
            metric_name=_METRICS[name][1],
            metric_value=round(test.metrics[name], 4),
            metric_args=_figures(name, test.metrics[name], test.n),
        )
        for name in run.metrics
    ]


def _figures(metric: str, value: float, n: int) -> dict[str, Any]:
    bounds = {"confidence_interval_95": [round(bound, 4) for bound in interval(value, n)]}
    return {"n": n} | (bounds if metric in SHARES else {})


def metric_title(name: str) -> str:
    """A metric as it is written within a sentence."""
    title = _METRICS[name][1]
    return title if title == "F1" else title[:1].lower() + title[1:]


def _rendered(
    template: str, kind: type[DatasetCard | ModelCard], data: CardData, facts: DatasetFacts | ModelFacts
) -> str:
    body = _environment().get_template(template).render(facts=facts, run=facts.run, end=END)
    text = f"---\n{data.to_yaml()}\n---\n\n{body}"
    try:
        read = kind(text).data.to_yaml()
    except ValueError as error:
        raise HubError(
            f"the card of {facts.repo!r} must be readable, found {error}; correct the task's facts"
        ) from error
    if read != data.to_yaml():
        raise HubError(f"the card of {facts.repo!r} reads back differently from what was written; correct the task")
    return text


@cache
def _environment() -> jinja2.Environment:
    environment = template_environment("s3_hf.model_cards")
    environment.filters |= {"code": _code, "fenced": _fenced, "span": _span}
    environment.filters |= {"percent": "{:.1%}".format, "count": "{:,}".format}
    environment.filters["quoted"] = partial(json.dumps, ensure_ascii=False)  # a Python string literal too
    environment.globals |= {"method": method, "terms": terms, "is_hub_id": is_hub_id, "interval": interval}
    environment.filters |= {"title": metric_title, "first_upper": lambda text: text[:1].upper() + text[1:]}
    return environment


def _code(value: object) -> str:
    """Inline code that stays in its line and its table cell."""
    text = " ".join(str(value).replace("`", "'").split())
    return f"`{text}`".replace("|", "\\|")


def _fenced(text: str, language: str = "text") -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip(chr(10))}\n{fence}"


def _span(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
