"""The trail is found by whatever is known of an entry, newest first, through an index."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from rewards.audit import service, sql_search
from rewards.audit.model import AuditFact, AuditFilter
from rewards.audit.sql_search import statement
from rewards.core.actor import SYSTEM, Actor, ActorKind
from rewards.infra.db import Database
from tests.audit.trailing import AT

STAFF = Actor(ActorKind.STAFF, 3, "req_3", "192.0.2.3")
BUYER = Actor(ActorKind.CLIENT, 7, "req_7", "192.0.2.7")
MINUTE = timedelta(minutes=1)
# In order of time, one a minute.
FACTS = (
    AuditFact(BUYER, 7, "order.placed", "order", 1),
    AuditFact(STAFF, 7, "order.cancelled", "order", 1, reason="A late cancel: refund, please"),
    AuditFact(SYSTEM, 8, "order.filled", "order", 2),
    AuditFact(STAFF, None, "vendor.changed", "vendor", 1, reason="O'Brien said: refunds 100%"),
    AuditFact(BUYER, 7, "ordering", "order", 3),
)


async def fill(db: Database) -> None:
    async with db.transaction() as tx:
        for turn, fact in enumerate(FACTS):
            await service.record(tx, [fact], AT + turn * MINUTE)


@pytest.mark.parametrize(
    ("asked", "turns"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"since": AT + MINUTE, "until": AT + 3 * MINUTE}, [2, 1]),
        ({"actor_kind": ActorKind.STAFF}, [3, 1]),
        ({"actor_kind": ActorKind.CLIENT}, [4, 0]),
        ({"actor_kind": ActorKind.HOLDER}, []),
        ({"staff_id": 3}, [3, 1]),
        ({"staff_id": 7}, []),
        ({"client_id": 7}, [4, 1, 0]),
        ({"subject_kind": "order", "subject_id": 1}, [1, 0]),
        ({"action": "order.placed"}, [0]),
        ({"action": "order"}, []),
        ({"action": "order."}, [2, 1, 0]),
        ({"action": "order.", "client_id": 7}, [1, 0]),
        ({"action": "x."}, []),
        ({"address": "192.0.2.3"}, [3, 1]),
        ({"request_id": "req_7"}, [4, 0]),
        ({"reason": "REFUND"}, [3, 1]),
        ({"reason": "please canc"}, [1]),
        ({"reason": "o'brien"}, [3]),
        ({"reason": "100%"}, [3]),
        ({"reason": "efund"}, []),
        ({"reason": "!& | \\ '"}, []),
    ],
)
async def test_each_filter_finds_what_it_says(
    db: Database, asked: dict[str, Any], turns: list[int]
) -> None:
    await fill(db)
    async with db.connection() as connection:
        found = await service.search(connection, AuditFilter(**asked))
        first = await service.search(connection, AuditFilter(**asked), limit=1)
        if found:
            before = (first[0].at, first[0].id)
            rest = await service.search(connection, AuditFilter(**asked), before=before)
            assert first + rest == found
    assert [(entry.fact, entry.at) for entry in found] == [
        (FACTS[turn], AT + turn * MINUTE) for turn in turns
    ]


async def test_words_that_everybody_says_are_found_on_the_way_back(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(db)
    async with db.connection() as connection:
        rare = await service.search(connection, AuditFilter(reason="refund"))
        monkeypatch.setattr(sql_search, "COMMON", 1)
        assert await service.search(connection, AuditFilter(reason="refund")) == rare
        assert len(rare) == 2


# A third of them are one action of clients, as where orders are placed; some are rare, and old.
MANY = """
INSERT INTO audit_entries (at, actor_kind, actor_id, client_id, action, subject_kind, subject_id,
    reason, request_id, address)
SELECT '2026-01-01'::timestamptz + n * interval '1 second',
    CASE WHEN n % 50 = 0 THEN 'STAFF' WHEN n % 100 = 7 AND n < 1000 THEN 'SYSTEM' ELSE 'CLIENT' END,
    n % 40, n % 200,
    (ARRAY['order.placed', 'order.placed', 'order.read', 'vendor.changed'])[
        CASE WHEN n < 100 THEN 4 ELSE 1 + n % 3 END],
    'order', n, CASE WHEN n % 50 = 0 THEN 'because of ' || md5(n::text) END, md5(n::text),
    '10.0.0.' || CASE WHEN n < 500 THEN 250 ELSE n % 200 END
FROM generate_series(1, 12000) AS n
"""
WALK = "audit_entries_at_idx"


async def plan(
    tx: asyncpg.Connection, narrow: AuditFilter, before: tuple[datetime, int] | None = None
) -> str:
    text, given = statement(narrow, before, 51)
    return "\n".join(row[0] for row in await tx.fetch("EXPLAIN " + text, *given))


async def test_each_filter_alone_is_read_from_an_index(dsn: str) -> None:
    """Never the table from end to end, nor sorted whole, at any place of the list."""
    deep = (AT.replace(month=1, day=1, hour=2), 5_000)
    # As the application's are, but that nobody hurries it.
    connection = await asyncpg.connect(dsn, server_settings={"random_page_cost": "1.1"})
    await connection.execute(MANY)
    await connection.execute("VACUUM ANALYZE audit_entries")
    for asked, index in (
        (AuditFilter(), WALK),
        (AuditFilter(since=deep[0], until=deep[0] + MINUTE), WALK),
        (AuditFilter(actor_kind=ActorKind.SYSTEM), "audit_entries_actor_idx"),
        (AuditFilter(staff_id=10), "audit_entries_staff_idx"),
        (AuditFilter(client_id=9), "audit_entries_client_idx"),
        (AuditFilter(subject_kind="order", subject_id=9), "audit_entries_subject_idx"),
        (AuditFilter(action="vendor.changed"), "audit_entries_action_idx"),
        (AuditFilter(action="order."), "audit_entries_action_idx"),
        (AuditFilter(address="10.0.0.250"), "audit_entries_address_idx"),
        (AuditFilter(reason="c4ca4238"), "audit_entries_reason_idx"),
        # What nobody ever said, asked of words that the planner takes for common.
        (AuditFilter(reason="unsaid"), "audit_entries_reason_idx"),
        (AuditFilter(reason="unsaid", client_id=9), "audit_entries_reason_idx"),
    ):
        for before in (None, deep):
            said = await plan(connection, asked, before)
            assert "Seq Scan on audit_entries" not in said, (asked, said)
            # From some place on so few are left that walking to them is as good.
            walked = before and WALK in said and asked.reason is None
            assert index in said or walked, (asked, said)
    text, given = statement(AuditFilter(reason="because"), None, 51, common=True)
    said = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + text, *given))
    assert WALK in said
    # A filter over many rows at once is for more of them than a test has.
    await connection.execute("SET enable_seqscan = off")
    said = await plan(connection, AuditFilter(request_id="0" * 32), None)
    assert "audit_entries_request_idx" in said
    await connection.close()
