"""What tests of the audit chain share: entries that are written, sealed, and looked at."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from rewards.audit import service
from rewards.audit.model import AuditFact
from rewards.audit.model_chain import public_key_of, signing_key
from rewards.audit.sealing import AuditSealer
from rewards.audit.sql import CHECKS
from rewards.audit.verifying import Trail
from rewards.core.actor import SYSTEM, Actor, ActorKind
from rewards.core.clock import SystemClock
from rewards.infra import checks
from rewards.infra.db import Database, Tx

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
# How far a test's clock may be ahead, whatever day it is where it runs.
EVER = timedelta(days=36_500)
KEY = signing_key(bytes(range(32)))
PUBLIC = public_key_of(KEY)
CLIENT = Actor(ActorKind.CLIENT, 7, "req_1", "127.0.0.1")
CHAIN = "SELECT entry_id FROM audit_chain ORDER BY position"


def sealer(db: Database, *, batch_max: int = 2_000) -> AuditSealer:
    return AuditSealer(db, SystemClock(), KEY, batch_max=batch_max)


def fact(**facts: Any) -> AuditFact:
    return AuditFact(
        *(random.choice([CLIENT, SYSTEM]), 7, "order.placed", "order", random.randrange(1, 99)),
        {"amount": random.randrange(10**6), **facts},
        random.choice([None, "because"]),
    )


async def write(tx: Tx | asyncpg.Connection, count: int = 1) -> None:
    """So many entries, in the caller's transaction."""
    await service.record(tx, [fact() for _ in range(count)], AT)  # type: ignore[arg-type]


async def written(db: Database, *counts: int) -> None:
    """A transaction for each count."""
    for count in counts:
        async with db.transaction() as tx:
            await write(tx, count)


async def chain(db: Database) -> list[int]:
    """Entries in the order they were sealed in."""
    async with db.connection() as connection:
        return [row["entry_id"] for row in await connection.fetch(CHAIN)]


async def tamper(dsn: str, what: str) -> None:
    """Write past every trigger, as only a superuser can."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("SET session_replication_role = replica; " + what)
    await connection.close()


async def found(
    dsn: str, public_key: str | None = PUBLIC, kept: tuple[int, bytes] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """What the doctor says of the trail: the rows of each check that something breaks."""
    async with checks.connected(dsn) as connection:
        walked = await Trail(connection, public_key).verify(kept)
    findings = [*walked, *await checks.run(dsn, CHECKS)]
    assert [each.problem for each in findings if each.problem] == []
    assert all(bool(each.breaches) == bool(each.rows) for each in findings)
    return {each.name: [dict(row) for row in each.rows] for each in findings if each.breaches}
