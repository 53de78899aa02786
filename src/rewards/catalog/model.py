"""What is sold: products, their denominations and reference data, as immutable values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol, TypedDict

from rewards.core.errors import Conflict, InvalidField, NotFound, Refusal

# Announced with product ids, or EVERYTHING when reference data changed.
CHANGES_TOPIC = "catalog"
EVERYTHING = 0

VOUCHER_FIELDS = (
    "card_number",
    "pin_code",
    "code",
    "pin",
    "claim_url",
    "voucher_reference_number",
)


class ProductNotFound(NotFound):
    """Also for a product that is switched off, or not shown to this client (D13)."""

    code = "PRODUCT_NOT_FOUND"
    default_message = "Product not found"


class ProductIdTaken(Conflict):
    code = "PRODUCT_ID_TAKEN"
    default_message = "Product id is already in use"


class CategoryNotFound(NotFound):
    code = "CATEGORY_NOT_FOUND"
    default_message = "Category not found"


class SubcategoryNotFound(NotFound):
    code = "SUBCATEGORY_NOT_FOUND"
    default_message = "Subcategory not found"


class CategoryTaken(Conflict):
    """Another one is called so, or nearly: its slug would be the same."""

    code = "CATEGORY_TAKEN"
    default_message = "A category of this name is there already"


class DenominationNotAvailable(Refusal):
    code = "DENOMINATION_NOT_AVAILABLE"
    default_message = "Denomination not available for this product"


class QuantityTooLarge(Refusal):
    """Above the client's or the product's maximum, whichever is smaller."""

    code = "QUANTITY_EXCEEDED"

    def __init__(self, quantity_max: int) -> None:
        super().__init__(
            f"Invalid quantity, allowed max quantity: {quantity_max}",
            details={"max_quantity": quantity_max},
        )


class AnyCase(StrEnum):
    """Canonical upper case inside and out; any case on input (D12). ValueError for other words."""

    @classmethod
    def _missing_(cls, value: object) -> "AnyCase | None":
        upper = value.upper() if isinstance(value, str) else None
        return next((member for member in cls if member.value == upper), None)


class DeliveryType(AnyCase):
    CODE_WITH_PIN = "CODE_WITH_PIN"
    URL = "URL"


class DeliveryTime(AnyCase):
    INSTANT = "INSTANT"
    DELAYED = "DELAYED"

    @classmethod
    def _missing_(cls, value: object) -> AnyCase | None:
        # What older documents called it (D12).
        if isinstance(value, str) and value.upper() == "REALTIME":
            return cls.INSTANT
        return super()._missing_(value)


class ProductType(AnyCase):
    VOUCHER = "VOUCHER"
    MOBILE_TOPUP = "MOBILE_TOPUP"
    UTILITY = "UTILITY"


class Classification(AnyCase):
    """Where a voucher can be redeemed; internal."""

    OPEN_LOOP = "OPEN_LOOP"
    CLOSED_LOOP = "CLOSED_LOOP"
    SEMI_OPEN = "SEMI_OPEN"
    SEMI_CLOSE = "SEMI_CLOSE"


class LinkType(AnyCase):
    """Who may open a claim link; internal."""

    PUBLIC = "PUBLIC"
    PROTECTED = "PROTECTED"


@dataclass(frozen=True, slots=True)
class Currency:
    id: int
    code: str
    name: str
    symbol: str
    exponent: int
    active: bool = True


@dataclass(frozen=True, slots=True)
class Country:
    id: int
    code: str
    name: str
    currency: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Category:
    id: int
    name: str
    slug: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Subcategory:
    id: int
    category_id: int
    name: str
    slug: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class NewCategory:
    """A category to add; with `category_id` a sub-category of that one."""

    name: str
    category_id: int | None = None


class Denomination(NamedTuple):
    """Face values in the product's minor unit, both ends included; a fixed value has min = max."""

    min_minor: int
    max_minor: int


