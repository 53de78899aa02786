"""How long stock lasts and what to buy: the decision by itself, and what it is told of."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rewards.catalog.model import ShelfKey
from rewards.infra.hours import HOUR, KEPT_MAX
from rewards.orders.demand import Demand
from rewards.orders.sql_demand import ASKED_FOR
from rewards.restocks.forecast import COUNT_LEAST, COUNT_MOST, Need, advise, count_to, needs
from rewards.restocks.model import Supply
from rewards.vendors.model import Capabilities, Source
from tests.restocks.stockroom import SHELF, Stockroom

COUNTS = st.integers(0, 10**6)
NEEDS = st.builds(Need, st.just(SHELF), COUNTS, COUNTS, COUNTS, COUNTS)
DAYS = st.integers(1, 180)


@given(NEEDS, DAYS, DAYS)
def test_what_is_bought_covers_the_days_wanted_and_no_unit_more(
    need: Need, days: int, cover: int
) -> None:
    buy = need.to_buy(days, cover)
    wanted = Fraction(need.asked * cover, days) + need.waited
    there = need.depth + need.on_order
    assert buy >= 0
    assert there + buy >= wanted
    assert buy == 0 or there + buy - 1 < wanted


@given(NEEDS, DAYS, DAYS, st.integers(1, 1000))
def test_more_demand_buys_no_less_and_more_stock_no_more(
    need: Need, days: int, cover: int, more: int
) -> None:
    buy = need.to_buy(days, cover)
    assert replace(need, asked=need.asked + more).to_buy(days, cover) >= buy
    assert replace(need, waited=need.waited + more).to_buy(days, cover) >= buy
    assert need.to_buy(days, cover + more) >= buy
    assert replace(need, depth=need.depth + more).to_buy(days, cover) == max(buy - more, 0)
    assert replace(need, on_order=need.on_order + more).to_buy(days, cover) <= buy


@given(NEEDS, DAYS)
def test_cover_never_promises_more_than_there_is(need: Need, days: int) -> None:
    cover = need.cover_days(days)
    if cover is None:
        assert need.asked == 0
    else:
        left = max(need.depth - need.waited, 0)
        exact = Fraction(left * days, need.asked)
        assert 0 <= exact - Fraction(cover) < Fraction(1, 10)


@given(NEEDS, DAYS, DAYS)
def test_bought_for_so_many_days_it_lasts_so_many_days(need: Need, days: int, cover: int) -> None:
    arrived = replace(need, depth=need.depth + need.on_order + need.to_buy(days, cover), on_order=0)
    lasts = arrived.cover_days(days)
    assert lasts is None or lasts >= cover


@given(NEEDS, DAYS, DAYS)
def test_counting_goes_as_far_as_the_answer_takes(need: Need, days: int, cover: int) -> None:
    """What is not counted any further needs no buying, and lasts for the days wanted."""
    to = count_to(need.asked, need.waited, days, cover)
    assert COUNT_LEAST <= to <= COUNT_MOST
    if to < COUNT_MOST:
        counted = replace(need, depth=min(need.depth, to))
        assert counted.to_buy(days, cover) == need.to_buy(days, cover)
        lasts, told = need.cover_days(days), counted.cover_days(days)
        if lasts is not None and told is not None:
            assert told == lasts or (lasts > told >= cover)


def supply(vendor_id: int, percent: str, **facts: object) -> Supply:
    source = Source(vendor_id, f"v{vendor_id}", 6, "AMZ", Decimal(percent), 0, 100, True)
    return Supply(replace(source, **facts), Capabilities(quantity_max=50), None)


def test_the_shortest_cover_comes_first_and_what_nobody_asks_for_last() -> None:
    keys = [ShelfKey(6, minor, "USD") for minor in (1_000, 2_000, 3_000, 4_000)]
    known = needs(
        {keys[0]: 140, keys[1]: 140},
        {keys[0]: 100, keys[1]: 10, keys[2]: 7},
        {},
        {keys[3]: 2},
    )
    lines = advise(known, {6: [supply(1, "2"), supply(2, "5")]}, 14, 14)
    assert [line.need.shelf for line in lines] == [keys[3], keys[1], keys[0], keys[2]]
    waiting, short, longer, idle = lines
    assert (waiting.buy, waiting.cover_days, waiting.cost_minor) == (2, None, 7_600)
    assert (short.buy, short.cover_days, short.per_day) == (130, Decimal("1.0"), Decimal(10))
    assert short.cost_minor == 130 * 2_000 * 95 // 100
    assert short.supply is not None
    assert short.supply.source.vendor_id == 2
    assert longer.buy == 40
    assert (idle.buy, idle.supply, idle.cost_minor) == (0, None, None)


def test_nobody_to_buy_from_is_told_by_silence() -> None:
    [line] = advise([Need(SHELF, 14, 0)], {6: [supply(1, "2", active=False)]}, 14, 7)
    assert (line.buy, line.supply, line.cost_minor) == (7, None, None)


async def test_it_reads_what_was_asked_for_what_is_there_and_what_comes(room: Stockroom) -> None:
    shop = room.shop
    product = shop.parts.catalog.product(6)
    assert product is not None
    client = await shop.client(minor=10**9)
    await shop.stock(product, 30)
    await shop.stock(product, 5, loaded=False)
    for quantity in (10, 8, 40):
        await shop.place_one(shop.ask(client, product, quantity))
    old = (await shop.place_one(shop.ask(client, product, 9))).order
    over = (await shop.place_one(shop.ask(client, product, 60))).order
    await shop.retry(over.id, bulk_units_max=1)
    async with shop.parts.db.transaction() as tx:
        await tx.execute(
            "UPDATE orders SET placed_at = placed_at - interval '15 days' WHERE id = $1", old.id
        )
    placed = await room.order(12)
    [line] = await room.market.restocks.forecast(14, 7)
    # 58 in 14 days; 9 and 10 are not: one is too old, one over the cap. 30 - 27 loaded, 5 wait.
    assert line.need == Need(SHELF, asked=58, depth=8, on_order=12, waited=40)
    assert line.per_day == Decimal("4.14")
    assert line.buy == 29 + 40 - 8 - 12
    assert line.cover_days == 0
    assert line.supply is not None
    assert line.cost_minor == line.buy * 2_500
    await room.settle(placed.id)
    [after] = await room.market.restocks.forecast(14, 7)
    assert (after.need.depth, after.need.on_order, after.buy) == (20, 0, line.buy)
    assert await room.market.restocks.forecast(14, 7, [7]) == []


async def test_recharges_and_unknown_products_are_no_stock(room: Stockroom) -> None:
    order = await room.market.recharge(2)
    assert order.recharge
    assert await room.market.restocks.forecast(14, 14) == []


MANY_ORDERS = """
INSERT INTO orders (id, client_id, ref, transaction_id, wallet_id, currency, amount_minor,
    discount_minor, fees_minor, tax_minor, product_id, product_revision_id, product_name,
    product_currency, denomination_minor, quantity, on_partial, status, sub_status, items_created,
    fulfilled, placed_at, changed_at)
