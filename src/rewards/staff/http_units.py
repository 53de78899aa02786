"""Single units, as staff handle them: a bad one out of sale, back in, or out of stock for good."""

from typing import Any

import msgspec
from litestar import Request, Response, Router, post
from litestar.params import FromPath

from rewards.core.clock import Clock
from rewards.infra.db import Database
from rewards.infra.http import decode, encode, path_id
from rewards.infra.openapi import answers, takes
from rewards.inventory.model import BlockReason, UnitState
from rewards.inventory.single import HeldUnit, UnitAct, UnitNotFound
from rewards.staff import units
from rewards.staff.auth import caller, requires
from rewards.staff.given import GivenClock, GivenDatabase, reason_of
from rewards.staff.model import Permission


class UnitActIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, always."""

    reason: str = ""


class UnitOut(msgspec.Struct):
    """A unit as it stands; never its code. `blocked_for` says why it is BLOCKED."""

    unit_id: int
    product_id: int
    batch_id: int
    state: UnitState
    blocked_for: BlockReason | None

    @classmethod
    def of(cls, unit: HeldUnit) -> "UnitOut":
        return cls(unit.unit_id, unit.product_id, unit.batch_id, unit.state, unit.blocked_for)


ASK = msgspec.json.Decoder(UnitActIn)


async def _act(
    request: Request[Any, Any, Any], db: Database, clock: Clock, unit_id: str, act: UnitAct
) -> Response[bytes]:
    number = path_id(unit_id, UnitNotFound)
    body = decode(ASK, await request.body())
    ask = units.UnitAsk(number, act, caller(request).actor, reason_of(body.reason))
    return encode(UnitOut.of(await units.act(db, clock, ask)))


@post(
    "/inventory/units/{unit_id:str}/block",
    status_code=200,
    operation_id="blockUnit",
    guards=[requires(Permission.INVENTORY_RECALL)],
    operation_class=takes(UnitActIn, needs=("reason",)),
    responses=answers(UnitOut, 400, 401, 403, 404, 409),
)
async def block_unit(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, unit_id: FromPath[str]
) -> Response[bytes]:
    """Take one unsold unit out of sale, until it is unblocked.

    When it answers nobody can buy it. Of one that is blocked with its batch it makes one that stays
    blocked when the batch is unblocked. 409 when an order has it (cancel its item late, or recall
    its batch) or it is revoked.
    """
    return await _act(request, db, clock, unit_id, UnitAct.BLOCK)


@post(
    "/inventory/units/{unit_id:str}/unblock",
    status_code=200,
    operation_id="unblockUnit",
    guards=[requires(Permission.INVENTORY_RECALL)],
    operation_class=takes(UnitActIn, needs=("reason",)),
    responses=answers(UnitOut, 400, 401, 403, 404, 409),
)
async def unblock_unit(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, unit_id: FromPath[str]
) -> Response[bytes]:
    """Let one blocked unit be sold again; the next pump looks at it, and loads it if it may.

    409 when it is blocked with its batch (unblock the batch), is not what was bought (revoke it),
    is revoked, or an order has it.
    """
    return await _act(request, db, clock, unit_id, UnitAct.UNBLOCK)


@post(
    "/inventory/units/{unit_id:str}/revoke",
    status_code=200,
    operation_id="revokeUnit",
    guards=[requires(Permission.INVENTORY_RECALL)],
    operation_class=takes(UnitActIn, needs=("reason",)),
    responses=answers(UnitOut, 400, 401, 403, 404, 409),
)
async def revoke_unit(
    request: Request[Any, Any, Any], db: GivenDatabase, clock: GivenClock, unit_id: FromPath[str]
) -> Response[bytes]:
    """Take one unsold unit out of stock for good: nothing brings it back, statements count it out.

    409 when an order has it: cancel its item late, or recall its batch.
    """
    return await _act(request, db, clock, unit_id, UnitAct.REVOKE)


ROUTER = Router(
    path="/admin/api/v1",
    tags=["Inventory (staff)"],
    route_handlers=[block_unit, unblock_unit, revoke_unit],
)
