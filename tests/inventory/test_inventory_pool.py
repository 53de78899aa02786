"""Allocation: first-expiring-first, never twice, never expired, whoever else is at it."""

import asyncio
import contextlib
import multiprocessing
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from rewards.catalog.model import ShelfKey
from rewards.infra.crypto import SealBroken
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.inventory import service, sql
from rewards.inventory.model import BlockReason, Need, Taken
from rewards.inventory.service import PoolHints
from tests.counting import statements
from tests.inventory.stock_builder import NOW, SHELF, StandingClock, Stock

OTHER = ShelfKey(7, 1000, "EUR")


async def test_the_reader_answers_without_a_transaction(stock: Stock) -> None:
    await stock.add([stock.new(days=d) for d in (-1, 1, 2)])
    reader = service.PoolReader(stock.db, StandingClock())
    assert await reader.depth([OTHER, SHELF]) == [0, 2]
    assert await reader.product_depth([6, 7]) == {6: 1, 7: 0}
    assert await reader.depth([]) == []
    assert await reader.product_depth([]) == {}


class Undone(Exception):
    """Rolls a transaction back."""


async def take(
    db: Database, needs: Sequence[Need], hints: PoolHints | None = None
) -> list[list[Taken]]:
    return await db.run(lambda tx: service.allocate(tx, needs, NOW, hints))


def ids(hands: Sequence[Sequence[Taken]]) -> list[list[int]]:
    return [[unit.unit_id for unit in hand] for hand in hands]


async def test_units_leave_in_the_order_of_their_expiry(stock: Stock) -> None:
    units = [stock.new(days=days) for days in (30, None, 10, 20, 10)]
    a, b, c, d, e = await stock.add(units)
    [hand] = await take(stock.db, [Need(SHELF, 10)])
    assert [unit.unit_id for unit in hand] == [c, e, d, a, b]
    assert [unit.expires_at for unit in hand] == [units[i].expires_at for i in (2, 4, 3, 0, 1)]
    assert set(await stock.states([a, b, c, d, e])) == {"DELIVERED"}
    assert await take(stock.db, [Need(SHELF, 1)]) == [[]]


async def test_what_is_taken_opens_to_what_was_stored(stock: Stock) -> None:
    await stock.fill(3)
    [hand] = await take(stock.db, [Need(SHELF, 3)])
    opened = await service.open_units(stock.vault, hand)
    assert opened == [stock.codes[unit.unit_id] for unit in hand]
    with pytest.raises(SealBroken):
        await service.open_units(stock.vault, [hand[0]._replace(sealed=hand[1].sealed)])


async def test_expired_and_waiting_units_are_never_taken(stock: Stock) -> None:
    await stock.add([stock.new(days=-1), stock.new(days=0)])
    await stock.add([stock.new(days=5)], loaded=False)
    before = await stock.dump()
    assert await take(stock.db, [Need(SHELF, 3)]) == [[]]
    assert await stock.dump() == before
    async with stock.db.transaction() as tx:
        moment_before = NOW - timedelta(microseconds=1)
        [[last]] = await service.allocate(tx, [Need(SHELF, 3)], moment_before)
    assert last.expires_at == NOW


async def test_needs_of_one_batch_on_one_shelf_share_no_unit(stock: Stock) -> None:
    unit_ids = await stock.fill(5)
    await stock.fill(2, OTHER)
    needs = [
        Need(SHELF, 2),
        Need(OTHER, 5, all_or_nothing=True),
        Need(SHELF, 9, all_or_nothing=True),
        Need(OTHER, 1),
        Need(SHELF, 4),
    ]
    hands = ids(await take(stock.db, needs))
    assert [len(hand) for hand in hands] == [2, 0, 0, 1, 3]
    assert hands[0] + hands[4] == unit_ids


