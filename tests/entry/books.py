"""A small company's books, clean: orders in every kind of state, written row by row.

Row by row, because the checks must find what no path of ours would write.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rewards.infra.db import Tx
from rewards.wallets import service as wallets
from rewards.wallets.model import NewWallet, Posting, TransferKind, Wallet

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
PLACED, WAITING, ON_HAND = (
    "PLACED·INITIAL",
    "PENDING·VENDOR_ORDER_PENDING",
    "PENDING·INVENTORY_FULFILLED",
)
BULK, PARTIAL, COMPLETED = "PENDING·INITIAL", "PARTIALLY_DELIVERED·PARTIAL", "DELIVERED·COMPLETED"
REFUNDED, REFUND_OWED = "CANCELLED·REFUNDED", "CANCELLED·NOT_REFUNDED"
# Order ids by what became of the order.
DELIVERED_ID, WAITING_ID, BULK_ID, PARTIAL_ID, CANCELLED_ID, REVOKED_ID, OWED_ID = range(1, 8)
CLIENT, PRODUCT, BATCH = 1, 6, 1
PRICE, FACE = 1000, 2500

REFERENCE_DATA = f"""
INSERT INTO currencies (code, name, symbol, exponent) VALUES ('USD', 'US Dollar', '$', 2);
INSERT INTO countries (code, name, currency) VALUES ('US', 'United States', 'USD');
INSERT INTO categories (name, slug) VALUES ('Shopping', 'shopping');
INSERT INTO product_revisions (product_id, name, created_at) VALUES ({PRODUCT}, 'Amazon', now());
INSERT INTO products
    (id, revision_id, category_id, country, currency, delivery_type, voucher_fields, created_at)
    SELECT {PRODUCT}, max(r.id), max(c.id), 'US', 'USD', 'CODE_WITH_PIN', '{{card_number}}', now()
    FROM product_revisions AS r, categories AS c;
INSERT INTO data_keys (purpose, wrapped, wrapped_by) VALUES ('units', 'x', 'nobody');
INSERT INTO clients (id, name, created_at) VALUES ({CLIENT}, 'Acme', now());
"""

ADD_ORDER = """
INSERT INTO orders (
    id, client_id, ref, transaction_id, wallet_id, currency, amount_minor, discount_minor,
    fees_minor, tax_minor, product_id, product_revision_id, product_name, product_currency,
    denomination_minor, quantity, on_partial, status, sub_status, items_created, fulfilled,
    cancelled, revoked, refunded_minor, refund_owed_minor, placed_at, changed_at
)
SELECT $1::bigint, $2, 'REF-' || $1::bigint, $3, $4, 'USD', $5, 0, 0, 0, p.id, p.revision_id,
    'Amazon', 'USD', $6, $7, 'KEEP', split_part($8, '·', 1), split_part($8, '·', 2), $9, $10, $11,
    $12, $13, $14, $15, $15
FROM products AS p
"""

ADD_ITEM = """
INSERT INTO order_items (order_id, position, status, unit_id, delivered_at)
VALUES ($1, $2, $3, $4, $5)
"""

ADD_UNIT = """
INSERT INTO units (
    id, product_id, denomination_minor, currency, batch_id, state, sealed, fingerprint, created_at
)
SELECT $1, $2, $3, 'USD', $4, $5, '\\x01' || int4send(id) || $7::bytea, int8send($1), $6
FROM data_keys
"""

ADD_ACT = """
INSERT INTO order_transitions (order_id, seq, path, actor_kind, actor_id, at)
VALUES ($1, $2, $3, $4, 1, $5)
"""

ADD_AUDIT = """
INSERT INTO audit_entries
    (at, actor_kind, actor_id, client_id, action, subject_kind, subject_id, facts)
VALUES ($1, $2, 1, $3, $4, 'order', $5, $6)
"""

ADD_EVENT = """
INSERT INTO events (client_id, type, order_id, data, created_at)
VALUES ($1, 'order.created', $2, jsonb_build_object('order_id', $2::bigint), $3)
"""

TALLY = """
INSERT INTO order_tallies
SELECT client_id, (placed_at AT TIME ZONE 'UTC')::date, product_id, currency, status, sub_status,
    count(*), sum(amount_minor)
FROM orders GROUP BY 1, 2, 3, 4, 5, 6
"""


@dataclass(frozen=True)
class Told:
    """One order's story: the acts upon it, and its items at the end."""

    order_id: int
    quantity: int
    acts: tuple[tuple[str, ...], ...]
    items: tuple[str, ...]
    refunded_minor: int = 0
    owed_minor: int = 0

    @property
    def amount_minor(self) -> int:
        return PRICE * self.quantity + 1

    def count(self, *statuses: str) -> int:
        return sum(1 for status in self.items if status in statuses)


