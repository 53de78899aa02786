"""What a vendor brought for an order: codes become units, the order moves on (spec.md D7, §5)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from rewards.catalog.catalog import Catalog
from rewards.catalog.model import Product, ShelfKey
from rewards.infra.crypto import Vault
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.inventory.model import BatchSource, NewUnit, UnitState
from rewards.orders import model, sql, sql_read
from rewards.orders.model import ItemStatus, OnPartial, Order
from rewards.orders.vendor_moves import LISTENING, deliver, move, to_created, waiting_path
from rewards.vendors import purchases
from rewards.vendors.buying import AdapterSource
from rewards.vendors.model import Card, Line, Purchase, PurchaseState, Purpose
from rewards.vendors.purchases import Intake, PurchaseAsk, Settlement

SYNONYMS = (
    ("code", "card_number"),
    ("card_number", "code"),
    ("pin", "pin_code"),
    ("pin_code", "pin"),
)


@dataclass(frozen=True, slots=True)
class Sorted:
    """The cards of a purchase: for the order, for anybody (too many), and what cannot be sold."""

    wanted: tuple[Card, ...]
    spare: tuple[Card, ...]
    bad: tuple[Card, ...]


def sort_cards(
    cards: Sequence[Card], line: Line, product: Product, missing: int, at: datetime
) -> Sorted:
    """Which cards the order gets; pure. Bad: another value, currency, expired, a field missing."""
    named = [replace(card, fields=as_sold(card.fields, product.voucher_fields)) for card in cards]
    good = [card for card in named if _sound(card, line, product, at)]
    bad = tuple(card for card in named if not _sound(card, line, product, at))
    return Sorted(tuple(good[:missing]), tuple(good[missing:]), bad)


def as_sold(fields: Mapping[str, str], wanted: Collection[str]) -> dict[str, str]:
    """The vendor's fields under the names our product has them: its `code` may be a card number."""
    sold = {name: value for name, value in fields.items() if value}
    for name, other in SYNONYMS:
        if name in wanted and name not in sold and other in sold and other not in wanted:
            sold[name] = sold.pop(other)
    return sold


def _sound(card: Card, line: Line, product: Product, at: datetime) -> bool:
    return (
        card.face_minor in (None, line.face_minor)
        and card.currency in (None, line.currency)
        and (card.expires_at is None or card.expires_at > at)
        and all(card.fields.get(name) for name in product.voucher_fields)
    )


@dataclass(frozen=True, slots=True)
class OrderBuyer:
    """Settles purchases that were made for orders."""

    catalog: Catalog
    vault: Vault
    accounts: AdapterSource
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
            return Intake()
        product = self.catalog.product(order.product_id)
        assert product is not None, "products are never deleted"
        listening = order.state in LISTENING
        wanted = order.missing if listening else 0
        cards = sort_cards(settlement.cards, purchase.line, product, wanted, at)
        intake, unit_ids = await take_in(tx, self.vault, purchase, product, order, cards, at)
        if order.on_partial is OnPartial.ALL_OR_NOTHING and len(unit_ids) < wanted:
            # Paid for, so kept for whoever comes next.
            await inventory.release(tx, unit_ids)
            unit_ids = []
        if listening:
            await self._deliver(tx, order, purchase, unit_ids, at)
        return intake

    async def _deliver(
        self, tx: Tx, order: Order, purchase: Purchase, unit_ids: list[int], at: datetime
    ) -> None:
        if not unit_ids:
            path = model.walk(*to_created(order.state), model.VENDOR_FAILED)
            await move(tx, order, order, path, "the vendor brought nothing usable", at)
            return
        waiting = (await sql_read.read_items(tx, [order.id], ItemStatus.PENDING))[order.id]
        after = await deliver(tx, order, waiting[: len(unit_ids)], unit_ids, at)
        if after.missing and purchase.remaining:
            await self._buy_on(tx, after, purchase, at)

    async def _buy_on(self, tx: Tx, order: Order, purchase: Purchase, at: datetime) -> None:
        """The rest of what was approved, under a key of its own."""
        vendor = await self.accounts.vendor(purchase.vendor_id)
        left = min(purchase.remaining, order.missing)
        quantity = min(left, vendor.capabilities.quantity_max)
        ask = PurchaseAsk(
            vendor_id=purchase.vendor_id,
            key=vendor.key(uuid4()),
            purpose=Purpose.ORDER,
            subject_id=order.id,
            line=replace(purchase.line, quantity=quantity),
            window=self.window,
            position=purchase.position + 1,
            remaining=left - quantity,
            asked_by=purchase.asked_by,
        )
        await purchases.prepare(tx, [ask], at)


async def take_in(
    tx: Tx,
    vault: Vault,
    purchase: Purchase,
    product: Product,
    order: Order,
    cards: Sorted,
    at: datetime,
) -> tuple[Intake, list[int]]:
    """Seal every code into one batch; the ids of the units that are the order's."""
    count = len(cards.wanted) + len(cards.spare) + len(cards.bad)
    if not count:
        return Intake(), []
    name = f"Vendor order {purchase.id}"
    batch_id = await inventory.open_batch(tx, BatchSource.VENDOR, name, at, purchase.asked_by)
    shelf = ShelfKey(product.id, order.denomination_minor, order.product_currency)
    stored: dict[UnitState, list[int]] = {}
    for state, group in (
        (UnitState.ALLOCATED, cards.wanted),
        (UnitState.AVAILABLE, cards.spare),
        (UnitState.BLOCKED, cards.bad),
    ):
        new = [_unit(card, shelf, purchase, count) for card in group if card.fields]
        added = await inventory.add_units(tx, vault, batch_id, new, state, at)
        # A code we have already is the vendor's mistake: it is counted and claimed back.
        stored[state] = [one for one in added if isinstance(one, int)]
    sellable = len(stored[UnitState.ALLOCATED]) + len(stored[UnitState.AVAILABLE])
    return Intake(count, count - sellable, batch_id), stored[UnitState.ALLOCATED]


def _unit(card: Card, shelf: ShelfKey, purchase: Purchase, count: int) -> NewUnit:
    cost = purchase.cost
    return NewUnit(
        shelf,
        card.fields,
        card.expires_at,
        cost.amount_minor // count if cost else None,
        cost.currency if cost else None,
    )