async def test_what_all_or_nothing_left_is_still_for_sale(stock: Stock) -> None:
    await stock.fill(2)
    before = await stock.dump()
    assert await take(stock.db, [Need(SHELF, 3, all_or_nothing=True)]) == [[]]
    assert await stock.dump() == before
    assert len((await take(stock.db, [Need(SHELF, 3)]))[0]) == 2


async def test_a_rolled_back_sale_leaves_everything_on_the_shelf(stock: Stock) -> None:
    await stock.fill(2)
    before = await stock.dump()
    with contextlib.suppress(Undone):
        async with stock.db.transaction() as tx:
            assert len((await service.allocate(tx, [Need(SHELF, 2)], NOW))[0]) == 2
            raise Undone
    assert await stock.dump() == before


async def test_another_sale_in_progress_is_skipped_not_waited_for(stock: Stock) -> None:
    first, second = await stock.fill(2)
    async with stock.db.transaction() as one, stock.db.transaction() as two:
        assert ids(await service.allocate(one, [Need(SHELF, 1)], NOW)) == [[first]]
        assert ids(await service.allocate(two, [Need(SHELF, 2)], NOW)) == [[second]]


async def test_a_hundred_askers_for_one_unit_have_one_winner(stock: Stock) -> None:
    for _ in range(5):
        await stock.fill(1)
        hands = await asyncio.gather(*(take(stock.db, [Need(SHELF, 1)]) for _ in range(100)))
        assert sum(len(hand) for [hand] in hands) == 1


def _sell_in_a_process(dsn: str, seed: int, sold: str) -> None:
    async def run() -> None:
        db = await Database.connect(dsn, Settings(), size=4)
        rng = random.Random(seed)
        hints = PoolHints()
        found: list[int] = []

        async def seller() -> None:
            while True:
                needs = [Need(SHELF, rng.randint(1, 9), rng.random() < 0.3) for _ in range(4)]
                hands = await take(db, [*needs, Need(SHELF, 1)], hints)
                found.extend(unit_id for hand in ids(hands) for unit_id in hand)
                if not hands[-1]:
                    return

        await asyncio.gather(*(seller() for _ in range(4)))
        await db.close()
        Path(sold).write_text("\n".join(map(str, found)))

    asyncio.run(run())


async def test_two_processes_never_sell_a_unit_twice(
    stock: Stock, dsn: str, tmp_path: Path
) -> None:
    unit_ids = await stock.fill(1500)
    spawn = multiprocessing.get_context("spawn")
    files = [tmp_path / f"sold{n}" for n in range(2)]
    sellers = [
        spawn.Process(target=_sell_in_a_process, args=(dsn, n, str(file)))
        for n, file in enumerate(files)
    ]
    for seller in sellers:
        seller.start()
    for seller in sellers:
        await asyncio.to_thread(seller.join, 60)
        assert seller.exitcode == 0
    sold = [int(line) for file in files for line in file.read_text().split()]
    # A pick may come short because the other process holds rows it then leaves, so the last few
    # may stay; none is sold twice, and the books agree.
    assert len(sold) == len(set(sold))
    left = [unit_id for unit_id in unit_ids if unit_id not in set(sold)]
    assert set(await stock.states(left)) <= {"AVAILABLE"}
    assert set(await stock.states(sold)) == {"DELIVERED"}
    async with stock.db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM shelf") == len(left)


async def test_a_unit_is_sold_or_blocked_but_not_both(stock: Stock) -> None:
    for _ in range(20):
        unit_ids = await stock.fill(4)

        async def block(unit_ids: list[int] = unit_ids) -> list[bool]:
            work = lambda tx: service.block(tx, unit_ids, BlockReason.STAFF, NOW)  # noqa: E731
            return await stock.db.run(work)

        blocked, [hand] = await asyncio.gather(block(), take(stock.db, [Need(SHELF, 3)]))
        winners = {i for i, won in zip(unit_ids, blocked, strict=True) if won}
        assert winners.isdisjoint(unit.unit_id for unit in hand)
        assert len(winners) + len(hand) == 4 or len(hand) <= 3
        for unit_id, state in zip(unit_ids, await stock.states(unit_ids), strict=True):
            if unit_id in winners:
                assert state == "BLOCKED"
        await take(stock.db, [Need(SHELF, 4)])


