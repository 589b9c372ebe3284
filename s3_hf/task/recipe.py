"""What a recipe is made of: `Prompts` in a `TaskConfig` in a `TaskBuilder`."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import datasets

from s3_hf.records import Columns

SINGLE = {
    "rationales": ({"count", "label"}, set[str]()),
    "seed": ({"rationales", "label"}, set[str]()),
    "seed_plain": ({"label"}, set[str]()),
    "extrapolate": ({"label", "text"}, {"rationales"}),
    "extrapolate_plain": ({"label", "text"}, set[str]()),
    "zerogen": ({"label"}, {"name"}),
    "names": (set[str](), set[str]()),
    "shown": ({"text"}, {"name"}),
}
"""Prompts of a task of single texts: fields that each needs, and fields that it may have besides."""
PAIR = {
    "seed": ({"context", "label"}, set[str]()),
    "extrapolate": ({"context", "label", "text"}, set[str]()),
    "zerogen": ({"context", "label"}, set[str]()),
}
SPAN = {
    "seed": ({"context", "answer"}, set[str]()),
    "extrapolate": ({"context", "answer", "text"}, set[str]()),
    "zerogen": ({"context", "answer"}, set[str]()),
}
OPTIONAL = ("extrapolate_plain", "zerogen", "names", "shown", "system")
"""Prompts that may be empty."""


@dataclass(frozen=True)
class Prompts:
    """The prompt templates of a task (paper Table 1), filled with `str.format`.

    Single texts: `rationales` (T_ration) takes `{count}` and `{label}`; `seed` (T_query) `{rationales}` and
    `{label}`; `seed_plain` `{label}`; `extrapolate` (T_mis) `{label}` and `{text}` and, if wanted, `{rationales}`:
    then `extrapolate_plain` takes its place where a run has no rationales.
    Tasks with a context have no rationales (section 2.4): `seed` takes `{context}`, `extrapolate` `{text}` too, and
    both `{label}`, or `{answer}` where the task is to find answers.
    `system` is sent before each of them when it is not empty.

    The strategies zerogen and progen take `zerogen` in place of `seed_plain`, or of `seed` in a task with a context,
    where it is written; its fields are theirs. With `names`, which asks for one name (of a film, say), it takes
    `{name}` too. `shown` puts a row before the prompt without telling its label: `{text}` and, if wanted, `{name}`.
    A prompt that ends in an open quotation mark is answered up to the closing one.
    """

    seed: str
    extrapolate: str
    rationales: str = ""
    seed_plain: str = ""
    extrapolate_plain: str = ""
    system: str = ""
    zerogen: str = ""
    names: str = ""
    shown: str = ""

    def faults(self, columns: Columns) -> Iterator[str]:
        """Yield one sentence part for each prompt with a missing or unknown field."""
        kind = SINGLE if columns.context is None else SPAN if columns.answers else PAIR
        for name in ("rationales", "seed", "seed_plain", "extrapolate", *OPTIONAL):
            text = getattr(self, name)
            if name in kind and not text and name not in OPTIONAL:
                yield f"prompt {name!r} must be written, found {text!r}"
            elif text and name not in kind and name != "system":
                yield f"prompt {name!r} must be empty in a task with a context, found {text!r}"
            elif text:
                yield from _field_faults(name, text, *kind.get(name, (set[str](), set[str]())))
        if bool(self.names) != ("{name}" in self.zerogen) or (not self.names and "{name}" in self.shown):
            yield "prompt 'names' and the field {name} of 'zerogen' and 'shown' need each other; write all, or none"
        if bool(self.extrapolate_plain) != ("{rationales}" in self.extrapolate):
            yield "prompt 'extrapolate_plain' and {rationales} in 'extrapolate' need each other; write both, or none"


@dataclass
class TaskConfig(datasets.BuilderConfig):
    """A task's definition; a recipe gives one in `BUILDER_CONFIGS`.

    `text` is the column that the LLM writes, `context` what it is written about, and what is learned is the `label`
    or, with `label=None`, the `answers` (as in SQuAD: `text` and `answer_start`) in the context.
    `labels` maps each gold label name to the word that prompts use for it. `other_prompts` are named alternatives
    to `prompts`, with the `zerogen`, `names` and `shown` of those where they have no `zerogen`. `splits` maps
    `validation` (what errors are found on) and `test` to the source's own split names;
    where both name the same one, it is divided: `test_share` of it is the test, drawn with `split_seed`.
    `source` is a Hub id, a folder, or a CSV, JSON (SQuAD's layout too), JSON lines or Parquet file.
    `features` are all gold columns and their features where there are more than those named here; of these,
    `carried` ones come along with a context and `id` holds the row's own id, others are null in a synthetic row.
    `max_tokens` is the longest answer of the LLM, `max_length` the longest input of the student and `stride` the
    overlap of two windows of a longer context, in tokens; answers of fewer than `min_words` words are rejected;
    `one_line` keeps the first line of an answer, `question` what goes up to the first question mark.
    """

    text: str = "text"
    label: str | None = "label"
    context: str | None = None
    answers: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    prompts: Prompts | None = None
    other_prompts: Mapping[str, Prompts] = field(default_factory=dict)
    source: str = ""
    source_config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"validation": "validation", "test": "test"})
    test_share: float = 0.5
    split_seed: int = 0
    features: Mapping[str, Any] | None = None
    carried: tuple[str, ...] = ()
    id: str | None = None
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    min_words: int = 5
    max_length: int = 256
    stride: int = 64
    one_line: bool = False
    question: bool = False
    pretty_name: str = ""
    license: str = "other"
    language: str = "en"
    homepage: str = ""
    citation: str = ""
    task_ids: tuple[str, ...] = ()

    @property
    def columns(self) -> Columns:
        """Which column holds what."""
        return Columns(self.text, self.label, self.context, self.answers)

    def gold_features(self) -> datasets.Features:
        """All gold columns, in their order."""
        if self.features is not None:
            return datasets.Features(dict(self.features))
        found: dict[str, Any] = {name: datasets.Value("string") for name in (self.context, self.text) if name}
        if self.label:
            found[self.label] = datasets.ClassLabel(names=list(self.labels))
        if self.answers:
            spans = {"text": datasets.List(datasets.Value("string"))}
            found[self.answers] = spans | {"answer_start": datasets.List(datasets.Value("int32"))}
        return datasets.Features(found)


def alike(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Pairs of label names whose words read the same."""
    first: dict[str, str] = {}
    for name, word in labels.items():
        other = first.setdefault(" ".join(word.split()).casefold(), name)
        if other != name:
            yield other, name


def _field_faults(name: str, text: str, required: set[str], optional: set[str]) -> Iterator[str]:
    try:
        found = {part for _, part, _, _ in string.Formatter().parse(text) if part is not None}
    except ValueError as error:
        yield f"prompt {name!r} has unbalanced braces ({error}); write {{{{ and }}}} for literal ones"
        return
    allowed = required | optional
    for unknown in sorted(found - allowed):
        yield f"prompt {name!r} has the unknown field {{{unknown}}}; it may use {_braced(allowed)}"
    for missing in sorted(required - found):
        yield f"prompt {name!r} lacks the field {{{missing}}}; it needs {_braced(required)}"


def _braced(fields: set[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(fields)) or "no fields"