STORIES = (
    Told(DELIVERED_ID, 2, ((PLACED, ON_HAND, COMPLETED),), ("DELIVERED",) * 2),
    Told(WAITING_ID, 2, ((PLACED, WAITING),), ("PENDING",) * 2),
    Told(BULK_ID, 60, ((PLACED, BULK),), ()),
    # 3001 over 3, one of them given back: 1000.
    Told(
        PARTIAL_ID,
        3,
        ((PLACED, ON_HAND, PARTIAL), (PARTIAL,)),
        ("DELIVERED", "CANCELLED", "PENDING"),
        refunded_minor=1000,
    ),
    Told(
        CANCELLED_ID,
        2,
        ((PLACED, WAITING), (WAITING, REFUNDED)),
        ("CANCELLED",) * 2,
        refunded_minor=2001,
    ),
    Told(
        REVOKED_ID,
        1,
        ((PLACED, ON_HAND, COMPLETED), (COMPLETED, REFUNDED)),
        ("REVOKED",),
        refunded_minor=1001,
    ),
    Told(
        OWED_ID,
        1,
        ((PLACED, WAITING), (WAITING, REFUND_OWED)),
        ("CANCELLED",),
        owed_minor=1001,
    ),
)


async def write_books(tx: Tx) -> None:
    """Fill an empty, migrated database."""
    await tx.execute(REFERENCE_DATA)
    [wallet] = await wallets.open_wallets(tx, [NewWallet(CLIENT, "USD")], AT)
    await wallets.top_up(tx, [wallets.TopUp(wallet.id, 1_000_000)], AT)
    await tx.execute(
        "INSERT INTO batches"
        " (source, name, state, rows_read, loaded, status_at, created_at, touched_at)"
        " VALUES ('FILE', 'spring', 'DONE', 8, 8, $1, $1, $1)",
        AT,
    )
    units = iter(range(1, 100))
    for told in STORIES:
        await _write_order(tx, wallet, told, units)
    for state in ("AVAILABLE", "AVAILABLE", "BLOCKED", "ALLOCATED"):
        await _add_unit(tx, next(units), state)
    await tx.execute(TALLY)
    await tx.execute(
        "INSERT INTO idempotency_keys VALUES ($1, 'POST /api/v1/orders', 'key-00001', 'x',"
        " jsonb_build_object('order_id', $2::bigint), $3)",
        CLIENT,
        DELIVERED_ID,
        AT,
    )


async def _add_unit(tx: Tx, unit_id: int, state: str) -> None:
    added_at = AT - timedelta(days=1)
    await tx.execute(ADD_UNIT, unit_id, PRODUCT, FACE, BATCH, state, added_at, bytes(28))
    if state == "AVAILABLE":
        await tx.execute(
            "INSERT INTO shelf (unit_id, product_id, denomination_minor, currency, expires_at,"
            " loaded) VALUES ($1, $2, $3, 'USD', 'infinity', true)",
            unit_id,
            PRODUCT,
            FACE,
        )
    if state == "BLOCKED":
        await tx.execute(
            "INSERT INTO blocked_units VALUES ($1, $2, $3, 'USD', 'STAFF', $4)",
            unit_id,
            PRODUCT,
            FACE,
            AT,
        )


async def _post(tx: Tx, wallet_id: int, kind: TransferKind, amount: int, order_id: int) -> int:
    locked = await wallets.lock_wallets(tx, [wallet_id])
    [posted] = await wallets.post(tx, locked, [Posting(wallet_id, kind, amount, order_id)], AT)
    return posted.transfer_id


async def _write_order(tx: Tx, wallet: Wallet, told: Told, units: Iterator[int]) -> None:
    debit = await _post(tx, wallet.id, TransferKind.ORDER, -told.amount_minor, told.order_id)
    if told.refunded_minor:
        await _post(tx, wallet.id, TransferKind.REFUND, told.refunded_minor, told.order_id)
    await tx.execute(
        ADD_ORDER,
        told.order_id,
        CLIENT,
        debit,
        wallet.id,
        told.amount_minor,
        FACE,
        told.quantity,
        told.acts[-1][-1],
        len(told.items),
        told.count("DELIVERED", "REVOKED"),
        told.count("CANCELLED"),
        told.count("REVOKED"),
        told.refunded_minor,
        told.owed_minor,
        AT,
    )
    for position, status in enumerate(told.items, start=1):
        unit_id = None
        if status in ("DELIVERED", "REVOKED"):
            unit_id = next(units)
            await _add_unit(tx, unit_id, status)
        await tx.execute(ADD_ITEM, told.order_id, position, status, unit_id, unit_id and AT)
    for seq, path in enumerate(told.acts, start=1):
        await _write_act(tx, told.order_id, seq, path)
    await tx.execute(ADD_EVENT, CLIENT, told.order_id, AT)


async def _write_act(tx: Tx, order_id: int, seq: int, path: tuple[str, ...]) -> None:
    at = AT if seq == 1 else LATER
    kind = "CLIENT" if seq == 1 else "STAFF"
    action = "order.placed" if seq == 1 else "order.cancelled"
    await tx.execute(ADD_ACT, order_id, seq, list(path), kind, at)
    facts = {"from": path[0], "to": path[-1]}
    await tx.execute(ADD_AUDIT, at, kind, CLIENT, action, order_id, facts)
