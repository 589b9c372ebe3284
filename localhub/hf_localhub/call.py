"""One request as handlers see it: who asks, for which repository, with which rights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlencode

from starlette.datastructures import Headers, QueryParams
from starlette.responses import JSONResponse, Response

from hf_localhub import repos
from hf_localhub.accounts import Account
from hf_localhub.answers import AnswerError, repo_not_found, unauthorized
from hf_localhub.files import Spool
from hf_localhub.repos import RepoRow
from hf_localhub.repository import GitRepo
from hf_localhub.state import Hub

Right = Literal["see", "files", "contribute", "write"]


@dataclass(slots=True)
class Call:
    """A matched request; its body is complete when a handler runs, and empty while a guard runs."""

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
        """The body."""
        assert self.body is not None
        return self.body

    def raw(self) -> bytes:
        """The body's bytes; only for routes whose limit is small."""
        self.spool.file.seek(0)
        return self.spool.file.read()

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object."""
        try:
            found = json.loads(self.raw() or b"{}")
            # Half a surrogate pair is JSON, but nothing that a path, a commit or the registry could hold.
            json.dumps(found, ensure_ascii=False).encode()
        except ValueError as error:
            raise AnswerError(400, f"The body is not JSON in UTF-8: {error}") from error
        if not isinstance(found, dict):
            raise AnswerError(400, "The body must be a JSON object")
        return found

    def objects(self, name: str, most: int) -> list[dict[str, Any]]:
        """The list of objects that the body has under a name; 413 when there are more than `most`."""
        found = self.json().get(name) or []
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise AnswerError(400, f'"{name}" must be an array of objects')
        if len(found) > most:
            raise AnswerError(413, f'"{name}" may have at most {most} items')
        return found

    def form(self) -> dict[str, list[str]]:
        """The body's fields, sent as a form or as JSON."""
        if self.headers.get("content-type", "").startswith("application/json"):
            return {key: value if isinstance(value, list) else [str(value)] for key, value in self.json().items()}
        return parse_qs(self.raw().decode("utf-8", "replace"), keep_blank_values=True)

    def flag(self, name: str) -> bool:
        """A query parameter is set to something true."""
        return self.query.get(name, "").lower() in ("1", "true")

    def number(self, name: str, default: int, most: int) -> int:
        """A query parameter as a natural number of at most `most`."""
        text = self.query.get(name, "")
        if text and not text.isdecimal():
            raise AnswerError(400, f'"{name}" must be a number')
        return min(int(text[:12]), most) if text else default

    def expanded(self) -> list[str]:
        """The values of `expand`, however the client writes a list."""
        return self.query.getlist("expand") + self.query.getlist("expand[]")

    def user(self, write: bool = False) -> Account:
        """Who asks; 401 for nobody, 403 when a token that may write is needed."""
        if self.account is None:
            raise unauthorized()
        if write and self.account.role != "write":
            raise AnswerError(403, "This token may only read: use one with the write role")
        return self.account

    def namespace(self, owner: str) -> Account:
        """Who asks, if they may write there; 403 otherwise."""
        account = self.user(write=True)
        if not account.may_write(owner):
            raise AnswerError(403, f'You don\'t have the rights to write under the namespace "{owner}"')
        return account

    def repo(self, right: Right = "see") -> RepoRow:
        """The repository in the path, if the right is there.

        `see` its description, read its `files`, `contribute` a pull request, `write` to it.
        """
        kind = self.params.get("kind", "models")
        owner, name = self.params["owner"], self.params["name"]
        registry = self.hub.registry
        repo = repos.find(registry, kind, owner, name)
        target = repo or repos.moved(registry, kind, owner, name)
        if target is None or not target.visible_to(self.account):
            raise repo_not_found(self.account is None)
        if repo is None:
            raise self._redirect(f"{owner}/{name}", target.full_name)
        if right == "write":
            self.namespace(repo.owner)
        elif right == "contribute":
            self.user(write=True)
        if right in ("files", "contribute") and not repos.has_access(registry, repo, self.account):
            message = f"Access to {kind[:-1]} {repo.full_name} is restricted and you are not in the authorized list"
            raise AnswerError(401 if self.account is None else 403, message, "GatedRepo")
        return repo

    def _redirect(self, old: str, new: str) -> AnswerError:
        location = self.path.replace(f"/{old}", f"/{new}", 1)
        if str(self.query):
            location += f"?{self.query}"
        return AnswerError(307, f"{old} has moved to {new}", headers={"Location": location})

    def git(self, repo: RepoRow) -> GitRepo:
        """The repository's git side; one that was deleted meanwhile is not found."""
        try:
            return self.hub.git(repo)
        except FileNotFoundError as error:
            raise repo_not_found(self.account is None) from error

    def url(self, path: str) -> str:
        """An absolute URL on the endpoint that the client used."""
        return f"{self.endpoint}/{path}"

    def paged(self, items: list[Any], start: int, limit: int, total: int | None = None) -> Response:
        """A page of a list; the `Link` header leads to the next one when `total` says there is more."""
        response = JSONResponse(items)
        if total is not None and start + len(items) < total:
            query = [(key, value) for key, value in self.query.multi_items() if key not in ("cursor", "limit")]
            query += [("limit", str(limit)), ("cursor", str(start + len(items)))]
            response.headers["Link"] = f'<{self.endpoint}{self.path}?{urlencode(query)}>; rel="next"'
        return response


Handler = Callable[[Call], Response]


@dataclass(frozen=True)
class Route:
    """Methods, a pattern over the raw path, and who answers.

    `{kind}` is `models` or `datasets`, `{x}` one segment, `{rest*}` all that follow. The guard runs before a body
    is taken; `limit` names the field of `Limits` that bounds the body, which is hashed when the handler needs it.
    Without `accounts` the request carries a token of another kind, or a signature, which the guard reads.
    """

    methods: str
    pattern: str
    handler: Handler
    limit: str = "json"
    guard: Callable[[Call], object] | None = None
    hashed: bool = False
    accounts: bool = True

    def match(self, segments: list[str]) -> tuple[dict[str, str], list[str]] | None:
        """The parameters and the rest when the path has this form."""
        wanted = self.pattern.strip("/").split("/")
        rest: list[str] = []
        if wanted[-1] == "{rest*}":
            wanted.pop()
            rest = [unquote(part) for part in segments[len(wanted) :] if part]
            segments = segments[: len(wanted)]
        if len(wanted) != len(segments):
            return None
        params: dict[str, str] = {}
        for want, found in zip(wanted, segments, strict=True):
            name, _, suffix = want.removeprefix("{").partition("}")
            if not want.startswith("{"):
                if want != found:
                    return None
            elif not found or not found.endswith(suffix) or (name == "kind" and found not in repos.KINDS):
                return None
            else:
                params[name] = unquote(found.removesuffix(suffix))
        return params, rest


def both(methods: str, pattern: str, handler: Handler, **options: Any) -> list[Route]:
    """The routes of a page under a dataset's path and under a model's."""
    dataset, model = f"/{{kind}}/{{owner}}/{{name}}{pattern}", f"/{{owner}}/{{name}}{pattern}"
    return [Route(methods, dataset, handler, **options), Route(methods, model, handler, **options)]
