"""Routes for accounts and card validation, and those whose responses clients ignore."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_localhub import metadata
from hf_localhub.call import Call, Route
from hf_localhub.http_errors import HTTPError


def whoami(call: Call) -> Response:
    """Return the account of the token, its organisations and the role of the token."""
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
    """Return the public profile of a user or an organisation."""
    row = call.hub.registry.row("SELECT * FROM accounts WHERE name = ?", call.params["account"])
    if row is None or bool(row["org"]) != call.path.startswith("/api/organizations/"):
        raise HTTPError(404, "This account does not exist")
    return JSONResponse({**_overview(row), "type": "org" if row["org"] else "user"})


def validate_yaml(call: Call) -> Response:
    """Return the errors and warnings of a card; with errors, the status is 400."""
    content = call.json().get("content")
    if not isinstance(content, str):
        raise HTTPError(400, '"content" must be a string')
    if call.account is None and len(content) > call.hub.limits.anonymous_card:
        raise HTTPError(401, f"Without a token, a card may have at most {call.hub.limits.anonymous_card} characters")
    errors, warnings = metadata.check_card(content)
    body = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return JSONResponse(body, 400 if errors else 200)


def ignored(_: Call) -> Response:
    """Accept and discard telemetry."""
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
