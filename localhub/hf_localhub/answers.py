"""What the Hub refuses, as exceptions that carry the status and the headers clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class AnswerError(Exception):
    """A request is answered with an error: status, sentence, `X-Error-Code`, more headers, more JSON."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})
        self.body = dict(body or {})


def unauthorized(message: str = "Invalid username or password.") -> AnswerError:
    """A token is needed; git asks for a password when it sees the header."""
    return AnswerError(401, message, headers={"WWW-Authenticate": 'Basic realm="Hub"'})


def repo_not_found(anonymous: bool) -> AnswerError:
    """The repository is missing, or is private and must look so."""
    if anonymous:
        headers = {"WWW-Authenticate": 'Basic realm="Hub"'}
        return AnswerError(401, "Invalid username or password.", "RepoNotFound", headers)
    return AnswerError(404, "Repository not found", "RepoNotFound")


def revision_not_found(rev: str) -> AnswerError:
    """No branch, tag, ref or commit has this name."""
    return AnswerError(404, f"Invalid rev id: {rev}", "RevisionNotFound")


def entry_not_found(message: str = "Entry not found", commit: str | None = None) -> AnswerError:
    """No file or folder has this path; clients cache that answer under the commit."""
    return AnswerError(404, message, "EntryNotFound", {"X-Repo-Commit": commit} if commit else None)
