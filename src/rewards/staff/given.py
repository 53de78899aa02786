"""What staff handlers are given: by name, where `entry/api.py` provides it, and in bodies."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from rewards.catalog.service import Catalog
from rewards.core.clock import Clock
from rewards.core.errors import InvalidField
from rewards.core.money import to_minor
from rewards.core.page import PageAsk
from rewards.core.text import printable
from rewards.infra.crypto import Vault
from rewards.infra.db import Database
from rewards.infra.http import decode, page_ask
from rewards.infra.openapi import PAGE, whole_number
from rewards.infra.passwords import Passwords
from rewards.infra.settings import Settings
from rewards.orders.fulfilment import Fulfilment
from rewards.pricing.one_person import OnePersonLimit
from rewards.pricing.service import Prices
from rewards.restocks.service import Restocks
from rewards.staff.auth import StaffGate
from rewards.staff.imports import Imports
from rewards.staff.model_settings import Kept
from rewards.staff.signing_in import SignIn
from rewards.staff.week import Week
from rewards.vendors.accounts import Accounts
from rewards.vendors.purchases import Buyers
from rewards.webhooks.acts import Webhooks

GivenAccounts: TypeAlias = NamedDependency[SkipValidation[Accounts]]
GivenBuyers: TypeAlias = NamedDependency[SkipValidation[Buyers]]
GivenCatalog: TypeAlias = NamedDependency[SkipValidation[Catalog]]
GivenClock: TypeAlias = NamedDependency[SkipValidation[Clock]]
GivenDatabase: TypeAlias = NamedDependency[SkipValidation[Database]]
GivenFulfilment: TypeAlias = NamedDependency[SkipValidation[Fulfilment]]
GivenGate: TypeAlias = NamedDependency[SkipValidation[StaffGate]]
GivenImports: TypeAlias = NamedDependency[SkipValidation[Imports]]
GivenKept: TypeAlias = NamedDependency[SkipValidation[Sequence[Kept]]]
GivenMoneyLimit: TypeAlias = NamedDependency[SkipValidation[OnePersonLimit]]
GivenPasswords: TypeAlias = NamedDependency[SkipValidation[Passwords]]
GivenPrices: TypeAlias = NamedDependency[SkipValidation[Prices]]
GivenRestocks: TypeAlias = NamedDependency[SkipValidation[Restocks]]
GivenSettings: TypeAlias = NamedDependency[SkipValidation[Settings]]
GivenSignIn: TypeAlias = NamedDependency[SkipValidation[SignIn]]
GivenVault: TypeAlias = NamedDependency[SkipValidation[Vault]]
GivenWeek: TypeAlias = NamedDependency[SkipValidation[Week]]
GivenWebhooks: TypeAlias = NamedDependency[SkipValidation[Webhooks]]

REASON_CHARS_MAX = 500
LIST_DEFAULT, LIST_MAX = 50, 500
# What a list of numbered pages is asked with; `paged` reads it.
PAGED = {
    "page": PAGE,
    "limit": whole_number("Lines a page", maximum=LIST_MAX, default=LIST_DEFAULT),
}

# A JSON number or a string of one; floats never touch it.
Amount = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "string"]})]
# One that may be 0, or null; `decimal_of` reads it.
Quantity = Annotated[
    msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "string", "null"]})
]
QUANTITY_TEXT = re.compile(r'("?)-?[0-9]{1,20}(\.[0-9]{1,20})?\1', re.ASCII)


def no_json() -> msgspec.Raw:
    """What a field of raw JSON has where the body has none."""
    return msgspec.Raw(b"null")


def decimal_of(field: str, raw: msgspec.Raw) -> Decimal | None:
    """The number, None for null; refuses what is none. Its bounds are for others to check."""
    text = bytes(raw).decode()
    if text == "null":
        return None
    if not QUANTITY_TEXT.fullmatch(text):
        raise InvalidField(field, "format")
    return Decimal(text.strip('"'))


def minor_of(field: str, raw: msgspec.Raw, exponent: int) -> int:
    """An amount of a currency in its minor units, also 0 and below: bounds are others' to check.

    Refuses what is no number (`required` for null) and more decimals than the currency has.
    """
    amount = decimal_of(field, raw)
    if amount is None:
        raise InvalidField(field, "required")
    minor = to_minor(amount, exponent)
    if minor is None:
        raise InvalidField(field, "precision")
    return minor


def paged(request: Request[Any, Any, Any]) -> PageAsk:
    """Which page of a list is asked for; refuses numbers that are none, or too large."""
    query = request.query_params
    return page_ask(query.get("page"), query.get("limit"), default=LIST_DEFAULT, maximum=LIST_MAX)


class WhyIn(msgspec.Struct, forbid_unknown_fields=True):
    """Why, for the trail; it may be left out."""

    reason: str | None = None


WHY = msgspec.json.Decoder(WhyIn)


async def why(request: Request[Any, Any, Any]) -> str | None:
    """The reason in a body that may be left out whole (`takes(WhyIn, required=False)`)."""
    return reason_told(decode(WHY, await request.body() or b"{}").reason)


def reason_told(given: str | None) -> str | None:
    """A reason that may be left out: who ends a leaked key is not held up for a word (ADR 0037)."""
    return reason_of(given) if given and given.strip() else None


def reason_of(given: str) -> str:
    """Why somebody does it, for the trail; refuses nothing and more than REASON_CHARS_MAX."""
    if not given.strip():
        raise InvalidField("Reason", "required")
    return printable("Reason", given, REASON_CHARS_MAX)
