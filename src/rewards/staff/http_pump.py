"""The pump and the depth of the pool, as staff see them."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog.model import ProductNotFound
from rewards.core.currency import exponent_of
from rewards.core.errors import InvalidField
from rewards.core.money import to_decimal
from rewards.infra import jobs
from rewards.infra.http import ID_MAX, cursor_answer, decode, encode, whole
from rewards.infra.openapi import answers, asks, takes, whole_number
from rewards.inventory import service as inventory
from rewards.inventory.model import PumpReport, ShelfDepth, ShelfKey, ShelfPumped
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenCatalog, GivenClock, GivenDatabase
from rewards.staff.model import Permission

PRODUCTS_MAX = 1_000
LIST_DEFAULT, LIST_MAX = 50, 100
CURSOR = re.compile(r"([0-9]{1,16})\.([0-9]{1,18})\.([A-Z]{3})", re.ASCII)
# Whoever handles it looks whether auto-retry is on.
STOCK_ARRIVED = jobs.declare("orders.stock_arrived")


class PumpIn(msgspec.Struct, forbid_unknown_fields=True):
    """Only these products; all when left out."""

    product_ids: list[int] | None = None


class ShelfPumpedOut(msgspec.Struct):
    """What the pump did to one (product, denomination, currency), and how it left it."""

    product_id: int
    denomination: Decimal
    currency: str
    target: int
    loaded: int
    expired: int
    short_lived: int
    # Of a blocked or recalled batch.
    held_back: int
    depth: int
    waiting: int
    # Another pump had it at this moment.
    busy: bool

    @classmethod
    def of(cls, done: ShelfPumped) -> "ShelfPumpedOut":
        shelf = done.shelf
        return cls(
            shelf.product_id,
            to_decimal(shelf.denomination_minor, exponent_of(shelf.currency)),
            shelf.currency,
            done.target,
            done.loaded,
            done.expired,
            done.short_lived,
            done.held_back,
            done.depth,
            done.waiting,
            done.busy,
        )


class PumpOut(msgspec.Struct):
    at: datetime
    loaded: int
    shelves: list[ShelfPumpedOut]


class DepthOut(msgspec.Struct):
    """Stock of one (product, denomination, currency); `loaded` is what can be sold now.

    Each number is exact below `counted_to`; one that reaches it means so many units or more.
    """

    product_id: int
    denomination: Decimal
    currency: str
    loaded: int
    waiting: int
    blocked: int
    target: int | None
    next_expiry_at: datetime | None
    counted_to: int | None

    @classmethod
    def of(cls, line: ShelfDepth) -> "DepthOut":
        shelf = line.shelf
        return cls(
            shelf.product_id,
            to_decimal(shelf.denomination_minor, exponent_of(shelf.currency)),
            shelf.currency,
            line.loaded,
            line.waiting,
            line.blocked,
            line.target,
            line.next_expiry_at,
            line.counted_to,
        )


PUMP = msgspec.json.Decoder(PumpIn)


@post(
    "/inventory/pump",
    status_code=200,
    operation_id="pump",
    summary="Pump stock into the pool",
    guards=[requires(Permission.INVENTORY_PUMP)],
    operation_class=takes(PumpIn, required=False),
    responses=answers(PumpOut, 400, 401, 403, 404, 503),
)
async def pump(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
) -> Response[bytes]:
    """Load waiting stock into the pool up to each product's target, and sweep expired units out.

    What it loads is for sale at once; orders that wait are retried by staff, or by themselves where
    auto-retry is on.
    """
    body = decode(PUMP, await request.body() or b"{}")
    product_ids = body.product_ids
    if product_ids is not None:
        if len(product_ids) > PRODUCTS_MAX:
            raise InvalidField("ProductIds", "max")
        if not all(0 < product_id <= ID_MAX for product_id in product_ids):
            raise InvalidField("ProductIds", "min")
        unknown = [each for each in product_ids if catalog.product(each) is None]
        if unknown:
            raise ProductNotFound(details={"product_ids": sorted(set(unknown))})
    report = await inventory.pump(db, catalog, clock, product_ids)
    async with db.transaction() as tx:
        await audit.record(tx, [_pumped(request, report, product_ids)], clock.now())
        if report.arrived:
            await jobs.enqueue(tx, [jobs.JobAsk(STOCK_ARRIVED, dedupe_key="any")])
    shelves = [ShelfPumpedOut.of(done) for done in report.shelves]
    return encode(PumpOut(report.at, sum(done.loaded for done in report.shelves), shelves))


def _pumped(
    request: Request[Any, Any, Any], report: PumpReport, product_ids: list[int] | None
) -> AuditFact:
    """The pump works shelf by shelf, each in a transaction of its own; this tells of all of it."""
    facts: dict[str, object] = {
        "product_ids": product_ids,
        "loaded": sum(done.loaded for done in report.shelves),
        "expired": sum(done.expired for done in report.shelves),
        "short_lived": sum(done.short_lived for done in report.shelves),
        "held_back": sum(done.held_back for done in report.shelves),
    }
    return AuditFact(caller(request).actor, None, "inventory.pumped", "pool", 0, facts)


@get(
    "/inventory/depth",
    operation_id="getDepth",
    operation_class=asks(
        {
            "product_id": whole_number("Of this product", maximum=ID_MAX),
            "limit": whole_number("Shelves a page", maximum=LIST_MAX, default=LIST_DEFAULT),
            "cursor": {
                "type": "string",
                "maxLength": 40,
                "description": "`X-Next-Cursor` of the page before",
            },
        }
    ),
    guards=[requires(Permission.INVENTORY_READ)],
    responses=answers(list[DepthOut], 400, 401, 403),
)
async def get_depth(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
) -> Response[bytes]:
    """What is in the pool, what waits for a pump, and what is blocked, shelf by shelf.

    By product, denomination and currency; `product_id` narrows it, `cursor` (from `X-Next-Cursor`)
    goes on. Units are counted up to 10,000 of each sort, or to the pool's target where that is
    more (`counted_to`); the report STOCK_DEPTH counts them all.
    """
    query = request.query_params
    text = query.get("product_id")
    product_id = whole("ProductId", text, default=1, maximum=ID_MAX) if text else None
    limit = whole("Limit", query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)
    after = _shelf_of(query["cursor"]) if query.get("cursor") else None
    async with db.connection() as connection:
        found = await inventory.depth_report(
            connection, catalog, clock.now(), limit + 1, after=after, product_id=product_id
        )
    shown = found[:limit]
    following = _cursor_of(shown[-1].shelf) if len(found) > limit else None
    return cursor_answer(request, [DepthOut.of(line) for line in shown], limit, following)


def _cursor_of(shelf: ShelfKey) -> str:
    return f"{shelf.product_id}.{shelf.denomination_minor}.{shelf.currency}"


def _shelf_of(cursor: str) -> ShelfKey:
    """The shelf behind which a page begins. Refuses what no page has said."""
    parts = CURSOR.fullmatch(cursor)
    if parts is None:
        raise InvalidField("Cursor", "format")
    return ShelfKey(int(parts[1]), int(parts[2]), parts[3])


ROUTER = Router(path="/admin/api/v1", tags=["Inventory (staff)"], route_handlers=[pump, get_depth])
