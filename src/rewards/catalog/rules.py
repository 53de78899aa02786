"""What a product may be, before the database is asked; every breach is an InvalidField."""

import re
from collections.abc import Sequence
from decimal import Decimal

from rewards.catalog.model import VOUCHER_FIELDS, Denomination, ProductFacts, ProductType
from rewards.core.errors import InvalidField
from rewards.core.money import AMOUNT_MINOR_MAX, to_minor
from rewards.core.text import UNPRINTABLE, printable

NAME_CHARS_MAX = 200
LINE_CHARS_MAX = 500
TEXT_CHARS_MAX = 20_000
URL_CHARS_MAX = 2_000
COUNT_MAX = 2**31 - 1
PERCENT_DECIMALS = 4
DENOMINATION_COUNT_MAX = 500


def check_product(facts: ProductFacts) -> None:
    """Raise InvalidField for the first thing that is wrong. That the category, country and currency
    exist is the database's to say."""
    if not facts.name.strip():
        raise InvalidField("Name", "required")
    for label, text, chars_max in (
        ("Name", facts.name, NAME_CHARS_MAX),
        ("Validity", facts.validity, LINE_CHARS_MAX),
        ("Description", facts.description, TEXT_CHARS_MAX),
        ("Terms", facts.terms, TEXT_CHARS_MAX),
        ("Redemption", facts.redemption, TEXT_CHARS_MAX),
        ("ImageUrl", facts.image_url, URL_CHARS_MAX),
    ):
        _check_text(label, text, chars_max)
    for label, line in (
        ("Name", facts.name),
        ("Validity", facts.validity),
        ("ImageUrl", facts.image_url),
    ):
        if UNPRINTABLE.search(line):
            raise InvalidField(label, "printable")
    if not re.fullmatch(r"[A-Z]{2}", facts.country, re.ASCII):
        raise InvalidField("Country", "format")
    if facts.image_url and not facts.image_url.startswith(("https://", "http://", "/")):
        raise InvalidField("ImageUrl", "url")
    _check_voucher_fields(facts)
    for label, count, least in (
        ("Category", facts.category_id, 1),
        ("Subcategory", facts.subcategory_id, 1),
        ("MaxQuantity", facts.max_quantity, 1),
        ("RequestQuantityMax", facts.request_quantity_max, 1),
        ("FilledQuantityMax", facts.filled_quantity_max, 1),
        ("PoolTarget", facts.pool_target, 0),
        ("MinimumLifeDays", facts.minimum_life_days, 0),
    ):
        _check_whole(label, count, least, COUNT_MAX)
    _check_whole("HandlingFee", facts.handling_fee_minor, 0, AMOUNT_MINOR_MAX)
    check_percent("TaxPercent", facts.tax_percent)
    if facts.tax_percent >= 100:
        raise InvalidField("TaxPercent", "max")
    if facts.vendor_discount_percent is not None:
        check_percent("VendorDiscountPercent", facts.vendor_discount_percent)


def check_percent(label: str, percent: Decimal) -> None:
    """0 to 100, with at most PERCENT_DECIMALS decimals."""
    if not percent.is_finite():
        raise InvalidField(label, "format")
    if percent < 0:
        raise InvalidField(label, "min")
    if percent > 100:
        raise InvalidField(label, "max")
    if to_minor(percent, PERCENT_DECIMALS) is None:
        raise InvalidField(label, "precision")


def slug_of(name: str) -> str:
    """What a category is called in addresses: its letters and digits, in lower case.

    Refuses a name that is empty, too long or unprintable, or has neither letter nor digit.
    """
    if not name.strip():
        raise InvalidField("Name", "required")
    printable("Name", name, NAME_CHARS_MAX)
    slug = re.sub(r"[\W_]+", "-", name.lower()).strip("-")
    if not slug:
        raise InvalidField("Name", "format")
    return slug


def check_denominations(denominations: Sequence[Denomination]) -> tuple[Denomination, ...]:
    """The denominations in ascending order. Refuses none, too many, values below 1 minor unit or
    beyond a ledger amount, ranges turned round, and two that share a value."""
    if not denominations:
        raise InvalidField("Denominations", "required")
    if len(denominations) > DENOMINATION_COUNT_MAX:
        raise InvalidField("Denominations", "max")
    ordered = tuple(sorted(denominations))
    top = 0
    for least, most in ordered:
        if least < 1:
            raise InvalidField("Denominations", "gt")
        if most < least:
            raise InvalidField("Denominations", "range")
        if most > AMOUNT_MINOR_MAX:
            raise InvalidField("Denominations", "max")
        if least <= top:
            raise InvalidField("Denominations", "overlap")
        top = most
    return ordered


def _check_text(label: str, text: str, chars_max: int) -> None:
    if len(text) > chars_max:
        raise InvalidField(label, "max")
    # PostgreSQL holds no NUL in text.
    if "\0" in text:
        raise InvalidField(label, "format")


def _check_whole(label: str, value: int | None, least: int, most: int) -> None:
    if value is None:
        return
    if value < least:
        raise InvalidField(label, "min")
    if value > most:
        raise InvalidField(label, "max")


def _check_voucher_fields(facts: ProductFacts) -> None:
    names = facts.voucher_fields
    # A recharge has no voucher; whatever is called one has at least one thing to hand over.
    if not names and facts.type is ProductType.VOUCHER:
        raise InvalidField("VoucherFields", "required")
    if not set(names) <= set(VOUCHER_FIELDS):
        raise InvalidField("VoucherFields", "oneof")
    if len(set(names)) != len(names):
        raise InvalidField("VoucherFields", "unique")