async def test_blocking_waits_for_a_sale_and_loses_to_it(stock: Stock) -> None:
    unit_ids = await stock.fill(2)
    async with stock.db.transaction() as sale:
        await service.allocate(sale, [Need(SHELF, 1)], NOW)
        blocking = asyncio.create_task(
            stock.db.run(lambda tx: service.block(tx, unit_ids, BlockReason.STAFF, NOW))
        )
        await asyncio.sleep(0.1)
        assert not blocking.done()
    assert await blocking == [False, True]
    assert await stock.states(unit_ids) == ["DELIVERED", "BLOCKED"]


async def test_blocking_wins_when_the_sale_rolls_back(stock: Stock) -> None:
    unit_ids = await stock.fill(1)
    with contextlib.suppress(Undone):
        async with stock.db.transaction() as sale:
            await service.allocate(sale, [Need(SHELF, 1)], NOW)
            blocking = asyncio.create_task(
                stock.db.run(lambda tx: service.block(tx, unit_ids, BlockReason.STAFF, NOW))
            )
            await asyncio.sleep(0.1)
            raise Undone
    assert await blocking == [True]
    assert await stock.states(unit_ids) == ["BLOCKED"]


async def test_depth_counts_what_allocation_could_take(stock: Stock) -> None:
    await stock.add([stock.new(days=d) for d in (-1, 0, 1, 2, None)])
    await stock.add([stock.new(days=9)], loaded=False)
    await stock.fill(2, OTHER)
    absent = ShelfKey(6, 2501, "USD")
    async with stock.db.connection() as connection:
        assert await service.depth(connection, [SHELF, absent, OTHER], NOW) == [3, 0, 2]
        assert await service.depth(connection, [SHELF], NOW, count_max=2) == [2]
        assert await service.product_depth(connection, [7, 99, 6], NOW) == [1, 0, 1]
        assert await service.product_depth(connection, [7, 99, 6], NOW, 100) == [2, 0, 3]
        assert await service.depth(connection, [], NOW) == []
    [hand] = await take(stock.db, [Need(SHELF, 10)])
    assert len(hand) == 3


async def counted(
    db: Database, needs: Sequence[Need], hints: PoolHints | None = None
) -> tuple[list[list[Taken]], list[str]]:
    async with db.transaction() as tx:
        with statements(tx) as sent:
            hands = await service.allocate(tx, needs, NOW, hints)
    return hands, sent


async def test_an_allocation_is_two_statements_and_a_miss_is_one(stock: Stock) -> None:
    await stock.fill(200)
    await stock.fill(50, OTHER)
    hints = PoolHints()
    pick, both = [sql.PICK_UNITS], [sql.PICK_UNITS, sql.TAKE_UNITS]
    for needs in ([Need(SHELF, 1)], [Need(SHELF, 1), Need(OTHER, 2)] * 20):
        assert (await counted(stock.db, needs, hints))[1] == both
    nothing = ShelfKey(9, 1, "USD")
    assert await counted(stock.db, [Need(nothing, 1)], hints) == ([[]], pick)
    assert await counted(stock.db, [], hints) == ([], [])


