"""Find the answer to a question as a span of its context: windows over long contexts, and n-best decoding."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from datasets import concatenate_datasets
from numpy.lib.stride_tricks import sliding_window_view
from transformers import AutoModelForQuestionAnswering, PreTrainedTokenizerBase

from s3_hf.errors import ConfigError, StudentError
from s3_hf.records import Columns, Prediction
from s3_hf.training.heads import model_inputs, pieces, row_ids

if TYPE_CHECKING:
    from datasets import Dataset

STRIDE = 128
"""Tokens that two windows share, for a model whose config has no `s3_stride`; the usual value for SQuAD."""
N_BEST = 20
"""Best spans of a context, over which the probability of the answer is normalised."""
LONGEST_ANSWER = 30
"""Most tokens of an answer."""

Span = tuple[int, int]
"""First and last token of a context."""


@dataclass(frozen=True, slots=True)
class Window:
    """One input: `before` other tokens, then `count` tokens of the context of row `row`, from token `first` on."""

    row: int
    before: int
    first: int
    count: int

    def position_of(self, span: Span | None) -> Span:
        """Return first and last token of the span in the input; (0, 0) unless all of it is in the window."""
        if span is None or span[0] < self.first or span[1] >= self.first + self.count:
            return 0, 0
        return self.before + span[0] - self.first, self.before + span[1] - self.first


@dataclass(frozen=True)
class EncodedSpans:
    """Questions with windows of their contexts as inputs; `offsets` has (tokens, 2) characters for each row."""

    inputs: Dataset
    ids: list[str]
    contexts: list[str]
    windows: list[Window]
    offsets: list[np.ndarray]

    def decode(self, outputs: Any) -> list[Prediction]:
        """Return the best span of each row over all of its windows, and its probability among the best.

        Args:
            outputs: logits of each token to be the first token of the answer, and the last; (windows, tokens) each.
        """
        found: list[dict[Span, float]] = [{} for _ in self.ids]
        for window, first, last in zip(self.windows, outputs[0], outputs[1], strict=True):
            part = slice(window.before, window.before + window.count)
            spans = found[window.row]
            for (start, end), score in _best_spans(first[part], last[part]):
                span = window.first + start, window.first + end
                spans[span] = max(score, spans.get(span, -np.inf))
        return [self._best(row, spans) for row, spans in enumerate(found)]

    def _best(self, row: int, spans: dict[Span, float]) -> Prediction:
        best = sorted(spans, key=lambda span: (-spans[span], span))[:N_BEST]
        if not best:
            return Prediction(self.ids[row], "", (0.0,))
        weights = np.exp(np.array([spans[span] for span in best]) - spans[best[0]])
        text = span_text(self.contexts[row], self.offsets[row], best[0])
        return Prediction(self.ids[row], text, (float(1 / weights.sum()),))


@dataclass(frozen=True)
class SpanHead:
    """A span finder, whose input is the question followed by a window of the context.

    A long context is split into windows that share `stride` tokens, at most a third of an input. A question is cut
    to a third of an input, so that each window has room for the context.
    """

    auto_model: ClassVar[Any] = AutoModelForQuestionAnswering
    architecture: ClassVar[str] = "ForQuestionAnswering"

    columns: Columns
    tokenizer: PreTrainedTokenizerBase
    stride: int

    def __post_init__(self) -> None:
        """Raise StudentError if the tokenizer has no offsets of tokens in the text."""
        if not self.tokenizer.is_fast:
            raise StudentError(
                "a student that finds answers must have a tokenizer of the library `tokenizers`, found "
                f"{type(self.tokenizer).__name__!r}; choose another student"
            )

    @property
    def overlap(self) -> int:
        """Tokens that two windows share."""
        return min(self.stride, self.third)

    @property
    def third(self) -> int:
        """A third of an input without its special tokens, in tokens.

        Raises:
            ConfigError: it is less than one token.
        """
        special = self.tokenizer.num_special_tokens_to_add(pair=True)
        if self.tokenizer.model_max_length < special + 3:
            raise ConfigError(
                f"training.max_length must have room for a question and a context, at least {special + 3} tokens, "
                f"found {self.tokenizer.model_max_length}; raise it"
            )
        return int((self.tokenizer.model_max_length - special) // 3)

    def count(self, rows: Dataset) -> int:
        """Return the windows of all rows together."""
        return sum(len(self._tokenized(piece)["input_ids"]) for piece in pieces(rows))

    def encode(self, rows: Dataset, *, targets: bool) -> EncodedSpans:
        """Return the windows of each row, row after row; the target of a window without the whole answer is (0, 0)."""
        inputs: list[Dataset] = []
        windows: list[Window] = []
        offsets: list[np.ndarray] = []
        for piece in pieces(rows):
            before = len(offsets)
            found, more, tokens = self._piece(piece, targets)
            inputs.append(found)
            windows += [replace(window, row=window.row + before) for window in more]
            offsets += tokens
        contexts = rows[self.columns.context][:]
        return EncodedSpans(concatenate_datasets(inputs), row_ids(rows), contexts, windows, offsets)

    def _piece(self, rows: Dataset, targets: bool) -> tuple[Dataset, list[Window], list[np.ndarray]]:
        stride = self.overlap
        encoded = self._tokenized(rows, offsets=True)
        windows, offsets = _windows(encoded, stride)
        columns = model_inputs(encoded, self.tokenizer.model_input_names)
        if targets:
            answers = [
                answer_tokens(offsets[row], answer["answer_start"][0], answer["text"][0])
                for row, answer in enumerate(rows[self.columns.answers][:])
            ]
            places = [window.position_of(answers[window.row]) for window in windows]
            columns["start_positions"] = [start for start, _ in places]
            columns["end_positions"] = [end for _, end in places]
        return type(rows).from_dict(columns), windows, offsets

    def _tokenized(self, rows: Dataset, *, offsets: bool = False) -> Any:
        """Return the tokenizer's output for the windows of each row."""
        self.tokenizer.padding_side = self.tokenizer.truncation_side = "right"  # places are counted from the left
        return self.tokenizer(
            self._short_questions(rows[self.columns.text][:]),
            rows[self.columns.context][:],
            truncation="only_second",
            max_length=self.tokenizer.model_max_length,
            stride=self.overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=offsets,
        )

    def _short_questions(self, questions: list[str]) -> list[str]:
        kept, limit = list(questions), self.third
        long = list(range(len(kept)))
        while long:  # the rest of a cut question may split into more tokens than before
            encoded = self.tokenizer(
                [kept[place] for place in long],
                add_special_tokens=False,
                truncation=True,
                max_length=limit + 1,
                return_offsets_mapping=True,
            )["offset_mapping"]
            ends = {place: spans[limit][0] for place, spans in zip(long, encoded, strict=True) if len(spans) > limit}
            kept = [
                text[: min(ends[place], len(text) - 1)] if place in ends else text for place, text in enumerate(kept)
            ]
            long = list(ends)
        return kept


