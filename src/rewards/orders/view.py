"""The one shape an order has on the wire (spec.md §3, D6)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from rewards.core.currency import exponent_of
from rewards.core.money import to_decimal
from rewards.orders.model import Item, ItemStatus, Order


class VoucherOut(msgspec.Struct, omit_defaults=True):
    """What the end user redeems; only the fields the product delivers are present."""

    card_number: str | None = None
    pin_code: str | None = None
    code: str | None = None
    pin: str | None = None
    claim_url: str | None = None
    expires_at: datetime | None = None
    voucher_reference_number: str | None = None

    def __repr__(self) -> str:
        return "VoucherOut([redacted])"


class ItemOut(msgspec.Struct, omit_defaults=True):
    id: str
    status: ItemStatus
    recharge_status: str | None = None
    link_status: str | None = None
    voucher: VoucherOut | None = None


class OrderOut(msgspec.Struct):
    """Money is a JSON number with exactly its currency's decimals; enums are UPPERCASE."""

    id: int
    ref: str
    transaction_id: int
    amount: Decimal
    currency: str
    product_id: int
    product_name: str
    denomination: Decimal
    product_currency: str
    quantity: int
    discount: Decimal
    fees: Decimal
    tax: Decimal
    forex_rate: Decimal | None
    vouchers: list[VoucherOut]
    items: list[ItemOut]
    pending_items: int = msgspec.field(name="pendingItems")
    fulfilled_from_cache: int = msgspec.field(name="fulfilledFromCache")
    status: str
    sub_status: str
    delivery_time: str
    email: str | None
    metadata: dict[str, str] | None
    refunded_amount: Decimal
    placed_at: datetime
    delivered_at: datetime | None
    cancelled_at: datetime | None


def voucher(fields: Mapping[str, Any], expires_at: datetime | None) -> VoucherOut:
    """A unit's opened fields as the client sees them."""
    return VoucherOut(**fields, expires_at=expires_at)


def linked(url: str, claim_before: datetime) -> VoucherOut:
    """What a client has instead of a code: where its end user claims it, and until when."""
    return VoucherOut(claim_url=url, expires_at=claim_before)


def show(
    order: Order, items: Sequence[Item] = (), vouchers: Mapping[int, VoucherOut] | None = None
) -> OrderOut:
    """The order with its items; `vouchers` by unit id, for the units that may be shown.

    Without items, as in a list, the counts still tell how far it is.
    """
    opened = vouchers or {}
    paid, face = exponent_of(order.currency), exponent_of(order.product_currency)
    shown = [
        ItemOut(
            item.public_id,
            item.status,
            item.recharge_status,
            item.link_status,
            opened.get(item.unit_id) if item.unit_id is not None else None,
        )
        for item in items
    ]
    return OrderOut(
        id=order.id,
        ref=order.ref,
        transaction_id=order.transaction_id,
        amount=to_decimal(order.amount_minor, paid),
        currency=order.currency,
        product_id=order.product_id,
        product_name=order.product_name,
        denomination=to_decimal(order.denomination_minor, face),
        product_currency=order.product_currency,
        quantity=order.quantity,
        discount=to_decimal(order.discount_minor, paid),
        fees=to_decimal(order.fees_minor, paid),
        tax=to_decimal(order.tax_minor, paid),
        forex_rate=order.forex_rate,
        vouchers=[item.voucher for item in shown if item.voucher is not None],
        items=shown,
        pending_items=order.pending_items,
        fulfilled_from_cache=order.fulfilled,
        status=order.status,
        sub_status=order.sub_status,
        delivery_time="INSTANT" if order.instant else "DELAYED",
        email=order.email,
        metadata=order.metadata,
        refunded_amount=to_decimal(order.refunded_minor, paid),
        placed_at=order.placed_at,
        delivered_at=order.delivered_at,
        cancelled_at=order.cancelled_at,
    )
