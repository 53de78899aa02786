"""A desk with something to look after: alerts, a trail with seals, orders that wait, a vendor."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from rewards.audit.sealing import AuditSealer, key_of
from rewards.core.errors import Refusal
from rewards.orders.model import Order
from tests.console.desk import Desk, desk_of
from tests.staff.counter import Counter, open_counter
from tests.staff.test_staff_jobs import DEAD

ALERTS = """
INSERT INTO alerts (kind, subject, level, facts, raised_at, seen_at, cleared_at) VALUES
    ('ORDERS_STUCK', 'VENDOR_ORDER_PENDING', 30.5, '{"orders_waiting": 3}', $1, $1, NULL),
    ('POOL_COVER_LOW', 'product 6 25.00 USD', 1.4, '{"depth": 21, "buy": 180}', $1, $1, NULL),
    ('ENDPOINT_FAILING', 'endpoint 1', 3, '{"client_id": 1}', $1, $1, NULL),
    ('WORKER_SILENT', 'workers', 90, '{}', $1, $1, $1)
"""
MAIL = """
INSERT INTO notices (client_id, kind, audience, address, cause, order_id, facts, message_id, state,
    attempts, next_at, reason, created_at, finished_at)
VALUES ($1, 'ORDER_DELIVERED', 'CUSTOMER', 'jane.doe@customer.example', 'one', $2, '{}', 'one',
    'FAILED', 1, now(), 'NO_MAILBOX', now(), now())
RETURNING id
"""


async def fail_job(desk: Desk, many: int = 1) -> int:
    """Jobs as a worker leaves them that failed too often; the last of them."""
    async with desk.shop.parts.db.transaction() as tx:
        return max([int(await tx.fetchval(DEAD)) for _ in range(many)])


async def raise_alerts(desk: Desk) -> None:
    """Three that are open, and one that is over."""
    async with desk.shop.parts.db.transaction() as tx:
        await tx.execute(ALERTS, desk.shop.now - timedelta(hours=2))


async def seal(desk: Desk) -> str:
    """As a worker does; the public key that proves it."""
    parts = desk.shop.parts
    key = key_of(parts.vault)
    await AuditSealer(parts.db, parts.clock, key).drain()
    return key.public_key().public_bytes_raw().hex()


async def waiting(desk: Desk, *quantities: int, stock: int = 0) -> list[Order]:
    """A client's orders; the pool has so much, and nothing for the rest."""
    shop = desk.shop
    product = shop.parts.catalog.product(6) or await shop.product()
    if stock:
        await shop.stock(product, stock)
    client = await shop.client(minor=10_000_000)
    placed = await shop.place(*[shop.ask(client, product, each) for each in quantities])
    assert not any(isinstance(each, Refusal) for each in placed)
    return [each.order for each in placed if not isinstance(each, Refusal)]


async def made_older(desk: Desk, orders: Sequence[Order], **by: int) -> None:
    async with desk.shop.parts.db.transaction() as tx:
        await tx.execute(
            "UPDATE orders SET placed_at = placed_at - $2::interval WHERE id = ANY ($1)",
            *([order.id for order in orders], timedelta(**by)),
        )


async def mailed(desk: Desk, order: Order) -> int:
    """A mail of the order that did not arrive."""
    async with desk.shop.parts.db.transaction() as tx:
        return int(await tx.fetchval(MAIL, order.client_id, order.id))


@asynccontextmanager
async def open_vending(dsn: str, home: Path) -> AsyncIterator[tuple[Desk, Counter]]:
    """A console of a shop that buys from one simulated vendor, `acme`."""
    async with (
        open_counter(dsn, home) as counter,
        desk_of(counter.office.shop, counter.clock) as desk,
    ):
        yield desk, counter


async def trail(desk: Desk, action: str) -> list[tuple[str, str | None]]:
    """Who acted so and why; staff by their name."""
    async with desk.shop.parts.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT u.username, a.reason FROM audit_entries AS a JOIN staff_users AS u"
            " ON u.id = a.actor_id AND a.actor_kind = 'STAFF' WHERE action = $1 ORDER BY a.id",
            action,
        )
    return [(row["username"], row["reason"]) for row in rows]
