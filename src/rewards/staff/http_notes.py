"""Notes on an order: read what colleagues wrote, add one."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath

from rewards.infra.db import Tx
from rewards.infra.http import ID_MAX, cursor_answer, decode, encode, path_id, whole
from rewards.infra.openapi import answers, asks, takes, whole_number
from rewards.orders import overview
from rewards.orders.model import OrderNotFound
from rewards.staff import notes
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase
from rewards.staff.model import Permission
from rewards.staff.notes import Note

LIST_DEFAULT, LIST_MAX = 50, 500


class NoteIn(msgspec.Struct, forbid_unknown_fields=True):
    """At most 2,000 characters. Nobody can change it afterwards; no code belongs into it."""

    text: str = ""


class NoteOut(msgspec.Struct):
    """What one of the staff wrote about the order."""

    id: int
    order_id: int
    staff_id: int
    author: str
    text: str
    created_at: datetime

    @classmethod
    def of(cls, note: Note) -> "NoteOut":
        told = (note.id, note.order_id, note.staff_id, note.username, note.text)
        return cls(*told, note.created_at)


NOTE = msgspec.json.Decoder(NoteIn)


@get(
    "/orders/{order_id:str}/notes",
    operation_id="listOrderNotes",
    guards=[requires(Permission.ORDERS_READ)],
    operation_class=asks(
        {
            "limit": whole_number("Notes a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": whole_number("`X-Next-Cursor` of the page before", maximum=ID_MAX),
        }
    ),
    responses=answers(list[NoteOut], 400, 401, 403, 404),
)
async def list_notes(
    request: Request[Any, Any, Any], order_id: FromPath[str], db: GivenDatabase
) -> Response[bytes]:
    """What staff wrote about the order, newest first."""
    query, number = request.query_params, path_id(order_id, OrderNotFound)
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    before = whole("Cursor", query.get("cursor"), default=ID_MAX, maximum=ID_MAX)
    async with db.connection() as connection:
        [order] = await overview.find(connection, [number])
        if order is None:
            raise OrderNotFound
        found = await notes.of_order(connection, number, limit + 1, before)
    page = found[:limit]
    following = str(page[-1].id) if len(found) > limit else None
    return cursor_answer(request, [NoteOut.of(each) for each in page], limit, following)


@post(
    "/orders/{order_id:str}/notes",
    status_code=201,
    operation_id="addOrderNote",
    guards=[requires(Permission.ORDERS_NOTE)],
    operation_class=takes(NoteIn, needs=("text",)),
    responses=answers(NoteOut, 400, 401, 403, 404, status=201, told="Written"),
)
async def add_note(
    request: Request[Any, Any, Any],
    order_id: FromPath[str],
    db: GivenDatabase,
    clock: GivenClock,
) -> Response[bytes]:
    """Write a note on the order, for colleagues: its client never sees one."""
    text = notes.text_of(decode(NOTE, await request.body()).text)
    number = path_id(order_id, OrderNotFound)

    async def work(tx: Tx) -> Note:
        return await notes.add(tx, caller(request), number, text, clock.now())

    return encode(NoteOut.of(await db.run(work)), 201)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Orders (staff)"],
    route_handlers=[list_notes, add_note],
)
