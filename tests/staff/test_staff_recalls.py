"""Recalls: unsold units blocked by one person, the rest taken back once a second one agreed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rewards.catalog.model import Product
from rewards.entry import equipment
from rewards.infra import jobs
from rewards.infra.worker import Worker
from rewards.inventory import service as inventory
from rewards.inventory.model import BatchStatus
from rewards.orders.model import OnPartial, Order
from rewards.staff import recalls
from rewards.staff.model import Role
from rewards.wallets.model import WalletStatus
from tests.staff.office import Office, open_office

ASK_NOTE = {"approve": {"note": "seen"}, "reject": {"reason": "no leak"}}
ASK = {"reason": "the brand says these codes leaked"}


@pytest.fixture
async def office(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(dsn, tmp_path) as opened:
        yield opened


class Stand:
    """A bad batch of one product, sold in part to several orders; and good stock, on request."""

    def __init__(self, office: Office, product: Product, batch_id: int) -> None:
        self.office = office
        self.product = product
        self.path = f"/inventory/batches/{batch_id}"
        self.batch_id = batch_id

    async def sell(self, quantity: int, **facts: Any) -> Order:
        shop = self.office.shop
        client = await shop.client(minor=1_000_000)
        return (await shop.place_one(shop.ask(client, self.product, quantity, **facts))).order

    async def request(self, who: str = "operations", **more: Any) -> int:
        told = await self.office.ask(who, "POST", self.path + "/recall", ASK | more, 202)
        number: int = told["approval"]["approval_id"]
        return number

    async def approve(self, approval_id: int, who: str = "finance") -> None:
        await self.office.ask(who, "POST", f"/approvals/{approval_id}/approve")

    def move_to(self, batch_id: int) -> None:
        self.batch_id, self.path = batch_id, f"/inventory/batches/{batch_id}"

    async def add(self, units: int) -> None:
        """More units of the same batch, in the pool."""
        shop = self.office.shop
        added = await shop.stock(self.product, units)
        async with shop.parts.db.transaction() as tx:
            await tx.execute(
                "UPDATE units SET batch_id = $1 WHERE id = ANY($2)", self.batch_id, added
            )

    async def look(self) -> Any:
        return await self.office.ask("viewer", "GET", self.path + "/recall")

    async def units(self, query: str = "") -> Any:
        return await self.office.ask("viewer", "GET", self.path + "/units" + query)


@pytest.fixture
async def stand(office: Office) -> Stand:
    product = await office.shop.product()
    units = await office.shop.stock(product, 10)
    return Stand(office, product, await office.batch_of(units[0]))


async def test_a_preview_names_every_holder_and_the_cost_and_changes_nothing(stand: Stand) -> None:
    first, second = await stand.sell(3), await stand.sell(2)
    before = await stand.office.shop.everything()
    told = await stand.look()
    assert (told["status"], told["approval"]) == ("OPEN", None)
    assert told["units"] == {"AVAILABLE": 5, "DELIVERED": 5}
    assert (told["counted"], told["orders"], told["clients"]) == (True, 2, 2)
    due = (first.amount_minor + second.amount_minor) / 100
    assert told["refunds"] == [{"currency": "USD", "amount": due}]
    held = await stand.units("?state=delivered")
    assert [(one["order_id"], one["item_id"], one["client_id"]) for one in held] == [
        (order.id, f"{order.id}-{position}", order.client_id)
        for order in (first, second)
        for position in range(1, order.quantity + 1)
    ]
    page = await stand.units(f"?limit=4&after={held[1]['unit_id']}")
    assert [one["state"] for one in page] == ["DELIVERED"] * 3 + ["AVAILABLE"]
    assert await stand.office.shop.everything() == before


async def test_one_person_stops_the_sale_and_a_second_takes_the_rest_back(stand: Stand) -> None:
    shop = stand.office.shop
    orders = [await stand.sell(3), await stand.sell(2)]
    approval = await stand.request()
    told = await stand.look()
    assert (told["status"], told["units"]) == ("BLOCKED", {"BLOCKED": 5, "DELIVERED": 5})
    assert str((await stand.sell(1)).state) == "PENDING·VENDOR_ORDER_PENDING"
    await stand.office.work_off()
    assert (await stand.look())["units"] == {"BLOCKED": 5, "DELIVERED": 5}, "nobody agreed yet"
    await stand.approve(approval)
    await stand.office.work_off()
    told = await stand.look()
    assert (told["status"], told["approval"]["state"]) == ("RECALLED", "CARRIED_OUT")
    assert (told["units"], told["refunds"]) == ({"BLOCKED": 5, "REVOKED": 5}, [])
    for order in orders:
        assert str((await shop.order(order.id)).state) == "CANCELLED·REFUNDED"
        assert await shop.balance(order.client_id) == 1_000_000
        assert await shop.item_states(order.id) == ["REVOKED"] * order.quantity
        assert await shop.events(order.id) == ["order.delivered", "order.cancelled"]
    held = await stand.units("?state=REVOKED")
    assert {one["order_id"] for one in held} == {order.id for order in orders}
    assert await shop.broken() == {}


async def test_the_trail_names_both_people_and_the_reason(stand: Stand) -> None:
    order = await stand.sell(1)
    people = stand.office.people
    await stand.approve(await stand.request())
    await stand.office.work_off()
    async with stand.office.shop.parts.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT action, actor_id, reason, facts -> 'status' AS status FROM audit_entries"
            " WHERE action LIKE 'approval.%' OR action IN ('batch.blocked', 'order.recalled')"
            " ORDER BY id"
        )
    assert rows[1]["status"] == {"from": "OPEN", "to": "BLOCKED"}
    assert [tuple(row)[:3] for row in rows] == [
        ("approval.requested", people["operations"], ASK["reason"]),
        ("batch.blocked", people["operations"], ASK["reason"]),
        ("approval.approved", people["finance"], None),
        ("order.recalled", people["finance"], ASK["reason"]),
        ("approval.carried_out", None, None),
    ]
    told = await stand.office.ask("viewer", "GET", f"/orders/{order.id}")
    assert told["history"][-1]["actor_id"] == people["finance"]


async def test_nobody_approves_what_they_asked_for(stand: Stand) -> None:
    """Not even an admin, who may do both."""
    approval = await stand.request("admin")
    path = f"/approvals/{approval}"
    assert await stand.office.refused("admin", "POST", path + "/approve", None, 403) == (
        "SECOND_PERSON_NEEDED"
    )
    assert await stand.office.refused("admin", "POST", path + "/reject", ASK, 403) == (
        "SECOND_PERSON_NEEDED"
    )
    assert await stand.office.refused("operations", "POST", path + "/approve", None, 403) == (
        "FORBIDDEN"
    )
    other = await stand.office.hire("admin", "admin two")
    await stand.approve(approval, other)
    assert await stand.office.refused("finance", "POST", path + "/approve") == "APPROVAL_DECIDED"
    assert await stand.office.refused("finance", "POST", path + "/reject", ASK) == (
        "APPROVAL_DECIDED"
    )


async def test_refusals_of_a_recall_change_nothing(stand: Stand) -> None:
    office = stand.office
    path = stand.path + "/recall"
    assert await office.refused("operations", "POST", path, {}, 400) == "INVALID_FIELD"
    assert await office.refused("operations", "POST", path, {"reason": " "}, 400) == "INVALID_FIELD"
    assert await office.refused("finance", "POST", path, ASK, 403) == "FORBIDDEN"
    for path_of in ("/recall", "/block", "/unblock"):
        missing = f"/inventory/batches/999999{path_of}"
        assert await office.refused("operations", "POST", missing, ASK, 404) == "BATCH_NOT_FOUND"
    assert await office.refused("viewer", "GET", "/inventory/batches/999999/recall", None, 404)
    approval = await stand.request()
    assert await office.refused("operations", "POST", path, ASK) == "APPROVAL_PENDING"
    unblock = stand.path + "/unblock"
    assert await office.refused("operations", "POST", unblock, ASK) == "APPROVAL_PENDING"
    missing = "/approvals/999999"
    assert await office.refused("finance", "POST", missing + "/approve", None, 404) == (
        "APPROVAL_NOT_FOUND"
    )
    reject = f"/approvals/{approval}/reject"
    assert await office.refused("finance", "POST", reject, {}, 400) == "INVALID_FIELD"
    await stand.approve(approval)
    await office.work_off()
    assert await office.refused("operations", "POST", path, ASK) == "BATCH_STATE"
    for path_of in ("/block", "/unblock"):
        told = await office.refused("operations", "POST", stand.path + path_of, ASK)
        assert told == "BATCH_STATE"


async def test_a_rejected_recall_leaves_the_batch_blocked_until_somebody_unblocks_it(
    stand: Stand,
) -> None:
    order = await stand.sell(2)
    approval = await stand.request()
    told = await stand.office.ask("finance", "POST", f"/approvals/{approval}/reject", ASK)
    assert (told["state"], told["note"]) == ("REJECTED", ASK["reason"])
    await stand.office.work_off()
    told = await stand.look()
    assert (told["status"], told["units"]) == ("BLOCKED", {"BLOCKED": 8, "DELIVERED": 2})
    back = await stand.office.ask("operations", "POST", stand.path + "/unblock", ASK)
    assert back["unblocked"] == 8
    assert (await stand.look())["units"] == {"AVAILABLE": 8, "DELIVERED": 2}
    assert str((await stand.office.shop.order(order.id)).state) == "DELIVERED·COMPLETED"
    assert await stand.office.shop.broken() == {}
    await stand.request()


async def test_a_batch_is_blocked_without_a_recall(stand: Stand) -> None:
    office, order = stand.office, await stand.sell(2)
    path = stand.path + "/block"
    assert await office.refused("support", "POST", path, ASK, 403) == "FORBIDDEN"
    assert await office.refused("operations", "POST", path, {}, 400) == "INVALID_FIELD"
    told = await office.ask("operations", "POST", path, ASK)
    assert told == {"batch_id": stand.batch_id, "blocked": 8}
    told = await stand.look()
    assert (told["status"], told["approval"]) == ("BLOCKED", None)
    assert told["units"] == {"BLOCKED": 8, "DELIVERED": 2}
    assert str((await office.shop.order(order.id)).state) == "DELIVERED·COMPLETED"
    # Again it does nothing.
    assert (await office.ask("operations", "POST", path, ASK))["blocked"] == 0
    await office.ask("operations", "POST", stand.path + "/unblock", ASK)
    assert (await stand.look())["units"] == {"AVAILABLE": 8, "DELIVERED": 2}
    async with office.shop.parts.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT action, facts, reason FROM audit_entries WHERE subject_kind = 'batch'"
            " ORDER BY id"
        )
    assert [row["action"] for row in rows] == ["batch.blocked", "batch.blocked", "batch.unblocked"]
    assert rows[0]["facts"] == {"status": {"from": "OPEN", "to": "BLOCKED"}}
    assert {row["reason"] for row in rows} == {ASK["reason"]}
    assert await office.shop.broken() == {}


async def test_a_worker_blocks_what_a_dead_process_left(stand: Stand, dsn: str) -> None:
    """The first commit of `block` alone: out of sale, its units still loaded, the job queued."""
    parts = stand.office.shop.parts

    async def leave(batch_status: BatchStatus) -> None:
        async with parts.db.transaction() as tx:
            at = stand.office.shop.now
            await inventory.set_batch_status(tx, stand.batch_id, batch_status, at)
            await jobs.enqueue(tx, [inventory.block_job(stand.batch_id)])

    worker = Worker(dsn, parts.settings)
    context = equipment.Context(parts.settings, dsn, parts.db, parts.clock)
    equipment.stock(parts.catalog)(worker, context)
    # Somebody has opened it again in the meantime: nothing to do.
    await leave(BatchStatus.OPEN)
    assert await worker.drain() == 1
    assert (await stand.look())["units"] == {"AVAILABLE": 10}
    await leave(BatchStatus.BLOCKED)
    assert await worker.drain() == 1
    assert (await stand.look())["units"] == {"BLOCKED": 10}


async def test_a_request_that_nobody_looked_at_expires(stand: Stand) -> None:
    approval = await stand.request()
    assert await stand.office.expire() == 0
    async with stand.office.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE approvals SET expires_at = now() - interval '1 second'")
    path = f"/approvals/{approval}/approve"
    assert await stand.office.refused("finance", "POST", path) == "APPROVAL_EXPIRED"
    assert await stand.office.expire() == 1
    assert await stand.office.refused("finance", "POST", path) == "APPROVAL_DECIDED"
    [told] = await stand.office.ask("viewer", "GET", "/approvals?state=expired&kind=batch_recall")
    assert (told["approval_id"], told["subject_id"]) == (approval, stand.batch_id)
    assert told["details"] == {"replace": False}
    assert await stand.office.ask("viewer", "GET", "/approvals?state=requested") == []
    await stand.request()


async def test_every_kind_of_holder_is_found(stand: Stand) -> None:
    """Cancelled or failed in part, paid or owed: whatever has a unit of the batch gives it back."""
    shop = stand.office.shop
    await stand.sell(10)
    orders = []
    for close, frozen in (
        (shop.cancel, False),
        (shop.cancel, True),
        (shop.fail, False),
        (shop.fail, True),
    ):
        await stand.add(1)
        order = await stand.sell(2)
        if frozen:
            await shop.set_wallet_status(order.client_id, WalletStatus.FROZEN)
        await close(order.id)
        orders.append(order)
    await stand.approve(await stand.request())
    await stand.office.work_off()
    assert (await stand.look())["units"] == {"REVOKED": 14}
    assert [str((await shop.order(order.id)).state) for order in orders] == [
        "CANCELLED·REFUNDED",
        "CANCELLED·NOT_REFUNDED",
    ] * 2
    for order in orders:
        await shop.set_wallet_status(order.client_id, WalletStatus.ACTIVE)
    await shop.tasks.refunds_owed()
    for order in orders:
        assert await shop.balance(order.client_id) == 1_000_000
    assert await shop.broken() == {}


async def test_an_order_that_still_waits_gives_back_and_goes_on_waiting(stand: Stand) -> None:
    shop = stand.office.shop
    order = await stand.sell(12, on_partial=OnPartial.KEEP)
    await shop.tasks.fill([order.id])
    await stand.approve(await stand.request())
    await stand.office.work_off()
    now = await shop.order(order.id)
    assert str(now.state) == "PARTIALLY_DELIVERED·PARTIAL"
    assert (now.revoked, now.missing, now.refunded_minor) == (10, 2, order.amount_minor * 10 // 12)
    told = await shop.events(order.id)
    assert told[-2:] == ["order.partially_delivered"] * 2
    await shop.stock(stand.product, 2)
    await shop.retry(order.id)
    assert str((await shop.order(order.id)).state) == "DELIVERED·COMPLETED"
    assert await shop.item_states(order.id) == ["REVOKED"] * 10 + ["DELIVERED"] * 2
    assert await shop.broken() == {}


async def test_units_of_other_batches_stay_where_they_are(stand: Stand) -> None:
    shop = stand.office.shop
    await shop.stock(stand.product, 2)
    order = await stand.sell(10)
    mixed = await stand.sell(2)
    await stand.add(1)
    both = await stand.sell(1)
    await stand.approve(await stand.request())
    await stand.office.work_off()
    assert str((await shop.order(order.id)).state) == "CANCELLED·REFUNDED"
    assert str((await shop.order(mixed.id)).state) == "DELIVERED·COMPLETED"
    assert str((await shop.order(both.id)).state) == "CANCELLED·REFUNDED"
    assert await shop.broken() == {}


async def test_what_can_be_is_replaced_from_the_pool_and_the_rest_refunded(stand: Stand) -> None:
    shop = stand.office.shop
    first, second = await stand.sell(2), await stand.sell(2)
    approval = await stand.request(replace=True)
    good = await shop.stock(stand.product, 3)
    await stand.approve(approval)
    await stand.office.work_off()
    assert (await stand.look())["units"] == {"BLOCKED": 6, "REVOKED": 4}
    whole, part = await shop.order(first.id), await shop.order(second.id)
    assert str(whole.state) == "DELIVERED·COMPLETED"
    assert (whole.refunded_minor, whole.revoked) == (0, 0)
    assert str(part.state) == "CANCELLED·REFUNDED"
    assert part.refunded_minor == second.amount_minor // 2
    assert await shop.item_states(first.id) == ["DELIVERED", "DELIVERED"]
    assert sorted(await shop.item_states(second.id)) == ["DELIVERED", "REVOKED"]
    async with shop.parts.db.connection() as connection:
        swaps = await connection.fetch("SELECT replaced_by FROM order_replacements ORDER BY 1")
    assert [row[0] for row in swaps] == good
    shown = await shop.parts.orders.read(
        shop.ask(first.client_id, stand.product).actor, first.client_id, first.id
    )
    fresh = {f"{code}-card_number" for code in shop.codes[-3:]}
    assert {voucher.card_number for voucher in shown.vouchers} < fresh
    assert await shop.events(first.id) == ["order.delivered", "order.delivered"]
    assert await shop.events(second.id) == ["order.delivered", "order.cancelled"]
    assert await shop.broken() == {}


async def test_a_replacement_can_be_recalled_and_replaced_too(stand: Stand) -> None:
    shop = stand.office.shop
    order = await stand.sell(1)
    for _ in range(2):
        approval = await stand.request(replace=True)
        [unit] = await shop.stock(stand.product, 1)
        await stand.approve(approval)
        await stand.office.work_off()
        stand.move_to(await stand.office.batch_of(unit))
    assert str((await shop.order(order.id)).state) == "DELIVERED·COMPLETED"
    assert await shop.broken() == {}


async def test_a_recall_killed_anywhere_and_run_twice_does_nothing_twice(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = stand.office.shop
    await stand.add(50)
    orders = [await stand.sell(1 + turn % 3) for turn in range(30)]
    parts = shop.parts
    approval = await stand.request(replace=True)
    await shop.stock(stand.product, 20)
    await stand.approve(approval)
    monkeypatch.setattr(recalls, "PAGE_UNITS", 7)
    monkeypatch.setattr(recalls, "CHUNK_MAX", 2)
    left = []
    for turn in range(8):
        run = asyncio.create_task(recalls.carry_out(parts.db, parts.clock, approval))
        await asyncio.sleep(0.01 + turn * 0.01)
        run.cancel()
        await asyncio.wait({run})
        left.append((await stand.look())["units"].get("DELIVERED", 0))
    assert left[0] > 0, "it was killed before it was done"
    assert left == sorted(left, reverse=True)
    both = (recalls.carry_out(parts.db, parts.clock, approval) for _ in range(2))
    await asyncio.gather(*both)
    told = await stand.look()
    assert (told["units"].get("DELIVERED", 0), told["approval"]["state"]) == (0, "CARRIED_OUT")
    paid = 0
    for order in orders:
        now = await shop.order(order.id)
        steps = await shop.path(order.id)
        assert len(steps) <= 5, "one act took all of it back"
        paid += now.refunded_minor
    replaced = 20
    sold = sum(order.quantity for order in orders)
    assert paid == (sold - replaced) * 2550
    assert await shop.broken() == {}


async def test_of_two_recalls_asked_for_at_once_one_wins(stand: Stand) -> None:
    office = stand.office
    path = stand.path + "/recall"
    await stand.sell(2)

    await office.hire(Role.ADMIN, "admin two")
    asked = await asyncio.gather(
        *(office.status(who, "POST", path, ASK) for who in ("operations", "admin"))
    )
    assert sorted(asked) == [202, 409]
    [told] = await office.ask("viewer", "GET", "/approvals")
    verdicts = await asyncio.gather(
        *(
            office.status(who, "POST", f"/approvals/{told['approval_id']}/{verb}", ASK_NOTE[verb])
            for who, verb in (("finance", "approve"), ("admin two", "reject"))
        )
    )
    assert sorted(verdicts) == [200, 409]


async def test_a_worker_carries_out_what_was_approved(stand: Stand, dsn: str) -> None:
    """The real job, through the queue."""
    order = await stand.sell(1)
    parts = stand.office.shop.parts
    worker = Worker(dsn, parts.settings)
    context = equipment.Context(parts.settings, dsn, parts.db, parts.clock)
    equipment.second_persons(parts.restocks)(worker, context)
    approval = await stand.request()
    assert await worker.drain() == 1
    assert (await stand.look())["approval"]["state"] == "REQUESTED"
    await stand.approve(approval)
    assert await worker.drain() == 1
    assert (await stand.look())["approval"]["state"] == "CARRIED_OUT"
    assert str((await stand.office.shop.order(order.id)).state) == "CANCELLED·REFUNDED"


async def test_replacing_all_that_an_order_holds_leaves_what_it_is_owed(stand: Stand) -> None:
    shop = stand.office.shop
    await stand.sell(9)
    order = await stand.sell(2)
    await shop.set_wallet_status(order.client_id, WalletStatus.FROZEN)
    await shop.cancel(order.id)
    await shop.set_wallet_status(order.client_id, WalletStatus.ACTIVE)
    approval = await stand.request(replace=True)
    await shop.stock(stand.product, 20)
    await stand.approve(approval)
    await stand.office.work_off()
    assert str((await shop.order(order.id)).state) == "CANCELLED·NOT_REFUNDED"
    assert await shop.item_states(order.id) == ["DELIVERED", "CANCELLED"]
    assert await shop.broken() == {}
