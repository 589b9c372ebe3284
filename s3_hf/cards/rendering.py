"""Facts -> card text: front matter, then the templates in `model_cards/`.

Pure: the caller gathers the facts, without machine paths. Sentences that depend on facts come from `dataset`,
`method`, `model` and `shared`; what an LLM wrote stands in fences longer than any run of backticks in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, partial

import jinja2
from huggingface_hub import CardData, DatasetCard, ModelCard, RepoCard, SpaceCard

from s3_hf.cards import dataset, final, markup, method, model, shared
from s3_hf.cards.facts import DatasetFacts, ModelFacts, RunFacts
from s3_hf.cards.metadata import dataset_metadata, model_metadata, space_metadata
from s3_hf.errors import HubError
from s3_hf.templates import template_environment

END = "<!-- s3-hf: generated up to this line; what you write below it is kept -->"
"""Last line of a generated card."""


def dataset_card(facts: DatasetFacts) -> str:
    """Return the README of a dataset repository: front matter that `load_dataset` understands, then the text.

    Raises:
        HubError: the Hub's client reads the front matter differently from what was written.
    """
    return _rendered("dataset/card.md", DatasetCard, dataset_metadata(facts), facts)


def model_card(facts: ModelFacts) -> str:
    """Return the README of a model repository, with its test scores as `model-index`.

    Raises:
        HubError: the Hub's client reads the front matter differently from what was written.
    """
    return _rendered("model/card.md", ModelCard, model_metadata(facts), facts)


def space_card(run: RunFacts, repo: str, dataset: str, models: Sequence[str]) -> str:
    """Return the README of a static Space with the report on a run.

    Args:
        run: facts of the run.
        repo: id of the Space.
        dataset: id of the dataset of the last round.
        models: ids of the models that the page is about.

    Raises:
        HubError: the Hub's client reads the front matter differently from what was written.
    """
    data = space_metadata(run, dataset, models)
    body = _environment().get_template("space.md").render(run=run, end=END)
    return _checked(f"---\n{data.to_yaml()}\n---\n\n{body}", SpaceCard, data, repo)


def _rendered(
    template: str, kind: type[DatasetCard | ModelCard], data: CardData, facts: DatasetFacts | ModelFacts
) -> str:
    weights = isinstance(facts, ModelFacts)
    body = _environment().get_template(template).render(facts=facts, run=facts.run, weights=weights, end=END)
    return _checked(f"---\n{data.to_yaml()}\n---\n\n{body}", kind, data, facts.repo)


def _checked(text: str, kind: type[RepoCard], data: CardData, repo: str) -> str:
    """Return the text if the Hub's client reads its front matter as it was written."""
    try:
        read = kind(text).data.to_yaml()
    except ValueError as error:
        raise HubError(f"the card of {repo!r} must be readable, found {error}; correct the task's facts") from error
    if read != data.to_yaml():
        raise HubError(f"the card of {repo!r} reads back differently from what was written; correct the task")
    return text


@cache
def _environment() -> jinja2.Environment:
    environment = template_environment("s3_hf.model_cards")
    environment.globals |= {"dataset": dataset, "final": final, "method": method, "model": model, "shared": shared}
    environment.filters |= {
        each.__name__: each
        for each in (
            markup.code,
            markup.codes,
            markup.count,
            markup.duration,
            markup.fenced,
            markup.linked,
            markup.percent,
            markup.plain,
        )
    }
    environment.filters["title"] = shared.metric_title
    environment.filters["quoted"] = partial(json.dumps, ensure_ascii=False)  # a Python string literal too
    return environment
