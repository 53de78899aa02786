"""The pump: fills to the target, sweeps what ends, makes no sale wait, and says what it did."""

import asyncio
import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Database
from rewards.inventory import pump as pump_module
from rewards.inventory import service, sql_pump
from rewards.inventory.model import Need, PumpReport, ShelfPumped
from tests.inventory.stock_builder import NOW, SHELF, Shop, StandingClock, Stock, product

FIFTY = ShelfKey(6, 5000, "USD")
OTHER = ShelfKey(7, 2500, "USD")


async def run(stock: Stock, shop: Shop, product_ids: list[int] | None = None) -> PumpReport:
    return await service.pump(stock.db, shop, StandingClock(), product_ids)


def did(report: PumpReport, shelf: ShelfKey = SHELF) -> ShelfPumped:
    [one] = [done for done in report.shelves if done.shelf == shelf]
    return one


async def shelf_depth(stock: Stock, shelf: ShelfKey = SHELF) -> int:
    async with stock.db.connection() as connection:
        return (await service.depth(connection, [shelf], NOW))[0]


async def test_before_the_first_pump_a_product_misses(stock: Stock) -> None:
    await stock.add([stock.new()], loaded=False)
    async with stock.db.transaction() as tx:
        assert await service.allocate(tx, [Need(SHELF, 1)], NOW) == [[]]
    report = await run(stock, Shop())
    assert report.arrived == [SHELF]
    async with stock.db.transaction() as tx:
        [[unit]] = await service.allocate(tx, [Need(SHELF, 1)], NOW)
    assert unit.unit_id


async def test_each_shelf_is_filled_to_the_target_with_what_ends_first(stock: Stock) -> None:
    days = [30, 10, None, 20, 40]
    a, b, c, d, e = await stock.add([stock.new(days=n) for n in days], loaded=False)
    await stock.add([stock.new(FIFTY)], loaded=False)
    shop = Shop(product(pool_target=3))
    report = await run(stock, shop)
    assert did(report) == ShelfPumped(SHELF, 3, loaded=3, depth=3, waiting=2)
    assert did(report, FIFTY) == ShelfPumped(FIFTY, 3, loaded=1, depth=1)
    async with stock.db.transaction() as tx:
        [hand] = await service.allocate(tx, [Need(SHELF, 2)], NOW)
    assert [unit.unit_id for unit in hand] == [b, d]
    report = await run(stock, shop)
    assert did(report) == ShelfPumped(SHELF, 3, loaded=2, depth=3)
    assert report.arrived == [SHELF]
    async with stock.db.transaction() as tx:
        [hand] = await service.allocate(tx, [Need(SHELF, 3)], NOW)
    assert [unit.unit_id for unit in hand] == [a, e, c]
    assert await stock.breaches() == {}


async def test_a_pump_with_nothing_to_do_changes_nothing(stock: Stock) -> None:
    await stock.fill(3)
    await stock.add([stock.new()], loaded=False)
    before = await stock.dump()
    report = await run(stock, Shop(product(pool_target=2)))
    assert report.arrived == []
    assert await stock.dump() == before


async def test_what_ends_too_soon_is_swept_and_never_loaded(stock: Stock) -> None:
    over = [stock.new(days=-1), stock.new(days=0)]
    short, enough = [stock.new(days=9), stock.new(days=10)], stock.new(days=10.01)
    loaded = await stock.add([*over, *short, enough])
    waiting = await stock.add([stock.new(days=n) for n in (0, 10, 11)], loaded=False)
    report = await run(stock, Shop(product(minimum_life_days=10)))
    expected = ShelfPumped(SHELF, 1000, loaded=1, expired=3, short_lived=3, depth=2)
    assert did(report) == expected
    blocked = ["BLOCKED"] * 4 + ["AVAILABLE"]
    assert await stock.states(loaded) == blocked
    assert await stock.states(waiting) == ["BLOCKED", "BLOCKED", "AVAILABLE"]
    async with stock.db.connection() as connection:
        why = await connection.fetch("SELECT reason, count(*) FROM blocked_units GROUP BY 1")
        [line] = await service.depth_report(connection, Shop(), NOW, 10)
    assert dict(why) == {"EXPIRED": 3, "SHORT_LIFE": 3}
    assert (line.loaded, line.waiting, line.blocked, line.target) == (2, 0, 6, 1000)
    assert line.next_expiry_at == enough.expires_at
    assert await stock.breaches() == {}


async def test_units_of_a_blocked_batch_are_held_back(stock: Stock) -> None:
    bad = await stock.batch("VENDOR")
    await service.block_batch(stock.db, bad, NOW)
    # An import or a release may still add to it after the block.
    held = await stock.add([stock.new(days=1), stock.new(days=2)], loaded=False, batch_id=bad)
    good = await stock.add([stock.new(days=3), stock.new(days=4)], loaded=False)
    report = await run(stock, Shop(product(pool_target=2)))
    assert did(report) == ShelfPumped(SHELF, 2, loaded=2, held_back=2, depth=2)
    assert await stock.states(held + good) == ["BLOCKED"] * 2 + ["AVAILABLE"] * 2
    assert await service.unblock_batch(stock.db, bad, NOW) == 2
    assert await stock.breaches() == {}


async def test_only_the_named_products_are_pumped(stock: Stock) -> None:
    await stock.add([stock.new(), stock.new(OTHER)], loaded=False)
    shop = Shop(product(6), product(7))
    assert (await run(stock, shop, [7])).arrived == [OTHER]
    assert await shelf_depth(stock) == 0
    assert (await run(stock, shop, [])).shelves == []
    assert (await run(stock, shop)).arrived == [SHELF]


