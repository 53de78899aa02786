"""Takes in what a vendor brought for our stock, part after part (spec.md §4, §5)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rewards.audit import service as audit
from rewards.audit.model import AuditFact
from rewards.catalog.catalog import Catalog
from rewards.core.actor import SYSTEM
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.inventory.arrivals import sort_cards, take_in
from rewards.restocks import sql
from rewards.restocks.model import StockOrder, arrived, ended
from rewards.vendors import purchases
from rewards.vendors.model import Purchase, PurchaseState
from rewards.vendors.purchases import Intake, Settlement

SUBJECT = "stock_order"


@dataclass(frozen=True, slots=True)
class StockBuyer:
    """Settles purchases that were made for stock."""

    catalog: Catalog
    vault: Vault
    window: timedelta

    async def lock(self, tx: Tx, subject_id: int) -> None:
        await sql.lock(tx, subject_id)

    async def settle(self, tx: Tx, settlement: Settlement, at: datetime) -> Intake:
        """Codes become units that wait for the next pump; the rest is bought, or the order ends."""
        purchase = settlement.after
        if purchase.open:
            return Intake()
        order = await sql.read(tx, purchase.subject_id)
        assert order is not None, "stock orders are never deleted"
        at = max(at, order.changed_at)
        product = self.catalog.product(order.shelf.product_id)
        assert product is not None, "products are never deleted"
        cards = sort_cards(settlement.cards, purchase.line, product, 0, at)
        intake, _ = await take_in(tx, self.vault, purchase, order.shelf, cards, at)
        usable = intake.received - intake.quarantined
        after = arrived(order, intake.received, usable, at)
        # A vendor that brought nothing usable is asked for no more, whatever was still to come.
        if usable and purchase.remaining:
            assert settlement.vendor is not None, "codes come from a vendor"
            await purchases.buy_on(
                tx, purchase, settlement.vendor, purchase.remaining, self.window, at
            )
        else:
            after = ended(after, why_short(purchase, intake, after), at)
        await sql.move(tx, order, after)
        await audit.record(tx, [arrival_fact(after, purchase, intake)], at)
        return intake


def why_short(purchase: Purchase, intake: Intake, order: StockOrder) -> str:
    """Why fewer units came than were ordered, in words for staff; pure."""
    if purchase.state is not PurchaseState.FULFILLED or purchase.reason is not None:
        return purchase.message or "the vendor refused"
    if purchase.remaining and intake.received:
        return "what the vendor brought last cannot be sold"
    unusable = order.received - order.usable
    if unusable and order.received >= order.quantity:
        return f"{unusable} codes cannot be sold"
    return f"the vendor brought {order.received} of {order.quantity}"


def arrival_fact(order: StockOrder, purchase: Purchase, intake: Intake) -> AuditFact:
    """One row of the trail for each purchase that ended: what it brought, and where that leads."""
    cost = purchase.cost
    return AuditFact(
        SYSTEM,
        None,
        "stock_order.vendor_answered",
        SUBJECT,
        order.id,
        {
            "vendor_order_id": purchase.id,
            "outcome": purchase.state,
            "received": intake.received,
            "quarantined": intake.quarantined,
            "batch_id": intake.batch_id,
            "cost_minor": cost.amount_minor if cost else None,
            "cost_currency": cost.currency if cost else None,
            "state": order.state,
        },
        order.message,
    )
