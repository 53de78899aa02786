"""`rewards reconcile`, `statement` and `verify-statement` as processes, on a day that is over."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rewards.core.actor import SYSTEM
from rewards.reconciliation.model import day_of
from rewards.vendors import service as vendors
from rewards.vendors.account import NewAccount
from rewards.vendors.simulators.book import Book, SimClock
from rewards.vendors.simulators.sandbox import SandboxSimulator
from tests.market import MovedClock
from tests.shop import Shop, open_shop

TREE = Path(__file__).parents[2]


@pytest.fixture
async def shop(dsn: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop of two days ago, with an order that was served."""
    async with open_shop(dsn, tmp_path, MovedClock(timedelta(days=-2))) as opened:
        product = await opened.product()
        await opened.stock(product, 3)
        client = await opened.client(minor=10_000)
        await opened.place_one(opened.ask(client, product, 2))
        yield opened


async def rewards(shop: Shop, dsn: str, *arguments: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and error of one command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rewards.entry", *arguments),
        env={
            **os.environ,
            "PYTHONPATH": str(TREE / "src"),
            "COLUMNS": "160",
            # Simulators listen on this machine.
            "REWARDS_VENDOR_LOOPBACK": "true",
            "REWARDS_DATABASE_URL": dsn,
            "REWARDS_HOME": str(shop.parts.settings.home),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def test_a_day_is_reconciled_once_and_drift_is_exit_one(shop: Shop, dsn: str) -> None:
    day = str(day_of(shop.now))
    code, said, err = await rewards(shop, dsn, "reconcile", "--day", day)
    assert code == 0, err
    assert "our own books" in said
    assert str((await shop.order(1)).state) == "DELIVERED·RECONCILED"
    async with shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE orders SET refunded_minor = 1 WHERE id = 1")
    code, said, _ = await rewards(shop, dsn, "reconcile", "--day", day)
    assert code == 1
    assert str((await shop.order(1)).state) == "DELIVERED·RECONCILED"
    code, _, err = await rewards(shop, dsn, "reconcile", "--day", "2126-01-01")
    assert (code, err.strip()) == (1, "The day is not over yet")
    code, _, err = await rewards(shop, dsn, "reconcile", "--vendor", "nobody")
    assert (code, err.strip()) == (1, "Vendor not found")


SETTLED = """
INSERT INTO vendor_orders (
    vendor_id, key, purpose, subject_id, sku, face_minor, currency, quantity, state, next_at,
    window_ends_at, created_at, sent_at, settled_at
) VALUES ($1, 'a-key', 'STOCK', 1, 'AMZ', 2500, 'USD', 1, 'NOT_PLACED', $2, $2, $2, $2, $2)
RETURNING id
"""
LISTED = """
SELECT vendor_id, call, vendor_order_id FROM vendor_exchanges ORDER BY id
"""


async def test_what_a_vendor_lists_is_kept_with_no_purchase_of_another(
    shop: Shop, dsn: str
) -> None:
    """The first vendor's purchase is read back; then, in the same task, the second one lists."""
    async with contextlib.AsyncExitStack() as stack:
        vendor_ids = []
        for name in ("first", "second"):
            simulator = SandboxSimulator(Book(SimClock(lambda: datetime.now(UTC)), []))
            url = await stack.enter_async_context(simulator.serve())
            new = NewAccount(name, "sandbox", {"base_url": url}, {"api_key": "k"})
            async with shop.parts.db.transaction() as tx:
                made = await vendors.create(
                    *(tx, shop.parts.vault, new, SYSTEM, shop.now), loopback=True
                )
            vendor_ids.append(made.id)
        first, second = vendor_ids
        async with shop.parts.db.transaction() as tx:
            purchase_id = await tx.fetchval(SETTLED, first, shop.now)
        code, said, err = await rewards(shop, dsn, "reconcile", "--day", str(day_of(shop.now)))
    assert code == 0, (said, err)
    async with shop.parts.db.connection() as connection:
        kept = [tuple(row) for row in await connection.fetch(LISTED)]
    assert kept == [(first, "book", None), (first, "read", purchase_id), (second, "book", None)]


@pytest.mark.parametrize("form", [(), ("--csv",)])
async def test_a_statement_is_made_verified_and_found_out(
    shop: Shop, dsn: str, tmp_path: Path, form: tuple[str, ...]
) -> None:
    day, path = str(day_of(shop.now)), tmp_path / "statement"
    options = ("--from", day, "--to", day, "--out", str(path), *form)
    code, _, err = await rewards(shop, dsn, "statement", *options)
    assert code == 0, err
    code, key, _ = await rewards(shop, dsn, "statement-key")
    assert code == 0
    # Nothing of the deployment is needed any more.
    away = "postgresql://127.0.0.1:1/nothing"
    verify = ("verify-statement", str(path), "--key", key.strip())
    code, said, err = await rewards(shop, away, *verify)
    assert (code, err) == (0, "")
    assert said.startswith("signed and unchanged")
    path.write_bytes(path.read_bytes().replace(b"10000", b"10001"))
    code, _, err = await rewards(shop, away, *verify)
    assert code == 1
    assert "MONEY client 1 USD" in err
    options = ("--from", day, "--to", "2126-01-01")
    code, _, err = await rewards(shop, dsn, "statement", *options)
    assert (code, err.strip()) == (1, "The day is not over yet")
