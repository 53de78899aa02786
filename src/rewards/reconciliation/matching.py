"""Whether two books say the same of a purchase or of an order; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rewards.inventory.model import ShelfKey, StoredUnit, UnitState
from rewards.orders.model import Item, ItemStatus, Order, RechargeStatus
from rewards.reconciliation.model import Facts, Finding, Kind, SubjectKind
from rewards.vendors.model import BookLine, Purchase, PurchaseState, SaleState
from rewards.wallets.model_books import OrderBooking

SOLD_STATES = frozenset({UnitState.DELIVERED, UnitState.COMPLETED})


class Verdict(StrEnum):
    MATCHED = "MATCHED"
    WAITING = "WAITING"  # a vendor was not asked about it yet
    DRIFT = "DRIFT"


@dataclass(frozen=True, slots=True)
class OrderBooks:
    """All that our books say of one delivered order."""

    order: Order
    items: Sequence[Item]
    units: Mapping[int, StoredUnit]
    booking: OrderBooking
    # Each purchase that brought something for it, and whether its vendor's books agree; None: not
    # asked yet.
    purchases: Sequence[tuple[Purchase, bool | None]]


def match_purchase(purchase: Purchase, theirs: BookLine | None) -> list[Finding]:
    """Where our purchase and the vendor's line of it disagree; None: the vendor knows none.

    A purchase that is still open is nobody's to compare: it is settled first.
    """
    assert not purchase.open, "only what is settled is compared"
    bought = purchase.state is PurchaseState.FULFILLED
    if theirs is None:
        return [_purchase(Kind.MISSING_AT_VENDOR, purchase, None)] if bought else []
    if theirs.state is SaleState.FAILED:
        return [_purchase(Kind.OUTCOME_DIFFERS, purchase, theirs)] if bought else []
    if theirs.state is SaleState.OPEN or not bought:
        return [_purchase(Kind.OUTCOME_DIFFERS, purchase, theirs)]
    found = []
    if theirs.quantity is not None and theirs.quantity != _received(purchase):
        found.append(_purchase(Kind.QUANTITY_DIFFERS, purchase, theirs))
    if theirs.cost is not None and purchase.cost is not None and theirs.cost != purchase.cost:
        found.append(_purchase(Kind.AMOUNT_DIFFERS, purchase, theirs))
    return found


def _received(purchase: Purchase) -> int:
    """How many codes came; a recharge that went through counts as the one it is."""
    recharged = purchase.line.mobile is not None and purchase.reason is None
    return purchase.line.quantity if recharged and not purchase.received else purchase.received


def unknown_to_us(vendor_id: int, theirs: BookLine) -> Finding:
    """The vendor sold something under a key that is none of ours."""
    name = theirs.key or theirs.vendor_ref or ""
    return Finding(Kind.UNKNOWN_TO_US, SubjectKind.VENDOR_KEY, name, {}, _line(theirs), vendor_id)


def _purchase(kind: Kind, purchase: Purchase, theirs: BookLine | None) -> Finding:
    ours: Facts = {
        "state": purchase.state,
        "key": purchase.key,
        "quantity": _received(purchase),
        "cost_minor": purchase.cost.amount_minor if purchase.cost else None,
        "currency": purchase.cost.currency if purchase.cost else None,
    }
    said: Facts = {} if theirs is None else _line(theirs)
    subject = str(purchase.id)
    return Finding(kind, SubjectKind.PURCHASE, subject, ours, said, purchase.vendor_id)


def _line(theirs: BookLine) -> Facts:
    return {
        "state": theirs.state,
        "vendor_ref": theirs.vendor_ref,
        "quantity": theirs.quantity,
        "cost_minor": theirs.cost.amount_minor if theirs.cost else None,
        "currency": theirs.cost.currency if theirs.cost else None,
    }


def match_order(books: OrderBooks) -> tuple[Verdict, list[Finding]]:
    """Whether ledger, items, units and vendors agree with a delivered order, and where not."""
    found = [
        *match_ledger(books.order, books.booking),
        *_match_items(books),
        *_match_units(books),
    ]
    if found or any(matched is False for _, matched in books.purchases):
        return Verdict.DRIFT, found
    waiting = any(matched is None for _, matched in books.purchases)
    return (Verdict.WAITING if waiting else Verdict.MATCHED), []


def match_ledger(order: Order, booking: OrderBooking) -> list[Finding]:
    """Whether the ledger took what the order cost, once, and gave back what it says."""
    ours: Facts = {
        "transaction_id": order.transaction_id,
        "wallet_id": order.wallet_id,
        "debits": 1,
        "amount_minor": order.amount_minor,
        "refunded_minor": order.refunded_minor,
    }
    theirs: Facts = {
        "transaction_id": booking.transfer_id,
        "wallet_id": booking.wallet_id,
        "debits": booking.debits,
        "amount_minor": booking.debited_minor,
        "refunded_minor": booking.refunded_minor,
    }
    return [] if ours == theirs else [_order(Kind.LEDGER_DIFFERS, order, ours, theirs)]


def _match_items(books: OrderBooks) -> list[Finding]:
    order, items = books.order, books.items
    ours: Facts = {
        "items": order.items_created,
        "delivered": order.fulfilled - order.revoked,
        "revoked": order.revoked,
    }
    theirs: Facts = {
        "items": len(items),
        "delivered": _count(items, ItemStatus.DELIVERED),
        "revoked": _count(items, ItemStatus.REVOKED),
    }
    return [] if ours == theirs else [_order(Kind.ITEMS_DIFFER, order, ours, theirs)]


def _count(items: Sequence[Item], status: ItemStatus) -> int:
    return sum(1 for item in items if item.status is status)


def _match_units(books: OrderBooks) -> list[Finding]:
    order = books.order
    shelf = ShelfKey(order.product_id, order.denomination_minor, order.product_currency)
    found = []
    for item in books.items:
        if item.status is not ItemStatus.DELIVERED:
            continue
        if item.unit_id is None and item.recharge_status is RechargeStatus.RECHARGED:
            continue
        unit = books.units.get(item.unit_id or 0)
        if unit is None or unit.state not in SOLD_STATES or unit.shelf != shelf:
            ours: Facts = {"position": item.position, "unit_id": item.unit_id, **_shelf(shelf)}
            theirs: Facts = {} if unit is None else {"state": unit.state, **_shelf(unit.shelf)}
            found.append(_order(Kind.UNIT_DIFFERS, order, ours, theirs))
    return found


def _shelf(shelf: ShelfKey) -> dict[str, int | str]:
    return {
        "product_id": shelf.product_id,
        "denomination_minor": shelf.denomination_minor,
        "currency": shelf.currency,
    }


def _order(kind: Kind, order: Order, ours: Facts, theirs: Facts) -> Finding:
    return Finding(kind, SubjectKind.ORDER, str(order.id), ours, theirs)


def unit_without_order(unit: StoredUnit) -> Finding:
    """It counts as sold, and no item of any order has it."""
    theirs: Facts = {"state": unit.state, "batch_id": unit.batch_id, **_shelf(unit.shelf)}
    return Finding(Kind.UNIT_WITHOUT_ORDER, SubjectKind.UNIT, str(unit.unit_id), {}, theirs)


def ledger_without_order(transfer_id: int, order_id: int) -> Finding:
    """Money was booked for an order that is not there."""
    theirs: Facts = {"order_id": order_id}
    subject = str(transfer_id)
    return Finding(Kind.LEDGER_WITHOUT_ORDER, SubjectKind.TRANSFER, subject, {}, theirs)


def not_told(purchase: Purchase) -> Finding:
    """The vendor could not be made to say what became of it."""
    return _purchase(Kind.NOT_TOLD, purchase, None)