async def test_a_stale_hint_costs_one_statement_and_no_unit(stock: Stock) -> None:
    now_s = 100.0
    hints = PoolHints(lambda: now_s)
    late = await stock.fill(3, days=50)
    assert ids(await take(stock.db, [Need(SHELF, 1)], hints)) == [late[:1]]
    early = await stock.fill(2, days=10)
    # Within a second the scan goes on where it was; then, or when short, it begins at the front.
    assert ids(await take(stock.db, [Need(SHELF, 1)], hints)) == [late[1:2]]
    hands, sent = await counted(stock.db, [Need(SHELF, 2)], hints)
    assert ids(hands) == [early]
    assert sent == [sql.PICK_UNITS, sql.PICK_UNITS, sql.TAKE_UNITS]
    assert ids(await take(stock.db, [Need(SHELF, 9)], hints)) == [late[2:]]
    assert await counted(stock.db, [Need(SHELF, 1)], hints) == ([[]], [sql.PICK_UNITS] * 2)
    assert await counted(stock.db, [Need(SHELF, 1)], hints) == ([[]], [sql.PICK_UNITS])


async def test_units_that_all_or_nothing_left_are_still_the_first_to_go(stock: Stock) -> None:
    hints = PoolHints()
    early = await stock.fill(2, days=10)
    assert ids(await take(stock.db, [Need(SHELF, 3, all_or_nothing=True)], hints)) == [[]]
    late = await stock.fill(2, days=50)
    assert ids(await take(stock.db, [Need(SHELF, 2)], hints)) == [early]
    assert ids(await take(stock.db, [Need(SHELF, 2)], hints)) == [late]


async def test_a_hint_lives_a_second_however_often_it_moves(stock: Stock) -> None:
    now_s = 100.0
    hints = PoolHints(lambda: now_s)
    await stock.fill(10, days=50)
    for _ in range(3):
        await take(stock.db, [Need(SHELF, 1)], hints)
        now_s += 0.4
    early = await stock.fill(1, days=10)
    assert ids(await take(stock.db, [Need(SHELF, 1)], hints)) == [early]


async def test_a_hint_that_has_expired_meanwhile_starts_no_scan(stock: Stock) -> None:
    hints = PoolHints()
    await stock.add([stock.new(days=1), stock.new(days=1), stock.new(days=3)])
    await take(stock.db, [Need(SHELF, 1)], hints)
    async with stock.db.transaction() as tx:
        later = NOW + timedelta(days=2)
        [[unit]] = await service.allocate(tx, [Need(SHELF, 1)], later, hints)
    assert unit.expires_at == NOW + timedelta(days=3)


def plan_of(rows: Sequence[asyncpg.Record]) -> str:
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("rows", [0, 30_000])
async def test_the_pool_index_bounds_the_scan(db: Database, rows: int) -> None:
    """The start of the scan is an index condition, on an empty table without statistics as well."""
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO shelf"
            " (unit_id, product_id, denomination_minor, currency, expires_at, loaded)"
            " SELECT n, 1 + n % 3, 2500, 'USD', '2030-01-01'::timestamptz + n * interval '1 hour',"
            " true FROM generate_series(1, $1) AS n",
            rows,
        )
        await tx.execute("SET LOCAL plan_cache_mode = 'force_generic_plan'")
        types = "bigint[], bigint[], text[], bigint[], timestamptz[], bigint[]"
        await tx.execute(f"PREPARE pick ({types}) AS {sql.PICK_UNITS}")
        execute = "EXPLAIN EXECUTE pick ('{1}', '{2500}', '{USD}', '{64}', '{2029-01-01}', '{7}')"
        plan = plan_of(await tx.fetch(execute))
        await tx.execute(f"PREPARE take (bigint[]) AS {sql.TAKE_UNITS}")
        take_plan = plan_of(await tx.fetch("EXPLAIN EXECUTE take ('{1,2,3}')"))
        await tx.execute("DEALLOCATE ALL")
    assert "Index Scan using shelf_pool_idx on shelf" in plan
    condition = next(line for line in plan.splitlines() if "Index Cond" in line)
    assert "ROW(s.expires_at, s.unit_id) > ROW(" in condition or "ROW(expires_at" in condition
    assert "Sort" not in plan
    assert "Seq Scan" not in take_plan
