"""All errors that are not bugs, as one tree.

S3Error                 printed as one sentence, exit code 2
├── ConfigError         a setting is unknown, missing or of the wrong kind
├── TaskError           a recipe or its gold data cannot be used
├── RunDirError         the run directory belongs to another config, or is damaged
├── StorageError        the disk is full or refuses to be written
├── LLMError            the endpoint that writes the data
│   ├── EndpointError   it is unreachable, refuses requests, or does not speak chat completions
│   │   └── RequestError  it refuses or fails one request; others may succeed
│   └── BudgetReached   a limit that the user set was reached; all rows so far are kept
├── SynthesisError      the LLM answers, but its answers are not usable
├── StudentError        the small model does not exist, or cannot be trained with these settings
├── ClusterError        the cluster cannot run the cells of a bench
├── HubError            a dataset or model cannot be published or read
└── LocalError          an embedded part (GGUF, weights, gold archive) is not installed

Every message says what was expected, what was found (with `!r`), and what to do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class S3Error(Exception):
    """Base of all errors that a user can act on; the CLI prints the message and exits with code 2."""


class ConfigError(S3Error):
    """A setting is unknown, missing or of the wrong kind."""


class TaskError(S3Error):
    """A task recipe, or the gold data that it names, cannot be used."""


class RunDirError(S3Error):
    """The run directory belongs to another config, or a file in it is damaged."""


class StorageError(S3Error):
    """A file could not be written: the disk is full or read-only."""


class LLMError(S3Error):
    """Base of the errors of the LLM endpoint."""


class EndpointError(LLMError):
    """The LLM endpoint is unreachable, refuses requests, or does not speak chat completions."""


class RequestError(EndpointError):
    """The LLM endpoint refuses or fails one request, such as a prompt that is too long."""


class BudgetReached(LLMError):  # noqa: N818 - reaching a limit is no failure
    """A limit on requests, tokens or cost was reached; all rows so far are kept."""


class SynthesisError(S3Error):
    """The LLM answers, but its answers yield no usable rationales or examples."""


class StudentError(S3Error):
    """The small model does not exist, or cannot be trained with the given settings."""


class ClusterError(S3Error):
    """Ray is not installed, or its cluster cannot run a cell."""


class HubError(S3Error):
    """A dataset or model repository cannot be published or read."""


class LocalError(S3Error):
    """An embedded part (GGUF, small-model weights, gold archive) is not installed."""


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal obeys, or that turn the direction of a line."""


def printable(text: str) -> str:
    """Return text of users, servers and files as a terminal may show it: control characters are spelled out."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(error: BaseException) -> str:
    """Return the message of an error as one line of at most 300 characters; its type if it has none."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a question that names the known name closest to `name`, or `otherwise` where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise


def installing(extra: str) -> str:
    """Return the advice to install an extra of the package, from its checkout or from an index."""
    folder = "./localhub " if extra == "local" else ""
    return f"in a checkout `pip install {folder}'.[{extra}]'`, or from an index `pip install 's3-hf[{extra}]'`"


def check_installed(needs: str, extra: str, *packages: str) -> None:
    """Raise LocalError, which begins with `needs`, if one of the packages of an extra is not installed."""
    import importlib.util

    missing = next((name for name in packages if importlib.util.find_spec(name) is None), None)
    if missing:
        raise LocalError(f"{needs} `{missing}`, which is not installed; {installing(extra)}")
