"""What a recipe is made of: `Prompts` in a `TaskConfig` in a `TaskBuilder`."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import datasets

from s3_hf.errors import TaskError

_REQUIRED: dict[str, set[str]] = {
    "rationales": {"count", "label"},
    "seed": {"rationales", "label"},
    "seed_plain": {"label"},
    "extrapolate": {"label", "text"},
    "system": set(),
}
_OPTIONAL = {"extrapolate": {"rationales"}}


@dataclass(frozen=True)
class Prompts:
    """The prompt templates of a task (paper Table 1), filled with `str.format`.

    `rationales` (T_ration) takes `{count}` and `{label}`; `seed` (T_query) `{rationales}` and `{label}`;
    `seed_plain` `{label}`; `extrapolate` (T_mis) `{label}` and `{text}` and, if wanted, `{rationales}`.
    `system` is sent before each of them when it is not empty.
    """

    rationales: str
    seed: str
    seed_plain: str
    extrapolate: str
    system: str = ""

    def faults(self) -> Iterator[str]:
        """Yield one sentence part for each prompt with a missing or unknown field."""
        for name, required in _REQUIRED.items():
            try:
                found = {part for _, part, _, _ in string.Formatter().parse(getattr(self, name)) if part is not None}
            except ValueError as error:
                yield f"prompt {name!r} has unbalanced braces ({error}); write {{{{ and }}}} for literal ones"
                continue
            allowed = required | _OPTIONAL.get(name, set())
            for unknown in sorted(found - allowed):
                yield f"prompt {name!r} has the unknown field {{{unknown}}}; it may use {_braced(allowed)}"
            for missing in sorted(required - found):
                yield f"prompt {name!r} lacks the field {{{missing}}}; it needs {_braced(required)}"


@dataclass
class TaskConfig(datasets.BuilderConfig):
    """A task's definition; a recipe gives one in `BUILDER_CONFIGS`.

    `labels` maps each gold label name to the word that prompts use for it. `splits` maps `validation` (what
    errors are found on) and `test` to the source's own split names; `source` is a Hub id or a folder.
    `max_tokens` is the longest answer of the LLM, `max_length` the longest input of the student, in tokens;
    answers of fewer than `min_words` words are rejected; `one_line` keeps the first line of an answer.
    """

    text: str = "text"
    label: str = "label"
    labels: Mapping[str, str] = field(default_factory=dict)
    prompts: Prompts | None = None
    source: str = ""
    source_config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"validation": "validation", "test": "test"})
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    min_words: int = 5
    max_length: int = 256
    one_line: bool = False
    pretty_name: str = ""
    license: str = "other"
    language: str = "en"
    homepage: str = ""
    citation: str = ""
    task_ids: tuple[str, ...] = ()


class TaskBuilder(datasets.GeneratorBasedBuilder):
    """Base of recipes; reads `config.source` unless a recipe overrides `_generate_examples`."""

    BUILDER_CONFIG_CLASS = TaskConfig
    config: TaskConfig

    def _info(self) -> datasets.DatasetInfo:
        config = self.config
        features = datasets.Features(
            {
                config.text: datasets.Value("string"),
                config.label: datasets.ClassLabel(names=list(config.labels)),
            }
        )
        return datasets.DatasetInfo(
            description=config.description or "",
            features=features,
            homepage=config.homepage,
            license=config.license,
            citation=config.citation,
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:  # noqa: ARG002
        return [datasets.SplitGenerator(name, gen_kwargs={"split": of}) for name, of in self.config.splits.items()]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self.config
        rows = datasets.load_dataset(config.source, config.source_config, split=split)
        for column in (config.text, config.label):
            if column not in rows.column_names:
                raise TaskError(
                    f"gold data {config.source!r}, split {split!r}, must have the column {column!r}, found "
                    f"{rows.column_names}; correct the recipe"
                )
        names = getattr(rows.features[config.label], "names", None)
        for number, row in enumerate(rows):
            label = row[config.label]
            yield number, {config.text: row[config.text], config.label: names[label] if names else label}


def _braced(fields: set[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(fields)) or "no fields"
