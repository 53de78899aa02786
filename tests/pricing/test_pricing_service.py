"""Rates and discounts on the real database, and the one quote made of them."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import asyncpg
import pytest

from rewards.catalog.model import ProductNotFound
from rewards.clients.model import ClientNotFound
from rewards.core.errors import InvalidField, Refusal
from rewards.core.money import AMOUNT_MINOR_MAX
from rewards.infra.settings import Settings
from rewards.pricing import service
from rewards.pricing.model import (
    AmountTooLarge,
    Charge,
    ClientDiscount,
    NoFxRate,
    PricedClient,
)
from rewards.pricing.model_rates import NewRate
from tests.catalog.shop import AMAZON, AT, JAPANESE, KUWAITI, Shop, like_amazon, open_shop

ACME = PricedClient(1, Decimal("1.5"))
OTHER = PricedClient(2, Decimal(0))


def a_rate(source: str, target: str, rate: str, origin: str = "bank") -> NewRate:
    return NewRate(source, target, Decimal(rate), origin, AT)


async def set_rates(shop: Shop, *rates: NewRate) -> None:
    await shop.db.run(lambda tx: service.set_rates(tx, rates, AT))
    await shop.look()


async def agree(shop: Shop, *discounts: ClientDiscount) -> None:
    await shop.db.run(lambda tx: service.set_discounts(tx, discounts))
    await shop.look()


def priced(answer: Charge | Refusal) -> Charge:
    assert isinstance(answer, Charge)
    return answer


async def test_product_six_costs_what_the_seed_says(shop: Shop) -> None:
    [amazon] = await shop.add(AMAZON)
    quoted = priced(shop.prices.quote(amazon, 2500, 5, "USD", ACME, AT))
    assert quoted.discount_percent == 2
    assert quoted.discount_minor == 250
    assert quoted.payable_minor == 12_750
    assert quoted.forex_rate is None and quoted.conversion_fee_minor == 0
    assert quoted.source_currency == quoted.destination_currency == "USD"


async def test_the_clients_discount_wins_over_the_vendors_and_that_over_the_default(
    shop: Shop,
) -> None:
    await shop.clients([1, 2])
    default, vendors = await shop.add(
        AMAZON, like_amazon(id=7, vendor_discount_percent=Decimal("3.5"))
    )
    percent = shop.prices.discount_percent
    assert percent(default, 1) == 2
    assert str(percent(vendors, 1)) == "3.5"
    await agree(shop, ClientDiscount(1, 7, Decimal("10.25")), ClientDiscount(1, 6, Decimal(0)))
    assert str(percent(vendors, 1)) == "10.25"
    assert percent(default, 1) == 0
    assert percent(vendors, 2) == Decimal("3.5")
    assert priced(shop.prices.quote(vendors, 2500, 1, "USD", ACME, AT)).discount_minor == 256
    await agree(shop, ClientDiscount(1, 7, None), ClientDiscount(2, 7, Decimal(100)))
    assert percent(vendors, 1) == Decimal("3.5")
    assert priced(shop.prices.quote(vendors, 2500, 1, "USD", OTHER, AT)).payable_minor == 100
    await agree(shop, ClientDiscount(1, 6, None))
    assert percent(default, 1) == 2
    assert await shop.count("client_discounts") == 1


async def test_the_default_discount_is_a_setting(shop: Shop) -> None:
    [amazon] = await shop.add(AMAZON)
    other = await open_shop(shop.db, Settings(default_discount_percent=Decimal("0.00")))
    assert priced(other.prices.quote(amazon, 2500, 5, "USD", ACME, AT)).payable_minor == 13_000


async def test_a_vendor_discount_of_nothing_is_still_the_vendors(shop: Shop) -> None:
    [amazon] = await shop.add(like_amazon(vendor_discount_percent=Decimal(0)))
    assert shop.prices.discount_percent(amazon, 1) == 0


async def test_conversion_uses_the_newest_rate_and_its_fee(shop: Shop) -> None:
    [amazon] = await shop.add(AMAZON)
    await set_rates(shop, a_rate("USD", "INR", "80"), a_rate("USD", "INR", "83.1234"))
    quoted = priced(shop.prices.quote(amazon, 2500, 5, "INR", ACME, AT))
    assert str(quoted.forex_rate) == "83.1234"
    assert quoted.face_minor == 12_500
    assert quoted.non_discounted_minor == 1_039_043
    assert quoted.discount_minor == 20_781
    assert quoted.handling_fee_minor == 41_562
    assert quoted.conversion_fee_minor == 15_274
    assert quoted.payable_minor == 1_039_043 - 20_781 + 41_562 + 15_274
    assert priced(shop.prices.quote(amazon, 2500, 5, "INR", OTHER, AT)).conversion_fee_minor == 0
    await set_rates(shop, a_rate("USD", "INR", "1"))
    assert priced(shop.prices.quote(amazon, 2500, 1, "INR", OTHER, AT)).non_discounted_minor == 2500


async def test_prices_in_currencies_of_other_decimals(shop: Shop) -> None:
    books, souq = await shop.add(JAPANESE, KUWAITI)
    await set_rates(shop, a_rate("USD", "JPY", "150"), a_rate("KWD", "USD", "3.25"))
    dinars = priced(shop.prices.quote(souq, 10_500, 2, "KWD", ACME, AT))
    assert dinars.non_discounted_minor == 21_000
    assert (dinars.discount_minor, dinars.handling_fee_minor) == (420, 500)
    assert (dinars.tax_minor, dinars.payable_minor) == (1159, 22_239)
    yen = priced(shop.prices.quote(souq, 10_500, 2, "JPY", OTHER, AT))
    assert str(yen.forex_rate) == "487.5"
    assert yen.non_discounted_minor == 10_238  # 10,237.5, rounded half-up
    back = priced(shop.prices.quote(books, 10_000, 1, "KWD", OTHER, AT))
    assert back.forex_rate == Decimal("0.002051282051")
    assert back.non_discounted_minor == 20_513


async def test_no_rate_is_a_refusal_that_names_the_pair(shop: Shop) -> None:
    [amazon] = await shop.add(AMAZON)
    refused = shop.prices.quote(amazon, 2500, 5, "EUR", ACME, AT)
    assert isinstance(refused, NoFxRate)
    assert refused.code == "NO_FX_RATE"
    assert refused.message == "No exchange rate from USD to EUR"
    assert refused.details == {"source_currency": "USD", "destination_currency": "EUR"}
    await set_rates(shop, a_rate("EUR", "USD", "1.25"))
    assert priced(shop.prices.quote(amazon, 2500, 4, "EUR", OTHER, AT)).non_discounted_minor == 8000
    assert shop.prices.conversion("USD", "CHF", AT) is None


async def test_a_total_no_ledger_can_hold_is_refused(shop: Shop) -> None:
    [amazon] = await shop.add(AMAZON)
    await set_rates(shop, a_rate("USD", "INR", "999999999999"))
    assert isinstance(
        shop.prices.quote(amazon, AMOUNT_MINOR_MAX, 2, "USD", ACME, AT), AmountTooLarge
    )
    assert isinstance(shop.prices.quote(amazon, 10**8, 2, "INR", ACME, AT), AmountTooLarge)


NO_RATES = [
    (a_rate("XXX", "USD", "1"), "Invalid Source: exists"),
    (a_rate("USD", "usd", "1"), "Invalid Target: exists"),
    (a_rate("USD", "USD", "1"), "Invalid Target: pair"),
    (a_rate("USD", "INR", "0"), "Invalid Rate: gt"),
    (a_rate("USD", "INR", "-1"), "Invalid Rate: gt"),
    (a_rate("USD", "INR", "NaN"), "Invalid Rate: format"),
    (a_rate("USD", "INR", "Infinity"), "Invalid Rate: format"),
    (a_rate("USD", "INR", "1e12"), "Invalid Rate: max"),
    (a_rate("USD", "INR", "1e999999"), "Invalid Rate: max"),
    (a_rate("USD", "INR", "0.0000000000001"), "Invalid Rate: precision"),
    (a_rate("USD", "INR", "1", ""), "Invalid Origin: required"),
    (a_rate("USD", "INR", "1", "x" * 201), "Invalid Origin: max"),
]


async def test_what_is_no_rate_is_refused_and_nothing_changes(shop: Shop) -> None:
    before = await shop.count("changes")
    for rate, message in NO_RATES:
        with pytest.raises(InvalidField, match=message):
            await set_rates(shop, a_rate("USD", "EUR", "0.9"), rate)
        assert (await shop.count("fx_rates"), await shop.count("changes")) == (0, before)


async def test_a_currency_that_is_not_listed_has_no_rate(shop: Shop) -> None:
    await shop.db.run(lambda tx: tx.execute("DELETE FROM countries WHERE currency = 'FJD'"))
    await shop.db.run(lambda tx: tx.execute("DELETE FROM currencies WHERE code = 'FJD'"))
    with pytest.raises(InvalidField, match="Invalid Source: exists"):
        await set_rates(shop, a_rate("FJD", "USD", "1"))
    with pytest.raises(InvalidField, match="Invalid Target: exists"):
        await set_rates(shop, a_rate("USD", "FJD", "1"))


NO_DISCOUNTS: list[tuple[ClientDiscount, type[Refusal]]] = [
    (ClientDiscount(1, 6, Decimal("-0.1")), InvalidField),
    (ClientDiscount(1, 6, Decimal("100.1")), InvalidField),
    (ClientDiscount(1, 6, Decimal("NaN")), InvalidField),
    (ClientDiscount(1, 6, Decimal("1.23456")), InvalidField),
    (ClientDiscount(99, 6, Decimal(1)), ClientNotFound),
    (ClientDiscount(1, 99, Decimal(1)), ProductNotFound),
]


async def test_what_is_no_discount_is_refused_and_nothing_changes(shop: Shop) -> None:
    await shop.clients([1])
    await shop.add(AMAZON, like_amazon(id=7))
    before = await shop.count("changes")
    for bad, refusal in NO_DISCOUNTS:
        with pytest.raises(refusal):
            await agree(shop, ClientDiscount(1, 7, Decimal(5)), bad)
        assert (await shop.count("client_discounts"), await shop.count("changes")) == (0, before)


async def test_no_rate_is_ever_rewritten(shop: Shop) -> None:
    await set_rates(shop, a_rate("USD", "EUR", "0.9"))
    async with shop.db.connection() as connection:
        for statement in ("UPDATE fx_rates SET rate = 1", "DELETE FROM fx_rates"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.CheckViolationError, match="fx_rates_pair_check"):
            await connection.execute(
                "INSERT INTO fx_rates (source, target, rate, origin, quoted_at)"
                " VALUES ('USD', 'USD', 1, 'x', now())"
            )


async def test_the_newest_of_every_pair_is_read_from_a_long_history(shop: Shop) -> None:
    pairs = [("USD", "EUR"), ("EUR", "USD"), ("USD", "INR"), ("AED", "USD"), ("USD", "JPY")]
    for turn in range(1, 40):
        rates = [a_rate(source, target, f"{turn}.5") for source, target in pairs]
        await shop.db.run(lambda tx, rates=rates: service.set_rates(tx, rates, AT))
    await shop.look()
    for source, target in pairs:
        found = shop.prices.conversion(source, target, AT)
        assert found is not None and found.rate == Decimal("39.5")


async def test_a_snapshot_in_hand_never_changes(shop: Shop) -> None:
    await shop.clients([1])
    [amazon] = await shop.add(AMAZON)
    await set_rates(shop, a_rate("USD", "EUR", "0.9"))
    held = shop.prices._snapshot
    await set_rates(shop, a_rate("USD", "EUR", "0.8"))
    await agree(shop, ClientDiscount(1, 6, Decimal(9)))
    kept = held.rates.between("USD", "EUR", AT)
    assert kept is not None and kept.rate == Decimal("0.9")
    assert held.discounts == {}
    assert shop.prices.discount_percent(amazon, 1) == 9


async def test_a_product_change_reaches_the_price_through_the_product(shop: Shop) -> None:
    [amazon] = await shop.add(AMAZON)
    dear = replace(amazon, handling_fee_minor=200, tax_percent=Decimal(10))
    quoted = priced(shop.prices.quote(dear, 2500, 5, "USD", ACME, AT))
    assert quoted.tax_minor == 1325
    assert quoted.payable_minor == 14_575


async def test_nothing_to_set_announces_nothing(shop: Shop) -> None:
    before = await shop.count("changes")
    nothing: Sequence[NewRate] = ()
    await set_rates(shop, *nothing)
    await agree(shop)
    assert await shop.count("changes") == before
