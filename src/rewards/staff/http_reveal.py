"""A code in the clear, for the few who may see one, with a reason that is kept."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.params import FromPath

from rewards.core.errors import InvalidField
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.orders.model import OrderNotFound
from rewards.orders.revealing import reveal
from rewards.orders.view import VoucherOut
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, GivenVault, reason_of
from rewards.staff.model import Permission

POSITION_MAX = 1_000_000


class RevealIn(msgspec.Struct, forbid_unknown_fields=True):
    """`position`: of the item, from 1; why, always."""

    position: int = 0
    reason: str = ""


class RevealedOut(msgspec.Struct):
    """What the item's end user redeems. Keep it nowhere."""

    order_id: int
    position: int
    voucher: VoucherOut

    def __repr__(self) -> str:
        return "RevealedOut([redacted])"


REVEAL = msgspec.json.Decoder(RevealIn)


@post(
    "/orders/{order_id:str}/reveal",
    status_code=200,
    operation_id="revealCode",
    guards=[requires(Permission.CODES_REVEAL, proof=True)],
    operation_class=takes(RevealIn, needs=("position", "reason")),
    responses=answers(RevealedOut, 400, 401, 403, 404, 409),
)
async def reveal_code(
    request: Request[Any, Any, Any],
    order_id: FromPath[str],
    db: GivenDatabase,
    vault: GivenVault,
    clock: GivenClock,
) -> Response[bytes]:
    """Show the code of one delivered item; who asked and why stays in the audit trail.

    409 for an item that has no unit, or whose unit was taken back.
    """
    body = decode(REVEAL, await request.body())
    reason = reason_of(body.reason)
    if not 1 <= body.position <= POSITION_MAX:
        raise InvalidField("Position", "min" if body.position < 1 else "max")
    number = path_id(order_id, OrderNotFound)
    actor = caller(request).actor
    shown = await reveal(db, vault, clock, number, body.position, actor, reason)
    return encode(RevealedOut(number, body.position, shown))


ROUTER = Router(path="/admin/api/v1", tags=["Orders (staff)"], route_handlers=[reveal_code])
