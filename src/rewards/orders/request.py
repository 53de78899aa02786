"""Reads the body of `POST /orders`: form, then field rules, then the catalogue (spec.md §3)."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec

from rewards.catalog.model import (
    DenominationNotAvailable,
    LinkType,
    Product,
    QuantityTooLarge,
    parse_quantity,
)
from rewards.core.errors import InvalidField
from rewards.core.money import amount_minor, read_json_amount
from rewards.core.text import printable, timestamp
from rewards.orders.links import link_type_of
from rewards.orders.model import OnPartial, recharges

Given = TypeVar("Given")
Kept = TypeVar("Kept")

ID_MAX = 2**53 - 1
REF_LENGTH_MAX = 128
EMAIL_LENGTH_MAX = 254
METADATA_PAIRS_MAX = 20
METADATA_KEY_LENGTH_MAX = 40
METADATA_VALUE_LENGTH_MAX = 500
# Typed on a phone by somebody who was told it; the page bounds how often it may be tried.
CLAIM_PASSWORD_LENGTH_MIN = 6
CLAIM_PASSWORD_LENGTH_MAX = 128

EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)
COUNTRY_CODE = re.compile(r"\+?[0-9]{1,4}", re.ASCII)
MOBILE_NUMBER = re.compile(r"[0-9]{4,15}", re.ASCII)


# What the reader of the OpenAPI document is told; the rules themselves are in `check`.
ID: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": ID_MAX, "examples": [6]}
AMOUNT: dict[str, Any] = {
    "description": "Face value of one voucher, in the product's currency; a number, or its text",
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "[0-9]"}],
    "examples": [25.00],
}
QUANTITY: dict[str, Any] = {
    "description": "How many vouchers",
    "type": "integer",
    "minimum": 1,
    "examples": [5],
}


def _shape(description: str, example: Any = None, **schema: Any) -> Any:
    """How an optional field shows in the document."""
    told = {"description": description, **schema}
    return msgspec.Meta(
        extra_json_schema=told if example is None else told | {"examples": [example]}
    )


class Mobile(msgspec.Struct, forbid_unknown_fields=True):
    """Whom a recharge is for."""

    mobile_country_code: str
    mobile_number: str


class CreateOrder(msgspec.Struct, forbid_unknown_fields=True):
    """`product_id`, `denomination` and `quantity` are required, the rest is optional."""

    product_id: Annotated[int | None, msgspec.Meta(extra_json_schema=ID)] = None
    # Kept as sent: its digits are read by the rules for amounts, never by a float.
    denomination: Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema=AMOUNT)] = msgspec.field(
        default_factory=msgspec.Raw
    )
    quantity: Annotated[int | None, msgspec.Meta(extra_json_schema=QUANTITY)] = None
    wallet_id: Annotated[
        int | None, _shape("The wallet to pay from; chosen for you if left out", minimum=1)
    ] = None
    ref: Annotated[
        str | None,
        _shape("Yours, unique; made if left out", "CLIENT_REF_123456", minLength=1, maxLength=128),
    ] = None
    email: Annotated[
        str | None,
        _shape("Whom to send the vouchers", "customer@example.com", format="email", maxLength=254),
    ] = None
    mobile: Annotated[Mobile | None, _shape("Whom a recharge is for")] = None
    metadata: Annotated[
        dict[str, str] | None,
        _shape("At most 20 pairs of yours, kept with the order", {"campaign": "spring"}),
    ] = None
    on_partial: Annotated[
        str | None,
        _shape(
            "When the pool has only some: KEEP them, or ALL_OR_NOTHING waits; in any case",
            enum=[*OnPartial, None],
        ),
    ] = None
    deliver_by: Annotated[
        str | None,
        _shape("Cancel and refund what is not delivered by then", format="date-time"),
    ] = None
    claim_password: Annotated[
        str | None,
        _shape(
            "What opens the claim links, where they are PROTECTED; refused for other products",
            minLength=CLAIM_PASSWORD_LENGTH_MIN,
            maxLength=CLAIM_PASSWORD_LENGTH_MAX,
        ),
    ] = None

    def __repr__(self) -> str:
        return "CreateOrder([redacted])"


DECODER = msgspec.json.Decoder(CreateOrder)


class Checked(msgspec.Struct, frozen=True):
    """A body whose fields obey their own rules; the catalogue has not been asked yet."""

    product_id: int
    denomination: Decimal
    quantity: int
    wallet_id: int | None
    ref: str | None
    email: str | None
    mobile: dict[str, str] | None
    metadata: dict[str, str] | None
    on_partial: OnPartial
    deliver_by: datetime | None
    claim_password: str | None

    def __repr__(self) -> str:
        return "Checked([redacted])"


def check(body: CreateOrder, now: datetime) -> Checked:
    """The body, every field by its own rule. Raises InvalidField `Invalid <Field>: <rule>`."""
    return Checked(
        product_id=_id("ProductId", body.product_id),
        denomination=read_json_amount("Denomination", bytes(body.denomination)),
        quantity=parse_quantity(body.quantity),
        wallet_id=_optional(body.wallet_id, lambda v: _id("WalletId", v)),
        ref=_optional(body.ref, lambda v: printable("Ref", v, REF_LENGTH_MAX)),
        email=_optional(body.email, _email),
        mobile=_optional(body.mobile, _mobile),
        metadata=_optional(body.metadata, _metadata),
        on_partial=_on_partial(body.on_partial),
        deliver_by=_optional(body.deliver_by, lambda v: _future("DeliverBy", v, now)),
        claim_password=_optional(body.claim_password, _claim_password),
    )


def check_against(checked: Checked, product: Product, quantity_max: int) -> int:
    """The denomination in minor units, after asking the product. Raises the seed's refusals:
    denomination not available, then quantity over the client's or the product's maximum."""
    if recharges(product) and checked.mobile is None:
        raise InvalidField("Mobile", "required")
    if checked.mobile is not None and not recharges(product):
        raise InvalidField("Mobile", "not_applicable")
    protected = link_type_of(product) is LinkType.PROTECTED
    if protected and checked.claim_password is None:
        raise InvalidField("ClaimPassword", "required")
    if checked.claim_password is not None and not protected:
        raise InvalidField("ClaimPassword", "not_applicable")
    denomination_minor = amount_minor("Denomination", checked.denomination, product.exponent)
    if not product.sells(denomination_minor):
        raise DenominationNotAvailable
    allowed = product.quantity_max(quantity_max)
    if checked.quantity > allowed:
        raise QuantityTooLarge(allowed)
    return denomination_minor


def _optional(value: Given | None, rule: Callable[[Given], Kept]) -> Kept | None:
    return None if value is None else rule(value)


def _id(field: str, value: int | None) -> int:
    if value is None:
        raise InvalidField(field, "required")
    if value < 1:
        raise InvalidField(field, "gt")
    if value > ID_MAX:
        raise InvalidField(field, "max")
    return value


def _email(value: str) -> str:
    if len(value) > EMAIL_LENGTH_MAX or not EMAIL.fullmatch(value):
        raise InvalidField("Email", "email")
    return value


def _mobile(value: Mobile) -> dict[str, str]:
    if not COUNTRY_CODE.fullmatch(value.mobile_country_code):
        raise InvalidField("MobileCountryCode", "format")
    if not MOBILE_NUMBER.fullmatch(value.mobile_number):
        raise InvalidField("MobileNumber", "format")
    return {
        "mobile_country_code": value.mobile_country_code,
        "mobile_number": value.mobile_number,
    }


def _metadata(value: dict[str, str]) -> dict[str, str]:
    if len(value) > METADATA_PAIRS_MAX:
        raise InvalidField("Metadata", "max")
    for key, text in value.items():
        printable("Metadata", key, METADATA_KEY_LENGTH_MAX)
        if text:
            printable("Metadata", text, METADATA_VALUE_LENGTH_MAX)
    return value


def _claim_password(value: str) -> str:
    if len(value) < CLAIM_PASSWORD_LENGTH_MIN:
        raise InvalidField("ClaimPassword", "min")
    return printable("ClaimPassword", value, CLAIM_PASSWORD_LENGTH_MAX)


def _on_partial(value: str | None) -> OnPartial:
    if value is None:
        return OnPartial.KEEP
    try:
        return OnPartial(value)
    except ValueError:
        raise InvalidField("OnPartial", "oneof") from None


def _future(field: str, value: str, now: datetime) -> datetime:
    at = timestamp(field, value)
    if at <= now:
        raise InvalidField(field, "future")
    return at
