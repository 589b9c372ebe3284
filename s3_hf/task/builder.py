"""The base class of recipes: a `datasets` builder whose config is a `TaskConfig`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import datasets

from s3_hf.task.checking import gold_rows
from s3_hf.task.recipe import TaskConfig


class TaskBuilder(datasets.GeneratorBasedBuilder):
    """Base of recipes; reads `config.source` unless a recipe overrides `_generate_examples`."""

    BUILDER_CONFIG_CLASS = TaskConfig
    config: TaskConfig

    def _info(self) -> datasets.DatasetInfo:
        config = self.config
        return datasets.DatasetInfo(
            description=config.description or "",
            features=config.gold_features(),
            homepage=config.homepage,
            license=config.license,
            citation=config.citation,
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:  # noqa: ARG002
        return [datasets.SplitGenerator(name, gen_kwargs={"split": name}) for name in self.config.splits]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the rows of `validation`, `test` or another name in the recipe's `splits`."""
        yield from enumerate(gold_rows(self.config, split))
