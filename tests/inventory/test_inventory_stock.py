"""What staff are told of the shelves: exact as far as it is counted, and never more looked at."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards.catalog.model import ShelfKey
from rewards.infra.db import Tx
from rewards.inventory import service, sql, sql_shelves
from rewards.inventory import stock as stock_module
from rewards.inventory.model import ShelfDepth, UnitState
from tests.inventory.stock_builder import NOW, SHELF, Shop, Stock, product

FIFTY = ShelfKey(6, 5000, "USD")
OTHER = ShelfKey(7, 2500, "USD")
# Rows of the shelf alone: what stands behind them is asked by nobody here.
FILL = """
INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at, loaded)
SELECT n, 1 + n % $2, 2500, 'USD', 'infinity', n % 10 < $3 FROM generate_series(1, $1::bigint) AS n
"""
FILL_BLOCKED = """
INSERT INTO blocked_units (unit_id, product_id, denomination_minor, currency, reason, blocked_at)
SELECT -n, 1 + n % $2, 2500, 'USD', 'STAFF', now() FROM generate_series(1, $1::bigint) AS n
"""
# What grows with the stock, and a moment at which nobody knows yet how much there is of it.
UNITS, SHELVES = 60_000, 30
MOST = 100


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are counted no further than to MOST."""
    monkeypatch.setattr(stock_module, "COUNT_MAX", MOST)


