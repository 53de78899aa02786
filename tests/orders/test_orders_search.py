"""Staff's search among many orders: what is found, page by page, and that none reads them all."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rewards.core.errors import InvalidField
from rewards.infra.db import Database, Tx
from rewards.orders import search, sql_search
from rewards.orders.model import STATES, Order, Status, SubStatus
from rewards.orders.model_search import OrderSearch, Sort, Way
from rewards.orders.sql_read import read_orders
from tests.counting import statements

ORDERS = 12_000
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(minutes=ORDERS)
# 300 clients, 60 products: one of each has a fifth. Nine in ten orders were served at once.
FILL = """
INSERT INTO orders (
    id, client_id, ref, transaction_id, wallet_id, currency, amount_minor, discount_minor,
    fees_minor, tax_minor, product_id, product_revision_id, product_name, product_currency,
    denomination_minor, quantity, on_partial, email, status, sub_status, items_created, fulfilled,
    cancelled, placed_at, changed_at
)
SELECT n, CASE WHEN n % 5 = 0 THEN 1 ELSE 1 + (n * 7919) % 300 END,
    CASE WHEN n < 600 AND n % 5 = 3 THEN 'shared' || n / 300 ELSE 'ref-' || n END, n, 1,
    CASE WHEN n % 7 = 0 THEN 'EUR' ELSE 'USD' END, 100 * (n % 50), 0, 0, 0,
    CASE WHEN n % 5 = 1 THEN 1 ELSE 1 + (n * 104729) % 60 END, 1, 'Card', 'USD', 2500, 1, 'KEEP',
    CASE WHEN n % 3 = 0 THEN 'Buyer' || n % 400 || '@example.com' END, states[place][1],
    states[place][2], 1, 0, 0, at, at
