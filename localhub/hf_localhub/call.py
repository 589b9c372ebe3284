"""One request as handlers read it: the account, the repository, and the checks of permissions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlencode

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response

from hf_localhub import repos
from hf_localhub.accounts import Account
from hf_localhub.bounded import MIB, read_json
from hf_localhub.files import Spool
from hf_localhub.http_errors import HTTPError, repo_not_found, unauthorized
from hf_localhub.repos import RepoRow
from hf_localhub.repository import GitRepo
from hf_localhub.state import Hub

_LARGEST_PAGE = 16 * MIB
Right = Literal["see", "files", "contribute", "write"]


@dataclass(slots=True)
class Call:
    """A routed request. Its body is complete when the handler runs and empty when the guard runs."""

    hub: Hub
    method: str
    path: str
    query: QueryParams
    headers: Headers
    endpoint: str
    params: dict[str, str] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    account: Account | None = None
    body: Spool | None = None

    @property
    def spool(self) -> Spool:
        """The spooled body."""
        assert self.body is not None
        return self.body

    def read_body(self) -> bytes:
        """Return the bytes of the body; only for routes with a small limit."""
        self.spool.file.seek(0)
        return self.spool.file.read()

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; an empty body is an empty object.

        Raises:
            HTTPError: 400 when the body is not a JSON object in UTF-8, or is beyond the bounds of `read_json`.
        """
        try:
            value = read_json(self.read_body() or b"{}", self.hub.limits.json)
        except ValueError as error:
            raise HTTPError(400, f"The body must be JSON in UTF-8: {error}") from error
        if not isinstance(value, dict):
            raise HTTPError(400, "The body must be a JSON object")
        return value

    def objects(self, name: str, most: int) -> list[dict[str, Any]]:
        """Return a field of the body that holds a list of objects.

        Raises:
            HTTPError: 400 when it is not such a list, 413 when it has more than `most` items.
        """
        items = self.json().get(name) or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise HTTPError(400, f'"{name}" must be an array of objects')
        if len(items) > most:
            raise HTTPError(413, f'"{name}" may have at most {most} items')
        return items

    def form(self, most: int) -> dict[str, list[str]]:
        """Return the fields of a body that is a form or JSON, each as a list of strings.

        Raises:
            HTTPError: 413 when it has more than `most` values.
        """
        if self.headers.get("content-type", "").startswith("application/json"):
            lists = {key: value if isinstance(value, list) else [value] for key, value in self.json().items()}
            fields = {key: [str(item) for item in items] for key, items in lists.items()}
        else:
            body = self.read_body().decode("utf-8", "replace")
            if body.count("&") > most:
                raise HTTPError(413, f"A form may have at most {most} values")
            fields = parse_qs(body, keep_blank_values=True)
        if sum(map(len, fields.values())) > most:
            raise HTTPError(413, f"A form may have at most {most} values")
        return fields

    def flag(self, name: str) -> bool:
        """Return whether a query parameter is `1` or `true`."""
        return self.query.get(name, "").lower() in ("1", "true")

    def number(self, name: str, default: int, most: int) -> int:
        """Return a query parameter as a natural number, at most `most`."""
        text = self.query.get(name, "")
        if text and not text.isdecimal():
            raise HTTPError(400, f'"{name}" must be a number')
        return min(int(text[:12]), most) if text else default

    def expand_fields(self) -> list[str]:
        """Return the values of `expand` in both spellings that clients use for lists."""
        return self.query.getlist("expand") + self.query.getlist("expand[]")

    def user(self, write: bool = False) -> Account:
        """Return the account of the request.

        Raises:
            HTTPError: 401 without a token; 403 when `write` is set and the token may only read.
        """
        if self.account is None:
            raise unauthorized()
        if write and self.account.role != "write":
            raise HTTPError(403, "This token may only read: use one with the write role")
        return self.account

    def check_namespace(self, owner: str) -> Account:
        """Return the account of the request if it may write in the namespace.

        Raises:
            HTTPError: 401 without a token, 403 when it may not.
        """
        account = self.user(write=True)
        if not account.may_write(owner):
            raise HTTPError(403, f'You don\'t have the rights to write under the namespace "{owner}"')
        return account

    def repo(self, right: Right = "see") -> RepoRow:
        """Return the repository that the path names, after a check of permissions.

        Args:
            right: `see` the description, read the `files`, `contribute` a pull request, or `write`.

        Raises:
            HTTPError: 404 or 401 when the repository is missing or hidden, 403 without permission, 307 when it moved.
        """
        kind = self.params.get("kind", "models")
        owner, name = self.params["owner"], self.params["name"]
        registry = self.hub.registry
        repo = repos.find(registry, kind, owner, name)
        target = repo or repos.find_moved(registry, kind, owner, name)
        if target is None or not target.visible_to(self.account):
            raise repo_not_found(self.account is None)
        if repo is None:
            raise self._redirect(f"{owner}/{name}", target.full_name)
        if right == "write":
            self.check_namespace(repo.owner)
        elif right == "contribute":
            self.user(write=True)
        if right in ("files", "contribute") and not repos.has_access(registry, repo, self.account):
            message = f"Access to {kind[:-1]} {repo.full_name} is restricted and you are not in the authorized list"
            raise HTTPError(401 if self.account is None else 403, message, "GatedRepo")
        return repo

    def _redirect(self, old: str, new: str) -> HTTPError:
        # Built from the parts of the path: with an empty first part, `//owner/name` would name another host.
        parts = [part for part in self.path.split("/") if part]
        for at, (owner, name) in enumerate(pairwise(parts)):
            if f"{unquote(owner)}/{unquote(name)}".startswith(old):
                parts[at : at + 2] = [f"{new}{unquote(name)[len(old.partition('/')[2]) :]}"]
                break
        location = "/" + "/".join(parts)
        if str(self.query):
            location += f"?{self.query}"
        return HTTPError(307, f"{old} has moved to {new}", headers={"Location": location})

    def git(self, repo: RepoRow) -> GitRepo:
        """Return the open git repository.

        Raises:
            HTTPError: 404 or 401 when the repository was deleted while the request was handled.
        """
        try:
            return self.hub.git(repo)
        except FileNotFoundError as error:
            raise repo_not_found(self.account is None) from error

    def url(self, path: str) -> str:
        """Return an absolute URL on the endpoint that the client used."""
        return f"{self.endpoint}/{path}"

    def page(self, items: Iterable[Any], start: int, limit: int, total: int) -> Response:
        """Return one page of a list, without the items that are None. It ends early when it exceeds 16 MiB.

        The `Link` header names the next page if `total` exceeds the items up to here.
        """
        encoded: list[bytes] = []
        count = size = 0
        for item in items:
            count += 1
            if item is None:
                continue
            encoded.append(json.dumps(item, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
            size += len(encoded[-1])
            if size > _LARGEST_PAGE:
                break
        response = Response(b"[" + b",".join(encoded) + b"]", media_type="application/json")
        if start + count < total:
            query = [(key, value) for key, value in self.query.multi_items() if key not in ("cursor", "limit")]
            query += [("limit", str(limit)), ("cursor", str(start + count))]
            response.headers["Link"] = f'<{self.endpoint}{self.path}?{urlencode(query)}>; rel="next"'
        return response


Handler = Callable[[Call], Response]


@dataclass(frozen=True)
class Route:
    """One route: the method, a pattern over the raw path, and the handler.

    In a pattern, `{kind}` is `models`, `datasets` or `spaces`, `{x}` is one segment and `{rest*}` all further ones.

    Attributes:
        limit: the field of `Limits` that bounds the body, in bytes, or `announced` for the size in its signed link.
        guard: runs before the body is received, and raises when the request is not permitted.
        hashed: whether the sha256 of the body is computed while it arrives.
        accounts: False when the request carries a signature or a token of another kind, which the guard checks.
    """

    methods: str
    pattern: str
    handler: Handler
    limit: str = "json"
    guard: Callable[[Call], object] | None = None
    hashed: bool = False
    accounts: bool = True

    def match(self, segments: list[str]) -> tuple[dict[str, str], list[str]] | None:
        """Return the parameters and the remaining segments, or None when the path does not match."""
        pattern = self.pattern.strip("/").split("/")
        rest: list[str] = []
        if pattern[-1] == "{rest*}":
            pattern.pop()
            rest = [unquote(segment) for segment in segments[len(pattern) :] if segment]
            segments = segments[: len(pattern)]
        if len(pattern) != len(segments):
            return None
        params: dict[str, str] = {}
        for part, segment in zip(pattern, segments, strict=True):
            name, _, suffix = part.removeprefix("{").partition("}")
            if not part.startswith("{"):
                if part != segment:
                    return None
            elif not segment or not segment.endswith(suffix) or (name == "kind" and segment not in repos.KINDS):
                return None
            else:
                params[name] = unquote(segment.removesuffix(suffix))
        return params, rest


def page_routes(methods: str, pattern: str, handler: Handler, **options: Any) -> list[Route]:
    """Return two routes for a page below a repository: with the kind in the path, and for models without it."""
    dataset, model = f"/{{kind}}/{{owner}}/{{name}}{pattern}", f"/{{owner}}/{{name}}{pattern}"
    return [Route(methods, dataset, handler, **options), Route(methods, model, handler, **options)]
