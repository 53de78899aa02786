"""What an order is and the one state machine it moves in (spec.md §3); pure."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from rewards.catalog.model import AnyCase, LinkType, Product, ProductType
from rewards.core.errors import Conflict, NotFound, Refusal
from rewards.orders.model_links import LinkStatus


class Status(AnyCase):
    PLACED = "PLACED"
    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    PARTIALLY_DELIVERED = "PARTIALLY_DELIVERED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class SubStatus(AnyCase):
    INITIAL = "INITIAL"
    PROCESSING = "PROCESSING"
    PARTIAL = "PARTIAL"
    COMPLETED = "COMPLETED"
    VENDOR_ORDER_PENDING = "VENDOR_ORDER_PENDING"
    VENDOR_ORDER_CREATED = "VENDOR_ORDER_CREATED"
    VENDOR_ORDER_FAILED = "VENDOR_ORDER_FAILED"
    VENDOR_VOUCHER_FETCHED = "VENDOR_VOUCHER_FETCHED"
    INVENTORY_FULFILLED = "INVENTORY_FULFILLED"
    PENDING_REPROCESS = "PENDING_REPROCESS"
    REPROCESS_EXPIRED = "REPROCESS_EXPIRED"
    GV_LINK_PENDING = "GV_LINK_PENDING"
    GV_LINK_CLAIMED = "GV_LINK_CLAIMED"
    GV_LINK_UNCLAIMED = "GV_LINK_UNCLAIMED"
    BULK_LIMIT_EXCEEDED = "BULK_LIMIT_EXCEEDED"
    REFUNDED = "REFUNDED"
    NOT_REFUNDED = "NOT_REFUNDED"
    RECONCILED = "RECONCILED"


class State(NamedTuple):
    """Where an order stands: primary and sub-status."""

    status: Status
    sub_status: SubStatus

    def __str__(self) -> str:
        return f"{self.status}·{self.sub_status}"


def _pending(sub_status: SubStatus) -> State:
    return State(Status.PENDING, sub_status)


def _delivered(sub_status: SubStatus) -> State:
    return State(Status.DELIVERED, sub_status)


PLACED = State(Status.PLACED, SubStatus.INITIAL)
BULK = _pending(SubStatus.INITIAL)
PROCESSING = _pending(SubStatus.PROCESSING)
ON_HAND = _pending(SubStatus.INVENTORY_FULFILLED)
WAITING = _pending(SubStatus.VENDOR_ORDER_PENDING)
VENDOR_CREATED = _pending(SubStatus.VENDOR_ORDER_CREATED)
VENDOR_FETCHED = _pending(SubStatus.VENDOR_VOUCHER_FETCHED)
VENDOR_FAILED = _pending(SubStatus.VENDOR_ORDER_FAILED)
REPROCESS = _pending(SubStatus.PENDING_REPROCESS)
REPROCESS_EXPIRED = _pending(SubStatus.REPROCESS_EXPIRED)
LINK_PENDING = _pending(SubStatus.GV_LINK_PENDING)
PARTIAL = State(Status.PARTIALLY_DELIVERED, SubStatus.PARTIAL)
COMPLETED = _delivered(SubStatus.COMPLETED)
UNCLAIMED = _delivered(SubStatus.GV_LINK_UNCLAIMED)
CLAIMED = _delivered(SubStatus.GV_LINK_CLAIMED)
RECONCILED = _delivered(SubStatus.RECONCILED)
REFUNDED = State(Status.CANCELLED, SubStatus.REFUNDED)
REFUND_OWED = State(Status.CANCELLED, SubStatus.NOT_REFUNDED)
OVER_BULK_LIMIT = State(Status.CANCELLED, SubStatus.BULK_LIMIT_EXCEEDED)
FAILED = State(Status.FAILED, SubStatus.REFUNDED)
FAILED_OWED = State(Status.FAILED, SubStatus.NOT_REFUNDED)

STATES = (
    PLACED, BULK, PROCESSING, ON_HAND, WAITING, VENDOR_CREATED, VENDOR_FETCHED, VENDOR_FAILED,
    REPROCESS, REPROCESS_EXPIRED, LINK_PENDING, PARTIAL, COMPLETED, UNCLAIMED, CLAIMED, RECONCILED,
    REFUNDED, REFUND_OWED, OVER_BULK_LIMIT, FAILED, FAILED_OWED,
)  # fmt: skip

_CLOSED_BY_STAFF = {REFUNDED, REFUND_OWED}
_GIVEN_UP = {FAILED, FAILED_OWED}
_ENDS = _CLOSED_BY_STAFF | _GIVEN_UP

# Every legal step, as docs/lifecycle.md tells them. Whatever is not here is refused, whoever asks.
NEXT: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        PLACED: frozenset({ON_HAND, PROCESSING, WAITING, BULK}),
        BULK: frozenset({PROCESSING, OVER_BULK_LIMIT} | _ENDS),
        PROCESSING: frozenset({ON_HAND, WAITING} | _ENDS),
        ON_HAND: frozenset({COMPLETED, PARTIAL, LINK_PENDING}),
        WAITING: frozenset({ON_HAND, VENDOR_CREATED, VENDOR_FAILED, REPROCESS} | _ENDS),
        VENDOR_CREATED: frozenset({VENDOR_FETCHED, VENDOR_FAILED, REPROCESS} | _ENDS),
        VENDOR_FETCHED: frozenset({COMPLETED, PARTIAL, LINK_PENDING}),
        VENDOR_FAILED: frozenset({ON_HAND, VENDOR_CREATED, VENDOR_FAILED, REPROCESS} | _ENDS),
        REPROCESS: frozenset(
            {VENDOR_CREATED, VENDOR_FETCHED, VENDOR_FAILED, REPROCESS_EXPIRED} | _ENDS
        ),
        REPROCESS_EXPIRED: frozenset({ON_HAND, VENDOR_CREATED, VENDOR_FAILED, REPROCESS} | _ENDS),
        LINK_PENDING: frozenset({UNCLAIMED} | _ENDS),
        PARTIAL: frozenset({ON_HAND, VENDOR_CREATED, VENDOR_FAILED, REPROCESS} | _ENDS),
        COMPLETED: frozenset({RECONCILED} | _CLOSED_BY_STAFF),
        UNCLAIMED: frozenset({CLAIMED} | _CLOSED_BY_STAFF),
        CLAIMED: frozenset(_CLOSED_BY_STAFF),
        RECONCILED: frozenset(_CLOSED_BY_STAFF),
        # What was delivered before a cancel may still be recalled, item by item.
        REFUNDED: frozenset({REFUNDED, REFUND_OWED}),
        REFUND_OWED: frozenset({REFUNDED, REFUND_OWED}),
        OVER_BULK_LIMIT: frozenset(),
        FAILED: frozenset({REFUNDED, REFUND_OWED}),
        FAILED_OWED: frozenset({FAILED, REFUND_OWED}),
    }
)
assert NEXT.keys() == set(STATES), "every state names its successors"

# Where a look into the pool is allowed: nobody else is at work on the order.
FILLABLE = frozenset({BULK, PROCESSING, WAITING, VENDOR_FAILED, REPROCESS_EXPIRED, PARTIAL})
OPEN_STATUSES = frozenset({Status.PLACED, Status.PENDING, Status.PARTIALLY_DELIVERED})


class IllegalStep(Exception):
    """A bug: a step that the lifecycle does not have, or from where the order is not."""


def walk(*path: State) -> tuple[State, ...]:
    """The path itself, after checking that each step of it is legal. Raises IllegalStep."""
    for source, target in itertools.pairwise(path):
        if target not in NEXT[source]:
            raise IllegalStep(f"{source} cannot become {target}")
    return path


class ItemStatus(StrEnum):
    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"
    REVOKED = "REVOKED"
    FAILED = "FAILED"


class RechargeStatus(StrEnum):
    PENDING = "PENDING"  # nobody has it yet
    DELIVERED = "DELIVERED"  # the operator has it in hand
    RECHARGED = "RECHARGED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


# What a recharge becomes with its item; taken back later, it was recharged all the same.
_RECHARGE_ENDS = MappingProxyType(
    {
        ItemStatus.DELIVERED: RechargeStatus.RECHARGED,
        ItemStatus.CANCELLED: RechargeStatus.CANCELLED,
        ItemStatus.FAILED: RechargeStatus.FAILED,
    }
)


class OnPartial(AnyCase):
    KEEP = "KEEP"
    ALL_OR_NOTHING = "ALL_OR_NOTHING"


class Tier(StrEnum):
    """How an order of its size is served (D1)."""

    REQUEST = "REQUEST"
    FILLED = "FILLED"
    BULK = "BULK"


def recharges(product: Product) -> bool:
    """Whether it goes to a telephone or an account instead of being handed over."""
    return product.type is not ProductType.VOUCHER


def tier(quantity: int, *, realtime: bool, request_max: int, filled_max: int) -> Tier:
    if realtime or quantity <= request_max:
        return Tier.REQUEST
    return Tier.FILLED if quantity <= filled_max else Tier.BULK


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A row of `orders`; amounts are in `currency`, the denomination in `product_currency`."""

    id: int
    client_id: int
    ref: str
    transaction_id: int
    wallet_id: int
    currency: str
    amount_minor: int
    discount_minor: int
    fees_minor: int
    tax_minor: int
    forex_rate: Decimal | None
    # Whose rate, and of when; None also on orders from before this was kept.
    forex_rate_source: str | None
    forex_rate_at: datetime | None
    product_id: int
    product_revision_id: int
    product_name: str
    product_currency: str
    denomination_minor: int
    quantity: int
    on_partial: OnPartial
    deliver_by: datetime | None
    email: str | None
    mobile: dict[str, str] | None
    metadata: dict[str, str] | None
    status: Status
    sub_status: SubStatus
    items_created: int
    fulfilled: int
    cancelled: int
    revoked: int
    refunded_minor: int
    refund_owed_minor: int
    placed_at: datetime
    changed_at: datetime
    delivered_at: datetime | None
    cancelled_at: datetime | None
    # Who may open its claim links; None: codes go out as they are.
    link_type: LinkType | None = None

    @property
    def state(self) -> State:
        return State(self.status, self.sub_status)

    @property
    def recharge(self) -> bool:
        """Goes to a telephone; only recharges carry a number, and all of them do."""
        return self.mobile is not None

    @property
    def pending_items(self) -> int:
        """Items that still wait for a unit; a bulk order has none before its first retry."""
        return self.items_created - self.fulfilled - self.cancelled if self.items_created else 0

    @property
    def missing(self) -> int:
        """Units the order still wants, whether its items exist yet or not."""
        return self.quantity - self.fulfilled - self.cancelled

    @property
    def awaited(self) -> int:
        """Units that are still to come: none of an order that is closed."""
        return self.missing if self.status in OPEN_STATUSES else 0

    def late(self, at: datetime) -> bool:
        """Whether its client no longer wants what has not come by now."""
        return self.deliver_by is not None and self.deliver_by <= at

    @property
    def instant(self) -> bool:
        """Served whole in the request that placed it."""
        return self.delivered_at == self.placed_at


