"""Recharges: each item of an order is one purchase from an operator (spec.md §3, D14)."""

from dataclasses import dataclass, replace
from datetime import datetime

from rewards.catalog.catalog import Catalog
from rewards.core.actor import SYSTEM
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.inventory.arrivals import sort_cards, take_in
from rewards.orders import model, refunds, sql, sql_read
from rewards.orders.closing import FailAsk
from rewards.orders.model import Item, ItemStatus, Order, RechargeStatus
from rewards.orders.vendor_intake import shelf_of
from rewards.orders.vendor_moves import (
    FAILED_STATES,
    LISTENING,
    deliver,
    move,
    nothing_usable,
    waiting_path,
)
from rewards.vendors import purchases
from rewards.vendors.model import Purchase, PurchaseState, Purpose, Reason
from rewards.vendors.purchases import Intake, Settlement

# Said by the operator about this recharge: nobody else would do it either. All other refusals are
# our trouble with the vendor, and wait for staff.
PERMANENT = frozenset({Reason.BAD_RECIPIENT, Reason.BAD_DENOMINATION, Reason.OTHER})
LOST = "it was charged, and not recharged"
# Where an order waits for a vendor, and for nobody else.
AT_VENDOR = frozenset({model.VENDOR_CREATED, model.REPROCESS})


@dataclass(frozen=True, slots=True)
class RechargeBuyer:
    """Settles purchases that were made for single items of orders."""

    catalog: Catalog
    vault: Vault

    async def lock(self, tx: Tx, subject_id: int) -> None:
        await sql.lock_orders(tx, [subject_id])

    async def settle(self, tx: Tx, settlement: Settlement, at: datetime) -> Intake:
        """RECHARGED when the operator confirms; FAILED and refunded when it refuses for good.

        Of a PIN that cannot be sold a person decides, as of any code.
        """
        purchase = settlement.after
        order = (await sql_read.read_orders(tx, [purchase.subject_id]))[purchase.subject_id]
        at = model.moment_of_act(at, [order])
        items = (await sql_read.read_items(tx, [order.id]))[order.id]
        item = items[purchase.position - 1]
        assert order.state in LISTENING, "an order is not closed while its recharge is under way"
        assert item.status is ItemStatus.PENDING, "nor is its item"
        if purchase.state is PurchaseState.FULFILLED and purchase.reason is None:
            return await self._recharged(tx, settlement, order, item, at)
        if failed_for_good(purchase):
            await self._failed(tx, purchase, item, at)
            return Intake()
        if settlement.in_hand and item.recharge_status is RechargeStatus.PENDING:
            handed = replace(item, recharge_status=RechargeStatus.DELIVERED)
            await sql.move_items(tx, [(item, handed)])
        await move(tx, order, order, waiting_path(order, purchase), purchase.message, at)
        return Intake()

    async def _failed(self, tx: Tx, purchase: Purchase, item: Item, at: datetime) -> None:
        """Give up the item; with no other under way, the rest of the order waits for staff."""
        ask = FailAsk(item.order_id, SYSTEM, purchase.message or LOST, (item.public_id,))
        order = await refunds.fail_recharge(tx, ask, at)
        assert isinstance(order, Order), "an item that waits can fail"
        under_way = (await purchases.lock_open(tx, Purpose.RECHARGE, [order.id]))[order.id]
        if order.state in AT_VENDOR and all(one.id == purchase.id for one in under_way):
            path = model.walk(order.state, model.VENDOR_FAILED)
            await move(tx, order, order, path, purchase.message, at)

    async def _recharged(
        self, tx: Tx, settlement: Settlement, order: Order, item: Item, at: datetime
    ) -> Intake:
        product = self.catalog.product(order.product_id)
        assert product is not None, "products are never deleted"
        purchase = settlement.after
        cards = sort_cards(settlement.cards, purchase.line, product, 1, at)
        intake, unit_ids = await take_in(tx, self.vault, purchase, shelf_of(order), cards, at)
        if settlement.cards and not unit_ids:
            # It was bought as a PIN: without one nobody was recharged.
            await nothing_usable(tx, order, at)
        else:
            await deliver(tx, order, [item], [unit_ids[0] if unit_ids else None], at)
        return intake


def failed_for_good(purchase: Purchase) -> bool:
    """Whether this recharge can never come: its item fails and its money goes back."""
    if purchase.state is PurchaseState.FULFILLED:
        # A person said that it was lost.
        return purchase.reason is not None
    return purchase.state in FAILED_STATES and purchase.reason in PERMANENT
