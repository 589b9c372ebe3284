"""Which files are large and which are ignored, by the rules in a repository.

git's patterns are matched in time that is at most the product of the lengths of pattern and path: a `*` inside a part
never gives back what it took, and of several `**` only the last is tried again.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dulwich.wildmatch import MalformedPattern, translate_bracket_expression

from hf_localhub.http_errors import HTTPError

LARGEST_RULES = 256 << 10
_LONGEST_PATTERN = 4096
_MOST_WORK = 1 << 30
_SPECIAL = re.compile(rb"[*?\[\\]")
_ANY = re.compile(rb".+", re.DOTALL)
_NOTHING = re.compile(rb"(?!)")


@dataclass(frozen=True, slots=True)
class _Glob:
    """A pattern by its parts; None stands for `**`. Without a slash it is matched with the last part of a path."""

    parts: tuple[re.Pattern[bytes] | None, ...]
    length: int
    folders: bool

    @classmethod
    def of(cls, pattern: bytes) -> _Glob:
        """Read a pattern.

        Raises:
            MalformedPattern: git would not understand it.
        """
        name = pattern.removesuffix(b"/")
        parts = name.removeprefix(b"/").split(b"/")
        if not name or len(pattern) > _LONGEST_PATTERN:
            raise MalformedPattern(pattern)
        compiled: list[re.Pattern[bytes] | None] = [] if b"/" in name else [None]
        for part in parts:
            compiled.append(None if part == b"**" else _part(part))
        if compiled[-1] is None:  # `a/**` is what lies below `a`
            compiled.append(_ANY)
        return cls(tuple(compiled), len(pattern), pattern.endswith(b"/"))

    def matches(self, path: list[bytes]) -> bool:
        """Return whether the pattern matches the path, which is split into its parts."""
        if len(self.parts) == 2 and self.parts[0] is None and self.parts[1] is not None:
            return self.parts[1].fullmatch(path[-1]) is not None
        at = there = 0
        retry: tuple[int, int] | None = None
        while there < len(path):
            part = self.parts[at] if at < len(self.parts) else _NOTHING
            if part is None:
                at, retry = at + 1, (at + 1, there + 1)
            elif part.fullmatch(path[there]):
                at, there = at + 1, there + 1
            elif retry:
                at, there = retry
                retry = (at, there + 1)
            else:
                return False
        return at == len(self.parts)


def _part(glob: bytes) -> re.Pattern[bytes]:
    """Return the regular expression of one part of a path. Each `*` but the last takes the nearest match for good."""
    if glob == b"*":
        return _ANY
    pieces: list[list[bytes]] = [[]]
    at = 0
    while at < len(glob):
        char, at = glob[at : at + 1], at + 1
        if char == b"*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append([])
        elif char == b"[":
            at, bracket = translate_bracket_expression(glob, at)
            pieces[-1].append(bracket)
        elif char == b"?":
            pieces[-1].append(b".")
        else:
            if char == b"\\" and at < len(glob):
                char, at = glob[at : at + 1], at + 1
            pieces[-1].append(re.escape(char))
    first, *stars = (b"".join(piece) for piece in pieces)
    middle = b"".join(b"(?>.*?%s)" % piece for piece in stars[:-1])
    return re.compile(first + middle + (b".*" + stars[-1] if stars else b""), re.DOTALL)


class FileRules:
    """Rules in their order; the last one that matches decides."""

    def __init__(self, rules: Iterable[tuple[bytes, bool]]) -> None:
        # Names as they are, whole paths with a slash before them.
        self._literal: dict[bytes, tuple[int, bool]] = {}
        self._globs: list[tuple[int, _Glob, bool]] = []
        for number, (pattern, value) in enumerate(rules):
            if not _SPECIAL.search(pattern) and not pattern.endswith(b"/"):
                key = b"/" + pattern.removeprefix(b"/") if b"/" in pattern else pattern
                self._literal[key] = (number, value)
                continue
            # A pattern that git does not understand matches nothing.
            with contextlib.suppress(MalformedPattern, re.error):
                self._globs.append((number, _Glob.of(pattern), value))
        self._globs.reverse()
        self.weight = sum(glob.length for _, glob, _ in self._globs)

    def decide(self, path: list[bytes], folder: bool = False) -> bool | None:
        """Return the value of the last rule that matches the path, which is split into its parts, or None."""
        none: tuple[int, bool | None] = (-1, None)
        keys = (path[-1], b"/" + b"/".join(path))
        named, value = max((self._literal.get(key, none) for key in keys), key=lambda item: item[0])
        for number, glob, found in self._globs:
            if number < named:
                break
            if (folder or not glob.folders) and glob.matches(path):
                return found
        return value


def check_work(rules: FileRules, paths: Iterable[str]) -> None:
    """Check that matching the paths with the rules takes seconds at most.

    Raises:
        HTTPError: 413 when there are too many patterns for so many paths.
    """
    if rules.weight * sum(len(path.encode()) * (1 + path.count("/")) for path in paths) > _MOST_WORK:
        raise HTTPError(413, "Too many patterns for this many paths: ask for fewer files at once")


def large_file_rules(attributes: str) -> FileRules:
    """Return the rules of a `.gitattributes` about which files are large.

    Raises:
        HTTPError: 413 when the text is longer than 256 KiB.
    """
    rules = []
    for line in _lines(attributes, ".gitattributes"):
        pattern, *attributes_of = line.split()
        filters = [item for item in attributes_of if item.lstrip(b"-!").partition(b"=")[0] == b"filter"]
        if filters and not pattern.endswith(b"/"):
            rules.append((pattern, filters[-1] == b"filter=lfs"))
    return FileRules(rules)


def ignore_rules(patterns: str) -> FileRules:
    """Return the rules of a `.gitignore`.

    Raises:
        HTTPError: 413 when the text is longer than 256 KiB.
    """
    rules = []
    for line in _lines(patterns, ".gitignore"):
        pattern = line.strip()
        ignored = not pattern.startswith(b"!")
        rules.append((pattern if ignored else pattern[1:], ignored))
    return FileRules(rules)


def _lines(text: str, name: str) -> Iterable[bytes]:
    if len(text) > LARGEST_RULES:
        raise HTTPError(413, f"{name} is longer than {LARGEST_RULES} characters")
    return (line for line in text.encode().splitlines() if line.strip() and not line.startswith(b"#"))


def is_large(rules: FileRules, path: str) -> bool:
    """Return whether the rules say that the file is large."""
    return bool(rules.decide(path.encode().split(b"/")))


def is_ignored(rules: FileRules) -> Callable[[str], bool]:
    """Return a function that tells whether a file is ignored: by itself, or with a folder that holds it."""
    folders: dict[bytes, bool] = {}

    def ignored(path: str) -> bool:
        parts = path.encode().split(b"/")
        for count in range(1, len(parts)):
            above = b"/".join(parts[:count])
            if above not in folders:
                folders[above] = bool(rules.decide(parts[:count], folder=True))
            if folders[above]:
                return True
        return bool(rules.decide(parts))

    return ignored


def is_binary(sample: bytes) -> bool:
    """Return whether the first bytes of a file are not text. They may end inside a character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return True
    return b"\0" in sample
