"""What whoever writes mail about orders may know of them, and how codes are opened for it."""

from collections.abc import Sequence

from rewards.audit import service as audit
from rewards.core.actor import SYSTEM
from rewards.core.clock import Clock
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.inventory import service as inventory
from rewards.orders import facts, sql_read
from rewards.orders.model import Order
from rewards.orders.opening import opened
from rewards.orders.service import delivered_units
from rewards.orders.view import VoucherOut


async def told(tx: Tx, order_ids: Sequence[int]) -> dict[int, Order]:
    """The orders that exist, by id."""
    return await sql_read.read_orders(tx, order_ids) if order_ids else {}


async def open_vouchers(db: Database, vault: Vault, clock: Clock, order: Order) -> list[VoucherOut]:
    """The vouchers that the order's customer has now, by position; every opening is audited.

    None of what was taken back since, and none for a recharge (spec.md §4).
    """
    async with db.transaction() as tx:
        items = (await sql_read.read_items(tx, [order.id]))[order.id]
        units = [unit for unit in await inventory.read_units(tx, delivered_units(items)) if unit]
        if units:
            await audit.record(tx, [facts.opening_fact(SYSTEM, order, len(units))], clock.now())
    return await opened(vault, units)
