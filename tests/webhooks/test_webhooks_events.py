"""Events are rows of the transaction that caused them."""

from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from rewards.webhooks import service
from rewards.webhooks.model import Event, EventType
from rewards.webhooks.sql_checks import CHECKS
from tests.counting import statements

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
DELIVERED = Event(1, EventType.ORDER_DELIVERED, 5, {"order_id": 5, "status": "DELIVERED"})
CREDITED = Event(2, EventType.WALLET_CREDITED, None, {"amount": Decimal("10.00")})


async def test_events_are_written_in_order_in_one_statement(db):
    async with db.transaction() as tx:
        with statements(tx) as sent:
            await service.emit(tx, [DELIVERED, CREDITED], AT)
            await service.emit(tx, [], AT)
        rows = await tx.fetch("SELECT *, data::text AS text FROM events ORDER BY id")
    assert len(sent) == 1
    assert [(row["client_id"], row["type"], row["order_id"]) for row in rows] == [
        (1, "order.delivered", 5),
        (2, "wallet.credited", None),
    ]
    assert rows[0]["text"] == '{"status": "DELIVERED", "order_id": 5}'
    assert rows[1]["text"] == '{"amount": 10.00}'
    assert {row["created_at"] for row in rows} == {AT}


async def test_an_event_is_gone_with_the_transaction_that_failed(db):
    async def work(tx):
        await service.emit(tx, [DELIVERED], AT)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await db.run(work)
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM events") == 0


async def test_events_are_never_rewritten(db):
    async with db.transaction() as tx:
        await service.emit(tx, [DELIVERED], AT)
    async with db.connection() as connection:
        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await connection.execute("UPDATE events SET data = '{}'")


async def test_the_check_finds_an_order_event_without_its_order(db):
    check = CHECKS["event_of_an_order_names_it"]
    async with db.transaction() as tx:
        await service.emit(tx, [DELIVERED, CREDITED], AT)
        assert await tx.fetch(check) == []
        await service.emit(tx, [Event(1, EventType.ORDER_CREATED, None, {})], AT)
        await service.emit(tx, [Event(1, EventType.ORDER_CREATED, 6, {"order_id": 7})], AT)
        assert len(await tx.fetch(check)) == 2
