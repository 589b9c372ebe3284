"""Which texts must not be published: those with gold text, a secret or a home path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from html import unescape

import numpy as np

from s3_hf.errors import HubError, TaskError
from s3_hf.hub.copies import Bools, GoldTexts
from s3_hf.hub.secrets import Secrets
from s3_hf.store import RunDir
from s3_hf.texts import normalise

_SCRIPT = re.compile(r"<script>.*?</script>|<style>.*?</style>", re.DOTALL)
"""Code in a page; the data of charts is JSON, in a `script` with a type."""
_ESCAPE = re.compile(r'\\u([0-9a-fA-F]{4})|\\[nrtbf"\\/]')
"""An escaped character of a JSON text."""
MOST_QUOTED = 20
"""Words of a gold text in an error message."""


class Withheld:
    """Tells which texts of a run must not be published."""

    def __init__(self, run: RunDir, secrets: Secrets) -> None:
        self._run, self._secrets = run, secrets

    def held_by(self, texts: Sequence[str]) -> Bools:
        """Return for each text whether it holds a gold text or a part of one, a secret or a home path.

        Raises:
            HubError: the gold data cannot be read.
        """
        if not texts:
            return np.zeros(0, dtype=bool)
        private = np.fromiter(map(self._secrets.holds, texts), bool, len(texts))
        held: Bools = self._gold.held_by([normalise(text) for text in texts]) | private
        return held

    def check_page(self, page: str) -> None:
        """Return if a page for publication has no secret or home path, and shares no run of words with a gold text.

        Raises:
            HubError: it does, or the gold data cannot be read.
        """
        self._secrets.check_text("the page", page)
        if shared := shared_run(page, self._gold):
            quoted = " ".join(shared[:MOST_QUOTED])
            raise HubError(
                f"a page must hold no gold text to be published, found {len(shared)} consecutive words of one: "
                f"{quoted!r}; remove them from the recipe's prompts, or publish no page"
            )

    @cached_property
    def _gold(self) -> GoldTexts:
        """All texts and contexts of the whole validation and test splits."""
        from s3_hf.task import task_of

        try:
            task = task_of(self._run.located)
            splits = (task.validation_split, task.test_split)
        except TaskError as error:
            raise HubError(f"what is published must be compared with the gold data, but {error}") from error
        names = [name for name in (task.columns.text, task.columns.context) if name]
        return GoldTexts(normalise(text) for split in splits for name in names for text in split[name][:])


def shared_run(page: str, gold: GoldTexts) -> list[str]:
    """Return the words of the longest run that the texts of a page and of its JSON share with a gold text."""
    shown = unescape(_SCRIPT.sub(" ", page))
    return max((gold.longest_run(normalise(text)) for text in (shown, _unescaped(shown))), key=len)


def _unescaped(text: str) -> str:
    """Return the text with the escaped characters of JSON as themselves, and line breaks as spaces."""

    def character(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return match[0][1] if match[0][1] in '"\\/' else " "

    halves = _ESCAPE.sub(character, text)  # a character beyond U+FFFF is two escaped ones
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