async def fill(tx: Tx, units: int, shelves: int, loaded_tenths: int = 1) -> None:
    await tx.execute(FILL, units, shelves, loaded_tenths)
    await tx.execute(FILL_BLOCKED, units // 10, shelves)


async def test_the_stock_report_counts_every_shelf(stock: Stock) -> None:
    await stock.add([stock.new(days=n) for n in (-1, 5, 3)])
    await stock.add([stock.new()], loaded=False)
    await stock.add([stock.new(FIFTY)], UnitState.BLOCKED)
    await stock.fill(2, OTHER, days=None)
    async with stock.db.connection() as connection:
        lines = await service.depth_report(connection, Shop(), NOW, 10)
        some = await service.depth_report(connection, Shop(), NOW, 10, product_id=7)
        none = await service.depth_report(connection, Shop(), NOW, 10, product_id=8)
    assert lines == [
        ShelfDepth(SHELF, 2, 1, 0, 1000, NOW + timedelta(days=3), 10_000),
        ShelfDepth(FIFTY, 0, 0, 1, 1000, None, 10_000),
        ShelfDepth(OTHER, 2, 0, 0, None, None, 10_000),
    ]
    assert (some, none) == (lines[2:], [])


async def test_each_number_is_exact_up_to_where_it_is_counted(stock: Stock, few: None) -> None:
    """One less than that is told as it is; that many, or more, as that many."""
    async with stock.db.transaction() as tx:
        for product_id, units in enumerate((MOST - 1, MOST, MOST + 1), 6):
            for loaded in (True, False):
                await tx.execute(
                    "INSERT INTO shelf (unit_id, product_id, denomination_minor, currency,"
                    " expires_at, loaded) SELECT $1 * 10000 + n + $3::int * 1000, $1, 2500, 'USD',"
                    " 'infinity', $3::int = 1 FROM generate_series(1, $2::bigint) AS n",
                    *(product_id, units, int(loaded)),
                )
        shop = Shop(*(product(n, pool_target=10) for n in (6, 7, 8)))
        told = await service.depth_report(tx, shop, NOW, 10)
        exact = await service.depth_report(tx, shop, NOW, 10, exact=True)
        # Where the pool should hold more, it is said how much of that it holds.
        deep = Shop(*(product(n, pool_target=MOST + 1) for n in (6, 7, 8)))
        to_target = await service.depth_report(tx, deep, NOW, 10)
    counted = [(line.loaded, line.waiting, line.counted_to) for line in told]
    assert counted == [(99, 99, 100), (100, 100, 100), (100, 100, 100)]
    assert [(line.loaded, line.counted_to) for line in exact] == [
        (99, None),
        (100, None),
        (101, None),
    ]
    assert [(line.loaded, line.counted_to) for line in to_target] == [
        (99, 101),
        (100, 101),
        (101, 101),
    ]


async def test_the_pages_of_the_report_are_every_shelf_once(stock: Stock) -> None:
    async with stock.db.transaction() as tx:
        await fill(tx, 700, 23)
        whole = await service.depth_report(tx, Shop(), NOW, 100)
        pages: list[list[ShelfDepth]] = []
        after = None
        while not pages or len(pages[-1]) == 5:
            pages.append(await service.depth_report(tx, Shop(), NOW, 5, after=after))
            after = pages[-1][-1].shelf if pages[-1] else after
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert [line for page in pages for line in page] == whole
    assert [line.shelf.product_id for line in whole] == list(range(1, 24))
    assert sum(line.loaded + line.waiting for line in whole) == 700


async def test_a_page_of_one_product_ends_with_it(stock: Stock) -> None:
    await stock.add([stock.new(), stock.new(FIFTY), stock.new(OTHER)], loaded=False)
    async with stock.db.connection() as tx:
        behind = await service.depth_report(tx, Shop(), NOW, 5, after=SHELF, product_id=6)
        before = await service.depth_report(tx, Shop(), NOW, 5, after=SHELF, product_id=7)
        past = await service.depth_report(tx, Shop(), NOW, 5, after=OTHER, product_id=6)
        assert await service.in_stock(tx, [7, 6]) == [SHELF, FIFTY, OTHER]
        assert await service.in_stock(tx, [7]) == [OTHER]
        assert await service.in_stock(tx, []) == []
    assert [line.shelf for line in behind] == [FIFTY]
    assert [line.shelf for line in before] == [OTHER]
    assert past == []


SHELF_KEYS = st.builds(
    ShelfKey, st.integers(1, 4), st.integers(1, 3), st.sampled_from(["EUR", "USD"])
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    loaded=st.lists(SHELF_KEYS, max_size=12),
    waiting=st.lists(SHELF_KEYS, max_size=12),
    blocked=st.lists(SHELF_KEYS, max_size=12),
    most=st.integers(1, 4),
)
async def test_whatever_the_stock_its_report_is_what_counting_it_all_says(
    stock: Stock,
    loaded: list[ShelfKey],
    waiting: list[ShelfKey],
    blocked: list[ShelfKey],
    most: int,
) -> None:
    async with stock.db.transaction() as tx:
        await tx.execute("TRUNCATE shelf, blocked_units")
        for n, (key, in_pool) in enumerate(
            [(k, True) for k in loaded] + [(k, False) for k in waiting]
        ):
            await tx.execute(
                "INSERT INTO shelf VALUES ($1, $2, $3, $4, 'infinity', $5)", n, *key, in_pool
            )
        for n, key in enumerate(blocked):
            await tx.execute(
                "INSERT INTO blocked_units VALUES ($1, $2, $3, $4, 'STAFF', now())", n, *key
            )
        keys = sorted({*loaded, *waiting, *blocked})
        report = await service.depth_report(tx, Shop(), NOW, 100)
        for_sale = await service.for_sale(tx, keys, [most] * len(keys), NOW)
        pumped = await sql_shelves.find(tx, sql_shelves.FOR_SALE, 100)
    assert [(line.shelf, line.loaded, line.waiting, line.blocked) for line in report] == [
        (key, loaded.count(key), waiting.count(key), blocked.count(key)) for key in keys
    ]
    assert for_sale == [min(loaded.count(key) + waiting.count(key), most) for key in keys]
    assert pumped == sorted({*loaded, *waiting})


async def test_what_is_looked_at_does_not_grow_with_the_stock(stock: Stock, few: None) -> None:
    """Each of the statements, as it is run: entries of indexes, and none but those it tells of."""
    async with stock.db.transaction() as tx:
        await fill(tx, UNITS, SHELVES)
        await tx.execute("ANALYZE shelf, blocked_units")
        keys = await sql_shelves.find(tx, sql_shelves.IN_STOCK, 10)
        assert len(keys) == 10
        most = [MOST] * len(keys)
        walked = (*sql_shelves.FIRST, sql_shelves.PRODUCT_LAST, len(keys))
        # A probe of each index for each shelf, and at its end; then so many units of each sort.
        asked: dict[str, tuple[tuple[object, ...], int]] = {
            sql_shelves.IN_POOL: (walked, len(keys) + 1),
            sql_shelves.FOR_SALE: (walked, 2 * (len(keys) + 1)),
            sql_shelves.IN_STOCK: (walked, 3 * (len(keys) + 1)),
            sql_shelves.COUNT_UNITS: ((*sql.columns(keys), most, NOW), (3 * MOST + 1) * len(keys)),
            sql_shelves.COUNT_FOR_SALE: ((*sql.columns(keys), most, NOW), MOST * len(keys)),
            sql.COUNT_POOL: ((*sql.columns(keys), most, NOW), MOST * len(keys)),
        }
        for statement, (values, looked_at_max) in asked.items():
            for mode in ("force_custom_plan", "force_generic_plan"):
                await tx.execute(f"SET LOCAL plan_cache_mode = '{mode}'")
                plan = await explained(tx, statement, values)
                scans = [node for node in nodes(plan) if "Relation Name" in node]
                assert scans
                assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan"}
                assert 0 < sum(looked_at(node) for node in scans) <= looked_at_max, statement


async def test_shelves_are_found_by_index_without_statistics(stock: Stock) -> None:
    async with stock.db.transaction() as tx:
        walked = (*sql_shelves.FIRST, sql_shelves.PRODUCT_LAST, 10)
        for walk in (sql_shelves.IN_POOL, sql_shelves.FOR_SALE, sql_shelves.IN_STOCK):
            scans = [
                node for node in nodes(await explained(tx, walk, walked)) if "Relation Name" in node
            ]
            assert scans
            assert not [node for node in scans if node["Node Type"] == "Seq Scan"]


async def explained(tx: Tx, statement: str, values: tuple[object, ...]) -> dict[str, Any]:
    text = await tx.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", *values)
    plan: dict[str, Any] = (json.loads(text) if isinstance(text, str) else text)[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def looked_at(node: dict[str, Any]) -> float:
    rows: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return rows * float(node["Actual Loops"])
