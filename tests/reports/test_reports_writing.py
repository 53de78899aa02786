"""Whoever writes a report may die, stall, or be told to stop: the file is right, once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from rewards.core.errors import Unavailable
from rewards.infra.db import Tx
from rewards.reports import tasks
from rewards.reports.model import Parameters, ReportKind
from rewards.reports.sources import Row
from rewards.reports.tasks import GIVE_UP_AFTER, Writing
from tests.reports.desk import Desk

STOP_AFTER = 2


async def killed(desk: Desk, number: int) -> None:
    """A worker that dies after two windows: its last one is not committed, its lease stays."""
    writing, windows = desk.writing, 0
    source = writing.sources[ReportKind.ORDERS]

    class Killed(BaseException):
        """Nothing of this process runs any more."""

    async def rows(tx: Tx, asked: Parameters, after_id: int, upto_id: int) -> list[Row]:
        nonlocal windows
        windows += 1
        if windows > STOP_AFTER:
            raise Killed
        return await source.rows(tx, asked, after_id, upto_id)

    dying = replace(writing, sources={ReportKind.ORDERS: replace(source, rows=rows)})
    with pytest.raises(Killed):
        await dying.work(number)


async def leased(desk: Desk, seconds: int) -> None:
    async with desk.office.shop.parts.db.transaction() as tx:
        await tx.execute(
            "UPDATE reports SET lease = gen_random_uuid(),"
            f" leased_until = now() + interval '{seconds} s' WHERE ended_at IS NULL"
        )


async def test_a_killed_workers_report_is_finished_by_another(desk: Desk) -> None:
    number = await desk.ask()
    await killed(desk, number)
    told = await desk.read(number)
    assert (told["state"], told["rows"], told["estimated"]) == ("RUNNING", 6, 8)
    assert told["progress"] == 0.75
    # Its lease has not ended: nobody else is at it.
    await leased(desk, 60)
    assert await desk.writing.sweep() == 0
    assert await desk.writing.work(number)
    assert (await desk.read(number))["rows"] == 6
    await leased(desk, -1)
    assert await desk.writing.sweep() == 1
    await asyncio.gather(*(desk.writing.work(number) for _ in range(3)))
    assert (await desk.read(number))["state"] == "DONE"
    rows = await desk.rows(number)
    assert [int(row["order_id"]) for row in rows] == [order.id for order in desk.orders]


async def test_whoever_lost_the_lease_writes_nothing(desk: Desk) -> None:
    number = await desk.ask()
    slow = desk.writing
    source = slow.sources[ReportKind.ORDERS]

    async def rows(tx: Tx, asked: Parameters, after_id: int, upto_id: int) -> list[Row]:
        found = await source.rows(tx, asked, after_id, upto_id)
        await leased(desk, -1)
        await desk.writing.work(number)
        return found

    late = replace(slow, sources={ReportKind.ORDERS: replace(source, rows=rows)})
    assert await late.work(number)
    assert [int(row["order_id"]) for row in await desk.rows(number)] == [
        order.id for order in desk.orders
    ]


async def test_a_turn_that_is_over_leaves_the_rest_to_the_next(desk: Desk) -> None:
    number = await desk.ask()
    assert not await desk.writing.work(number, turn_s=0)
    told = await desk.read(number)
    assert (told["state"], told["estimated"]) == ("RUNNING", None)
    assert await desk.writing.work(number)
    assert len(await desk.rows(number)) == 8


async def test_what_is_cancelled_in_the_middle_stops_and_leaves_nothing(desk: Desk) -> None:
    number = await desk.ask()
    slow = desk.writing
    source = slow.sources[ReportKind.ORDERS]

    async def rows(tx: Tx, asked: Parameters, after_id: int, upto_id: int) -> list[Row]:
        await desk.office.ask("support", "POST", f"/reports/{number}/cancel")
        return await source.rows(tx, asked, after_id, upto_id)

    stopped = replace(slow, sources={ReportKind.ORDERS: replace(source, rows=rows)})
    assert await stopped.work(number)
    told = await desk.read(number)
    assert (told["state"], told["ended_at"] is not None) == ("CANCELLED", True)
    path = f"/reports/{number}/cancel"
    assert await desk.office.refused("support", "POST", path) == "REPORT_ENDED"
    assert (await desk.file(number)).json()["details"] == {"state": "CANCELLED"}
    async with desk.office.shop.parts.db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM report_chunks") == 0


async def test_a_fault_of_ours_fails_it_and_trouble_with_the_database_does_not(desk: Desk) -> None:
    async def failing(problem: Exception) -> Writing:
        async def rows(*_: object) -> list[Row]:
            raise problem

        writing = desk.writing
        source = replace(writing.sources[ReportKind.ORDERS], rows=rows)
        return replace(writing, sources={ReportKind.ORDERS: source})

    number = await desk.ask()
    with pytest.raises(Unavailable):
        await (await failing(ConnectionError("the database went away"))).work(number)
    assert (await desk.read(number))["state"] == "RUNNING"
    with pytest.raises(ValueError, match="a bug"):
        await (await failing(ValueError("a bug of ours"))).work(number)
    told = await desk.read(number)
    assert (told["state"], told["problem"]) == ("FAILED", "ValueError")
    assert await desk.writing.sweep() == 0


async def test_what_nobody_can_write_within_a_day_is_given_up(desk: Desk) -> None:
    number = await desk.ask()
    desk.clock.ahead += GIVE_UP_AFTER + timedelta(seconds=1)
    assert await desk.writing.sweep() == 0
    told = await desk.read(number)
    assert (told["state"], told["problem"]) == ("FAILED", tasks.LATE)
