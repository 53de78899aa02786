"""The audit trail keeps what it is told, and is never rewritten."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from rewards.audit import service
from rewards.audit.model import AuditFact
from rewards.audit.sql import CHECKS
from rewards.core.actor import SYSTEM, Actor, ActorKind
from tests.counting import statements

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLIENT = Actor(ActorKind.CLIENT, 7, "req_1", "127.0.0.1")


async def test_facts_are_written_in_order_in_one_statement(db):
    facts = [
        AuditFact(CLIENT, 7, "order.placed", "order", 1, {"amount": Decimal("127.50"), "n": 5}),
        AuditFact(SYSTEM, None, "pump.ran", "product", 2, reason="cron"),
    ]
    async with db.transaction() as tx:
        with statements(tx) as sent:
            await service.record(tx, facts, AT)
            await service.record(tx, [], AT)
        rows = await tx.fetch("SELECT *, facts::text AS text FROM audit_entries ORDER BY id")
        assert await tx.fetch(CHECKS["audit_entry_names_its_actor"]) == []
    assert len(sent) == 1
    first, second = rows
    assert (first["actor_kind"], first["actor_id"]) == ("CLIENT", 7)
    assert (first["request_id"], first["address"], first["at"]) == ("req_1", "127.0.0.1", AT)
    assert first["text"] == '{"n": 5, "amount": 127.50}'
    assert (second["actor_kind"], second["actor_id"], second["client_id"]) == ("SYSTEM", None, None)
    assert (second["reason"], json.loads(second["text"])) == ("cron", {})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET action = 'x'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
    ],
)
async def test_the_trail_is_never_rewritten(db, statement):
    async with db.transaction() as tx:
        await service.record(tx, [AuditFact(CLIENT, 7, "order.placed", "order", 1)], AT)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        async with db.transaction() as tx:
            await tx.execute(statement)


async def test_the_check_finds_a_client_without_a_name(db):
    async with db.transaction() as tx:
        await service.record(tx, [AuditFact(Actor(ActorKind.STAFF), 7, "x", "order", 1)], AT)
        assert len(await tx.fetch(CHECKS["audit_entry_names_its_actor"])) == 1
