"""Words for labels out of a file, for data whose labels are numbers or codes."""

from __future__ import annotations

import json
from pathlib import Path

from s3_hf.errors import ConfigError, TaskError, one_line
from s3_hf.rows.reading import opened, read_whole


def read_words(path: Path) -> dict[str, str]:
    """Return the word of each label in a file.

    It is a JSON object (`{"0": "negative"}`) or list, or text with a label and its word, divided by a tab or comma, in
    each line, or with the words alone, in the order of the numbers from 0.

    Raises:
        ConfigError: the file cannot be read, or has another layout.
    """
    try:
        with opened(path, f"--label-names {str(path)!r}") as file:
            text = read_whole(file, f"--label-names {str(path)!r}")
        found = json.loads(text) if text.lstrip()[:1] in ("{", "[") else _lines(text)
    except (TaskError, ValueError) as error:
        raise ConfigError(f"--label-names must name a readable file of names ({one_line(error)}); check it") from error
    if isinstance(found, list):
        found = dict(enumerate(found))
    if not found or not all(isinstance(word, str) and word.strip() for word in found.values()):
        raise ConfigError(
            f"--label-names must name a file with a word for each label, found others in {str(path)!r}; write a JSON "
            "object, or a label, a comma and its word in each line"
        )
    return {str(label): word.strip() for label, word in found.items()}


def _lines(text: str) -> list[str] | dict[str, str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    sign = "\t" if "\t" in text else ","
    parts = [line.split(sign, 1) for line in lines]
    if all(len(part) == 2 for part in parts):
        return {label.strip(): word for label, word in parts}
    return lines