SELECT n, n % 10000, 'R' || n, n, 1, 'USD', 2550, 50, 100, 0, n % 9, 1, 'Card', 'USD', 2500, 1,
    'KEEP', 'DELIVERED', 'COMPLETED', 1, 1, $1::timestamptz - n * interval '10 minutes', $1
FROM generate_series(50000, 1, -1) AS n
"""


async def test_the_demand_of_days_is_found_by_index(room: Stockroom) -> None:
    now = room.shop.now
    since = now - timedelta(days=14)
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute(MANY_ORDERS, now)
        await tx.execute("ANALYZE orders")
        spans = (since, since + HOUR, since + 2 * HOUR, now - HOUR, now - HOUR, now)
        plan = await tx.fetch("EXPLAIN " + ASKED_FOR, *spans)
        asked = await Demand().asked_for(tx, since, now)
    assert any("orders_placed_idx" in row[0] for row in plan), plan
    assert sum(asked.values()) == 14 * 24 * 6


SHELVED = """
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at, loaded)
SELECT 10000000 + n, 6, 2500, 'USD', 'infinity', n <= 100 FROM generate_series(1, $1::bigint) AS n
"""


async def test_a_shelf_is_counted_as_far_as_the_question_goes(room: Stockroom) -> None:
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute(MANY_ORDERS, room.shop.now)
        await tx.execute(SHELVED, 2_500)
    forecast = room.market.restocks.forecast
    # 224 in 14 days: 2,880 in 180, of which 380 are missing, and no waiting orders.
    [line] = await forecast(14, 180, [6])
    assert (line.need.asked, line.need.depth, line.need.at_least) == (224, 2_500, False)
    assert (line.buy, line.cover_days) == (380, Decimal("156.2"))
    [line] = await forecast(14, 14, [6])
    assert (line.need.depth, line.need.at_least, line.buy) == (COUNT_LEAST, True, 0)
    assert line.cover_days == Decimal("62.5")
    # Whoever must know whether it lasts for longer has it counted further.
    [line] = await forecast(14, 14, [6], told_days=100)
    assert (line.need.depth, line.need.at_least, line.buy) == (1_601, True, 0)
    assert line.cover_days is not None
    assert line.cover_days >= 100
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute("DELETE FROM shelf WHERE unit_id > 10000999")
    [line] = await forecast(14, 14, [6])
    assert (line.need.depth, line.need.at_least) == (COUNT_LEAST - 1, False)


WITHOUT_MEMORY = "SELECT sum(quantity) FROM orders WHERE placed_at >= $1 AND placed_at < $2"
ONE_MORE = """
INSERT INTO orders SELECT (jsonb_populate_record(o,
    jsonb_build_object('id', 99999, 'ref', 'new', 'placed_at', $1::timestamptz))).*
FROM orders AS o WHERE id = 1
"""


async def test_hours_that_are_over_are_read_once(room: Stockroom) -> None:
    """Whenever somebody looks, and however far back: as if all had been added up anew."""
    now = room.shop.now
    looked = Demand()
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute(MANY_ORDERS, now)
        for days, minutes in ((7, 0), (7, 1), (1, 25), (0.1, 25), (30, 59), (0.01, 61), (7, 600)):
            until = now + timedelta(minutes=minutes)
            since = until - timedelta(days=days)
            found = await looked.asked_for(tx, since, until)
            assert sum(found.values()) == (await tx.fetchval(WITHOUT_MEMORY, since, until) or 0)
        # What is placed now counts at the next look, which reads no hour again that is over.
        await tx.execute(ONE_MORE, now + timedelta(minutes=600))
        until = now + timedelta(minutes=601)
        since = (until - timedelta(days=5)).replace(minute=0, second=0, microsecond=0)
        expected = await tx.fetchval(WITHOUT_MEMORY, since, until)
        await tx.execute("DELETE FROM orders WHERE id < 99999")
        assert sum((await looked.asked_for(tx, since, until)).values()) == expected
        # Nobody keeps what is too old to be asked for.
        late = until + HOUR * (KEPT_MAX + 48)
        await looked.asked_for(tx, late - HOUR, late)
        assert len(looked._hours._known) <= 1
