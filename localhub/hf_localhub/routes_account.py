"""Who am I, is this card valid, and the calls clients make without reading the answer."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_localhub import metadata
from hf_localhub.answers import AnswerError
from hf_localhub.call import Call, Route


def whoami(call: Call) -> Response:
    """The account of the token, its organisations and the token's role."""
    user = call.user()
    row = call.hub.registry.row("SELECT org FROM accounts WHERE name = ?", user.name)
    assert row is not None
    token = {"displayName": "token", "role": user.role}
    return JSONResponse(
        {
            "type": "org" if row["org"] else "user",
            "id": user.id,
            "name": user.name,
            "fullname": user.name,
            "email": None,
            "emailVerified": True,
            "canPay": False,
            "isPro": False,
            "periodEnd": None,
            "avatarUrl": "",
            "orgs": [_org(org) for org in user.orgs],
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


def _org(name: str) -> dict[str, Any]:
    return {"type": "org", "id": name, "name": name, "fullname": name, "isEnterprise": False, "avatarUrl": ""}


def _overview(row: sqlite3.Row) -> dict[str, Any]:
    return {"_id": row["id"], "user": row["name"], "name": row["name"], "fullname": row["name"], "avatarUrl": ""}


def overview(call: Call) -> Response:
    """A user's or an organisation's public page."""
    row = call.hub.registry.row("SELECT * FROM accounts WHERE name = ?", call.params["account"])
    if row is None or bool(row["org"]) != call.path.startswith("/api/organizations/"):
        raise AnswerError(404, "This account does not exist")
    return JSONResponse({**_overview(row), "type": "org" if row["org"] else "user"})


def validate_yaml(call: Call) -> Response:
    """The errors and warnings of a card; 400 when there are errors."""
    content = call.json().get("content")
    if not isinstance(content, str):
        raise AnswerError(400, '"content" must be a string')
    errors, warnings = metadata.faults(content)
    body = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return JSONResponse(body, 400 if errors else 200)


def ignored(_: Call) -> Response:
    """Nothing happens: telemetry and download counts are neither wanted nor refused."""
    return JSONResponse({})


ROUTES = [
    Route("GET", "/api/whoami-v2", whoami),
    Route("GET", "/api/users/{account}/overview", overview),
    Route("GET", "/api/organizations/{account}/overview", overview),
    Route("POST", "/api/validate-yaml", validate_yaml),
    Route("GET", "/api/telemetry/{rest*}", ignored, accounts=False),
    Route("POST", "/v1/telemetry", ignored, accounts=False),
    Route("GET", "/api/agent-harnesses", ignored, accounts=False),
]
