"""What is said between us and a vendor, as values, and the states of a purchase; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from rewards.core.errors import Conflict, NotFound
from rewards.core.money import round_half_up

PERCENT = 100


class Reason(StrEnum):
    """Why a vendor said no, in words that mean the same for every vendor."""

    INSUFFICIENT_VENDOR_BALANCE = "INSUFFICIENT_VENDOR_BALANCE"
    OUT_OF_STOCK = "OUT_OF_STOCK"
    BAD_DENOMINATION = "BAD_DENOMINATION"
    PRODUCT_INACTIVE = "PRODUCT_INACTIVE"
    PRICE_CHANGED = "PRICE_CHANGED"
    BAD_RECIPIENT = "BAD_RECIPIENT"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    BAD_CREDENTIALS = "BAD_CREDENTIALS"
    IP_NOT_ALLOWED = "IP_NOT_ALLOWED"
    SIGNATURE_BAD = "SIGNATURE_BAD"
    THROTTLED = "THROTTLED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    VENDOR_DOWN = "VENDOR_DOWN"
    VENDOR_CONFIG = "VENDOR_CONFIG"
    OTHER = "OTHER"


# Nothing was placed, and the same request may be placed again later with the same key.
TRANSIENT = frozenset({Reason.THROTTLED, Reason.VENDOR_DOWN})


@dataclass(frozen=True, slots=True)
class Line:
    """What is bought: `quantity` of `sku`, each worth `face_minor` of `currency`.

    `mobile` for recharges: `mobile_country_code` and `mobile_number`.
    """

    sku: str
    face_minor: int
    currency: str
    quantity: int
    mobile: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Card:
    """One voucher from a vendor. `fields` are our names (catalog VOUCHER_FIELDS); never in a repr.

    `face_minor` and `currency` are what the vendor says it is worth, None where it does not say.
    """

    fields: Mapping[str, str] = field(repr=False)
    expires_at: datetime | None = None
    face_minor: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the vendor charged for a whole purchase."""

    amount_minor: int
    currency: str


class Stage(StrEnum):
    """How far an accepted order has come; a recharge shows it as PENDING, then DELIVERED."""

    QUEUED = "QUEUED"  # with the vendor, who has not passed it on
    IN_HAND = "IN_HAND"  # being worked on; for recharges: by the operator


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor has the order and will deliver."""

    vendor_ref: str | None = None
    cost: Cost | None = None
    stage: Stage = Stage.IN_HAND


@dataclass(frozen=True, slots=True)
class Delivered:
    """All that this order will ever bring; fewer cards than asked when the vendor had no more.

    A recharge that the operator confirmed brings no card, unless it is a PIN.
    """

    cards: tuple[Card, ...]
    vendor_ref: str | None = None
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was bought and nothing will be under this key, unless the reason is TRANSIENT."""

    reason: Reason
    message: str
    retry_after_s: float | None = None

    @property
    def transient(self) -> bool:
        return self.reason in TRANSIENT


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell whether it was placed: no answer, a 5xx, or an answer without sense."""

    why: str


@dataclass(frozen=True, slots=True)
class NotKnown:
    """The vendor knows no order under our key (yet: a placing may still be on its way)."""

    message: str = ""


# `place` never answers NotKnown, and an adapter reads "key already used" as Unknown.
Outcome = Accepted | Delivered | Refused | Unknown | NotKnown


@dataclass(frozen=True, slots=True)
class Offer:
    """A line of a vendor's catalogue. `fixed_minor` empty: any value between the two others."""

    sku: str
    name: str
    currency: str
    min_minor: int
    max_minor: int
    fixed_minor: tuple[int, ...] = ()
    # None: the vendor does not say.
    stock: int | None = None
    active: bool = True

    def why_not(self, face_minor: int, currency: str) -> str | None:
        """Why units of this value cannot be bought of it; None when they can."""
        if not self.active or self.stock == 0:
            return "the vendor has none"
        if self.currency != currency:
            return "the vendor sells it in another currency"
        fits = (
            face_minor in self.fixed_minor
            if self.fixed_minor
            else self.min_minor <= face_minor <= self.max_minor
        )
        return None if fits else "the vendor does not sell this denomination"


@dataclass(frozen=True, slots=True)
class Balance:
    currency: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Callback:
    """A hint that something happened to one of our orders; never believed, always read back."""

    key: str | None
    vendor_ref: str | None = None
    # The vendor's name for this message, where it has one: to know a repeated one.
    message_id: str | None = None


class SaleState(StrEnum):
    """How a vendor says an order of ours went."""

    SOLD = "SOLD"
    OPEN = "OPEN"  # it has the order, and has not delivered
    FAILED = "FAILED"  # nothing was sold, nothing is charged


