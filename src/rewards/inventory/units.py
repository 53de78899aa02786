"""Units one by one and in thousands: how they enter, are opened, and change state."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.inventory import sql
from rewards.inventory.model import (
    BlockReason,
    DuplicateUnit,
    NewUnit,
    StoredUnit,
    Taken,
    UnitState,
    identity,
)

PLACE = "units.secrets"
FINGERPRINT = "units.fingerprint"
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(dict[str, str])

ADD_STATES = (
    UnitState.AVAILABLE,
    UnitState.ALLOCATED,
    UnitState.DELIVERED,
    UnitState.BLOCKED,
)


async def add_units(
    tx: Tx,
    vault: Vault,
    batch_id: int,
    units: Sequence[NewUnit],
    state: UnitState,
    now: datetime,
    *,
    loaded: bool = False,
) -> list[int | DuplicateUnit]:
    """Seal and store units of one batch; the new id of each, in order, or why there is none.

    AVAILABLE units get a shelf row, `loaded` or waiting for a pump; ALLOCATED are bought for one
    order, DELIVERED already belong to one, BLOCKED are in quarantine. A code that the product has
    already, or that comes twice in this call, is answered by DuplicateUnit and not stored. Two
    statements. Whether a product sells such a unit, and its expiry, is for the caller to know.

    Ids ascend in the order given. Of two calls with the same codes at once the later one waits and
    finds duplicates; were they in another order, PostgreSQL may undo one, so call it in `db.run`.
    """
    assert state in ADD_STATES
    assert not loaded or state is UnitState.AVAILABLE
    added = await _add(tx, vault, batch_id, units, state, now, loaded=loaded)
    return [one if isinstance(one, DuplicateUnit) else one.unit_id for one in added]


async def mint(
    tx: Tx, vault: Vault, batch_id: int, units: Sequence[NewUnit], now: datetime
) -> list[Taken | DuplicateUnit]:
    """`add_units` straight into the caller's orders: DELIVERED, never on a shelf."""
    return await _add(tx, vault, batch_id, units, UnitState.DELIVERED, now)


async def _add(
    tx: Tx,
    vault: Vault,
    batch_id: int,
    units: Sequence[NewUnit],
    state: UnitState,
    now: datetime,
    *,
    loaded: bool = False,
) -> list[Taken | DuplicateUnit]:
    fresh: dict[tuple[int, bytes], int] = {}
    for index, unit in enumerate(units):
        product_id = unit.shelf.product_id
        fresh.setdefault((product_id, fingerprint(vault, product_id, unit.fields)), index)
    if not fresh:
        return []
    unit_ids = await sql.next_unit_ids(tx, len(fresh))
    rows = []
    at: dict[int, Taken] = {}
    for unit_id, ((_, mac), index) in zip(unit_ids, fresh.items(), strict=True):
        unit = units[index]
        sealed = vault.seal(PLACE, unit_id, _ENCODER.encode(unit.fields))
        at[index] = Taken(unit_id, unit.expires_at, sealed)
        cost = (unit.cost_minor, unit.cost_currency)
        rows.append((unit_id, unit.shelf, unit.expires_at, *cost, sealed, mac))
    stored = await sql.add_units(tx, rows, batch_id=batch_id, state=state, loaded=loaded, now=now)
    added = (at.get(index) for index in range(len(units)))
    return [one if one and one.unit_id in stored else DuplicateUnit() for one in added]


def fingerprint(vault: Vault, product_id: int, fields: Mapping[str, str]) -> bytes:
    """What tells the same code of the same product again, without opening anything."""
    data = product_id.to_bytes(8, "big") + identity(fields).encode()
    return vault.mac(FINGERPRINT, data)


async def open_units(vault: Vault, units: Sequence[Taken | StoredUnit]) -> list[dict[str, str]]:
    """The voucher fields of each unit, in order.

    Raises SealBroken when one was tampered with. For the eyes of the unit's client, the claim page
    or a named staff permission only; the caller audits it (spec.md §4), and holds no connection:
    another process may have begun a new data key since, which is then read.
    """
    await vault.learn(unit.sealed for unit in units)
    open_one, decode = vault.open, _DECODER.decode
    return [decode(open_one(PLACE, unit.unit_id, unit.sealed)) for unit in units]


async def read_units(tx: Tx, unit_ids: Sequence[int]) -> list[StoredUnit | None]:
    """Each unit with its state, end of life and seal, in order; None where there is none."""
    found = await sql.read_units(tx, unit_ids) if unit_ids else {}
    return [found.get(unit_id) for unit_id in unit_ids]


async def deliver(tx: Tx, unit_ids: Sequence[int]) -> list[Taken | None]:
    """ALLOCATED → DELIVERED, for units that were bought for an order; None where it was not so."""
    sources = (UnitState.ALLOCATED,)
    won = await sql.move_units(tx, unit_ids, sources, UnitState.DELIVERED)
    return [Taken(unit_id, *won[unit_id]) if unit_id in won else None for unit_id in unit_ids]


async def complete(tx: Tx, unit_ids: Sequence[int]) -> list[bool]:
    """DELIVERED → COMPLETED, once the books agreed; whether it was so, for each in order."""
    sources = (UnitState.DELIVERED,)
    won = await sql.move_units(tx, unit_ids, sources, UnitState.COMPLETED)
    return [unit_id in won for unit_id in unit_ids]


async def revoke(tx: Tx, unit_ids: Sequence[int]) -> list[bool]:
    """Take back for ever what an order had: ALLOCATED, DELIVERED, COMPLETED → REVOKED.

    True for each unit that this call revoked; of two calls at once one wins (spec.md §3).
    """
    sources = (UnitState.ALLOCATED, UnitState.DELIVERED, UnitState.COMPLETED)
    won = await sql.move_units(tx, unit_ids, sources, UnitState.REVOKED)
    return [unit_id in won for unit_id in unit_ids]


async def release(tx: Tx, unit_ids: Sequence[int]) -> list[bool]:
    """ALLOCATED → AVAILABLE: bought for an order that no longer wants it, seen by nobody.

    It waits on the shelf for the next pump. True for each unit that this call released.
    """
    won = await sql.release_units(tx, unit_ids)
    return [unit_id in won for unit_id in unit_ids]


async def block(tx: Tx, unit_ids: Sequence[int], reason: BlockReason, now: datetime) -> list[bool]:
    """AVAILABLE → BLOCKED, loaded or waiting; it waits for a sale in progress and loses to it.

    True for each unit that this call blocked.
    """
    won = await sql.block_units(tx, unit_ids, reason, now)
    return [unit_id in won for unit_id in unit_ids]


async def unblock(tx: Tx, unit_ids: Sequence[int]) -> list[bool]:
    """BLOCKED → AVAILABLE, waiting for the next pump, which looks at it again."""
    won = await sql.unblock_units(tx, unit_ids)
    return [unit_id in won for unit_id in unit_ids]
