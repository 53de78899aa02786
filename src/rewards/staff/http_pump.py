"""The pump and the depth of the pool, as staff see them."""

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
from rewards.infra.http import ID_MAX, decode, encode, whole
from rewards.infra.openapi import answers, asks, takes, whole_number
from rewards.inventory import service as inventory
from rewards.inventory.model import PumpReport, ShelfDepth, ShelfPumped
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenCatalog, GivenClock, GivenDatabase
from rewards.staff.model import Permission

PRODUCTS_MAX = 1_000
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
    """Stock of one (product, denomination, currency); `loaded` is what can be sold now."""

    product_id: int
    denomination: Decimal
    currency: str
    loaded: int
    waiting: int
    blocked: int
    target: int | None
    next_expiry_at: datetime | None

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
    operation_class=asks({"product_id": whole_number("Of this product", maximum=ID_MAX)}),
    guards=[requires(Permission.INVENTORY_READ)],
    responses=answers(list[DepthOut], 400, 401, 403),
)
async def get_depth(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
) -> Response[bytes]:
    """What is in the pool, what waits for a pump, and what is blocked; `product_id` narrows it."""
    text = request.query_params.get("product_id")
    narrow = None if text is None else [whole("ProductId", text, default=1, maximum=ID_MAX)]
    async with db.connection() as connection:
        report = await inventory.depth_report(connection, catalog, clock.now(), narrow)
    return encode([DepthOut.of(line) for line in report])


ROUTER = Router(path="/admin/api/v1", tags=["Inventory (staff)"], route_handlers=[pump, get_depth])
