"""Claim links of an order, as staff help with them: tell of them again, replace them."""

from typing import Any, TypeAlias

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from rewards.claims import service as claims
from rewards.claims.service import ClaimLinks
from rewards.infra.db import Tx
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.orders.model import OrderNotFound
from rewards.orders.relinking import RelinkAsk
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, reason_of
from rewards.staff.http_orders import StaffOrderOut, answered, item_ids_of
from rewards.staff.model import Permission

GivenLinks: TypeAlias = NamedDependency[SkipValidation[ClaimLinks]]


class LinksIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always. Without `item_ids` all links of the order; with them those of these items."""

    reason: str = ""
    item_ids: list[str] | None = None


LINKS = msgspec.json.Decoder(LinksIn)


@post(
    "/orders/{order_id:str}/links/resend",
    status_code=200,
    operation_id="resendLinks",
    guards=[requires(Permission.LINKS_RESEND)],
    operation_class=takes(LinksIn, needs=("reason",)),
    responses=answers(StaffOrderOut, 400, 401, 403, 404, 409),
)
async def resend_links(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    order_id: FromPath[str],
) -> Response[bytes]:
    """Tell the client, and whoever gets mail about the order, that its vouchers are there.

    It was told before; the links stay as they are, and staff never see them. 409 when nothing of
    the order has a link.
    """
    ask = await _ask(request, order_id)

    async def work(tx: Tx) -> StaffOrderOut:
        [answer] = await claims.resend(tx, [ask], clock.now())
        return await answered(tx, answer)

    return encode(await db.run(work))


@post(
    "/orders/{order_id:str}/links/reissue",
    status_code=200,
    operation_id="reissueLinks",
    guards=[requires(Permission.LINKS_REISSUE)],
    operation_class=takes(LinksIn, needs=("reason",)),
    responses=answers(StaffOrderOut, 400, 401, 403, 404, 409),
)
async def reissue_links(
    request: Request[Any, Any, Any],
    db: GivenDatabase,
    clock: GivenClock,
    links: GivenLinks,
    order_id: FromPath[str],
) -> Response[bytes]:
    """Give items new links, because one went astray; the old ones are dead when this answers.

    The client is told and reads the new links; staff never see them. Until when a link may be used
    and that it was, go over to the new one. 409 when nothing of the order has a link.
    """
    ask = await _ask(request, order_id)

    async def work(tx: Tx) -> StaffOrderOut:
        [answer] = await links.reissue(tx, [ask], clock.now())
        return await answered(tx, answer)

    return encode(await db.run(work))


async def _ask(request: Request[Any, Any, Any], order_id: str) -> RelinkAsk:
    body = decode(LINKS, await request.body())
    items, number = item_ids_of(body.item_ids), path_id(order_id, OrderNotFound)
    return RelinkAsk(number, caller(request).actor, reason_of(body.reason), items)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Orders (staff)"],
    route_handlers=[resend_links, reissue_links],
)
