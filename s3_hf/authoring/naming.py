"""Words for labels out of a file, for data whose labels are numbers or codes."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from s3_hf.errors import ConfigError, TaskError, one_line
from s3_hf.rows.reading import opened, read_whole, shorten

Pairs = list[tuple[str, Any]]


def read_words(path: Path, labels: Collection[str]) -> dict[str, str]:
    """Return the word of each of the `labels` in a file.

    It is a JSON object (`{"0": "negative"}`) or list, or text with a label and its word, divided by a tab or comma, in
    each line, also below a header, or with the words alone, in the order of the numbers from 0.

    Raises:
        ConfigError: the file cannot be read, has another layout, or its labels are not exactly `labels`.
    """
    try:
        with opened(path, f"--label-names {str(path)!r}") as file:
            text = read_whole(file, f"--label-names {str(path)!r}")
        text.encode()  # an error where its bytes are not UTF-8
        pairs = _json_pairs(text) if text.lstrip()[:1] in ("{", "[") else _line_pairs(text, labels)
    except (TaskError, ValueError, RecursionError, csv.Error) as error:
        raise ConfigError(f"--label-names must name a readable file of names ({one_line(error)}); check it") from error
    found = [label for label, _ in pairs]
    if len(set(found)) < len(found) or set(found) != set(labels):
        raise ConfigError(_difference(path, found, labels))
    if wrong := [label for label, word in pairs if not (isinstance(word, str) and word.strip())]:
        raise ConfigError(
            f"--label-names must name a file with a word for each label, found none for {wrong[0]!r} in "
            f"{str(path)!r}; write it"
        )
    return {label: word.strip() for label, word in pairs}


def _difference(path: Path, found: list[str], labels: Collection[str]) -> str:
    unknown = [label for label in found if label not in labels]
    lacking = [label for label in labels if label not in found]
    if unknown:
        what = f"{shorten(unknown[0])}, which is no label"
    else:
        what = f"none for {shorten(lacking[0])}" if lacking else "a label twice"
    return (
        "--label-names must name a file with one word for each label of the data and no other "
        f"({', '.join(list(labels)[:20])}), found {what}, in {str(path)!r}; write a JSON object, a JSON list in the "
        "order of the numbers from 0, or a label, a comma and its word in each line"
    )


def _json_pairs(text: str) -> Pairs:
    found = json.loads(text, object_pairs_hook=list)  # pairs, so that a double is seen
    if text.lstrip().startswith("["):
        return [(str(number), word) for number, word in enumerate(found)]
    return [(label, word) for label, word in found]


def _line_pairs(text: str, labels: Collection[str]) -> Pairs:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    sign = "\t" if "\t" in text else ","
    rows = [next(csv.reader([line], delimiter=sign, skipinitialspace=True)) for line in lines]
    pairs: Pairs = [(row[0].strip(), sign.join(row[1:])) for row in rows]
    if any(len(row) < 2 for row in rows) and not any(label in labels for label, _ in pairs):
        return [(str(number), line) for number, line in enumerate(lines)]
    return pairs[1:] if pairs and pairs[0][0] not in labels and len(pairs) == len(labels) + 1 else pairs