async def test_inactive_and_unknown_products_are_not_loaded(stock: Stock) -> None:
    await stock.add([stock.new(), stock.new(OTHER)], loaded=False)
    report = await run(stock, Shop(product(6, active=False)))
    assert report.arrived == []
    assert [done.waiting for done in report.shelves] == [1, 1]


async def test_many_chunks_reach_the_target_exactly(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "CHUNK_UNITS", 7)
    await stock.add([stock.new(days=n % 40) for n in range(100)], loaded=False)
    report = await run(stock, Shop(product(pool_target=60, minimum_life_days=5)))
    expected = ShelfPumped(SHELF, 60, loaded=60, expired=3, short_lived=15, depth=60, waiting=22)
    assert did(report) == expected


async def test_pumps_at_once_never_load_past_the_target(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "CHUNK_UNITS", 10)
    shop = Shop(product(pool_target=50))
    for _ in range(5):
        await stock.add([stock.new(days=9) for _ in range(120)], loaded=False)
        reports = await asyncio.gather(*(run(stock, shop) for _ in range(4)))
        assert await shelf_depth(stock) <= 50
        assert sum(did(report).loaded for report in reports) <= 50
        await run(stock, shop)
        assert await shelf_depth(stock) == 50
        async with stock.db.transaction() as tx:
            await service.allocate(tx, [Need(SHELF, 50)], NOW)
    assert await stock.breaches() == {}


async def test_a_pump_and_sales_do_not_wait_for_each_other(stock: Stock) -> None:
    first, second = await stock.add([stock.new(days=-1), stock.new(days=5)])
    third, _ = await stock.add([stock.new(days=6), stock.new(days=7)], loaded=False)
    async with stock.db.transaction() as sale:
        # Holds the expired row and the good one, as a sale whose clock is a little behind would.
        earlier = NOW - timedelta(days=2)
        [hand] = await service.allocate(sale, [Need(SHELF, 2)], earlier)
        assert [unit.unit_id for unit in hand] == [first, second]
        report = await asyncio.wait_for(run(stock, Shop(product(pool_target=2))), timeout=5)
        assert did(report).expired == 0
        assert did(report).loaded == 1
    async with stock.db.transaction() as pumping:
        sound, _ = await sql_pump.pick_waiting(pumping, SHELF, NOW, 10)
        assert sound
        async with stock.db.transaction() as sale:
            [hand] = await service.allocate(sale, [Need(SHELF, 5)], NOW)
            assert [unit.unit_id for unit in hand] == [third]
    assert await stock.breaches() == {}


async def test_the_report_is_json(stock: Stock) -> None:
    await stock.add([stock.new()], loaded=False)
    facts = json.loads(json.dumps((await run(stock, Shop())).facts()))
    assert facts["at"] == NOW.isoformat()
    [shelf] = facts["shelves"]
    assert shelf["shelf"] == {"product_id": 6, "denomination_minor": 2500, "currency": "USD"}
    assert (shelf["loaded"], shelf["depth"], shelf["busy"]) == (1, 1, False)


stocks = st.lists(
    st.tuples(
        st.sampled_from([SHELF, FIFTY, OTHER]),
        st.integers(-3, 12) | st.none(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=25,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(units=stocks, target=st.integers(0, 6), life=st.integers(0, 8))
async def test_whatever_the_stock_a_pump_leaves_a_sound_pool(
    stock: Stock,
    units: list[tuple[ShelfKey, int | None, bool, bool]],
    target: int,
    life: int,
) -> None:
    async with stock.db.transaction() as tx:
        await tx.execute("TRUNCATE units, shelf, blocked_units")
    bad = await stock.batch("VENDOR")
    async with stock.db.transaction() as tx:
        await tx.execute("UPDATE batches SET status = 'BLOCKED' WHERE id = $1", bad)
    good = await stock.batch("VENDOR")
    for shelf, days, loaded, sound in units:
        new = [stock.new(shelf, days)]
        await stock.add(new, loaded=loaded and sound, batch_id=good if sound else bad)
    shop = Shop(*(product(n, pool_target=target, minimum_life_days=life) for n in (6, 7)))
    report = await run(stock, shop)
    again = await run(stock, shop)
    assert again.arrived == []
    for shelf in (SHELF, FIFTY, OTHER):
        mine = [unit for unit in units if unit[0] == shelf]
        lives = [u for u in mine if u[1] is None or u[1] > life]
        was_loaded = sum(u[2] and u[3] for u in lives)
        sellable = sum(u[3] for u in lives)
        depth = max(was_loaded, min(target, sellable))
        assert await shelf_depth(stock, shelf) == depth
        if mine:
            assert did(report, shelf).loaded == depth - was_loaded
    assert await stock.breaches() == {}


async def test_the_pump_uses_its_indexes_without_statistics(db: Database) -> None:
    plans = []
    statements = {
        sql_pump.PICK_WAITING: "(1, 1, 'USD', now(), 1, 100)",
        sql_pump.PICK_ENDING_LOADED: "(1, 1, 'USD', now(), 100)",
        sql_pump.PICK_ENDING_WAITING: "(1, 1, 'USD', now(), 100)",
        sql_pump.LOAD_UNITS: "('{1,2}')",
    }
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL plan_cache_mode = 'force_generic_plan'")
        for statement, values in statements.items():
            await tx.execute(f"PREPARE one AS {statement}")
            rows = await tx.fetch(f"EXPLAIN EXECUTE one {values}")
            plans.append("\n".join(row[0] for row in rows))
            await tx.execute("DEALLOCATE one")
    for plan in plans:
        assert "Seq Scan on shelf" not in plan
        assert "Seq Scan on units" not in plan
