"""Error responses as exceptions, with the status and the headers that clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class HTTPError(Exception):
    """An error response: status, message, `X-Error-Code`, and further headers and JSON fields."""

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


def unauthorized(message: str = "Invalid username or password.") -> HTTPError:
    """Return a 401 response. git prompts for a password when it reads the header."""
    return HTTPError(401, message, headers={"WWW-Authenticate": 'Basic realm="Hub"'})


def repo_not_found(anonymous: bool) -> HTTPError:
    """Return the response for a missing repository, which is also the one for a hidden private repository."""
    if anonymous:
        headers = {"WWW-Authenticate": 'Basic realm="Hub"'}
        return HTTPError(401, "Invalid username or password.", "RepoNotFound", headers)
    return HTTPError(404, "Repository not found", "RepoNotFound")


def revision_not_found(rev: str) -> HTTPError:
    """Return the response for a revision that is no branch, tag, ref or commit."""
    return HTTPError(404, f"Invalid rev id: {rev}", "RevisionNotFound")


def entry_not_found(message: str = "Entry not found", commit: str | None = None) -> HTTPError:
    """Return the response for a missing path. Clients cache it under the commit."""
    return HTTPError(404, message, "EntryNotFound", {"X-Repo-Commit": commit} if commit else None)
