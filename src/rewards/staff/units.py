"""Blocks, unblocks and revokes a single unit that nobody has bought."""

from dataclasses import dataclass
from datetime import datetime

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.clock import Clock
from rewards.infra.db import Database, Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import BlockReason, UnitState
from rewards.inventory.single import (
    HeldUnit,
    UnitAct,
    UnitClosed,
    UnitNotFound,
    UnitSold,
    decide,
)
from rewards.orders import recalls
from rewards.orders.model import item_id

SUBJECT = "unit"
DONE = {UnitAct.BLOCK: "blocked", UnitAct.UNBLOCK: "unblocked", UnitAct.REVOKE: "revoked"}


@dataclass(frozen=True, slots=True)
class UnitAsk:
    unit_id: int
    act: UnitAct
    actor: Actor
    reason: str


async def act(db: Database, clock: Clock, ask: UnitAsk) -> HeldUnit:
    """Do it, and keep it in the trail; the unit as it stands then.

    Raises UnitNotFound, UnitSold (with the order that has it), UnitClosed.
    """

    async def work(tx: Tx) -> HeldUnit:
        before = await _hold(tx, ask)
        refusal = decide(ask.act, before)
        if isinstance(refusal, UnitSold):
            raise UnitSold(details={"state": before.state, **await _holder(tx, ask.unit_id)})
        if refusal is not None:
            raise refusal
        at = clock.now()
        after = await _do(tx, ask.act, before, at)
        facts = {
            "state": {"from": before.state, "to": after.state},
            "blocked_for": {"from": before.blocked_for, "to": after.blocked_for},
            "batch_id": before.batch_id,
            "product_id": before.product_id,
        }
        action = f"unit.{DONE[ask.act]}"
        fact = AuditFact(ask.actor, None, action, SUBJECT, ask.unit_id, facts, ask.reason)
        await audit.record(tx, [fact], at)
        return after

    return await db.run(work)


async def _hold(tx: Tx, ask: UnitAsk) -> HeldUnit:
    """The unit, of which nobody sells or moves what is unsold until this transaction ends."""
    [held] = await inventory.hold_units(tx, [ask.unit_id])
    if held is None:
        raise UnitNotFound
    return held


async def _holder(tx: Tx, unit_id: int) -> dict[str, object]:
    """Which item of which order has it; nothing while it is only bought for one."""
    for one in await recalls.holders(tx, [unit_id]):
        return {"order_id": one.order_id, "item_id": item_id(one.order_id, one.position)}
    return {}


async def _do(tx: Tx, wanted: UnitAct, unit: HeldUnit, at: datetime) -> HeldUnit:
    """The unit as the act leaves it; as it is where it stands so already."""
    ids, blocked = [unit.unit_id], unit.state is UnitState.BLOCKED
    if wanted is UnitAct.BLOCK:
        if unit.blocked_for is BlockReason.BATCH:
            done = await inventory.keep_blocked(tx, ids, at)
        elif blocked:
            return unit
        else:
            done = await inventory.block(tx, ids, BlockReason.STAFF, at)
    elif wanted is UnitAct.UNBLOCK:
        if not blocked:
            return unit
        done = await inventory.unblock(tx, ids)
    elif unit.state is UnitState.REVOKED:
        return unit
    else:
        done = await inventory.write_off(tx, ids, at)
    if not all(done):
        raise UnitClosed("The unit has just been moved by somebody else: look at it again")
    [after] = await inventory.hold_units(tx, ids)
    assert after is not None, "units are never deleted"
    return after
