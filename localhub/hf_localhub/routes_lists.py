"""Routes for lists of models and datasets: filtered, sorted, paged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.responses import JSONResponse, Response

from hf_localhub import describe, repos
from hf_localhub.call import Call, Route
from hf_localhub.repos import RepoRow
from hf_localhub.repository import MAIN, GitRepo

logger = logging.getLogger(__name__)
_PAGE = 100

_TAG_FILTERS = ("language", "language_creators", "multilinguality", "size_categories", "task_categories", "task_ids")


def list_repos(call: Call) -> Response:
    """Return one page of the repositories that the account may see, by default newest first."""
    kind = call.params["kind"]
    expand = describe.check_expand(kind, call.expand_fields())
    matching = []
    for repo in repos.all_repos(call.hub.registry, kind, call.query.get("author")):
        if not (repo.visible_to(call.account) and _named(call, repo) and _gated(call, repo)):
            continue
        with _leaving_out(repo):
            git = call.hub.git(repo)
            head = git.read_ref(MAIN.decode())
            if head and _tagged(call, describe.tags_at(git, repo, head)):
                matching.append((_rank(call, git, repo, head), repo, git, head))
    matching.sort(key=lambda item: item[0], reverse=call.query.get("direction", "-1") != "1")
    start, limit = call.number("cursor", 0, 1 << 40), call.number("limit", _PAGE, 1000)
    page = (_item(call, repo, git, head, expand) for _, repo, git, head in matching[start : start + limit])
    return call.page(page, start, limit, len(matching))


@contextmanager
def _leaving_out(repo: RepoRow) -> Iterator[None]:
    """Leave a repository that cannot be read out of the list: one that is deleted meanwhile, or damaged."""
    try:
        yield
    except FileNotFoundError:
        pass
    except Exception:
        logger.exception("%s is left out of a list: it cannot be read", repo.full_name)


def _named(call: Call, repo: RepoRow) -> bool:
    words = [*call.query.getlist("search"), *call.query.getlist("dataset_name")]
    return all(word.lower() in repo.full_name.lower() for word in words)


def _tagged(call: Call, tags: list[str]) -> bool:
    filters = [tag for tags in call.query.getlist("filter") for tag in tags.split(",") if tag]
    filters += call.query.getlist("pipeline_tag")
    filters += [f"{key}:{value}" for key in _TAG_FILTERS for value in call.query.getlist(key)]
    return all(tag in tags or tag.removeprefix("language:") in tags for tag in filters)


def _gated(call: Call, repo: RepoRow) -> bool:
    return "gated" not in call.query or call.flag("gated") == (repo.gated is not None)


def _rank(call: Call, git: GitRepo, repo: RepoRow, head: str) -> tuple[str, str]:
    if call.query.get("sort") == "createdAt":
        return repo.created, repo.full_name
    return describe.commit_date(git, head), repo.full_name


def _item(call: Call, repo: RepoRow, git: GitRepo, head: str, expand: list[str]) -> describe.Json | None:
    siblings = call.flag("full") or "siblings" in expand or "usedStorage" in expand
    info: describe.Json = {}
    with _leaving_out(repo):
        info = describe.repo_info(git, repo, head, siblings=siblings)
    if not info:
        return None
    if expand:
        return describe.select_fields(info, expand)
    if not (call.flag("cardData") or call.flag("full")):
        del info["cardData"]
    if not call.flag("config"):
        info.pop("config", None)
    return info


def tags_by_type(_: Call) -> Response:
    """Return an empty vocabulary of tags; lists can be filtered by any tag of a card."""
    return JSONResponse({})


ROUTES = [
    Route("GET", "/api/{kind}", list_repos),
    Route("GET", "/api/models-tags-by-type", tags_by_type),
    Route("GET", "/api/datasets-tags-by-type", tags_by_type),
]
