"""Single units: a bad one is blocked, sold again or written off; a sold one goes with its order."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rewards.catalog.model import Product
from rewards.inventory import service as inventory
from rewards.inventory.model import NewUnit, ShelfKey, UnitState
from rewards.orders.model import Order, Refusal
from tests.staff.office import Office, open_office

ASK = {"reason": "a customer says the code was used before"}
ACTS = ("block", "unblock", "revoke")
TRAIL = """
SELECT action, subject_id, actor_id, reason, facts FROM audit_entries
WHERE subject_kind = 'unit' ORDER BY id
"""


@pytest.fixture
async def office(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(dsn, tmp_path) as opened:
        yield opened


class Shelf:
    """Three units of one product in the pool."""

    def __init__(self, office: Office, product: Product, units: list[int], batch_id: int) -> None:
        self.office, self.product, self.units, self.batch_id = office, product, units, batch_id

    async def act(self, act: str, unit_id: int) -> Any:
        path = f"/inventory/units/{unit_id}/{act}"
        return await self.office.ask("operations", "POST", path, ASK)

    async def refused(self, act: str, unit_id: int, *, status: int = 409) -> str:
        path = f"/inventory/units/{unit_id}/{act}"
        return await self.office.refused("operations", "POST", path, ASK, status)

    async def batch(self, act: str) -> Any:
        path = f"/inventory/batches/{self.batch_id}/{act}"
        return await self.office.ask("operations", "POST", path, ASK)

    async def depth(self) -> tuple[int, int, int]:
        """How many are for sale, wait for a pump, are blocked."""
        path = f"/inventory/depth?product_id={self.product.id}"
        lines = await self.office.ask("viewer", "GET", path)
        if not lines:
            return 0, 0, 0
        [line] = lines
        return line["loaded"], line["waiting"], line["blocked"]

    async def sell(self, quantity: int) -> Order:
        shop = self.office.shop
        client = await shop.client(minor=1_000_000)
        return (await shop.place_one(shop.ask(client, self.product, quantity))).order

    async def pump(self) -> None:
        body = {"product_ids": [self.product.id]}
        await self.office.ask("operations", "POST", "/inventory/pump", body)


@pytest.fixture
async def shelf(office: Office) -> Shelf:
    product = await office.shop.product(pool_target=10)
    units = await office.shop.stock(product, 3)
    return Shelf(office, product, units, await office.batch_of(units[0]))


async def test_a_unit_is_blocked_and_sold_again_after_a_pump(shelf: Shelf) -> None:
    first = shelf.units[0]
    told = await shelf.act("block", first)
    assert told == {
        "unit_id": first,
        "product_id": shelf.product.id,
        "batch_id": shelf.batch_id,
        "state": "BLOCKED",
        "blocked_for": "STAFF",
    }
    assert await shelf.depth() == (2, 0, 1)
    order = await shelf.sell(3)
    assert str(order.state) == "PARTIALLY_DELIVERED·PARTIAL"
    # Asked again, as after a lost reply, it is still done once.
    assert await shelf.act("block", first) == told
    told = await shelf.act("unblock", first)
    assert (told["state"], told["blocked_for"]) == ("AVAILABLE", None)
    assert await shelf.act("unblock", first) == told
    assert await shelf.depth() == (0, 1, 0)
    await shelf.pump()
    assert await shelf.depth() == (1, 0, 0)
    assert str((await shelf.sell(1)).state) == "DELIVERED·COMPLETED"
    assert await shelf.office.shop.broken() == {}


async def test_a_revoked_unit_never_comes_back(shelf: Shelf) -> None:
    first, second, _ = shelf.units
    assert (await shelf.act("revoke", first))["state"] == "REVOKED"
    await shelf.act("block", second)
    told = await shelf.act("revoke", second)
    assert (told["state"], told["blocked_for"]) == ("REVOKED", None)
    assert await shelf.act("revoke", second) == told
    assert await shelf.depth() == (1, 0, 0)
    for act in ("block", "unblock"):
        assert await shelf.refused(act, first) == "UNIT_STATE"
    await shelf.batch("block")
    await shelf.batch("unblock")
    await shelf.pump()
    assert await shelf.depth() == (1, 0, 0)
    assert await shelf.office.shop.broken() == {}
    # What was written off and is in stock all the same is found.
    async with shelf.office.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE units SET state = 'ALLOCATED' WHERE id = $1", first)
    assert list(await shelf.office.shop.broken()) == ["i11_written_off_unit_is_revoked"]


async def test_a_unit_that_an_order_has_is_left_to_its_order(shelf: Shelf) -> None:
    order = await shelf.sell(1)
    path = f"/inventory/batches/{shelf.batch_id}/units?state=DELIVERED"
    [held] = await shelf.office.ask("viewer", "GET", path)
    for act in ACTS:
        assert await shelf.refused(act, held["unit_id"]) == "UNIT_SOLD"
    path = f"/inventory/units/{held['unit_id']}/revoke"
    told = await shelf.office.ask("operations", "POST", path, ASK, 409)
    assert told["details"] == {
        "state": "DELIVERED",
        "order_id": order.id,
        "item_id": f"{order.id}-1",
    }
    assert "cancel its item late" in told["message"]
    # Bought for an order that has not got it yet.
    parts = shelf.office.shop.parts
    key = ShelfKey(shelf.product.id, 2_500, "USD")
    new = NewUnit(shelf=key, fields={"card_number": "RESERVED", "pin_code": "1"})
    state = UnitState.ALLOCATED
    async with parts.db.transaction() as tx:
        [reserved] = await inventory.add_units(
            tx, parts.vault, shelf.batch_id, [new], state, parts.clock.now()
        )
    assert isinstance(reserved, int)
    for act in ACTS:
        assert await shelf.refused(act, reserved) == "UNIT_SOLD"


async def test_a_unit_blocked_with_its_batch_waits_for_the_batch(shelf: Shelf) -> None:
    first, second, _ = shelf.units
    await shelf.batch("block")
    assert await shelf.refused("unblock", first) == "UNIT_STATE"
    told = await shelf.act("block", second)
    assert told["blocked_for"] == "STAFF"
    assert (await shelf.batch("unblock"))["unblocked"] == 2
    assert await shelf.depth() == (0, 2, 1)
    assert (await shelf.act("unblock", second))["state"] == "AVAILABLE"


async def test_what_is_not_what_was_bought_is_only_revoked(shelf: Shelf) -> None:
    first = shelf.units[0]
    await shelf.act("block", first)
    async with shelf.office.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE blocked_units SET reason = 'SUSPECT' WHERE unit_id = $1", first)
    assert await shelf.refused("unblock", first) == "UNIT_STATE"
    # Nor does blocking it make it a unit that can be unblocked.
    assert (await shelf.act("block", first))["blocked_for"] == "SUSPECT"
    assert (await shelf.act("revoke", first))["state"] == "REVOKED"


async def test_who_may_not_and_what_is_not_there_changes_nothing(shelf: Shelf) -> None:
    office = shelf.office
    for act in ACTS:
        path = f"/inventory/units/{shelf.units[0]}/{act}"
        assert await office.refused("support", "POST", path, ASK, 403) == "FORBIDDEN"
        assert await office.refused("finance", "POST", path, ASK, 403) == "FORBIDDEN"
        assert await office.refused("operations", "POST", path, {}, 400) == "INVALID_FIELD"
        assert await shelf.refused(act, 999_999, status=404) == "UNIT_NOT_FOUND"


async def test_the_trail_says_who_did_it_and_why(shelf: Shelf) -> None:
    first = shelf.units[0]
    for act in ("block", "unblock", "revoke"):
        await shelf.act(act, first)
    async with shelf.office.shop.parts.db.connection() as connection:
        rows = await connection.fetch(TRAIL)
    assert [row["action"] for row in rows] == ["unit.blocked", "unit.unblocked", "unit.revoked"]
    person = shelf.office.people["operations"]
    assert {tuple(row)[1:4] for row in rows} == {(first, person, ASK["reason"])}
    assert rows[0]["facts"] == {
        "state": {"from": "AVAILABLE", "to": "BLOCKED"},
        "blocked_for": {"from": None, "to": "STAFF"},
        "batch_id": shelf.batch_id,
        "product_id": shelf.product.id,
    }


async def test_of_a_sale_and_a_revocation_one_wins(shelf: Shelf) -> None:
    """Three units, three orders and three people at once: each unit goes one way only."""
    office, shop = shelf.office, shelf.office.shop
    clients = [await shop.client(minor=1_000_000) for _ in shelf.units]
    placed, *answers = await asyncio.gather(
        shop.place(*(shop.ask(client, shelf.product, 1) for client in clients)),
        *(
            office.status("operations", "POST", f"/inventory/units/{unit}/revoke", ASK)
            for unit in shelf.units
        ),
    )
    sold = sum(not isinstance(one, Refusal) and one.order.fulfilled for one in placed)
    assert sold + answers.count(200) == 3
    assert answers.count(200) + answers.count(409) == 3
    assert await shop.broken() == {}