@dataclass(frozen=True, slots=True)
class Wording:
    """One revision of what a product says of itself; never changed once an order may name it."""

    revision_id: int
    product_id: int
    name: str
    description: str = ""
    terms: str = ""
    redemption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFacts:
    """What staff decide about a product."""

    name: str
    description: str = ""
    terms: str = ""
    redemption: str = ""
    category_id: int
    subcategory_id: int | None = None
    country: str
    currency: str
    type: ProductType = ProductType.VOUCHER
    delivery_type: DeliveryType
    # Of VOUCHER_FIELDS: what each unit has.
    voucher_fields: tuple[str, ...]
    classification: Classification = Classification.CLOSED_LOOP
    # None: codes go out as they are. Set: the end user gets a claim link of ours.
    link_type: LinkType | None = None
    active: bool = True
    image_url: str = ""
    validity: str = ""
    # Always served in the request, whatever the quantity (D1).
    realtime: bool = False
    allow_auto_vendor_fulfill: bool = False
    max_quantity: int | None = None
    # Tier thresholds of D1; None takes the setting.
    request_quantity_max: int | None = None
    filled_quantity_max: int | None = None
    pool_target: int = 1000
    minimum_life_days: int = 0
    # For each voucher, in this product's currency.
    handling_fee_minor: int = 0
    tax_percent: Decimal = Decimal(0)
    vendor_discount_percent: Decimal | None = None
    visible_by_default: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NewProduct(ProductFacts):
    # None takes the next free one.
    id: int | None = None
    denominations: tuple[Denomination, ...]


class ProductFields(TypedDict, total=False):
    """What of a product may change. Its currency may not: stock and prices are counted in it."""

    name: str
    description: str
    terms: str
    redemption: str
    category_id: int
    subcategory_id: int | None
    country: str
    type: ProductType
    delivery_type: DeliveryType
    voucher_fields: tuple[str, ...]
    classification: Classification
    link_type: LinkType | None
    active: bool
    image_url: str
    validity: str
    realtime: bool
    allow_auto_vendor_fulfill: bool
    max_quantity: int | None
    request_quantity_max: int | None
    filled_quantity_max: int | None
    pool_target: int
    minimum_life_days: int
    handling_fee_minor: int
    tax_percent: Decimal
    vendor_discount_percent: Decimal | None
    visible_by_default: bool


@dataclass(frozen=True, slots=True)
class ProductChange:
    """The fields named are set, all others stay."""

    product_id: int
    fields: ProductFields


@dataclass(frozen=True, slots=True)
class Visibility:
    """Whether one client sees one product; None goes back to the product's default."""

    client_id: int
    product_id: int
    visible: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product(ProductFacts):
    """A product with its current wording, all its denominations and who sees it."""

    id: int
    revision_id: int
    # Decimals of the currency.
    exponent: int
    # Clients for whom visible_by_default is turned round.
    visibility_exceptions: frozenset[int] = frozenset()
    denominations: tuple[Denomination, ...] = ()
    created_at: datetime

    @property
    def wording(self) -> Wording:
        return Wording(
            self.revision_id, self.id, self.name, self.description, self.terms, self.redemption
        )

    def sells(self, denomination_minor: int) -> bool:
        return any(least <= denomination_minor <= most for least, most in self.denominations)

    def visible_to(self, client_id: int) -> bool:
        return self.visible_by_default != (client_id in self.visibility_exceptions)

    @property
    def minted(self) -> bool:
        """Where a sandbox vendor runs, it makes this product's codes on a miss (D1)."""
        return self.realtime and self.allow_auto_vendor_fulfill

    def quantity_max(self, client_quantity_max: int) -> int:
        """The most one order of this client may ask for."""
        if self.max_quantity is None:
            return client_quantity_max
        return min(self.max_quantity, client_quantity_max)


class ShelfKey(NamedTuple):
    """What a unit must be to serve an order line; the pool is counted and taken by this."""

    product_id: int
    denomination_minor: int
    currency: str


class PoolDepth(Protocol):
    """How many loaded units the pool holds; inventory answers, the catalogue shows it."""

    async def depth(self, keys: Sequence[ShelfKey]) -> list[int]:
        """Units ready for sale for each key, in order."""
        ...

    async def product_depth(self, product_ids: Sequence[int]) -> dict[int, int]:
        """Units ready for sale of any denomination; a product without any may be left out."""
        ...


class Discounts(Protocol):
    """What a client gets off a product; pricing answers, the catalogue shows it."""

    def discount_percent(self, product: Product, client_id: int) -> Decimal: ...


def parse_quantity(value: int | None) -> int:
    """A quantity as sent. Refuses `Invalid Quantity: required` and `min`."""
    if value is None:
        raise InvalidField("Quantity", "required")
    if value < 1:
        raise InvalidField("Quantity", "min")
    return value


def speed(quantity: int, depth: int) -> DeliveryTime:
    """INSTANT when the loaded pool covers the quantity (spec.md §4)."""
    return DeliveryTime.INSTANT if depth >= quantity else DeliveryTime.DELAYED
