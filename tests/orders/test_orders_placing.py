"""Placing: one transaction for money, stock, history, audit, events and the idempotent answer."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from rewards.core.errors import Refusal
from rewards.orders import sql_read
from rewards.orders.model import OnPartial
from rewards.orders.replay import Placed
from rewards.pricing.model import ClientDiscount
from tests.counting import statements
from tests.shop import Shop


def state(placed: Placed | Refusal) -> str:
    assert isinstance(placed, Placed), placed
    return str(placed.order.state)


def code(answer: Placed | Refusal) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def test_an_order_in_stock_is_delivered_and_paid_in_one_step(shop: Shop) -> None:
    client = await shop.client(minor=20_000)
    product = await shop.product()
    await shop.stock(product, 5)
    placed = await shop.place_one(shop.ask(client, product, 5))
    shown = await shop.parts.orders.show(placed)
    assert state(placed) == "DELIVERED·COMPLETED"
    # The seed's own figures: 5 at 25.00, 2 % off, 1.00 a voucher.
    assert (shown.amount, shown.discount, shown.fees) == (
        Decimal("127.50"),
        Decimal("2.50"),
        Decimal("5.00"),
    )
    assert await shop.balance(client) == 20_000 - 12_750
    codes = {voucher.card_number for voucher in shown.vouchers}
    assert codes == {f"{canary}-card_number" for canary in shop.codes}
    assert shown.pending_items == 0
    assert shown.fulfilled_from_cache == 5
    assert await shop.path(placed.order.id) == [
        "PLACED·INITIAL",
        "PENDING·INVENTORY_FULFILLED",
        "DELIVERED·COMPLETED",
    ]
    assert await shop.events(placed.order.id) == ["order.delivered"]


async def test_a_miss_waits_and_is_paid(shop: Shop) -> None:
    client = await shop.client(minor=20_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, 2))
    assert state(placed) == "PENDING·VENDOR_ORDER_PENDING"
    assert await shop.balance(client) == 20_000 - 5_100
    assert await shop.events(placed.order.id) == ["order.created", "order.pending"]


async def test_a_short_pool_delivers_what_it_has(shop: Shop) -> None:
    client = await shop.client(minor=20_000)
    product = await shop.product()
    await shop.stock(product, 2)
    placed = await shop.place_one(shop.ask(client, product, 3))
    shown = await shop.parts.orders.show(placed)
    assert state(placed) == "PARTIALLY_DELIVERED·PARTIAL"
    assert [item.status for item in shown.items] == ["DELIVERED", "DELIVERED", "PENDING"]
    assert (shown.pending_items, shown.fulfilled_from_cache) == (1, 2)
    assert await shop.events(placed.order.id) == ["order.partially_delivered"]


async def test_all_or_nothing_leaves_a_short_pool_to_the_next(shop: Shop) -> None:
    client = await shop.client(minor=20_000)
    product = await shop.product()
    await shop.stock(product, 2)
    first, second = await shop.place(
        shop.ask(client, product, 3, on_partial=OnPartial.ALL_OR_NOTHING),
        shop.ask(client, product, 2),
    )
    assert state(first) == "PENDING·VENDOR_ORDER_PENDING"
    assert state(second) == "DELIVERED·COMPLETED"


@pytest.mark.parametrize(
    ("quantity", "expected", "items", "told"),
    [
        (10, "PENDING·VENDOR_ORDER_PENDING", 10, ["order.created", "order.pending"]),
        (11, "PENDING·PROCESSING", 11, ["order.created", "order.processing"]),
        (50, "PENDING·PROCESSING", 50, ["order.created", "order.processing"]),
        (51, "PENDING·INITIAL", 0, ["order.created", "order.pending"]),
    ],
)
async def test_the_size_of_an_order_decides_how_it_is_served(
    shop: Shop, quantity: int, expected: str, items: int, told: list[str]
) -> None:
    client = await shop.client(minor=1_000_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product, quantity))
    assert state(placed) == expected
    assert len(placed.items) == items
    assert await shop.events(placed.order.id) == told


async def test_refusals_in_a_batch_leave_nothing_and_hurt_no_neighbour(shop: Shop) -> None:
    poor, rich = await shop.client(minor=2_549), await shop.client(minor=5_100)
    product = await shop.product()
    await shop.stock(product, 4)
    before = await shop.everything()
    refused = await shop.place(
        shop.ask(poor, product),
        shop.ask(poor, product, wallet_id=(await shop.wallets(rich))["USD"].id),
        shop.ask(poor, product, wallet_id=2**50),
    )
    assert [code(answer) for answer in refused] == [
        "INSUFFICIENT_FUNDS",
        "WALLET_NOT_FOUND",
        "WALLET_NOT_FOUND",
    ]
    assert await shop.everything() == before
    mixed = await shop.place(
        shop.ask(poor, product),
        shop.ask(rich, product, ref="A"),
        shop.ask(rich, product, ref="A"),
        shop.ask(rich, product, ref="B"),
        shop.ask(rich, product, ref="C"),
    )
    assert code(mixed[0]) == "INSUFFICIENT_FUNDS"
    assert state(mixed[1]) == state(mixed[3]) == "DELIVERED·COMPLETED"
    assert code(mixed[2]) == "DUPLICATE_REFERENCE"
    assert isinstance(mixed[1], Placed)
    assert isinstance(mixed[2], Refusal)
    assert mixed[2].details == {"order_id": mixed[1].order.id}
    assert code(mixed[4]) == "INSUFFICIENT_FUNDS"
    assert await shop.balance(rich) == 0
    assert await shop.balance(poor) == 2_549


async def test_a_reference_is_used_once_for_each_client(shop: Shop) -> None:
    one, two = await shop.client(minor=10_000), await shop.client(minor=10_000)
    product = await shop.product()
    first = await shop.place_one(shop.ask(one, product, ref="A"))
    before = await shop.everything()
    [again] = await shop.place(shop.ask(one, product, ref="A"))
    assert isinstance(again, Refusal)
    assert (again.message, again.details) == (
        "Duplicate reference code",
        {"order_id": first.order.id},
    )
    assert await shop.everything() == before
    assert state(await shop.place_one(shop.ask(two, product, ref="A")))


async def test_a_wallet_in_the_products_currency_pays_before_one_that_needs_fx(shop: Shop) -> None:
    client = await shop.client(minor=10_000, currencies=("EUR", "USD"))
    await shop.rates(EUR="1.25")
    product = await shop.product()
    first = await shop.place_one(shop.ask(client, product, 3))
    assert (first.order.currency, first.order.forex_rate) == ("USD", None)
    # 23.50 USD are left: the euros pay 76.50 USD at 0.8.
    second = await shop.place_one(shop.ask(client, product, 3))
    assert second.order.currency == "EUR"
    assert second.order.amount_minor == 6_120
    assert second.order.forex_rate == Decimal("0.8")
    [third] = await shop.place(shop.ask(client, product, 3))
    assert code(third) == "INSUFFICIENT_FUNDS"


async def test_a_conversion_charge_is_a_fee_of_the_order(shop: Shop) -> None:
    client = await shop.client(minor=10_000, currencies=("EUR",))
    await shop.rates(EUR="1.25")
    product = await shop.product(handling_fee_minor=0)
    placed = await shop.place_one(
        shop.ask(client, product, 1, conversion_fee_percent=Decimal("1.5"))
    )
    # 25.00 USD are 20.00 EUR; 2 % off leaves 19.60; 1.5 % of it is 0.294, so 0.29.
    assert (placed.order.fees_minor, placed.order.amount_minor) == (29, 1_989)


async def test_an_expired_unit_is_never_sold_and_the_first_to_expire_goes_first(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    await shop.stock(product, 1, expires_at=shop.now - timedelta(seconds=1))
    [late] = await shop.stock(product, 1, expires_at=shop.now + timedelta(days=9))
    [never] = await shop.stock(product, 1)
    [soon] = await shop.stock(product, 1, expires_at=shop.now + timedelta(days=1))
    placed = await shop.place_one(shop.ask(client, product, 4))
    assert [unit.unit_id for unit in placed.units] == [soon, late, never]
    assert state(placed) == "PARTIALLY_DELIVERED·PARTIAL"


async def test_a_repeated_key_hears_its_first_answer_whatever_came_since(shop: Shop) -> None:
    client = await shop.client(minor=100_000)
    product = await shop.product()
    await shop.stock(product, 1)
    ask = shop.ask(client, product, 2, key="key-0000001")
    first = await shop.place_one(ask)
    shown = await shop.parts.orders.show(first)
    assert state(first) == "PARTIALLY_DELIVERED·PARTIAL"
    await shop.stock(product, 5)
    await shop.retry(first.order.id)
    before = await shop.everything()
    again = await shop.place_one(ask)
    assert again.replayed
    assert await shop.parts.orders.show(again) == shown
    after = await shop.everything()
    # That the codes were opened again is written down, and nothing else.
    assert len(after.pop("audit_entries")) == len(before.pop("audit_entries")) + 1
    assert after == before


async def test_a_key_with_another_body_is_refused_and_another_client_is_free(shop: Shop) -> None:
    one, two = await shop.client(minor=10_000), await shop.client(minor=10_000)
    product = await shop.product()
    await shop.place_one(shop.ask(one, product, key="key-0000001"))
    before = await shop.everything()
    [reused] = await shop.place(shop.ask(one, product, key="key-0000001", fingerprint=b"other"))
    assert isinstance(reused, Refusal)
    assert (reused.status, reused.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert await shop.everything() == before
    assert not (await shop.place_one(shop.ask(two, product, key="key-0000001"))).replayed


async def test_a_refused_order_frees_its_key(shop: Shop) -> None:
    client = await shop.client(minor=1)
    product = await shop.product()
    [poor] = await shop.place(shop.ask(client, product, key="key-0000001"))
    assert code(poor) == "INSUFFICIENT_FUNDS"
    await shop.top_up(client, 10_000)
    assert not (await shop.place_one(shop.ask(client, product, key="key-0000001"))).replayed


async def test_a_batch_is_a_fixed_number_of_statements(shop: Shop) -> None:
    product = await shop.product()
    counts = []
    for size in (1, 30):
        clients = [await shop.client(minor=10_000) for _ in range(size)]
        await shop.stock(product, size)
        asks = [shop.ask(c, product, key=f"key-{c:08d}", ref=f"R{c}") for c in clients]
        async with shop.parts.db.transaction() as tx:
            with statements(tx) as sent:
                await shop.place_in(tx, asks)
        counts.append(len(sent))
    assert counts == [10, 10]


async def test_an_order_that_costs_nothing_still_has_its_transaction(shop: Shop) -> None:
    client = await shop.client(minor=0)
    product = await shop.product(handling_fee_minor=0)
    await shop.discount(ClientDiscount(client, product.id, Decimal(100)))
    await shop.stock(product, 1)
    placed = await shop.place_one(shop.ask(client, product))
    assert (state(placed), placed.order.amount_minor) == ("DELIVERED·COMPLETED", 0)
    assert placed.order.transaction_id > 0


async def test_an_order_keeps_the_moment_it_was_placed_to_the_microsecond(shop: Shop) -> None:
    client = await shop.client(minor=10_000)
    product = await shop.product()
    placed = await shop.place_one(shop.ask(client, product))
    async with shop.parts.db.connection() as connection:
        stored = await sql_read.read_clients_order(connection, client, placed.order.id)
    assert stored == placed.order
    assert stored.placed_at.tzinfo is not None
    assert stored.placed_at.astimezone(UTC) <= datetime.now(UTC)


async def test_a_wallet_held_too_long_costs_only_its_own_client(shop: Shop) -> None:
    stuck, free = await shop.client(minor=10_000), await shop.client(minor=10_000)
    product = await shop.product()
    held = (await shop.wallets(stuck))["USD"].id
    before = await shop.balance(stuck)
    async with shop.parts.db.transaction() as tx:
        await tx.execute("SELECT 1 FROM wallets WHERE id = $1 FOR UPDATE", held)
        answers = await asyncio.gather(
            shop.parts.orders.place(shop.ask(stuck, product)),
            shop.parts.orders.place(shop.ask(stuck, product, key="key-0000001")),
            shop.parts.orders.place(shop.ask(free, product)),
            return_exceptions=True,
        )
    assert [getattr(answer, "code", "") for answer in answers] == [
        "UNAVAILABLE",
        "IDEMPOTENCY_KEY_IN_PROGRESS",
        "",
    ]
    assert isinstance(answers[2], Placed)
    assert await shop.balance(stuck) == before
