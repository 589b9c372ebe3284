"""Configurations of a dataset repository beside its rows: rejected answers, rationales, predictions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any

from s3_hf.errors import HubError, TaskError
from s3_hf.files import read_json, read_rows
from s3_hf.hub.copies import GoldTexts
from s3_hf.hub.secrets import Secrets
from s3_hf.store import RunDir
from s3_hf.store.earlier import PREDICTED_ROLES
from s3_hf.texts import normalise

if TYPE_CHECKING:
    from datasets import Dataset, Features


_SCRIPT = re.compile(r"<script>.*?</script>|<style>.*?</style>", re.DOTALL)
"""Code in a page; the data of charts is JSON, in a `script` with a type."""


@dataclass(frozen=True, slots=True)
class RejectedAnswer:
    """An answer of the LLM that became no row of `round`."""

    round: int
    reason: str
    text: str


def gold_texts(run: RunDir) -> GoldTexts:
    """Return all texts and contexts of the whole validation and test splits.

    Raises:
        HubError: the gold data cannot be read.
    """
    from s3_hf.task import task_of

    try:
        task = task_of(run.located)
        splits = (task.validation_split, task.test_split)
    except TaskError as error:
        raise HubError(f"what is published must be compared with the gold data, but {error}") from error
    names = [name for name in (task.columns.text, task.columns.context) if name]
    return GoldTexts(normalise(text) for split in splits for name in names for text in split[name][:])


def check_page(page: str, run: RunDir) -> None:
    """Return if a page for publication shares no run of words with a gold text.

    Raises:
        HubError: it does, or the gold data cannot be read.
    """
    shared = gold_texts(run).longest_run(normalise(unescape(_SCRIPT.sub(" ", page))))
    if shared:
        raise HubError(
            f"a page must hold no gold text to be published, found {shared} consecutive words of one; push without "
            "--space"
        )


def rejected_answers(run: RunDir, secrets: Secrets) -> tuple[RejectedAnswer, ...]:
    """Return the answers that the run kept of those rejected, but those with gold text, a secret or a home path.

    Many answers are rejected because they copy gold text.

    Raises:
        HubError: the gold data cannot be read.
    """
    kept = [
        RejectedAnswer(folder.number, reason, answer)
        for folder in run.rounds()
        if folder.rejected.exists()
        for reason, answers in read_json(folder.rejected).items()
        for answer in answers
        if not secrets.holds(answer)
    ]
    if not kept:
        return ()
    held = gold_texts(run).held_by([normalise(each.text) for each in kept])
    return tuple(each for each, copied in zip(kept, held, strict=True) if not copied)


def configurations(run: RunDir, number: int, rejected: tuple[RejectedAnswer, ...]) -> dict[str, Dataset]:
    """Return what belongs to the dataset of round `number`, by the name of its configuration; none is empty.

    Args:
        run: the run.
        number: the round.
        rejected: `rejected_answers` of the run.
    """
    found = {
        "rejected": [(each.round, each.reason, each.text) for each in rejected if each.round <= number],
        "rationales": _rationales(run, number),
        "predictions": _predictions(run, number),
    }
    return {name: _dataset(lines, _features(run, name)) for name, lines in found.items() if lines}


def _features(run: RunDir, name: str) -> Features:
    from datasets import Features, Sequence, Value

    text, number = Value("string"), Value("int32")
    if name == "rejected":
        return Features({"s3_round": number, "reason": text, "text": text})
    if name == "rationales":
        return Features({"s3_round": number, "label": text, "rationale": text})
    scores: dict[str, Any] = {"correct": Value("bool"), "scores": Sequence(Value("float32"))}
    predicted = {"predicted": text} if run.facts["task"]["columns"]["label"] else {}  # an answer is gold text
    return Features({"s3_round": number, "split": text, "id": text, **predicted, **scores})


def _rationales(run: RunDir, number: int) -> list[tuple[Any, ...]]:
    made = [run.round(each).synthesis() for each in range(number + 1)]
    return [
        (each.round, label, reason)
        for each in made
        for label, reasons in each.rationales.items()
        for reason in reasons
    ]


def _predictions(run: RunDir, number: int) -> list[tuple[Any, ...]]:
    """Return a line for each scored gold row of each round: the student's scores, and whether it is right."""
    from s3_hf.scoring import exact_match

    names = list(run.facts["task"]["labels"])
    lines: list[tuple[Any, ...]] = []
    for folder in map(run.round, range(number + 1)):
        for row in read_rows(folder.predictions) if folder.predictions.exists() else ():
            split = row["role"] if "role" in row else PREDICTED_ROLES[row["split"]]
            label, value = row["label"], row["value"]
            if isinstance(label, list):
                lines.append((folder.number, split, row["id"], exact_match(value, label), row["scores"]))
            else:
                lines.append((folder.number, split, row["id"], names[value], label == value, row["scores"]))
    return lines


def _dataset(lines: list[tuple[Any, ...]], features: Features) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict(dict(zip(features, map(list, zip(*lines, strict=True)), strict=True)), features)
