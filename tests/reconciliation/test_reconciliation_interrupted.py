"""Runs that are killed, taken over, or kept waiting by a vendor; and days that were missed."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from rewards.reconciliation import own_books, sql
from rewards.reconciliation.turns import LEASE_S, TakenOver, Turn
from rewards.vendors.simulators.faults import Fault
from tests.reconciliation.bookkeeping import Books

ROOT = Path(__file__).parents[2]
EXPIRE = (
    "UPDATE reconciliation_runs SET leased_until = now() - interval '1 second'"
    " WHERE lease IS NOT NULL"
)


async def killed_after(books: Books, dsn: str, home: Path, steps: int) -> None:
    """A process that reconciles the day, killed as soon as it has told so many steps."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.reconciliation.reconciling_process"),
        *(dsn, str(home), str(books.day), str(books.clock.ahead.total_seconds())),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src:."},
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    for _ in range(steps):
        async with asyncio.timeout(60):
            assert await child.stdout.readline(), "it ended before it was killed"
    child.kill()
    await child.wait()


@pytest.mark.parametrize("steps", [1, 3])
async def test_a_killed_run_is_gone_on_with_and_nothing_is_done_twice(
    books: Books, dsn: str, tmp_path: Path, steps: int
) -> None:
    orders = [await books.pooled(1) for _ in range(12)]
    await killed_after(books, dsn, tmp_path, steps)
    done = [await books.state(order.id) for order in orders]
    assert "DELIVERED·COMPLETED" in done, "it was killed before it was through"
    [*_, ours] = await books.reconcile(turns_max=1)
    assert not ours.done, "the dead process still has the lease"
    await books.write(EXPIRE)
    [*_, ours] = await books.reconcile()
    assert (ours.done, ours.orders, ours.reconciled, ours.drifts) == (True, 12, 12, 0)
    for order in orders:
        assert (await books.market.shop.path(order.id)).count("DELIVERED·RECONCILED") == 1
    assert await books.market.shop.broken() == {}


async def test_who_lost_the_lease_writes_nothing(books: Books) -> None:
    await books.pooled(1)
    [*_, ours] = await books.reconciling.open(books.day)
    db = books.market.shop.parts.db
    slow = Turn(db, books.market.adapters, books.clock, uuid4())
    async with db.transaction() as tx:
        run = await sql.lease(tx, ours.id, slow.token, LEASE_S)
    assert run is not None
    run = await own_books.orders_of_day(slow, run)
    await books.write(EXPIRE)
    await books.reconcile()
    before = await books.everything()
    with pytest.raises(TakenOver):
        await own_books.orders_of_day(slow, run)
    assert await books.everything() == before


async def test_two_at_once_reconcile_each_order_once(books: Books) -> None:
    orders = [await books.pooled(1) for _ in range(5)]
    await asyncio.gather(*(books.reconcile() for _ in range(3)))
    for order in orders:
        assert (await books.market.shop.path(order.id)).count("DELIVERED·RECONCILED") == 1
    assert await books.market.shop.broken() == {}


@pytest.mark.parametrize("lists", [True, False])
async def test_a_vendor_that_is_away_is_asked_again_and_its_orders_wait(
    books: Books, lists: bool
) -> None:
    bought, pooled = await books.bought(1), await books.pooled(1)
    books.lists(lists)
    call = "book" if lists else "read"
    books.market.script(*[Fault.ERROR_BEFORE] * 3, call=call)
    of_vendor, ours = await books.reconcile(turns_max=1)
    assert (of_vendor.done, ours.done) == (False, True)
    assert of_vendor.problem
    assert await books.state(bought.id) == "DELIVERED·COMPLETED"
    assert await books.state(pooled.id) == "DELIVERED·RECONCILED"
    assert await books.drifts() == []
    books.market.simulator.script.clear()
    books.clock.ahead += timedelta(hours=1)
    of_vendor, _ = await books.reconcile()
    assert (of_vendor.done, of_vendor.problem, of_vendor.unread) == (True, None, 0)
    assert await books.state(bought.id) == "DELIVERED·RECONCILED"
    assert await books.drifts() == []


async def test_what_a_vendor_never_tells_is_drift_in_the_end(books: Books) -> None:
    order = await books.bought(1)
    books.lists(False)
    books.market.script(*[Fault.ERROR_BEFORE] * 1_000, call="read")
    await books.reconcile(turns_max=1)
    books.clock.ahead += timedelta(days=8)
    of_vendor, _ = await books.reconcile()
    assert of_vendor.done
    assert await books.kinds() == ["NOT_TOLD"]
    assert await books.state(order.id) == "DELIVERED·COMPLETED"


async def test_the_night_makes_up_for_days_that_were_missed(books: Books) -> None:
    await books.pooled(1)
    assert await books.reconciling.daily() == 1
    assert await books.reconciling.daily() == 0
    books.clock.ahead += timedelta(days=3)
    assert await books.reconciling.daily() == 3
    books.clock.ahead += timedelta(days=365)
    assert await books.reconciling.daily() == 32


async def test_a_lost_job_is_swept_up(books: Books) -> None:
    await books.pooled(1)
    await books.reconciling.open(books.day)
    db = books.market.shop.parts.db
    assert await books.reconciling.sweep() == 2
    async with db.connection() as connection:
        queued = await connection.fetchval(
            "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'reconciliation.run'"
        )
    assert queued == 2
    await books.reconcile()
    assert await books.reconciling.sweep() == 0