FROM (
    SELECT n, $2::timestamptz + n * interval '1 minute' AS at, $3::text[][] AS states,
        CASE WHEN n % 10 = 7 THEN 1 + (n / 10) % array_length($3::text[][], 1)
            ELSE array_position($4::text[], 'DELIVERED·RECONCILED') END AS place
    FROM generate_series(1::bigint, $1::bigint) AS n
) AS made
"""


@pytest.fixture
async def many(db: Database) -> Database:
    """12,000 orders, one a minute, in every state."""
    states = [[state.status, state.sub_status] for state in STATES]
    async with db.connection() as connection:
        await connection.execute(FILL, ORDERS, START, states, [str(s) for s in STATES])
        await connection.execute("VACUUM ANALYZE orders")
    return db


def holds(order: Order, wanted: OrderSearch) -> bool:
    """The same, said plainly."""
    address = (order.email or "").lower()
    word = wanted.word
    return all(
        (
            wanted.order_id in (None, order.id),
            wanted.ref in (None, order.ref),
            word is None
            or word.lower() == address
            or word in (order.ref, str(order.id), f"{order.id}-1"),
            wanted.client_id in (None, order.client_id),
            wanted.product_id in (None, order.product_id),
            wanted.status in (None, order.status),
            wanted.sub_status in (None, order.sub_status),
            wanted.currency in (None, order.currency),
            wanted.amount_min_minor is None or order.amount_minor >= wanted.amount_min_minor,
            wanted.amount_max_minor is None or order.amount_minor <= wanted.amount_max_minor,
            wanted.email is None or wanted.email.lower() == address,
            wanted.placed_from is None or order.placed_at >= wanted.placed_from,
            wanted.placed_to is None or order.placed_at < wanted.placed_to,
            wanted.waits_since is None
            or (
                order.placed_at < wanted.waits_since
                and order.status in ("PLACED", "PENDING", "PARTIALLY_DELIVERED")
            ),
        )
    )


def searches() -> list[OrderSearch]:
    """Each field alone, what people combine, and whatever chance puts together."""
    day = timedelta(days=1)
    alone: dict[str, Sequence[Any]] = {
        "order_id": (77, 999_999_999),
        "ref": ("shared1", "ref-500", "nobody's"),
        "word": ("505", "505-1", "shared0", "ref-42", "BUYER3@example.com", "no@where.org", "-"),
        "client_id": (1, 7, 999),
        "product_id": (1, 59, 999),
        "status": tuple(Status),
        "sub_status": tuple(SubStatus),
        "currency": ("EUR", "JPY"),
        "amount_min_minor": (2_000, 4_900, 9_999),
        "amount_max_minor": (0, 2_000),
        "email": ("buyer6@EXAMPLE.com", "no@where.org"),
        "placed_from": (START + 2 * day, END + day),
        "placed_to": (START + 2 * day, START),
        "waits_since": (START + 2 * day, START),
        "sort": tuple(Sort),
    }
    made = [OrderSearch(**{name: value}) for name, values in alone.items() for value in values]
    made += [
        OrderSearch(client_id=1, status=Status.PENDING),
        OrderSearch(client_id=1, product_id=1, status=Status.DELIVERED),
        OrderSearch(client_id=1, waits_since=END, sort=Sort.OLDEST),
        OrderSearch(product_id=1, status=Status.CANCELLED),
        OrderSearch(status=Status.PENDING, waits_since=END - day, sort=Sort.OLDEST),
        OrderSearch(ref="shared0", client_id=1),
        OrderSearch(ref="ref-500", word="500"),
        OrderSearch(email="buyer6@example.com", word="buyer6@example.com"),
        OrderSearch(email="buyer6@example.com", word="other@example.com"),
    ]
    chance = random.Random(5)
    for _ in range(60):
        names = chance.sample(sorted(alone), chance.randint(2, 4))
        made.append(OrderSearch(**{name: chance.choice(alone[name]) for name in names}))
    return made


async def whole(tx: Tx, wanted: OrderSearch, limit: int) -> list[Order]:
    """Every page of a search."""
    found: list[Order] = []
    after = None
    for _ in range(ORDERS):
        page = await search.find(tx, wanted, after=after, limit=limit)
        found += page.orders
        assert len(page.orders) <= limit
        if page.following is None:
            return found
        # A page that is not full says how far it came.
        assert (page.searched_to is None) == (len(page.orders) == limit)
        assert page.following != after
        after = page.following
    raise AssertionError("a search does not end")


async def test_every_search_finds_what_holds_and_nothing_else_in_order(many: Database) -> None:
    async with many.connection() as connection:
        by_id = await read_orders(connection, range(1, ORDERS + 1))
        for wanted in searches():
            newest = wanted.sort is Sort.NEWEST
            expected = sorted((n for n in by_id if holds(by_id[n], wanted)), reverse=newest)
            limit = 3 if len(expected) < 30 else 1_000
            found = [order.id for order in await whole(connection, wanted, limit)]
            assert found == expected, wanted


async def test_a_search_for_something_rare_is_broken_off_and_goes_on(many: Database) -> None:
    wanted = OrderSearch(client_id=1, currency="EUR", amount_max_minor=0)
    rare = replace(wanted, client_id=None, product_id=1)
    async with many.connection() as connection:
        # A client's are looked at 5,000 at a time, a product's 2,000; all of the table 20,000.
        page = await search.find(connection, rare, limit=50)
        assert (len(page.orders) < 50, page.following is not None) == (True, True)
        assert page.searched_to is not None
        assert all(order.placed_at >= page.searched_to for order in page.orders)
        after = await search.find(connection, rare, after=page.following, limit=50)
        assert all(order.placed_at < page.searched_to for order in after.orders)
        for bad in ("x", "LTE.MQ"):
            with pytest.raises(InvalidField):
                await search.find(connection, wanted, after=bad, limit=50)


async def plan_of(tx: Tx, statement: str, values: Sequence[object]) -> str:
    return "\n".join(row[0] for row in await tx.fetch("EXPLAIN " + statement, *values))


async def test_no_search_reads_the_whole_table_or_asks_much(many: Database) -> None:
    async with many.connection() as connection:
        for wanted in searches():
            if wanted.states == ():
                continue
            with statements(connection) as sent:
                await search.find(connection, wanted, limit=50)
            assert len(sent) <= 5, wanted
            page = sql_search.Page(51, (END, ORDERS), ids=[1, 2], between=(1, ORDERS))
            query = sql_search.compose(wanted, page)
            asked = (
                [query.page, (query.last_examined, query.values)] if query.rest else [query.page]
            )
            for statement, values in asked:
                plan = "\n".join(
                    r[0] for r in await connection.fetch("EXPLAIN " + statement, *values)
                )
                assert "Seq Scan" not in plan, (wanted, plan)
                if wanted.way is Way.STATE:
                    # By the state, not by walking through all ids.
                    assert "orders_pkey" not in plan, (wanted, plan)
        for statement, values in (
            (sql_search.FIND_REF, ["ref-1"]),
            (sql_search.FIND_CLIENTS_REF, ["ref-1", 1]),
            (sql_search.FIRST_SINCE, [START]),
        ):
            plan = await plan_of(connection, statement, values)
            assert "Seq Scan" not in plan, plan


async def test_a_place_in_time_is_found_among_ids_with_gaps(many: Database) -> None:
    async with many.connection() as connection:
        await connection.execute("DELETE FROM orders WHERE id % 7 < 5")
        kept = [row[0] for row in await connection.fetch("SELECT id FROM orders ORDER BY id")]
        for n in (0, 1, 5_000, 5_003, ORDERS, ORDERS + 5):
            first = await sql_search.first_since(connection, START + timedelta(minutes=n))
            assert first is not None
            assert [k for k in kept if k >= first] == [k for k in kept if k >= n]
        await connection.execute("DELETE FROM orders")
        assert await sql_search.first_since(connection, START) is None
        assert (await search.find(connection, OrderSearch(placed_from=START), limit=5)).orders == []
