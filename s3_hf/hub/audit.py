"""Compare the rows of a run with the gold data before they are published."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s3_hf.errors import HubError, TaskError
from s3_hf.hub.copies import Bools, copied_parts, near_copies
from s3_hf.records import HUMAN, Quality
from s3_hf.store import RunDir
from s3_hf.texts import digest_of, digests, normalise, row_texts

if TYPE_CHECKING:
    from datasets import Dataset

MAX_COPIES = 0.01
"""Share of the rows that may copy gold validation text."""


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """Comparison of a run's rows with the gold data; place i of each field is row i of the union of its rounds."""

    texts: Sequence[str]
    """Normalised texts of the rows."""
    gold: Sequence[str]
    """Normalised gold validation texts."""
    written: Bools
    """False for a row that is a gold row itself."""
    copied: Bools
    """True for a row that copies a gold validation text, exactly or nearly."""
    exact: Bools
    """True for a row that equals a gold validation text."""
    parts: Bools
    """True for a row that shares a run of words with a gold validation text, or contains its own gold row."""
    test: Bools
    """True for a row of the gold test split, by `texts.row_text`."""

    def check(self, rows: int, max_copies: float) -> None:
        """Return if the first `rows` rows may be published.

        Raises:
            HubError: one holds a gold test text, or a larger share than `max_copies` copies validation text.
        """
        leaked = int(self.test[:rows].sum())
        if leaked:
            raise HubError(
                f"no row may hold a text of the gold test split, found {leaked} of {rows} that do, the first in row "
                f"{int(self.test.argmax())}; remove them from the data that the run started from"
            )
        copied = int(self.copied[:rows].sum())
        if copied > max_copies * rows:
            raise HubError(
                f"at most {max_copies:.1%} of the rows may copy a gold validation text, found {copied} of {rows}, the "
                f"first in row {int(self.copied.argmax())}; generate them again, or allow more by --max-copies"
            )

    def quality(self, rows: int) -> Quality | None:
        """Return the figures of the first `rows` rows; None if all of them are gold rows."""
        texts = self.texts[:rows]
        if not self.written[:rows].any():
            return None
        compared = min(len(texts), len(self.gold))
        return Quality(
            copies=int(self.copied[:rows].sum()),
            exact=int(self.exact[:rows].sum()),
            duplicates=len(texts) - len(digests(texts)),
            words=_mean_words(texts),
            gold_words=_mean_words(self.gold),
            distinct=_distinct_pairs(texts, compared),
            gold_distinct=_distinct_pairs(self.gold, compared),
            compared=compared,
            parts=int(self.parts[:rows].sum()),
        )


def audit(run: RunDir, rows: Dataset) -> Audit:
    """Compare rows of the run with all gold validation and test texts of its task, but not gold rows themselves.

    Raises:
        HubError: the gold data cannot be read.
    """
    from s3_hf.task import task_of

    column, context = (run.facts["task"]["columns"][name] for name in ("text", "context"))
    texts = [normalise(text) for text in rows[column][:]]
    written = np.fromiter((origin != HUMAN for origin in rows["s3_origin"][:]), bool, len(texts))
    none = np.zeros(len(texts), dtype=bool)
    if not written.any():
        return Audit(texts, (), written, none, none, none, none)
    try:
        task = task_of(run.located)
        gold, test = task.validation_split, task.test_split
    except TaskError as error:
        raise HubError(
            f"the rows must be compared with the gold data before they are published, but {error}"
        ) from error
    places = {name: number for number, name in enumerate(gold["s3_id"][:])}
    parents = [places.get(parent, -1) for parent in rows["s3_parent"][:]]
    gold_texts = [normalise(text) for text in gold[column][:]]
    known, forbidden = (digests(each) - {digest_of("")} for each in (gold_texts, row_texts(test, column, context)))
    exact = np.fromiter((digest_of(text) in known for text in texts), bool, len(texts))
    leaked = np.fromiter((digest_of(row) in forbidden for row in row_texts(rows, column, context)), bool, len(texts))
    copied, parts = near_copies(texts, gold_texts, parents), copied_parts(texts, gold_texts, parents)
    return Audit(
        texts, gold_texts, written, copied & written, exact & written, (copied | parts) & written, leaked & written
    )


def _mean_words(texts: Sequence[str]) -> float:
    return sum(len(text.split()) for text in texts) / max(len(texts), 1)


def _distinct_pairs(texts: Sequence[str], size: int) -> float:
    """Return the share of distinct word pairs among all in `size` texts, spread evenly (distinct-2)."""
    pairs: list[tuple[str, str]] = []
    for place in np.linspace(0, len(texts) - 1, size).round().astype(int).tolist():
        pairs.extend(itertools.pairwise(texts[place].split()))
    return len(set(pairs)) / max(len(pairs), 1)
