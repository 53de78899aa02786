"""Orders in another currency: the rate they keep, and the one that is too old to use."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from rewards.core.errors import Refusal
from rewards.orders.replay import Placed
from rewards.pricing import service as pricing
from rewards.pricing.model import Charge, PricedClient
from rewards.pricing.model_rates import Channel, NewRate
from rewards.wallets.model import WalletStatus
from tests.shop import Shop, open_shop

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FRESH = timedelta(hours=120)
TICK = timedelta(microseconds=1)


class MovedClock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def shop(dsn: str, tmp_path: Path, clock: MovedClock) -> AsyncIterator[Shop]:
    async with open_shop(dsn, tmp_path, clock) as opened:
        yield opened


async def say(
    shop: Shop,
    target: str,
    rate: str,
    *,
    spread: str = "0",
    channel: Channel = Channel.PROVIDER,
) -> None:
    """So many of the target for a dollar, from now on in every cache."""
    new = NewRate("USD", target, Decimal(rate), "ecb", shop.now, channel, Decimal(spread))
    await shop.parts.db.run(lambda tx: pricing.set_rates(tx, [new], shop.now))
    await shop.refresh()


def code(answer: Placed | Refusal) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def lines(shop: Shop, order_id: int) -> list[tuple[object, ...]]:
    async with shop.parts.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT source_currency, forex_rate FROM ledger_transfers WHERE order_id = $1",
            order_id,
        )
    return [tuple(row) for row in rows]


async def test_an_order_keeps_the_rate_it_was_charged_and_whose_it_was(shop: Shop) -> None:
    client = await shop.client(minor=10_000, currencies=("EUR",))
    product = await shop.product(handling_fee_minor=0, vendor_discount_percent=Decimal(0))
    await say(shop, "EUR", "0.8", spread="2.5")
    placed = await shop.place_one(shop.ask(client, product))
    order = await shop.order(placed.order.id)
    assert order == placed.order
    assert (order.amount_minor, order.forex_rate) == (2_050, Decimal("0.82"))
    assert (order.forex_rate_source, order.forex_rate_at) == ("ecb", NOON)
    assert await lines(shop, order.id) == [("USD", Decimal("0.82"))]
    # A new rate changes nothing that was bought, nor what comes back for it.
    await say(shop, "EUR", "0.9")
    assert await shop.order(order.id) == order
    await shop.cancel(order.id)
    assert await shop.balance(client, "EUR") == 10_000
    assert await shop.broken() == {}


async def test_an_order_in_its_own_currency_has_no_rate(shop: Shop) -> None:
    client = await shop.client(minor=10_000)
    placed = await shop.place_one(shop.ask(client, await shop.product()))
    order = await shop.order(placed.order.id)
    assert (order.forex_rate, order.forex_rate_source, order.forex_rate_at) == (None, None, None)
    assert await lines(shop, order.id) == [(None, None)]


async def test_every_spread_costs_what_was_quoted(shop: Shop) -> None:
    client = await shop.client(minor=10**10, currencies=("EUR", "INR", "JPY"))
    product = await shop.product(tax_percent=Decimal("7.7"))
    held = await shop.wallets(client)
    fee = Decimal("1.5")
    for target, rate in (("EUR", "0.8"), ("INR", "83.1234"), ("JPY", "149.9")):
        for spread in ("0", "0.0001", "0.5", "3.3333", "99.9999"):
            await say(shop, target, rate, spread=spread)
            for quantity in (1, 3, 7):
                quoted = shop.parts.prices.quote(
                    product, 2500, quantity, target, PricedClient(client, fee), shop.now
                )
                assert isinstance(quoted, Charge)
                ask = shop.ask(
                    client,
                    product,
                    quantity,
                    wallet_id=held[target].id,
                    conversion_fee_percent=fee,
                )
                order = (await shop.place_one(ask)).order
                assert order.amount_minor == quoted.payable_minor
                assert order.forex_rate == quoted.forex_rate
    assert await shop.broken() == {}


async def test_a_stale_rate_refuses_and_a_newer_one_serves_again(
    shop: Shop, clock: MovedClock
) -> None:
    client = await shop.client(minor=10_000, currencies=("EUR",))
    product = await shop.product()
    await shop.stock(product, 2)
    euros = (await shop.wallets(client))["EUR"].id
    await say(shop, "EUR", "0.8")
    clock.at = NOON + FRESH
    assert isinstance((await shop.place(shop.ask(client, product)))[0], Placed)
    clock.at += TICK
    before = await shop.everything()
    for facts in ({}, {"wallet_id": euros}, {"key": "key-0000001"}, {"ref": "NEW"}):
        [refused] = await shop.place(shop.ask(client, product, **facts))
        assert code(refused) == "FX_RATE_STALE"
        assert isinstance(refused, Refusal)
        assert refused.message == "The exchange rate from USD to EUR is out of date"
        assert refused.details == {
            "source_currency": "USD",
            "destination_currency": "EUR",
            "forex_rate_at": NOON,
        }
        assert refused.status == 400
    assert await shop.everything() == before
    await say(shop, "EUR", "0.81")
    again = await shop.place_one(shop.ask(client, product, key="key-0000001"))
    assert again.order.forex_rate == Decimal("0.81")


async def test_each_channel_has_an_age_of_its_own_and_setup_none(
    shop: Shop, clock: MovedClock
) -> None:
    client = await shop.client(minor=1_000_000, currencies=("EUR",))
    product = await shop.product()
    for channel, hours in ((Channel.PROVIDER, 120), (Channel.FILE, 192), (Channel.STAFF, 720)):
        await say(shop, "EUR", "0.8", channel=channel)
        clock.at += timedelta(hours=hours)
        await shop.place_one(shop.ask(client, product))
        clock.at += TICK
        assert code((await shop.place(shop.ask(client, product)))[0]) == "FX_RATE_STALE"
    await say(shop, "EUR", "0.8", channel=Channel.SETUP)
    clock.at += timedelta(days=10_000)
    await shop.place_one(shop.ask(client, product))


async def test_an_age_of_none_is_for_ever(dsn: str, tmp_path: Path, clock: MovedClock) -> None:
    async with open_shop(dsn, tmp_path, clock, fx_provider_hours_max=0) as shop:
        client = await shop.client(minor=10_000, currencies=("EUR",))
        product = await shop.product()
        await say(shop, "EUR", "0.8")
        clock.at += timedelta(days=10_000)
        await shop.place_one(shop.ask(client, product))


async def test_a_wallet_whose_rate_is_stale_is_passed_over(shop: Shop, clock: MovedClock) -> None:
    product = await shop.product()
    await say(shop, "EUR", "0.8")
    clock.at += FRESH + TICK
    await say(shop, "INR", "80")
    both = await shop.client(minor=1_000_000, currencies=("EUR", "INR"))
    assert (await shop.place_one(shop.ask(both, product))).order.currency == "INR"
    own = await shop.client(minor=1_000_000, currencies=("EUR", "USD"))
    assert (await shop.place_one(shop.ask(own, product))).order.currency == "USD"


async def test_stale_is_said_only_where_it_alone_was_in_the_way(
    shop: Shop, clock: MovedClock
) -> None:
    product = await shop.product()
    await say(shop, "EUR", "0.8")
    await say(shop, "JPY", "150")
    clock.at += FRESH + TICK
    # One voucher costs 25.50 USD, 20.40 EUR at the old rate, 3,825 JPY.
    exact = await shop.client(minor=2_040, currencies=("USD", "EUR"))
    short = await shop.client(minor=2_039, currencies=("USD", "EUR"))
    second = await shop.client(minor=3_825, currencies=("JPY", "EUR"))
    before = await shop.everything()
    answers = await shop.place(
        shop.ask(exact, product),
        shop.ask(short, product),
        shop.ask(second, product, 2),
        shop.ask(second, product),
    )
    assert [code(answer) for answer in answers] == [
        "FX_RATE_STALE",
        "INSUFFICIENT_FUNDS",
        "INSUFFICIENT_FUNDS",
        "FX_RATE_STALE",
    ]
    assert await shop.everything() == before
    # A wallet without any rate, and one that is frozen, are no cause.
    other = await shop.client(minor=1_000_000, currencies=("CHF",))
    assert code((await shop.place(shop.ask(other, product)))[0]) == "INSUFFICIENT_FUNDS"
    await shop.set_wallet_status(exact, WalletStatus.FROZEN)
    assert code((await shop.place(shop.ask(exact, product)))[0]) == "INSUFFICIENT_FUNDS"


async def test_wallet_and_reference_are_refused_before_the_rate(
    shop: Shop, clock: MovedClock
) -> None:
    client = await shop.client(minor=10_000, currencies=("EUR",))
    product = await shop.product()
    await say(shop, "EUR", "0.8")
    await shop.place_one(shop.ask(client, product, ref="A"))
    clock.at += FRESH + TICK
    for facts, expected in (
        ({"wallet_id": 999_999}, "WALLET_NOT_FOUND"),
        ({"ref": "A"}, "DUPLICATE_REFERENCE"),
        ({"ref": "B"}, "FX_RATE_STALE"),
    ):
        assert code((await shop.place(shop.ask(client, product, **facts)))[0]) == expected
