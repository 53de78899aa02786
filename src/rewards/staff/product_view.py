"""Products as staff write them down and see them, with what clients are not told."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from rewards.catalog.model import (
    Classification,
    DeliveryType,
    Denomination,
    LinkType,
    NewProduct,
    Product,
    ProductFields,
    ProductType,
)
from rewards.core.errors import InvalidField
from rewards.core.money import amount_minor, read_json_amount, to_decimal
from rewards.infra.http import member_of
from rewards.staff.given import Amount, no_json

CHOICES = {
    "type": ProductType,
    "delivery_type": DeliveryType,
    "classification": Classification,
    "link_type": LinkType,
}
# What a new product cannot be without.
# Of a body, what the catalogue has no column for.
NO_FIELDS = ("denominations", "currency", "reason")
NEEDED = ("name", "category_id", "country", "currency", "delivery_type", "denominations")
# Too long for the audit trail, which names their revision instead.
WORDS = ("description", "terms", "redemption")


class DenominationIn(msgspec.Struct, forbid_unknown_fields=True):
    """A range of face values, both ends included; without `max_value` the one value."""

    min_value: Amount = msgspec.field(default_factory=no_json)
    max_value: Amount = msgspec.field(default_factory=no_json)


class ProductChangeIn(msgspec.Struct, forbid_unknown_fields=True):
    """What is left out stays as it is. The currency never changes: stock is counted in it.

    `denominations` replaces all there are. Null takes a limit or the link away. What a product
    costs beside its face value is `PATCH /products/{id}/pricing`.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    terms: str | UnsetType = UNSET
    redemption: str | UnsetType = UNSET
    category_id: int | UnsetType = UNSET
    subcategory_id: int | UnsetType | None = UNSET
    country: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    delivery_type: str | UnsetType = UNSET
    voucher_fields: list[str] | UnsetType = UNSET
    classification: str | UnsetType = UNSET
    link_type: str | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET
    image_url: str | UnsetType = UNSET
    validity: str | UnsetType = UNSET
    realtime: bool | UnsetType = UNSET
    allow_auto_vendor_fulfill: bool | UnsetType = UNSET
    max_quantity: int | UnsetType | None = UNSET
    request_quantity_max: int | UnsetType | None = UNSET
    filled_quantity_max: int | UnsetType | None = UNSET
    pool_target: int | UnsetType = UNSET
    minimum_life_days: int | UnsetType = UNSET
    visible_by_default: bool | UnsetType = UNSET
    denominations: list[DenominationIn] | UnsetType = UNSET
    # Why, for the trail; needed to have it bought without a person.
    reason: str | None = None


class NewProductIn(ProductChangeIn, forbid_unknown_fields=True):
    """`active` is false where it is left out: nothing is sold before somebody says so.

    `voucher_fields` is needed for a VOUCHER: which of them each unit of its stock has.
    """

    currency: str | UnsetType = UNSET


class DenominationOut(msgspec.Struct):
    min_value: Decimal
    max_value: Decimal


class StaffProductOut(msgspec.Struct):
    id: int
    name: str
    description: str
    terms: str
    redemption: str
    category_id: int
    subcategory_id: int | None
    country: str
    currency: str
    type: ProductType
    delivery_type: DeliveryType
    voucher_fields: list[str]
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
    handling_fee: Decimal
    tax_percent: Decimal
    vendor_discount_percent: Decimal | None
    visible_by_default: bool
    # Clients for whom `visible_by_default` is turned round.
    visibility_exceptions: list[int]
    denominations: list[DenominationOut]
    created_at: datetime

    @classmethod
    def of(cls, product: Product) -> "StaffProductOut":
        made: dict[str, Any] = {
            "voucher_fields": list(product.voucher_fields),
            "handling_fee": to_decimal(product.handling_fee_minor, product.exponent),
            "visibility_exceptions": sorted(product.visibility_exceptions),
            "denominations": [
                DenominationOut(*(to_decimal(value, product.exponent) for value in each))
                for each in product.denominations
            ],
        }
        plain = {name: getattr(product, name) for name in cls.__struct_fields__ if name not in made}
        return cls(**plain, **made)


def denominations_of(body: ProductChangeIn, exponent: int) -> tuple[Denomination, ...] | None:
    """Those that were given; None where none were. Their rules are the catalogue's."""
    if isinstance(body.denominations, UnsetType):
        return None
    return tuple(_denomination(each, exponent) for each in body.denominations)


def _denomination(given: DenominationIn, exponent: int) -> Denomination:
    least = _face_value(given.min_value, exponent)
    alone = bytes(given.max_value) == b"null"
    return Denomination(least, least if alone else _face_value(given.max_value, exponent))


def _face_value(raw: msgspec.Raw, exponent: int) -> int:
    return amount_minor("Denominations", read_json_amount("Denominations", bytes(raw)), exponent)


def fields_of(body: ProductChangeIn) -> ProductFields:
    """What is given, as the catalogue names it; whether it may be so, the catalogue says."""
    given = {
        name: value
        for name, value in msgspec.structs.asdict(body).items()
        if not isinstance(value, UnsetType) and name not in NO_FIELDS
    }
    for name, kind in CHOICES.items():
        if given.get(name) is not None:
            given[name] = member_of(_label(name), kind, given[name])
    if "voucher_fields" in given:
        given["voucher_fields"] = tuple(given["voucher_fields"])
    if "country" in given:
        given["country"] = given["country"].upper()
    fields: ProductFields = given  # type: ignore[assignment]
    return fields


def _label(name: str) -> str:
    """`category_id` as refusals call it: Category."""
    return name.removesuffix("_id").title().replace("_", "")


def currency_of(body: NewProductIn) -> str:
    """Its currency's code, after seeing that nothing is missing: `Invalid Name: required`."""
    for name in NEEDED:
        if getattr(body, name) in (UNSET, "", 0):
            raise InvalidField(_label(name), "required")
    return str(body.currency).upper()


def new_product(body: NewProductIn, currency: str, exponent: int) -> NewProduct:
    """The product that is wanted; whether it may be so, the catalogue says."""
    usual: dict[str, Any] = {"active": False, "voucher_fields": ()}
    denominations = denominations_of(body, exponent) or ()
    facts: dict[str, Any] = {**usual, **fields_of(body)}
    return NewProduct(currency=currency, denominations=denominations, **facts)


def told(product: Product) -> Mapping[str, Any]:
    """A product as the audit trail tells of it."""
    shown = msgspec.to_builtins(StaffProductOut.of(product), str_keys=True)
    kept = {key: value for key, value in shown.items() if key not in ("id", "created_at", *WORDS)}
    return kept | {"revision_id": product.revision_id}


def differences(before: Product, after: Product) -> Mapping[str, Any]:
    """What a change did, as the audit trail tells of it."""
    old, new = told(before), told(after)
    return {key: {"from": old[key], "to": new[key]} for key in new if old[key] != new[key]}
