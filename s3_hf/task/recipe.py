"""The definition of a task in its recipe: `TaskConfig`, and the `Prompts` in it."""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator, Mapping, Sequence
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
"""For each prompt of a task of single texts, the fields it needs and the fields it may also have."""
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
PROVENANCE_FEATURES = {
    "s3_id": datasets.Value("string"),
    "s3_round": datasets.Value("int32"),
    "s3_origin": datasets.Value("string"),
    "s3_parent": datasets.Value("string"),
    "s3_rationales": datasets.List(datasets.Value("string")),
    "s3_model": datasets.Value("string"),
    "s3_prompt": datasets.Value("string"),
}
"""Columns that a synthetic row has besides those of the gold data."""
SKEW = 4
"""How many times the gold rows of the rarest label the most frequent one has where macro F1 chooses the epoch."""
OPTIONAL = ("extrapolate_plain", "zerogen", "names", "shown", "system")
"""Names of the prompts that may be empty."""


@dataclass(frozen=True)
class Prompts:
    """The prompt templates of a task (paper, Table 1), filled with `str.format`.

    A task of single texts:

    - `rationales` (T_ration) asks for reasons; fields `{count}` and `{label}`.
    - `seed` (T_query) asks for a seed row; fields `{rationales}` and `{label}`.
    - `seed_plain` replaces `seed` in a run without rationales; field `{label}`.
    - `extrapolate` (T_mis) asks for a row like a mistake; fields `{label}` and `{text}`, optionally `{rationales}`.
    - `extrapolate_plain` replaces an `extrapolate` with `{rationales}` in a run without them.

    A task with a context has no rationales (section 2.4): `seed` has the fields `{context}` and `{label}`, and
    `extrapolate` also `{text}`. If the task is to find answers, `{answer}` takes the place of `{label}`.

    The strategies zerogen and progen use `zerogen`, if it is not empty, in place of `seed_plain` (with a context: of
    `seed`). It has the same fields, and `{name}` if there is a prompt `names`, which asks for one name, such as that
    of a film. `shown` presents a row before the prompt without its label; field `{text}`, optionally `{name}`.

    `system` is sent as the system message if it is not empty. A prompt that ends in an open quotation mark is
    answered up to the closing one.
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
        """Yield a message for each prompt that is missing, must be empty, or lacks or has a wrong field."""
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
    """The definition of a task; a recipe has one in `BUILDER_CONFIGS`.

    Attributes:
        text: column that the LLM writes.
        label: column of the label to learn, None if the task is to find answers.
        context: column that the text is about, if any.
        answers: column of the answers to find in the context, as in SQuAD (`text` and `answer_start`).
        labels: each label name of the gold data, and the word that prompts use for it.
        prompts: the prompts of the task.
        other_prompts: named alternatives; one without `zerogen` uses `zerogen`, `names` and `shown` of `prompts`.
        source: Hub id, folder, or CSV, JSON (SQuAD's layout too), JSON lines or Parquet file of the gold data.
        source_config: configuration of a source that has several.
        splits: the source's split names for `validation` and `test`, several joined by `+`. If both name the same
            splits, in any order, these are divided.
        test_share: share of a divided split that becomes the test.
        split_seed: seed of that division.
        features: all gold columns and their features, if there are more than those named here.
        carried: columns that are copied from a context's row into rows written about it.
        id: column of the row's own id. Columns that have no role here are null in a synthetic row.
        max_tokens: length limit of an answer of the LLM, in tokens.
        stop: texts that end an answer of the LLM.
        min_words: answers with fewer words are rejected.
        max_length: length limit of the student's input, in tokens.
        stride: overlap of two windows of a longer context, in tokens.
        one_line: keep only the first line of an answer.
        question: keep an answer up to its first question mark.
        pretty_name, license, language, homepage, citation, task_ids: metadata for cards, with the Hub's identifiers;
            a language that is not known is None.
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
    language: str | None = "en"
    homepage: str = ""
    citation: str = ""
    task_ids: tuple[str, ...] = ()

    @property
    def columns(self) -> Columns:
        """The columns of the text, label, context and answers."""
        return Columns(self.text, self.label, self.context, self.answers)

    def gold_features(self) -> datasets.Features:
        """Return all gold columns with their features, in order."""
        if self.features is not None:
            return datasets.Features(dict(self.features))
        features: dict[str, Any] = {name: datasets.Value("string") for name in (self.context, self.text) if name}
        if self.label:
            features[self.label] = datasets.ClassLabel(names=list(self.labels))
        if self.answers:
            spans = {"text": datasets.List(datasets.Value("string"))}
            features[self.answers] = spans | {"answer_start": datasets.List(datasets.Value("int32"))}
        return datasets.Features(features)


def is_skewed(counts: Collection[int]) -> bool:
    """Return whether the most frequent label has at least `SKEW` times the rows of the rarest; False without labels.

    Args:
        counts: gold rows of each label.
    """
    return bool(counts) and max(counts) >= SKEW * min(counts)


def is_divided(splits: Mapping[str, str]) -> bool:
    """Return whether `validation` and `test` name the same splits of the source, whose rows are then divided."""
    return set(splits["validation"].split("+")) == set(splits["test"].split("+"))


def split_faults(splits: Mapping[str, str]) -> Iterator[str]:
    """Yield a message where a role is missing or has a split twice, or both share only some of their splits."""
    if not {"validation", "test"} <= splits.keys():
        yield f"'splits' must name those for validation and test, found {', '.join(splits) or 'none'}; add the other"
        return
    named = {role: splits[role].split("+") for role in ("validation", "test")}
    for role, names in named.items():
        if len(set(names)) < len(names):
            yield f"{role} must name each split once, found {splits[role]!r}; leave out the double"
    shared = _in_common(named["validation"], named["test"]) | _in_common(named["test"], named["validation"])
    if shared and not is_divided(splits):
        yield (
            "validation and test must name the same splits, which are then divided, or have none in common, found "
            f"{splits['validation']!r} and {splits['test']!r}; leave {min(shared)!r} out of one"
        )


def _in_common(names: Sequence[str], others: Sequence[str]) -> set[str]:
    """Return the names that are among the others, or of which one of them is a part, such as `train[:10%]`."""
    return set(names) & {*others, *(name.partition("[")[0] for name in others)}


def same_words(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of label names whose words differ at most in case and spacing."""
    first: dict[str, str] = {}
    for name, word in labels.items():
        other = first.setdefault(" ".join(word.split()).casefold(), name)
        if other != name:
            yield other, name


def _field_faults(name: str, text: str, required: set[str], optional: set[str]) -> Iterator[str]:
    try:
        used = {part for _, part, _, _ in string.Formatter().parse(text) if part is not None}
    except ValueError as error:
        yield f"prompt {name!r} has unbalanced braces ({error}); write {{{{ and }}}} for literal ones"
        return
    allowed = required | optional
    for unknown in sorted(used - allowed):
        yield f"prompt {name!r} has the unknown field {{{unknown}}}; it may use {_braced(allowed)}"
    for missing in sorted(required - used):
        yield f"prompt {name!r} lacks the field {{{missing}}}; it needs {_braced(required)}"


def _braced(fields: set[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(fields)) or "no fields"
