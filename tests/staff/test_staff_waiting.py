"""What waits, through the API: the oldest first, with who must act next, and counted."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.orders.model import Order
from rewards.orders.waiting import Band
from tests.staff.counter import Counter, open_counter
from tests.staff.office import Office


@pytest.fixture
async def counter(dsn: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(dsn, tmp_path) as made:
        yield made


async def made_older(office: Office, order: Order, **by: int) -> None:
    """As if it, and all that were placed before it, had been placed so much earlier."""
    async with office.shop.parts.db.connection() as connection:
        await connection.execute(
            "UPDATE orders SET placed_at = placed_at - $2::interval WHERE id <= $1",
            *(order.id, timedelta(**by)),
        )


async def test_the_oldest_comes_first_and_says_who_must_act(counter: Counter) -> None:
    office = counter.office
    older = await counter.waiting()
    await made_older(office, older, hours=30)
    # 50.00 is one person's to approve, 250.00 is not.
    bought, large = await counter.waiting(), await counter.waiting(10)
    await counter.approve(bought)
    asked = await counter.approve(large)
    assert asked["approval"] is not None
    soon = office.shop.now + timedelta(hours=2)
    partly = await counter.waiting(stock=1, deliver_by=soon)
    served = await counter.waiting(1, stock=1)
    told = await office.ask("viewer", "GET", "/orders/waiting")
    assert [line["id"] for line in told] == [older.id, bought.id, large.id, partly.id]
    assert served.id not in [line["id"] for line in told]
    assert told[0]["waited_s"] >= 30 * 3600
    assert {line["client_name"] for line in told} == {"Test client"}
    acts = [line["next"] for line in told]
    assert [(act["who"], act["why"], act["ends"]) for act in acts] == [
        ("STAFF", "POOL_EMPTY", None),
        ("WORKER", "VENDOR_TO_BE_ASKED", "WINDOW"),
        ("SECOND_PERSON", "SECOND_PERSON_ASKED", "APPROVAL"),
        ("STAFF", "POOL_SHORT", "DELIVER_BY"),
    ]
    for query, expected in (
        ("older_than=24", [older]),
        ("sub_status=partial", [partly]),
        (f"client_id={large.client_id}", [large]),
        ("status=delivered", []),
        ("product_id=6&limit=1", [older]),
        (f"q={large.id}-2", [large]),
        (f"q={served.id}", []),
        (f"placed_from={office.shop.now.date()}", [bought, large, partly]),
    ):
        lines = await office.ask("viewer", "GET", f"/orders/waiting?{query}")
        assert [line["id"] for line in lines] == [order.id for order in expected], query
    bad = await office.ask("viewer", "GET", "/orders/waiting?older_than=x", status=400)
    assert bad["code"] == "INVALID_FIELD"


async def test_what_waits_is_counted_by_why_and_since_when(counter: Counter) -> None:
    office = counter.office
    assert await office.ask("viewer", "GET", "/orders/waiting/counts") == []
    bands = {
        Band.OVER_WEEK: {"days": 8},
        Band.OVER_DAY: {"hours": 30},
        Band.OVER_HOUR: {"hours": 2},
    }
    placed: dict[str, Order] = {}
    for band in bands:
        placed[band] = await counter.waiting()
    for band, since in reversed(bands.items()):
        async with office.shop.parts.db.connection() as connection:
            await connection.execute(
                "UPDATE orders SET placed_at = placed_at - $2::interval WHERE id = $1",
                *(placed[band].id, timedelta(**since)),
            )
    placed[Band.FRESH] = await counter.waiting()
    await counter.waiting(stock=1)
    told = await office.ask("viewer", "GET", "/orders/waiting/counts")
    empty = [line for line in told if line["sub_status"] == "VENDOR_ORDER_PENDING"]
    assert [(line["band"], line["orders"]) for line in empty] == [(band, 1) for band in Band]
    assert [(line["who"], line["why"]) for line in empty] == [("STAFF", "POOL_EMPTY")] * 4
    [partly] = [line for line in told if line not in empty]
    assert (partly["sub_status"], partly["band"], partly["orders"]) == ("PARTIAL", "FRESH", 1)
    # Each leads to the orders it counted.
    for line in empty:
        answer = await office.http.get(
            "/admin/api/v1/orders", params=line["query"], headers=office.token("viewer")
        )
        assert [order["id"] for order in answer.json()] == [placed[line["band"]].id], line
        assert line["oldest_order_id"] == placed[line["band"]].id