def answer_tokens(offsets: np.ndarray, start: int, text: str) -> Span | None:
    """Return the first and last token that share a character with the answer; None if no token does.

    Args:
        offsets: (tokens, 2), first character of each token, and the character after its last.
        start: first character of the answer in the context.
        text: the answer.
    """
    shared = (offsets[:, 0] < start + len(text)) & (offsets[:, 1] > start) & (offsets[:, 1] > offsets[:, 0])
    places = np.flatnonzero(shared)
    return (int(places[0]), int(places[-1])) if len(places) else None


def span_text(context: str, offsets: np.ndarray, span: Span) -> str:
    """Return the text of a span, stripped of space, with the combining marks on its last character.

    A tokenizer that strips accents leaves a combining mark in no token.
    """
    start, end = int(offsets[span[0], 0]), int(offsets[span[1], 1])
    following = int(offsets[span[1] + 1, 0]) if span[1] + 1 < len(offsets) else len(context)
    while end < following and unicodedata.category(context[end]).startswith("M"):
        end += 1
    return context[start:end].strip()


def _windows(encoded: Any, stride: int) -> tuple[list[Window], list[np.ndarray]]:
    """Return the windows, and for each row the offsets of all context tokens, joined from its windows."""
    windows: list[Window] = []
    offsets: list[np.ndarray] = []
    for number, row in enumerate(encoded["overflow_to_sample_mapping"]):
        sequence = encoded.sequence_ids(number)
        count = sequence.count(1)
        before = sequence.index(1) if count else len(sequence)
        spans = np.array(encoded["offset_mapping"][number][before : before + count], dtype=np.int64).reshape(-1, 2)
        if row == len(offsets):
            windows.append(Window(row, before, 0, count))
            offsets.append(spans)
        else:
            windows.append(Window(row, before, len(offsets[row]) - stride, count))
            offsets[row] = np.concatenate([offsets[row], spans[stride:]])
    return windows, offsets


def _best_spans(first: np.ndarray, last: np.ndarray) -> Iterator[tuple[Span, float]]:
    """Yield the `N_BEST` spans with the highest sums of logits, of at most `LONGEST_ANSWER` tokens each."""
    longest = min(LONGEST_ANSWER, len(first))
    if not longest:
        return
    ends = np.pad(last, (0, longest - 1), constant_values=-np.inf)
    scores = (first[:, None] + sliding_window_view(ends, longest)).ravel()  # of each start, and each length from 1
    best = np.argpartition(-scores, N_BEST)[:N_BEST] if len(scores) > N_BEST else np.arange(len(scores))
    for place in best[np.isfinite(scores[best])]:
        start, more = divmod(int(place), longest)
        yield (start, start + more), float(scores[place])
