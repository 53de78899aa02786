"""The whole story of one order: what happened, who must act, and what the caller may do."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.params import FromPath

from rewards.infra.http import ID_MAX, encode, path_id, whole
from rewards.infra.openapi import answers, asks, whole_number
from rewards.inventory.model import UnitState
from rewards.orders.model import OrderNotFound
from rewards.staff import story
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenSettings, GivenVault
from rewards.staff.http_orders import FoundOrderOut, shown
from rewards.staff.http_waiting import NextOut
from rewards.staff.model import Permission
from rewards.staff.model_acts import OrderAct, open_acts
from rewards.staff.story import MaskedUnit
from rewards.staff.telling import Moment, Told, moments


class UnitOut(msgspec.Struct):
    """The unit of an item; of each of its fields the last four characters, of short ones none."""

    position: int
    unit_id: int
    batch_id: int
    state: UnitState
    expires_at: datetime | None
    fields: dict[str, str]

    @classmethod
    def of(cls, masked: MaskedUnit) -> "UnitOut":
        unit = masked.unit
        return cls(
            *(masked.position, unit.unit_id, unit.batch_id, unit.state, unit.expires_at),
            dict(masked.fields),
        )


class MomentOut(msgspec.Struct):
    """Something that happened: `told` says what it is about, `facts` are of that kind."""

    at: datetime
    told: Told
    what: str
    actor: str | None
    actor_id: int | None
    reason: str | None
    facts: dict[str, Any]

    @classmethod
    def of(cls, one: Moment) -> "MomentOut":
        who = (one.actor, one.actor_id, one.reason)
        return cls(one.at, one.told, one.what, *who, dict(one.facts))


class StoryOut(msgspec.Struct):
    """One order. `acts`: what the caller may do with it now; `moments`: oldest first."""

    order: FoundOrderOut
    next: NextOut
    acts: list[OrderAct]
    units: list[UnitOut]
    moments: list[MomentOut]


@get(
    "/orders/{order_id:str}/story",
    operation_id="tellOrder",
    operation_class=asks(
        {
            "from_item": whole_number(
                "Units from this item on, by position", maximum=ID_MAX, default=1
            )
        }
    ),
    guards=[requires(Permission.ORDERS_READ)],
    responses=answers(StoryOut, 400, 401, 403, 404),
)
async def tell_order(
    request: Request[Any, Any, Any],
    order_id: FromPath[str],
    db: GivenDatabase,
    vault: GivenVault,
    clock: GivenClock,
    settings: GivenSettings,
) -> Response[bytes]:
    """All that happened to an order in one line of time, and who must act next.

    Acts upon it, money with the balance it left, approvals, vendor orders and exchanges, events and
    their deliveries, mails, claim links (never where they lead), the audit trail (its facts for
    whoever may read that), notes; at most 200 of each kind, and 100 units from `from_item` on.
    """
    given = request.query_params.get("from_item")
    first = whole("FromItem", given, default=1, maximum=ID_MAX)
    number, now, who = path_id(order_id, OrderNotFound), clock.now(), caller(request).staff
    async with db.connection() as connection:
        told = await story.read(connection, settings, number, now, from_item=first)
    audits = who.may(Permission.AUDIT_READ)
    return encode(
        StoryOut(
            order=FoundOrderOut(
                **msgspec.structs.asdict(shown(told.order, told.items)),
                client_name=told.client_name,
            ),
            next=NextOut.of(told.next),
            acts=open_acts(told.order, told.items, told.around, who, now),
            units=[UnitOut.of(unit) for unit in await story.mask(vault, told)],
            moments=[MomentOut.of(one) for one in moments(told, audits=audits)],
        )
    )


ROUTER = Router(path="/admin/api/v1", tags=["Orders (staff)"], route_handlers=[tell_order])
