"""Routes for collections: titled lists of models and datasets."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_localhub import repos
from hf_localhub.call import Call, Route
from hf_localhub.http_errors import HTTPError
from hf_localhub.registry import new_id, now

_PAGE = 100
_KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}


def _slug(row: sqlite3.Row) -> str:
    return f"{row['owner']}/{row['slug']}-{row['id']}"


def _summary(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "slug": _slug(row),
        "title": row["title"],
        "description": row["description"],
        "owner": {"name": row["owner"], "fullname": row["owner"], "type": "user", "avatarUrl": ""},
        "items": _items(call, row),
        "lastUpdated": row["updated"],
        "private": bool(row["private"]),
        "theme": row["theme"],
        "upvotes": 0,
        "isUpvotedByUser": False,
    }


def _details(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    return {**_summary(call, row), "position": 0}


def _items(call: Call, row: sqlite3.Row) -> list[dict[str, Any]]:
    sql = "SELECT * FROM items WHERE collection = ? ORDER BY position, rowid"
    items = []
    for position, item in enumerate(call.hub.registry.rows(sql, row["id"])):
        if not _shown(call, item):
            continue
        note = {"note": {"text": item["note"], "html": item["note"]}} if item["note"] else {}
        items.append(
            {
                "_id": item["id"],
                "id": item["item"],
                "type": item["type"],
                "repoType": item["type"],
                "position": position,
                **note,
            }
        )
    return items


def _shown(call: Call, item: sqlite3.Row) -> bool:
    owner, _, name = item["item"].partition("/")
    repo = repos.find(call.hub.registry, _KINDS[item["type"]], owner, name)
    return repo is not None and repo.visible_to(call.account)


def _visible(call: Call, row: sqlite3.Row) -> bool:
    return not row["private"] or (call.account is not None and call.account.belongs_to(row["owner"]))


def _collection(call: Call, write: bool = False) -> sqlite3.Row:
    sql = "SELECT * FROM collections WHERE owner = ? AND id = ?"
    row = call.hub.registry.row(sql, call.params["owner"], call.params["slug"][-24:])
    if row is None or not _visible(call, row):
        raise HTTPError(404, "Collection not found")
    if write:
        call.check_namespace(row["owner"])
    return row


def listing(call: Call) -> Response:
    """Return one page of the collections that the account may see, newest first."""
    rows = call.hub.registry.rows("SELECT * FROM collections ORDER BY updated DESC, rowid DESC")
    owners = {owner.lower() for owner in call.query.getlist("owner")}
    rows = [row for row in rows if _visible(call, row) and (not owners or row["owner"].lower() in owners)]
    summaries = [_summary(call, row) for row in rows]
    repo_ids = {item.split("/", 1)[1] for item in call.query.getlist("item") if "/" in item}
    if repo_ids:
        summaries = [item for item in summaries if repo_ids & {entry["id"] for entry in item["items"]}]
    start, limit = call.number("cursor", 0, 1 << 40), call.number("limit", _PAGE, _PAGE)
    page = summaries[start : start + limit]
    for item in page:
        for entry in item["items"]:
            entry.pop("note", None)
    return call.page(page, start, limit, len(summaries))


def create(call: Call) -> Response:
    """Create an empty collection. 409 with its slug when the owner has one of this title."""
    body = call.json()
    title, owner = str(body.get("title") or "").strip(), str(body.get("namespace") or call.user().name)
    call.check_namespace(owner)
    if not title or len(title) > 60:
        raise HTTPError(400, f'"title" must have 1 to 60 characters, not {len(title)}')
    registry = call.hub.registry
    with registry.transaction():
        row = registry.row("SELECT * FROM collections WHERE owner = ? AND title = ?", owner, title)
        if row is not None:
            raise HTTPError(409, "This collection already exists", body={"slug": _slug(row)})
        new, slug = new_id(), re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "collection"
        registry.run(
            "INSERT INTO collections VALUES (?, ?, ?, ?, ?, ?, 'orange', ?)",
            new, owner, slug, title, str(body.get("description") or ""), bool(body.get("private")), now(),
        )  # fmt: skip
        if isinstance(body.get("item"), dict):
            _insert(call, new, body["item"])
    call.params = {"owner": owner, "slug": new}
    return JSONResponse(_details(call, _collection(call)))


def read(call: Call) -> Response:
    """Return a collection with its items."""
    return JSONResponse(_details(call, _collection(call)))


def change(call: Call) -> Response:
    """Change the title, description, visibility or theme of a collection."""
    row, body = _collection(call, write=True), call.json()
    values = [body.get(key, row[key]) for key in ("title", "description", "private", "theme")]
    sql = "UPDATE collections SET title = ?, description = ?, private = ?, theme = ?, updated = ? WHERE id = ?"
    title, description, private, theme = values
    call.hub.registry.run(sql, str(title), str(description), bool(private), str(theme), now(), row["id"])
    return JSONResponse({"success": True, "data": _details(call, _collection(call))})


def delete(call: Call) -> Response:
    """Delete a collection, not the repositories in it."""
    row = _collection(call, write=True)
    with call.hub.registry.transaction():
        call.hub.registry.run("DELETE FROM items WHERE collection = ?", row["id"])
        call.hub.registry.run("DELETE FROM collections WHERE id = ?", row["id"])
    return JSONResponse({"success": True})


def add_item(call: Call) -> Response:
    """Append an item to the collection. 409 when it is already in it."""
    row, body = _collection(call, write=True), call.json()
    item = body.get("item")
    if not isinstance(item, dict):
        raise HTTPError(400, '"item" must be an object')
    with call.hub.registry.transaction():
        _insert(call, row["id"], {**item, "note": body.get("note")})
    return JSONResponse(_details(call, _collection(call)))


def _insert(call: Call, collection: str, item: dict[str, Any]) -> None:
    kind, name = str(item.get("type")), str(item.get("id"))
    owner, _, repo = name.partition("/")
    target = repos.find(call.hub.registry, _KINDS.get(kind, ""), owner, repo)
    if target is None or not target.visible_to(call.account):
        raise HTTPError(404, f"There is no {kind} {name!r} on this Hub")
    note = None if item.get("note") is None else str(item["note"])
    sql = "INSERT OR IGNORE INTO items VALUES (?, ?, (SELECT count(*) FROM items WHERE collection = ?2), ?3, ?4, ?5)"
    if not call.hub.registry.run(sql, new_id(), collection, kind, target.full_name, note):
        raise HTTPError(409, "This item is already in the collection")
    call.hub.registry.run("UPDATE collections SET updated = ? WHERE id = ?", now(), collection)


def _item(call: Call) -> sqlite3.Row:
    row = _collection(call, write=True)
    sql = "SELECT * FROM items WHERE collection = ? AND id = ?"
    item = call.hub.registry.row(sql, row["id"], call.params["item"])
    if item is None:
        raise HTTPError(404, "Item not found")
    return item


def change_item(call: Call) -> Response:
    """Change the note or the position of an item."""
    item, body = _item(call), call.json()
    with call.hub.registry.transaction():
        if body.get("note") is not None:
            call.hub.registry.run("UPDATE items SET note = ? WHERE id = ?", str(body["note"]), item["id"])
        if isinstance(body.get("position"), int):
            _place(call, item, body["position"])
    return JSONResponse({"success": True})


def _place(call: Call, moved: sqlite3.Row, position: int) -> None:
    sql = "SELECT id FROM items WHERE collection = ? AND id != ? ORDER BY position, rowid"
    order = [row["id"] for row in call.hub.registry.rows(sql, moved["collection"], moved["id"])]
    order.insert(min(max(0, position), len(order)), moved["id"])
    for number, item in enumerate(order):
        call.hub.registry.run("UPDATE items SET position = ? WHERE id = ?", number, item)


def delete_item(call: Call) -> Response:
    """Remove an item from the collection."""
    call.hub.registry.run("DELETE FROM items WHERE id = ?", _item(call)["id"])
    return JSONResponse({"success": True})


_AT = "/api/collections"
_ONE = f"{_AT}/{{owner}}/{{slug}}"
ROUTES = [
    Route("GET", _AT, listing),
    Route("POST", _AT, create),
    Route("GET", _ONE, read),
    Route("PATCH", _ONE, change),
    Route("DELETE", _ONE, delete),
    Route("POST", f"{_ONE}/items", add_item),
    Route("POST", f"{_ONE}/item", add_item),
    Route("PATCH", f"{_ONE}/items/{{item}}", change_item),
    Route("DELETE", f"{_ONE}/items/{{item}}", delete_item),
]
