"""Asks a vendor what has no outcome (balance, catalogue): one kind of trouble, and an end."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from rewards.core.currency import CURRENCIES
from rewards.core.money import AMOUNT_MINOR_MAX
from rewards.core.text import UNPRINTABLE
from rewards.vendors.model import Balance, Offer
from rewards.vendors.port import Vendor, VendorRefused
from rewards.vendors.wire import NoAnswer, NotSent

Told = TypeVar("Told")

OFFERS_MAX = 100_000
FIXED_MAX = 1_000
SKU_CHARS_MAX, NAME_CHARS_MAX = 200, 500
STOCK_MAX = 2**31 - 1


class VendorTrouble(Exception):
    """The vendor did not answer what was asked; the words quote no secret."""


async def ask(asking: Awaitable[Told], timeout_s: float) -> Told:
    """What the vendor tells. Raises VendorTrouble for a no and for no sensible answer in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await asking
    except (NotSent, NoAnswer, VendorRefused) as trouble:
        raise VendorTrouble(str(trouble)) from None
    except TimeoutError:
        raise VendorTrouble("no answer in time") from None


async def sound_balances(vendor: Vendor) -> tuple[Balance, ...]:
    """What is left in each currency we know. What we owe a vendor is below zero."""
    return tuple(
        each
        for each in await vendor.balances()
        if each.currency in CURRENCIES and abs(each.amount_minor) <= AMOUNT_MINOR_MAX
    )


async def whole_catalogue(vendor: Vendor) -> list[Offer]:
    """Every line of it; half a catalogue would look as if the other half were gone."""
    offers: list[Offer] = []
    async for offer in vendor.catalogue():
        offers.append(offer)
        if len(offers) > OFFERS_MAX:
            raise VendorTrouble(f"a catalogue of more than {OFFERS_MAX} lines")
    return offers


def is_sound(offer: Offer) -> bool:
    """Whether our books can hold it; what makes no sense cannot be bought either."""
    values = (offer.min_minor, *offer.fixed_minor, offer.max_minor)
    return (
        _is_text(offer.sku, SKU_CHARS_MAX)
        and _is_text(offer.name, NAME_CHARS_MAX)
        and offer.currency in CURRENCIES
        and len(offer.fixed_minor) <= FIXED_MAX
        and all(0 < value <= AMOUNT_MINOR_MAX for value in values)
        and offer.min_minor <= offer.max_minor
        and (offer.stock is None or 0 <= offer.stock <= STOCK_MAX)
    )


def _is_text(text: str, length_max: int) -> bool:
    return 0 < len(text) <= length_max and not UNPRINTABLE.search(text)
