"""What a vendor brought for an order: codes become units, the order moves on (spec.md D7, §5)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rewards.catalog.catalog import Catalog
from rewards.catalog.model import ShelfKey
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.arrivals import sort_cards, take_in
from rewards.orders import model, sql, sql_read
from rewards.orders.model import ItemStatus, OnPartial, Order
from rewards.orders.vendor_moves import LISTENING, deliver, move, nothing_usable, waiting_path
from rewards.vendors import purchases
from rewards.vendors.model import PurchaseState
from rewards.vendors.purchases import Intake, Settlement


@dataclass(frozen=True, slots=True)
class OrderBuyer:
    """Settles purchases that were made for orders."""

    catalog: Catalog
    vault: Vault
    window: timedelta

    async def lock(self, tx: Tx, subject_id: int) -> None:
        await sql.lock_orders(tx, [subject_id])

    async def settle(self, tx: Tx, settlement: Settlement, at: datetime) -> Intake:
        """Deliver what came and move the order; what it does not want any more goes to stock."""
        purchase = settlement.after
        found = await sql_read.read_orders(tx, [purchase.subject_id])
        order = found[purchase.subject_id]
        at = model.moment_of_act(at, [order])
        if purchase.state is not PurchaseState.FULFILLED:
            path = waiting_path(order, purchase)
            await move(tx, order, order, path, purchase.message, at)
            return Intake(wanted=order.awaited)
        product = self.catalog.product(order.product_id)
        assert product is not None, "products are never deleted"
        listening = order.state in LISTENING
        wanted = order.missing if listening else 0
        cards = sort_cards(settlement.cards, purchase.line, product, wanted, at)
        intake, unit_ids = await take_in(tx, self.vault, purchase, shelf_of(order), cards, at)
        if order.on_partial is OnPartial.ALL_OR_NOTHING and len(unit_ids) < wanted:
            # Paid for, so kept for whoever comes next.
            await inventory.release(tx, unit_ids)
            unit_ids = []
        if listening:
            await self._deliver(tx, order, settlement, unit_ids, at)
        return intake

    async def _deliver(
        self, tx: Tx, order: Order, settlement: Settlement, unit_ids: list[int], at: datetime
    ) -> None:
        purchase, vendor = settlement.after, settlement.vendor
        if not unit_ids:
            await nothing_usable(tx, order, at)
            return
        waiting = (await sql_read.read_items(tx, [order.id], ItemStatus.PENDING))[order.id]
        after = await deliver(tx, order, waiting[: len(unit_ids)], unit_ids, at)
        if after.missing and purchase.remaining:
            assert vendor is not None, "codes come from a vendor"
            left = min(purchase.remaining, after.missing)
            await purchases.buy_on(tx, purchase, vendor, left, self.window, at)


def shelf_of(order: Order) -> ShelfKey:
    """Where the units of this order come from, and where those it does not want go."""
    return ShelfKey(order.product_id, order.denomination_minor, order.product_currency)
