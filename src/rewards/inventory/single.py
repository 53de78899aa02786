"""Single units: which act each allows as it stands, and taking one out of stock for good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rewards.core.errors import Conflict, NotFound, Refusal
from rewards.infra.db import Tx
from rewards.inventory import sql_single
from rewards.inventory.model import BlockReason, UnitState

UNSOLD = frozenset({UnitState.AVAILABLE, UnitState.BLOCKED})


class UnitAct(StrEnum):
    BLOCK = "BLOCK"
    UNBLOCK = "UNBLOCK"
    REVOKE = "REVOKE"


class UnitNotFound(NotFound):
    code = "UNIT_NOT_FOUND"
    default_message = "Unit not found"


class UnitSold(Conflict):
    """An order has it, or is about to: it comes back through the order or with its batch."""

    code = "UNIT_SOLD"
    default_message = "The unit belongs to an order: cancel its item late, or recall its batch"


class UnitClosed(Conflict):
    """The unit is not in a state that allows this; the message says what does."""

    code = "UNIT_STATE"
    default_message = "The unit is not in a state that allows this"


@dataclass(frozen=True, slots=True)
class HeldUnit:
    """A unit as it stands; `blocked_for` only while it is BLOCKED."""

    unit_id: int
    product_id: int
    batch_id: int
    state: UnitState
    blocked_for: BlockReason | None


def decide(act: UnitAct, unit: HeldUnit) -> Refusal | None:
    """Why the act may not be done upon the unit, None where it may; pure (spec.md §4).

    What stands as it is wanted already is no reason: asked twice it is done once.
    """
    if unit.state is UnitState.REVOKED:
        return None if act is UnitAct.REVOKE else UnitClosed("The unit is revoked for good")
    if unit.state not in UNSOLD:
        return UnitSold(details={"state": unit.state})
    if act is not UnitAct.UNBLOCK:
        return None
    if unit.blocked_for is BlockReason.BATCH:
        return UnitClosed("The unit is blocked with its batch: unblock the batch")
    if unit.blocked_for is BlockReason.SUSPECT:
        return UnitClosed("The unit is not what was bought: it can only be revoked")
    return None


async def hold_units(tx: Tx, unit_ids: Sequence[int]) -> list[HeldUnit | None]:
    """Each unit as it stands, in order; None where there is none.

    Waits for a sale under way. What is unsold stays so until the transaction ends, unless it came
    on the shelf, or was blocked, in the moment between: the acts themselves look again.
    """
    rows = await sql_single.hold_units(tx, unit_ids)
    found = {row["unit_id"]: _held(**dict(row)) for row in rows}
    return [found.get(unit_id) for unit_id in unit_ids]


def _held(unit_id: int, product_id: int, batch_id: int, state: str, reason: str | None) -> HeldUnit:
    blocked_for = None if reason is None else BlockReason(reason)
    return HeldUnit(unit_id, product_id, batch_id, UnitState(state), blocked_for)


async def keep_blocked(tx: Tx, unit_ids: Sequence[int], now: datetime) -> list[bool]:
    """Have units that are blocked with their batch stay blocked when it is opened again.

    True for each that this call changed.
    """
    won = await sql_single.keep_blocked(tx, unit_ids, now)
    return [unit_id in won for unit_id in unit_ids]


async def write_off(tx: Tx, unit_ids: Sequence[int], now: datetime) -> list[bool]:
    """AVAILABLE, BLOCKED → REVOKED: out of stock for good, and had by nobody.

    It waits for a sale in progress and loses to it. True for each unit that this call took.
    """
    won = await sql_single.write_off_unsold(tx, unit_ids, now)
    return [unit_id in won for unit_id in unit_ids]


async def write_off_reserved(tx: Tx, unit_ids: Sequence[int], now: datetime) -> list[bool]:
    """ALLOCATED → REVOKED: bought for an order that never got them. True for each it took."""
    won = await sql_single.write_off_reserved(tx, unit_ids, now)
    return [unit_id in won for unit_id in unit_ids]
