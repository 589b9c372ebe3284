"""The base class of recipes: a `datasets` builder whose config is a `TaskConfig`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from s3_hf.errors import S3Error, TaskError, one_line
from s3_hf.rows.caching import cache_errors
from s3_hf.task.checking import read_gold
from s3_hf.task.recipe import TaskConfig


class TaskBuilder(datasets.GeneratorBasedBuilder):
    """Base class of recipes. Reads `config.source`; a recipe may override `_generate_examples` to read other data."""

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
        """Yield the numbered rows of `validation`, `test` or another split named in `config.splits`."""
        yield from enumerate(read_gold(self.config, split))


def prepared(builder: TaskBuilder) -> TaskBuilder:
    """Return the builder after its gold data was read into the cache of `datasets`.

    Raises:
        S3Error: the data cannot be read, or a row has a fault.
    """
    source = builder.config.source or builder.config.name
    try:
        with cache_errors():
            builder.download_and_prepare()
    except (DatasetGenerationError, DatasetNotFoundError, OSError, ValueError) as error:
        cause = error.__cause__ or error
        if isinstance(cause, S3Error):
            raise cause from error
        detail = one_line(cause)
        raise TaskError(
            f"gold data {source!r} cannot be read ({type(cause).__name__}: {detail}); check the name and "
            "HF_ENDPOINT, or name a Hub id or folder by --gold"
        ) from error
    return builder
