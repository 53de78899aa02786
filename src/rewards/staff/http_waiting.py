"""What waits, as staff see it: the oldest first, who must act, and how many there are of each."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get

from rewards.infra.http import answer_with, cursor_answer, encode, whole
from rewards.infra.openapi import answers, asks, whole_number
from rewards.orders import search, waiting
from rewards.orders.model import State, Status, SubStatus
from rewards.orders.model_next import USUAL, Ends, Next, Who, Why
from rewards.orders.waiting import BANDS, STARTS, Band, WaitingCount
from rewards.staff import searching
from rewards.staff.around import next_acts
from rewards.staff.auth import requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenSettings
from rewards.staff.http_orders import LIST_DEFAULT, LIST_MAX, FoundOrderOut, found
from rewards.staff.model import Permission

NARROWED = (
    *("q", "client_id", "product_id", "status", "sub_status", "older_than"),
    *("placed_from", "placed_to"),
)


class NextOut(msgspec.Struct):
    """Who must act next and why; `until`: by then, and `ends` says what is over at that time.

    DELIVER_BY: it is cancelled and refunded. WINDOW: nobody reads back any more, and a person
    decides. APPROVAL: it must be asked for again. LINK: what is not claimed goes back.
    """

    who: Who
    why: Why
    until: datetime | None
    ends: Ends | None

    @classmethod
    def of(cls, told: Next) -> "NextOut":
        return cls(told.who, told.why, told.until, told.ends)


class WaitingOut(FoundOrderOut):
    """An order that waits; `waited_s`: since it was placed."""

    waited_s: int
    next: NextOut


class WaitingCountOut(msgspec.Struct):
    """So many orders wait in one sub-status, placed so long ago; `who` and `why` usually.

    `query`: parameters of `GET /orders` that list them.
    """

    sub_status: SubStatus
    band: Band
    orders: int
    oldest_order_id: int
    who: Who
    why: Why
    query: dict[str, str]

    @classmethod
    def of(cls, counted: WaitingCount, now: datetime) -> "WaitingCountOut":
        usual = usually(counted.sub_status)
        return cls(
            *(counted.sub_status, counted.band, counted.orders, counted.oldest_id),
            *(usual.who, usual.why, query_of(counted, now)),
        )


def usually(sub_status: SubStatus) -> Next:
    """Who acts next on what waits there while nothing is under way."""
    partly = sub_status is SubStatus.PARTIAL
    return USUAL[State(Status.PARTIALLY_DELIVERED if partly else Status.PENDING, sub_status)]


def query_of(counted: WaitingCount, now: datetime) -> dict[str, str]:
    """The search that lists what was counted."""
    turn = BANDS.index(counted.band)
    query = {"sub_status": str(counted.sub_status), "sort": "OLDEST"}
    if turn < len(STARTS):
        query["older_than"] = str(int(STARTS[turn].total_seconds()) // 3600)
    if turn:
        query["placed_from"] = (now - STARTS[turn - 1]).isoformat()
    return query


@get(
    "/orders/waiting",
    operation_id="listWaitingOrders",
    guards=[requires(Permission.ORDERS_READ)],
    operation_class=asks(
        {
            "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": {
                "type": "string",
                "maxLength": 64,
                "description": "`X-Next-Cursor` of the page before",
            },
            **{name: searching.PARAMETERS[name] for name in NARROWED},
        }
    ),
    responses=answers(list[WaitingOut], 400, 401, 403),
)
async def list_waiting(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    settings: GivenSettings,
) -> Response[bytes]:
    """Orders that wait for something, the oldest first: who must act next, why, and until when."""
    query, now = request.query_params, clock.now()
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    given = {name: query[name] for name in NARROWED if query.get(name)}
    wanted = searching.waiting(given, now)
    async with db.connection() as connection:
        page = await search.find(connection, wanted, after=query.get("cursor"), limit=limit)
        acts = await next_acts(connection, page.orders, settings, now)
        orders = await found(connection, page.orders)
    if page.searched_to is not None:
        answer_with(request, {"X-Searched-To": page.searched_to.isoformat()})
    body = [
        WaitingOut(
            **msgspec.structs.asdict(order),
            waited_s=max(0, int((now - order.placed_at).total_seconds())),
            next=NextOut.of(act),
        )
        for order, act in zip(orders, acts, strict=True)
    ]
    return cursor_answer(request, body, limit, page.following)


@get(
    "/orders/waiting/counts",
    operation_id="countWaitingOrders",
    guards=[requires(Permission.ORDERS_READ)],
    responses=answers(list[WaitingCountOut], 401, 403),
)
async def count_waiting(db: GivenDatabase, clock: GivenClock) -> Response[bytes]:
    """How many orders wait, by why and since when, those of more than a week first.

    Bands: OVER_WEEK, OVER_DAY (up to a week), OVER_HOUR (up to a day), FRESH.
    """
    now = clock.now()
    async with db.connection() as connection:
        counted = await waiting.counts(connection, now)
    return encode([WaitingCountOut.of(each, now) for each in counted])


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Orders (staff)"],
    route_handlers=[list_waiting, count_waiting],
)
