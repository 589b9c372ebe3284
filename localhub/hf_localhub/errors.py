"""Errors that a user can act on. Each message is one sentence: what was expected, what is there, what to do.

LocalHubError       base; the command line prints the message and exits with code 2
├── AccountError    an account name or a token cannot be used
├── StorageError    the data directory, or a folder tree to import, cannot be used
└── ServerError     the server cannot start
"""


class LocalHubError(Exception):
    """Base of all errors a user can act on."""


class AccountError(LocalHubError):
    """An account name or a token cannot be used."""


class StorageError(LocalHubError):
    """The data directory, or a folder tree to import, cannot be used."""


class ServerError(LocalHubError):
    """The server cannot start."""