TICK = timedelta(microseconds=1)


def moment_of_act(at: datetime, orders: Iterable[Order]) -> datetime:
    """When an act upon these locked orders happened: `at`, or just after what came before it.

    The clock was read before the locks were there, and is not the clock of whoever held them.
    """
    return max([at, *(order.changed_at + TICK for order in orders)])


@dataclass(frozen=True, slots=True)
class Item:
    """One voucher of an order; `position` counts from 1."""

    order_id: int
    position: int
    status: ItemStatus
    unit_id: int | None = None
    # None for whatever is no recharge.
    recharge_status: RechargeStatus | None = None
    delivered_at: datetime | None = None
    # None without a unit, and where codes go out as they are.
    link_status: LinkStatus | None = None

    @property
    def public_id(self) -> str:
        return item_id(self.order_id, self.position)

    def become(self, status: ItemStatus) -> "Item":
        """The item in another status, its recharge with it."""
        recharge = self.recharge_status and _RECHARGE_ENDS.get(status, self.recharge_status)
        return replace(self, status=status, recharge_status=recharge)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has, or had, a unit; with the price of the order, to say what would go back."""

    unit_id: int
    order_id: int
    position: int
    item_status: ItemStatus
    client_id: int
    state: State
    currency: str
    amount_minor: int
    quantity: int
    returned: int


def item_id(order_id: int, position: int) -> str:
    return f"{order_id}-{position}"


def item_position(order_id: int, public_id: str) -> int | None:
    """The position an item id of this order names, or None when it is none of its ids."""
    head, _, tail = public_id.partition("-")
    if head != str(order_id) or not (tail.isascii() and tail.isdigit() and len(tail) <= 9):
        return None
    return int(tail)


class OrderNotFound(NotFound):
    code = "ORDER_NOT_FOUND"
    default_message = "Order not found"


class WalletNotActive(Refusal):
    code = "WALLET_NOT_ACTIVE"
    default_message = "Wallet is frozen or closed"


class DuplicateReference(Refusal):
    code = "DUPLICATE_REFERENCE"

    def __init__(self, order_id: int) -> None:
        super().__init__("Duplicate reference code", details={"order_id": order_id})


class OrderNotRetryable(Conflict):
    code = "ORDER_NOT_RETRYABLE"

    def __init__(self, state: State) -> None:
        super().__init__(
            f"Order is {state} and cannot be retried",
            details={"status": state.status, "sub_status": state.sub_status},
        )


class DeliverByPassed(Conflict):
    """Its client no longer wants it: the next look of the worker cancels and refunds it."""

    code = "DELIVER_BY_PASSED"
    default_message = "deliver_by has passed and the order is about to be cancelled"


class OrderNotOpen(Conflict):
    """Nothing of it waits any more, or not what was named."""

    code = "ORDER_NOT_OPEN"

    def __init__(self, state: State) -> None:
        super().__init__(
            f"Order is {state} and nothing of it waits",
            details={"status": state.status, "sub_status": state.sub_status},
        )


class RefundNotOwed(Conflict):
    code = "REFUND_NOT_OWED"

    def __init__(self, state: State) -> None:
        super().__init__(
            f"Order is {state} and no refund is owed",
            details={"status": state.status, "sub_status": state.sub_status},
        )


class OrderNotCancellable(Conflict):
    code = "ORDER_NOT_CANCELLABLE"

    def __init__(self, state: State, why: str = "") -> None:
        super().__init__(
            f"Order is {state} and cannot be cancelled" + (f": {why}" if why else ""),
            details={"status": state.status, "sub_status": state.sub_status},
        )
