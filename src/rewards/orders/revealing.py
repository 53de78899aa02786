"""Opens the code of one item for a member of staff; the trail knows who, which, and why."""

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.core.actor import Actor
from rewards.core.clock import Clock
from rewards.core.errors import Conflict, NotFound
from rewards.infra.crypto import Vault
from rewards.infra.db import Database, Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import StoredUnit
from rewards.orders import sql_read
from rewards.orders.model import ItemStatus, OrderNotFound
from rewards.orders.opening import opened
from rewards.orders.view import VoucherOut


class ItemNotFound(NotFound):
    code = "ITEM_NOT_FOUND"
    default_message = "The order has no such item"


class NothingToReveal(Conflict):
    """It has no unit, or that was taken back: nobody may redeem it any more."""

    code = "NOTHING_TO_REVEAL"
    default_message = "The item has no code that could be shown"


async def reveal(
    db: Database,
    vault: Vault,
    clock: Clock,
    order_id: int,
    position: int,
    actor: Actor,
    reason: str,
) -> VoucherOut:
    """The fields of one delivered item. Its row of the trail is committed before they are opened.

    Raises OrderNotFound, ItemNotFound, NothingToReveal.
    """

    async def work(tx: Tx) -> StoredUnit:
        order = (await sql_read.read_orders(tx, [order_id])).get(order_id)
        if order is None:
            raise OrderNotFound
        items = (await sql_read.read_items(tx, [order_id]))[order_id]
        item = next((each for each in items if each.position == position), None)
        if item is None:
            raise ItemNotFound
        if item.unit_id is None or item.status is not ItemStatus.DELIVERED:
            raise NothingToReveal
        [unit] = await inventory.read_units(tx, [item.unit_id])
        assert unit is not None, "an item's unit is never deleted"
        facts = {"position": position, "unit_id": item.unit_id}
        fact = AuditFact(
            actor, order.client_id, "order.code_revealed", "order", order_id, facts, reason
        )
        await audit.record(tx, [fact], clock.now())
        return unit

    unit = await db.run(work)
    [shown] = await opened(vault, [unit])
    return shown
