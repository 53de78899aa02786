"""Today at a glance: what was sold, what waits, what runs short, who is in trouble, and the money.

Each number says which route lists what it counts, and with which parameters.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Response, Router, get

from rewards.catalog.model import Product
from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.infra.db import Tx
from rewards.infra.http import encode
from rewards.infra.openapi import answers
from rewards.inventory import service as inventory
from rewards.orders import waiting
from rewards.orders.demand import Demand
from rewards.orders.waiting import DayCount
from rewards.restocks.forecast import Need, needs
from rewards.staff import approvals
from rewards.staff.auth import requires
from rewards.staff.given import (
    GivenCatalog,
    GivenClock,
    GivenDatabase,
    GivenRestocks,
    GivenWeek,
)
from rewards.staff.http_waiting import WaitingCountOut
from rewards.staff.model import Permission
from rewards.staff.model_approvals import ApprovalKind
from rewards.staff.naming import client_names
from rewards.vendors import service as vendors
from rewards.vendors.account import AccountStatus
from rewards.wallets.model import TransferKind
from rewards.wallets.service import Flow
from rewards.webhooks import service as webhooks
from rewards.webhooks.model import DisabledReason

DAYS, DEMAND_DAYS = 7, 7
SHELVES_MAX, VENDORS_MAX, ENDPOINTS_MAX = 20, 100, 50
# How far a shelf is counted: to a week's demand of it, which is plenty, but at least and at most.
DEPTH_LEAST, DEPTH_MAX = 1_000, 1_000_000
WEEK = timedelta(days=7)


class Link(msgspec.Struct):
    """The route under `/admin/api/v1` that lists what was counted, and its parameters."""

    route: str
    query: dict[str, str]


class DayOut(msgspec.Struct):
    """Orders placed on this UTC day that stand in this status now."""

    day: date
    status: str
    orders: int
    link: Link

    @classmethod
    def of(cls, counted: DayCount) -> "DayOut":
        begin = counted.day.isoformat() + "T00:00:00Z"
        end = (counted.day + timedelta(days=1)).isoformat() + "T00:00:00Z"
        query = {"status": str(counted.status), "placed_from": begin, "placed_to": end}
        return cls(counted.day, counted.status, counted.orders, Link("/orders", query))


class CoverOut(msgspec.Struct):
    """How long the pool of a shelf lasts if clients go on as in the last seven days."""

    product_id: int
    product_name: str | None
    denomination: Decimal
    currency: str
    depth: int
    demand: Decimal
    cover_days: Decimal | None
    link: Link

    @classmethod
    def of(cls, need: Need, product: Product | None) -> "CoverOut":
        shelf = need.shelf
        return cls(
            shelf.product_id,
            product.name if product else None,
            to_decimal(shelf.denomination_minor, exponent_of(shelf.currency)),
            shelf.currency,
            need.depth,
            need.per_day(DEMAND_DAYS),
            need.cover_days(DEMAND_DAYS),
            Link("/inventory/forecast", {"product_id": str(shelf.product_id)}),
        )


class VendorHealthOut(msgspec.Struct):
    """One vendor. `unknown` outcomes are read back, `cases` wait for a person."""

    vendor_id: int
    name: str
    status: AccountStatus
    open: int
    unknown: int
    cases: int
    problem: str | None
    unread_since: datetime | None
    link: Link


class TroubledOut(msgspec.Struct):
    """A webhook that fails, or that was switched off by us."""

    webhook_id: int
    client_id: int
    client_name: str | None
    name: str
    reason: DisabledReason | None
    since: datetime
    link: Link


class MoneyOut(msgspec.Struct):
    """What came of one kind of movement, as the wallets see it: today (UTC), and in seven days.

    `link` lists the lines of the seven days.
    """

    kind: TransferKind
    currency: str
    today: Decimal
    today_count: int
    week: Decimal
    week_count: int
    link: Link


class ApprovalsOut(msgspec.Struct):
    """Requests of one kind that wait for a second person, and when the first expires."""

    kind: ApprovalKind
    requests: int
    first_expires_at: datetime
    link: Link


class OverviewOut(msgspec.Struct):
    """All of it, as of `at`."""

    at: datetime
    days: list[DayOut]
    waiting: list[WaitingCountOut]
    cover: list[CoverOut]
    vendors: list[VendorHealthOut]
    unknown_outcomes: int
    webhooks: list[TroubledOut]
    money: list[MoneyOut]
    approvals: list[ApprovalsOut]


@get(
    "/overview",
    operation_id="getOverview",
    guards=[requires(Permission.ORDERS_READ)],
    responses=answers(OverviewOut, 401, 403),
)
async def get_overview(
    db: GivenDatabase,
    clock: GivenClock,
    catalog: GivenCatalog,
    restocks: GivenRestocks,
    week: GivenWeek,
) -> Response[bytes]:
    """Today: orders of the last 7 days by status, what waits, the 20 shelves that run out first,
    vendors, unknown outcomes, webhooks in trouble, money in and out, requests for a second person.
    """
    now = clock.now()
    midnight = datetime.combine(now.date(), time(), now.tzinfo)
    async with db.connection() as tx:
        days = await week.days.by_status(tx, now.date() - timedelta(days=DAYS - 1), now)
        open_now = await waiting.counts(tx, now)
        cover = await _cover(tx, restocks.demand, now)
        health = await _vendors(tx)
        troubled = await _troubled(tx, now)
        since = midnight - WEEK + timedelta(days=1)
        flows = await week.flows.between(tx, since, midnight, now)
        asked = await approvals.count_requested(tx, now)
    return encode(
        OverviewOut(
            at=now,
            days=[DayOut.of(each) for each in days],
            waiting=[WaitingCountOut.of(each, now) for each in open_now],
            cover=[CoverOut.of(need, catalog.product(need.shelf.product_id)) for need in cover],
            vendors=health,
            unknown_outcomes=sum(each.cases for each in health),
            webhooks=troubled,
            money=[_money(flow, since.date(), now.date()) for flow in flows],
            approvals=[
                ApprovalsOut(
                    *(kind, count, expires_at),
                    Link("/approvals", {"kind": str(kind), "state": "REQUESTED"}),
                )
                for kind, count, expires_at in asked
            ],
        )
    )


async def _cover(tx: Tx, demand: Demand, now: datetime) -> list[Need]:
    """The shelves that somebody asks for and that are not deep, the shortest cover first.

    No shelf is counted further than to its own demand, nor, of the others, than to the demand that
    was largest: more than that is enough.
    """
    asked = await demand.asked_for(tx, now - timedelta(days=DEMAND_DAYS), now)
    least = min(max(asked.values(), default=0), DEPTH_LEAST)
    most = {shelf: min(max(asked[shelf], least), DEPTH_MAX) for shelf in sorted(asked)}
    counted = await inventory.depth(tx, list(most), now, list(most.values()))
    depth = dict(zip(most, counted, strict=True))
    short = [need for need in needs(asked, depth, {}, {}) if need.depth < most[need.shelf]]
    return sorted(short, key=_shortest)[:SHELVES_MAX]


def _shortest(need: Need) -> tuple[Decimal, int]:
    return need.cover_days(DEMAND_DAYS) or Decimal(0), -need.asked


async def _troubled(tx: Tx, now: datetime) -> list[TroubledOut]:
    found = await webhooks.troubled(tx, now - WEEK, now, 0, ENDPOINTS_MAX)
    names = await client_names(tx, {one.client_id for one in found})
    return [
        TroubledOut(
            *(one.endpoint_id, one.client_id, names.get(one.client_id), one.name, one.reason),
            one.since,
            Link(f"/clients/{one.client_id}/webhooks/{one.endpoint_id}", {}),
        )
        for one in found
    ]


async def _vendors(tx: Tx) -> list[VendorHealthOut]:
    found = await vendors.health(tx, VENDORS_MAX)
    facts: list[dict[str, Any]] = [
        {name: getattr(each, name) for name in VendorHealthOut.__struct_fields__[:-1]}
        for each in found
    ]
    return [
        VendorHealthOut(**fact, link=Link(f"/vendors/{fact['vendor_id']}", {})) for fact in facts
    ]


def _money(flow: Flow, first: date, last: date) -> MoneyOut:
    places = exponent_of(flow.currency)
    days = {"from": first.isoformat(), "to": last.isoformat()}
    of_kind = {"type": str(flow.kind), "currency": flow.currency}
    return MoneyOut(
        flow.kind,
        flow.currency,
        to_decimal(flow.recent_minor, places),
        flow.recent_count,
        to_decimal(flow.amount_minor, places),
        flow.count,
        Link("/ledger/transactions", days | of_kind),
    )


ROUTER = Router(path="/admin/api/v1", tags=["Overview (staff)"], route_handlers=[get_overview])
