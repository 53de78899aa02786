"""Searches for orders that staff keep, for themselves or for all."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.params import FromPath

from rewards.core.errors import InvalidField, Refusal
from rewards.core.text import printable
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.staff import saved, searching
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase
from rewards.staff.model import Permission
from rewards.staff.model_saved import SavedSearch, SavedSearchNotFound

NAME_CHARS_MAX = 80
# As the parameters of the search are, each as its text.
QUERY: dict[str, Any] = {
    "properties": {name: {"type": "string"} for name in searching.PARAMETERS},
    "additionalProperties": False,
    "examples": [{"status": "PENDING", "older_than": "24"}],
}


class SavedSearchIn(msgspec.Struct, forbid_unknown_fields=True):
    """`query`: parameters of `GET /orders` by name, as text; not its cursor and limit."""

    name: str = ""
    query: Annotated[dict[str, str], msgspec.Meta(extra_json_schema=QUERY)] = msgspec.field(
        default_factory=dict
    )
    shared: bool = False


class SavedSearchOut(msgspec.Struct):
    """One search; `mine`: the caller keeps it."""

    id: int
    name: str
    query: dict[str, str]
    shared: bool
    mine: bool
    owner: str
    created_at: datetime

    @classmethod
    def of(cls, kept: SavedSearch, staff_id: int) -> "SavedSearchOut":
        mine = kept.staff_id == staff_id
        told = (kept.id, kept.name, dict(kept.query), kept.shared)
        return cls(*told, mine, kept.username, kept.created_at)


SAVE = msgspec.json.Decoder(SavedSearchIn)


@get(
    "/saved-searches",
    operation_id="listSavedSearches",
    guards=[requires(Permission.ORDERS_READ)],
    responses=answers(list[SavedSearchOut], 401, 403),
)
async def list_saved(request: Request[Any, Any, Any], db: GivenDatabase) -> Response[bytes]:
    """The caller's own searches by name, then those that others share."""
    who = caller(request)
    async with db.connection() as connection:
        found = await saved.of_person(connection, who.staff.id)
    return encode([SavedSearchOut.of(each, who.staff.id) for each in found])


@post(
    "/saved-searches",
    status_code=201,
    operation_id="saveSearch",
    guards=[requires(Permission.ORDERS_READ)],
    operation_class=takes(SavedSearchIn, needs=("name", "query")),
    responses=answers(SavedSearchOut, 400, 401, 403, 409, status=201, told="Kept"),
)
async def save_search(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock
) -> Response[bytes]:
    """Keep a search. What `GET /orders` would refuse is refused here.

    409 when the caller keeps one of that name, or 50.
    """
    body = decode(SAVE, await request.body())
    name = printable("Name", body.name.strip(), NAME_CHARS_MAX)
    if not any(body.query.values()):
        raise InvalidField("Query", "required")
    query = searching.kept(body.query, clock.now())
    who = caller(request)

    async def work(tx: Tx) -> SavedSearch:
        answer = await saved.keep(tx, who, name, query, shared=body.shared, at=clock.now())
        if isinstance(answer, Refusal):
            raise answer
        return answer

    return encode(SavedSearchOut.of(await db.run(work), who.staff.id), 201)


@delete(
    "/saved-searches/{saved_search_id:str}",
    status_code=204,
    operation_id="deleteSavedSearch",
    guards=[requires(Permission.ORDERS_READ)],
    responses=answers(None, 401, 403, 404, status=204, told="Deleted"),
)
async def delete_saved(
    request: Request[Any, Any, Any],
    saved_search_id: FromPath[str],
    db: GivenDatabase,
    clock: GivenClock,
) -> None:
    """Delete a search of one's own; an admin also one that is shared."""
    number = path_id(saved_search_id, SavedSearchNotFound)

    async def work(tx: Tx) -> None:
        refusal = await saved.delete(tx, caller(request), number, clock.now())
        if refusal is not None:
            raise refusal

    await db.run(work)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Orders (staff)"],
    route_handlers=[list_saved, save_search, delete_saved],
)
