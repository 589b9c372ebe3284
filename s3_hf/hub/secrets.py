"""What must not be published: keys, tokens, passwords, home paths, and files that may be pickles."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from s3_hf.config import RunConfig
from s3_hf.errors import HubError

if TYPE_CHECKING:
    import pyarrow as pa

LEAST = 8
"""Fewest characters of a secret that is searched for; a shorter one may be an ordinary word."""

_TOKEN = "hf_[A-Za-z0-9]{20,}"  # noqa: S105 - the shape of a token, not one
_HOMES = r"/home/[A-Za-z0-9._-]+/|/Users/[A-Za-z0-9._-]+/|/root/|[A-Za-z]:\\Users\\"
_SECRET_QUERY = re.compile(r"key|token|secret|sig|pass|auth|code", re.IGNORECASE)
_BINARY = frozenset({".safetensors", ".parquet", ".model", ".onnx", ".png"})
_PICKLE_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """The keys, tokens and passwords that this process knows."""

    values: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: RunConfig | None, *more: str | None) -> Secrets:
        """Return the secrets of a run, and `more`, such as the token of the Hub and the Hub's address.

        They are the values of all environment variables that the settings of the endpoint, or `${NAME}` in its URLs,
        name, and what stands as password or key in a URL.
        """
        settings, urls = (config.endpoint.model_dump(), config.llm_urls) if config else ({}, ())
        words = [word for text in _texts(settings) for word in re.findall(r"[A-Za-z_]\w*", text)]
        words += [word for url in urls for word in re.findall(r"\$\{(\w+)\}", url)]
        named = (os.environ.get(word, "") for word in words)
        given = [text for text in more if text]
        plain = (text for text in given if "://" not in text)
        in_urls = (value for text in (*urls, *given) for value in _url_secrets(text))
        return cls(frozenset(value.strip() for value in (*named, *plain, *in_urls) if len(value.strip()) >= LEAST))

    def redacted(self, text: str) -> str:
        """Return the text on one line, cut to 300 characters, with secrets and whatever looks like a token masked."""
        for value in sorted(self.values, key=len, reverse=True):
            text = text.replace(value, "***")
        return re.sub(r"\bhf_\w{8,}", "hf_***", " ".join(text.split()))[:300]

    def check_folder(self, folder: Path) -> None:
        """Return if every file in the folder may be published.

        Raises:
            HubError: a file may be a pickle, is damaged, or holds a secret or a home path; the message names the file.
        """
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as file:
                pickled = file.read(2).startswith(_PICKLE_STARTS)
            if path.suffix in _BINARY and not pickled:
                continue
            try:
                text = path.read_text(encoding="utf-8")
                _ = json.loads(text) if path.suffix == ".json" else None
            except (ValueError, RecursionError) as error:
                wanted = "JSON" if path.suffix == ".json" else "text"
                raise HubError(
                    f"{name!r} must be {wanted} to be published, found something else, such as a pickle or a damaged "
                    "file; restore it in the run's model folder, or delete that folder to have the round trained again"
                ) from error
            self.check_text(repr(name), text)

    def check_rows(self, table: pa.Table) -> None:
        """Return if no text in the rows holds a secret or a home path.

        Raises:
            HubError: a text holds one; the message names its column and row.
        """
        import pyarrow.compute as pc

        for name, column in zip(table.column_names, table.columns, strict=True):
            for texts in _text_columns(column):
                if pc.any(pc.match_substring_regex(texts, self._pattern().pattern)).as_py():
                    rows = enumerate(column.to_pylist())
                    row = next(row for row, value in rows if any(map(self._pattern().search, _texts(value))))
                    found = next(text for text in _texts(column[row].as_py()) if self._pattern().search(text))
                    self.check_text(f"column {name!r} of row {row} of the rows", found)

    def holds(self, text: str) -> bool:
        """Return whether the text holds a secret or a home path."""
        return bool(self._pattern().search(text))

    def check_text(self, where: str, text: str) -> None:
        """Return if the text holds no secret and no home path.

        Raises:
            HubError: it holds one; the message says `where`.
        """
        match = self._pattern().search(text)
        if match is None:
            return
        found = match.group()
        what = f"the home path {found!r}"
        if found in self.values:
            what = "a key, token or password of this run"
        elif found.startswith("hf_"):
            what = "a text shaped like a Hub token"
        raise HubError(
            f"nothing private may be published, found {what} in {where}; remove it from the run, then push again"
        )

    def _pattern(self) -> re.Pattern[str]:
        own = str(Path.home())
        home = [re.escape(own) + "/"] if len(own) > 1 else []
        return re.compile("|".join([*map(re.escape, sorted(self.values)), _TOKEN, _HOMES, *home]))


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts within a plain value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.values()])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _url_secrets(url: str) -> list[str]:
    parts = urlsplit(url)
    found = [value for name, value in parse_qsl(parts.query) if _SECRET_QUERY.search(name)]
    return found + ([parts.password, unquote(parts.password)] if parts.password else [])


def _text_columns(column: Any) -> Iterator[Any]:
    """Yield the columns of text within a column of any type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield column
    elif pa.types.is_dictionary(kind):
        yield from _text_columns(column.cast(kind.value_type))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _text_columns(pc.list_flatten(column))
    elif pa.types.is_struct(kind):
        for place in range(kind.num_fields):
            yield from _text_columns(pc.struct_field(column, place))