@dataclass(frozen=True, slots=True)
class BookLine:
    """One order as the vendor's books have it; never with a code. None: it does not say."""

    key: str | None
    vendor_ref: str | None
    state: SaleState
    quantity: int | None = None
    cost: Cost | None = None


class CallbackRefused(Exception):
    """Not from the vendor, or nonsense; the words quote nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an adapter can do, and how much at once."""

    quantity_max: int
    # Codes come with the answer to placing up to this quantity; 0: never.
    sync_quantity_max: int = 0
    recharges: bool = False
    # Sells nothing that could be handed on.
    recharges_only: bool = False
    balance: bool = True
    catalogue: bool = True
    callbacks: bool = False
    # Lists the orders of a time; where it does not, each is read back by its key.
    book: bool = False
    # Usual time from placing to codes, shown to whoever approves.
    expected_s: int = 60
    # Whether the wire format was checked against the vendor's own documentation.
    verified: bool = True
    # After a dropped placing the vendor may not know the key for so long; only then NOT_PLACED.
    not_found_grace_s: int = 900


class Purpose(StrEnum):
    ORDER = "ORDER"
    RECHARGE = "RECHARGE"
    STOCK = "STOCK"


# Both are for an order, whose id is the subject.
FOR_ORDERS = (Purpose.ORDER, Purpose.RECHARGE)


class PurchaseState(StrEnum):
    READY = "READY"  # committed, the vendor has not heard of it
    SENDING = "SENDING"  # the placing call is under way, or its process died
    UNKNOWN = "UNKNOWN"  # placed or not: only reading back can tell
    ACCEPTED = "ACCEPTED"  # the vendor has it, the codes are to come
    FULFILLED = "FULFILLED"  # all it will bring is in our books
    REFUSED = "REFUSED"  # nothing was bought
    NOT_PLACED = "NOT_PLACED"  # read back: the vendor never had it


OPEN = frozenset(
    {
        PurchaseState.READY,
        PurchaseState.SENDING,
        PurchaseState.UNKNOWN,
        PurchaseState.ACCEPTED,
    }
)
_READ = {
    PurchaseState.UNKNOWN,
    PurchaseState.ACCEPTED,
    PurchaseState.FULFILLED,
    PurchaseState.REFUSED,
    PurchaseState.NOT_PLACED,
}

# Every legal step. Nothing leads back to SENDING but a refusal that says "not now".
NEXT: Mapping[PurchaseState, frozenset[PurchaseState]] = MappingProxyType(
    {
        PurchaseState.READY: frozenset({PurchaseState.SENDING, PurchaseState.REFUSED}),
        PurchaseState.SENDING: frozenset({PurchaseState.READY} | _READ),
        PurchaseState.UNKNOWN: frozenset(_READ),
        PurchaseState.ACCEPTED: frozenset(_READ - {PurchaseState.NOT_PLACED}),
        PurchaseState.FULFILLED: frozenset(),
        PurchaseState.REFUSED: frozenset(),
        PurchaseState.NOT_PLACED: frozenset(),
    }
)
assert NEXT.keys() == set(PurchaseState), "every state names its successors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A row of `vendor_orders`."""

    id: int
    vendor_id: int
    key: str
    purpose: Purpose
    subject_id: int
    position: int
    line: Line
    # How many more the same approval covers, bought one purchase after the other.
    remaining: int
    state: PurchaseState
    vendor_ref: str | None
    reason: Reason | None
    message: str | None
    received: int
    quarantined: int
    cost: Cost | None
    batch_id: int | None
    calls: int
    next_at: datetime
    window_ends_at: datetime
    case_at: datetime | None
    asked_by: int | None
    created_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None

    @property
    def open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Source:
    """Where one of our products can be bought, and on which terms."""

    vendor_id: int
    vendor: str
    product_id: int
    sku: str
    discount_percent: Decimal
    # For each card, whatever its value.
    fee_minor: int
    priority: int
    active: bool

    def unit_cost(self, face_minor: int) -> Fraction:
        """What one should cost as agreed: the face value, less what is off, and the fee."""
        return face_minor * (PERCENT - Fraction(self.discount_percent)) / PERCENT + self.fee_minor

    def cost_minor(self, face_minor: int, quantity: int) -> int:
        """What so many should cost as agreed, in minor units."""
        cost = self.unit_cost(face_minor) * quantity
        return round_half_up(cost.numerator, cost.denominator)


class VendorNotFound(NotFound):
    code = "VENDOR_NOT_FOUND"
    default_message = "Vendor not found"


class VendorNotAvailable(Conflict):
    """Paused, or it does not sell this product, value or quantity."""

    code = "VENDOR_NOT_AVAILABLE"
    default_message = "The vendor cannot be asked for this"


class PurchaseUnderWay(Conflict):
    """A vendor was asked for it, and what became of that is not settled yet."""

    code = "VENDOR_ORDER_OPEN"
    default_message = "A vendor order is under way for this"
