"""A house with many orders: what its pages and searches ask, and that none of them reads it all."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from benchmarks import million, million_asked, world
from benchmarks.cases_pages import Sessions, signed_in
from rewards.core.clock import SystemClock
from rewards.entry.api import build_app
from rewards.entry.doctor import all_checks
from rewards.entry.wiring import open_parts
from rewards.infra.db import Database
from rewards.infra.settings import Settings
from rewards.inventory.sql_shelves import COUNT_FOR_SALE, COUNT_UNITS
from tests.console.counted import Sent, counting
from tests.databases import Copies, with_database
from tests.serving import served

STATEMENTS_MAX = 12
FEW, CLIENTS_OF_FEW = 2_000, 60
# Of a table so long nobody reads all; of the million, every table that grows with the orders.
LONG_ROWS = 20_000
# Rows that one statement may look at, all its scans together, entries of indexes among them.
LOOKED_AT_MAX = 120_000
# But for how many orders a client has since some day, which its list says: it looks at its own.
COUNTS_ONES_OWN = "SELECT count(*) FROM orders AS o WHERE o.client_id = $1"
# Nor for the stock of the shelves that are told of, each counted up to a limit, by index: of a page
# of shelves all that is in the pool and 10,000 that wait, and of all what clients ask for in days.
COUNTS_STOCK, STOCK_LOOKED_AT_MAX = (COUNT_UNITS.strip(), COUNT_FOR_SALE.strip()), 700_000
# Documents and files, that hold as many lines as they say.
FILES = ("/statements?", "/money/statement", "/money/transactions.csv", "/audit/export")


@dataclass
class House:
    db: Database
    url: str
    ids: dict[str, object]
    pool_size: int


@asynccontextmanager
async def built(
    server_dsn: str, copies: Copies, home: Path, orders: int, clients: int
) -> AsyncIterator[House]:
    """A house of so many orders, served."""
    name = await copies.take()
    dsn = with_database(server_dsn, name)
    settings = Settings(home=home, environment="test")
    db = await Database.connect(dsn, settings)
    filled = await million.fill(await world.fill(db, settings, clients), orders)
    async with db.connection() as tx:
        ids = await million_asked.ids_of(tx, filled)
    await db.close()
    # What it remembers of the catalogue it reads when it starts.
    async with (
        open_parts(dsn, settings, SystemClock()) as parts,
        served(build_app(parts)) as url,
    ):
        yield House(parts.db, url, ids, settings.pool_size)
    copies.drop(name)


@pytest.fixture(scope="module")
async def few(
    server_dsn: str, copies: Copies, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    home = tmp_path_factory.mktemp("few")
    async with built(server_dsn, copies, home, FEW, CLIENTS_OF_FEW) as house:
        yield house


async def test_the_house_is_as_if_it_had_been_lived_in(few: House) -> None:
    async with few.db.connection() as tx:
        found = {name: await tx.fetch(check) for name, check in all_checks().items()}
    assert {name: rows[:3] for name, rows in found.items() if rows} == {}


async def test_every_page_and_search_asks_the_database_little(few: House) -> None:
    """All pages of the routes, of every list each filter, and all that both APIs tell."""
    most, much = 0, []
    async with signed_in(few.url) as sessions:
        for path in million_asked.asked(few.ids):
            sent = await asked(few, sessions, path)
            most = max(most, len(sent))
            if len(sent) > STATEMENTS_MAX:
                much.append((path, len(sent), sent))
    assert not much
    # It is counted at all.
    assert most > 5


async def asked(house: House, sessions: Sessions, path: str) -> list[Sent]:
    """What a page sends that has been asked before."""
    await sessions.get(path)
    async with counting(house.db, house.pool_size) as sent:
        await sessions.get(path)
    return sent


@pytest.mark.long
async def test_no_page_or_search_reads_a_million_orders(
    server_dsn: str, copies: Copies, tmp_path: Path
) -> None:
    wrong: list[tuple[object, ...]] = []
    async with built(server_dsn, copies, tmp_path, million.MANY, world.CLIENTS) as house:
        long_ones = await _long_tables(house.db)
        assert {"orders", "audit_entries", "ledger_entries", "events"} <= long_ones
        async with signed_in(house.url) as sessions:
            for path in million_asked.asked(house.ids):
                if any(each in path for each in FILES):
                    continue
                for sent in await asked(house, sessions, path):
                    if sent.startswith(COUNTS_ONES_OWN):
                        continue
                    plan = await explained(house.db, sent)
                    looked = sum(looked_at(node) for node in nodes(plan))
                    whole = {node["Relation Name"] for node in nodes(plan) if _reads_all(node)}
                    most = STOCK_LOOKED_AT_MAX if sent in COUNTS_STOCK else LOOKED_AT_MAX
                    if looked > most or whole & long_ones:
                        wrong.append((path, looked, whole, sent))
    assert not wrong


async def _long_tables(db: Database) -> set[str]:
    async with db.connection() as tx:
        rows = await tx.fetch("SELECT relname FROM pg_class WHERE reltuples > $1", LONG_ROWS)
    return {row[0] for row in rows}


async def explained(db: Database, sent: Sent) -> dict[str, Any]:
    """The plan of a statement that only reads, as it was run; of all others nothing."""
    if not sent.upper().startswith(("SELECT", "WITH")) or "FOR UPDATE" in sent:
        return {}
    about = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sent}"
    async with db.connection() as tx:
        try:
            async with tx.transaction(readonly=True):
                text = await tx.fetchval(about, *sent.values)
        except asyncpg.ReadOnlySQLTransactionError:
            return {}
    plan: dict[str, Any] = (json.loads(text) if isinstance(text, str) else text)[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan:
        yield plan
        for below in plan.get("Plans", ()):
            yield from nodes(below)


def looked_at(node: dict[str, Any]) -> float:
    """Rows of a table that this node came upon, also those it did not want."""
    if "Relation Name" not in node:
        return 0.0
    left = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    rows: float = node["Actual Rows"] + sum(node.get(name, 0) for name in left)
    return rows * float(node["Actual Loops"])


def _reads_all(node: dict[str, Any]) -> bool:
    return bool(node["Node Type"] == "Seq Scan") if "Relation Name" in node else False
