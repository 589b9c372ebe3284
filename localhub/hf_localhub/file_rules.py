"""Which files are large and which are ignored, by the rules in a repository."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Callable
from io import BytesIO

from dulwich.attrs import Pattern, match_path, parse_git_attributes
from dulwich.ignore import IgnoreFilter, read_ignore_patterns
from dulwich.wildmatch import MalformedPattern


def large_file_rule(attributes: str) -> Callable[[str], bool]:
    """Return a function that tells whether a path is a large file by the text of `.gitattributes`."""
    rules = []
    for pattern, values in parse_git_attributes(BytesIO(attributes.encode())):
        # A pattern that git does not understand matches nothing.
        with contextlib.suppress(MalformedPattern, re.error):
            rules.append((Pattern(pattern), values))
    return lambda path: match_path(rules, path.encode()).get(b"filter") == b"lfs"


def ignore_rule(patterns: str) -> Callable[[str], bool]:
    """Return a function that tells whether a path is ignored by the text of `.gitignore`."""
    rules = IgnoreFilter(read_ignore_patterns(BytesIO(patterns.encode())))
    return lambda path: bool(rules.is_ignored(path))


def is_binary(sample: bytes) -> bool:
    """Return whether the first bytes of a file are not text. They may end inside a character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return True
    return b"\0" in sample
