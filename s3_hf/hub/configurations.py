"""Configurations of a dataset repository beside its rows: rejected answers, rationales, predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3_hf.files import read_json, read_rows
from s3_hf.hub.facts import round_reports
from s3_hf.hub.withholding import Withheld
from s3_hf.store import RunDir
from s3_hf.store.earlier import roles_of

if TYPE_CHECKING:
    from datasets import Dataset, Features


@dataclass(frozen=True, slots=True)
class RejectedAnswer:
    """An answer of the LLM that became no row of `round`."""

    round: int
    reason: str
    text: str


def rejected_answers(run: RunDir, withheld: Withheld) -> tuple[RejectedAnswer, ...]:
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
    ]
    held = withheld.held_by([each.text for each in kept])
    return tuple(each for each, private in zip(kept, held, strict=True) if not private)


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
    return [
        (each.round, label, reason)
        for each in round_reports(run, number)
        for label, reasons in each.rationales.items()
        for reason in reasons
    ]


def _predictions(run: RunDir, number: int) -> list[tuple[Any, ...]]:
    """Return a line for each scored gold row of each round: the student's scores, and whether it is right."""
    from s3_hf.scoring import is_right

    names = list(run.facts["task"]["labels"])
    lines: list[tuple[Any, ...]] = []
    for folder in map(run.round, range(number + 1)):
        if not folder.predictions.exists():
            continue
        rows = read_rows(folder.predictions)
        for split, row in zip(roles_of(rows), rows, strict=True):
            label, value = row["label"], row["value"]
            predicted = () if isinstance(label, list) else (names[value],)
            lines.append((folder.number, split, row["id"], *predicted, is_right(value, label), row["scores"]))
    return lines


def _dataset(lines: list[tuple[Any, ...]], features: Features) -> Dataset:
    from datasets import Dataset

    return Dataset.from_dict(dict(zip(features, map(list, zip(*lines, strict=True)), strict=True)), features)
