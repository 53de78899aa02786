"""One order with all around it, a code revealed, many acted upon, and the overview."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.core.clock import SystemClock
from rewards.core.errors import Refusal
from rewards.inventory.masking import masked
from rewards.orders import foreseeing, model
from rewards.orders.model import Order
from rewards.orders.service import CancelAsk, RetryAsk
from rewards.staff import story
from rewards.staff.model import PERMISSIONS, Permission, Role
from rewards.wallets.model import WalletStatus
from tests.counting import statements
from tests.shop import STAFF
from tests.staff.counter import Counter, open_counter

AMOUNT = 25.5


@pytest.fixture
async def counter(dsn: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(dsn, tmp_path) as made:
        yield made


async def tell(counter: Counter, order: Order, who: str = "admin") -> Any:
    return await counter.office.ask(who, "GET", f"/orders/{order.id}/story")


async def test_the_story_has_everything_in_one_line_of_time(counter: Counter) -> None:
    office = counter.office
    order = await counter.waiting(3, stock=1)
    before = await tell(counter, order)
    assert before["next"]["why"] == "POOL_SHORT"
    assert before["acts"] == ["RETRY", "VENDOR_FULFILMENT", "CANCEL", "NOTE", "REVEAL"]
    await office.ask("support", "POST", f"/orders/{order.id}/notes", {"text": "in a hurry"}, 201)
    await counter.approve(order)
    assert "RETRY" not in (await tell(counter, order))["acts"]
    await counter.work()
    told = await tell(counter, order)
    assert (told["order"]["status"], told["next"]["who"]) == ("DELIVERED", "NOBODY")
    kinds = [moment["told"] for moment in told["moments"]]
    assert set(kinds) >= {"ACT", "MONEY", "VENDOR_ORDER", "EXCHANGE", "EVENT", "AUDIT", "NOTE"}
    assert [m["at"] for m in told["moments"]] == sorted(m["at"] for m in told["moments"])
    [money] = [m for m in told["moments"] if m["told"] == "MONEY"]
    assert money["facts"]["balance_after"] == 10_000 + money["facts"]["amount"]
    bought = [m["what"] for m in told["moments"] if m["told"] == "VENDOR_ORDER"]
    assert bought == ["COMMITTED", "SENT", "FULFILLED"]
    [note] = [m for m in told["moments"] if m["told"] == "NOTE"]
    assert (note["facts"]["text"], note["facts"]["author"]) == ("in a hurry", "support")


async def test_a_unit_is_told_by_its_last_four_and_no_more(counter: Counter) -> None:
    order = await counter.waiting(2, stock=2)
    rows = await audited(counter, order)
    told = await tell(counter, order, "viewer")
    assert [unit["position"] for unit in told["units"]] == [1, 2]
    for unit, code in zip(told["units"], counter.office.shop.codes, strict=True):
        assert unit["fields"]["card_number"] == "••••mber"
        assert unit["state"] == "DELIVERED"
        assert code not in str(told)
    # Nobody saw a code: the trail says nothing of it.
    assert await audited(counter, order) == rows
    assert told["acts"] == []
    # What the trail says in particular is for those who may read it.
    mine = [m for m in (await tell(counter, order))["moments"] if m["told"] == "AUDIT"]
    theirs = [m for m in told["moments"] if m["told"] == "AUDIT"]
    assert "amount_minor" in mine[0]["facts"]
    assert set(theirs[0]["facts"]) == {"audit_id"}
    assert [masked(value) for value in ("12345678", "1234567", "")] == ["••••5678", "••••", "••••"]


async def audited(counter: Counter, order: Order) -> list[Any]:
    async with counter.office.shop.parts.db.connection() as connection:
        return list(
            await connection.fetch(
                "SELECT action, actor_id, reason, facts FROM audit_entries"
                " WHERE subject_kind = 'order' AND subject_id = $1 ORDER BY id",
                order.id,
            )
        )


async def test_a_story_takes_at_most_twelve_statements(counter: Counter) -> None:
    order = await counter.waiting(3, stock=1)
    await counter.approve(order)
    await counter.work()
    parts = counter.office.shop.parts
    async with parts.db.connection() as connection:
        with statements(connection) as sent:
            told = await story.read(connection, parts.settings, order.id, counter.clock.now())
    assert told.exchanges
    assert told.sealed
    assert len(sent) <= 12


async def test_a_code_is_revealed_to_an_admin_who_says_why(counter: Counter) -> None:
    office = counter.office
    order = await counter.waiting(2, stock=1)
    path, body = f"/orders/{order.id}/reveal", {"position": 1, "reason": "they lost the mail"}
    answer = await office.http.post(
        "/admin/api/v1" + path, json=body, headers=office.token("admin")
    )
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["voucher"]["card_number"] == f"{office.shop.codes[0]}-card_number"
    last = (await audited(counter, order))[-1]
    assert (last["action"], last["actor_id"]) == ("order.code_revealed", office.people["admin"])
    assert last["reason"] == "they lost the mail"
    assert office.shop.codes[0] not in str(last)
    for who in set(Role) - {Role.ADMIN}:
        assert Permission.CODES_REVEAL not in PERMISSIONS[who]
        assert await office.refused(str(who), "POST", path, body, 403) == "FORBIDDEN"
    for bad, status, code in (
        ({"position": 1}, 400, "INVALID_FIELD"),
        ({"position": 0, "reason": "x"}, 400, "INVALID_FIELD"),
        ({"reason": "x"}, 400, "INVALID_FIELD"),
        (body | {"position": 2}, 409, "NOTHING_TO_REVEAL"),
        (body | {"position": 3}, 404, "ITEM_NOT_FOUND"),
    ):
        assert await office.refused("admin", "POST", path, bad, status) == code
    gone = await office.refused("admin", "POST", "/orders/999999/reveal", body, 404)
    assert gone == "ORDER_NOT_FOUND"
    await office.shop.cancel(order.id)
    await office.shop.cancel(order.id, f"{order.id}-1")
    assert await office.refused("admin", "POST", path, body) == "NOTHING_TO_REVEAL"


def many(orders: list[Order], *, preview: bool, **more: Any) -> dict[str, Any]:
    ids = [order.id for order in orders]
    return {"order_ids": [*ids, 999_999], "reason": "cleaning up", "preview": preview} | more


async def test_a_preview_says_what_the_act_then_does_and_changes_nothing(counter: Counter) -> None:
    office, shop = counter.office, counter.office.shop
    first, second = await counter.waiting(2), await counter.waiting(3)
    choosy = await counter.waiting(2, on_partial=model.OnPartial.ALL_OR_NOTHING)
    frozen = await counter.waiting(1)
    late = await counter.waiting(1, deliver_by=shop.now + timedelta(seconds=1))
    await shop.set_wallet_status(frozen.client_id, WalletStatus.FROZEN)
    product = shop.parts.catalog.product(6)
    assert product is not None
    served = await counter.waiting(1, stock=1)
    await shop.stock(product, 4)
    counter.clock.ahead += timedelta(minutes=1)
    orders = [first, second, choosy, frozen, late, served]
    for act in ("retry", "cancel"):
        before = await shop.everything()
        path = f"/orders/{act}"
        foreseen = await office.ask("operations", "POST", path, many(orders, preview=True))
        assert await shop.everything() == before
        done = await office.ask("operations", "POST", path, many(orders, preview=False))
        assert [each | {"preview": False} for each in foreseen] == done
        by_id = {each["order_id"]: each for each in done}
        assert by_id[999_999]["code"] == "ORDER_NOT_FOUND"
        if act == "retry":
            assert [by_id[order.id]["units"] for order in orders] == [2, 2, 0, 0, 0, 0]
            assert by_id[late.id]["code"] == "DELIVER_BY_PASSED"
            assert by_id[served.id]["code"] == "ORDER_NOT_RETRYABLE"
            assert by_id[second.id]["status"] == "PARTIALLY_DELIVERED"
        else:
            assert by_id[second.id]["refund"] == AMOUNT
            assert by_id[frozen.id]["sub_status"] == "NOT_REFUNDED"
            assert (by_id[frozen.id]["refund"], by_id[frozen.id]["owed"]) == (0, AMOUNT)
            assert by_id[first.id]["status"] == "CANCELLED"
    assert await shop.broken() == {}


async def test_a_bulk_order_over_the_cap_is_foreseen_to_be_cancelled(counter: Counter) -> None:
    shop = counter.office.shop
    order = await counter.waiting(60)
    asks = [RetryAsk(order.id, STAFF, "go on")]
    async with shop.parts.db.connection() as connection:
        [over] = await foreseeing.retries(connection, asks, 59, shop.now)
        [within] = await foreseeing.retries(connection, asks, 60, shop.now)
        [gone] = await foreseeing.cancels(connection, [CancelAsk(1, STAFF, "x")], shop.now)
    assert isinstance(over, foreseeing.Foresight)
    assert isinstance(within, foreseeing.Foresight)
    assert (over.after.state, over.after.refunded_minor) == (
        model.OVER_BULK_LIMIT,
        order.amount_minor,
    )
    assert within.after.state == model.WAITING
    assert isinstance(gone, Refusal) or gone.before.id == 1
    done = await shop.retry(order.id, bulk_units_max=59)
    assert isinstance(done, Order)
    assert replace(done, changed_at=over.after.changed_at, cancelled_at=None) == replace(
        over.after, cancelled_at=None
    )


async def test_vendors_are_previewed_with_their_cost(counter: Counter) -> None:
    office = counter.office
    small, large = await counter.waiting(2), await counter.waiting(10)
    before = await office.shop.everything()
    path = "/orders/vendor-fulfilment"
    told = await office.ask("operations", "POST", path, many([small, large], preview=True))
    assert await office.shop.everything() == before
    assert [each["code"] for each in told] == [None, None, "ORDER_NOT_FOUND"]
    assert told[0]["foreseen"]["vendor"] == "acme"
    assert told[0]["foreseen"]["quantity"] == 2
    assert 0 < told[0]["foreseen"]["cost"] < 50
    assert [each["foreseen"]["needs_second_person"] for each in told[:2]] == [False, True]
    await counter.approve(small)
    await counter.approve(large)
    again = await office.ask("operations", "POST", path, many([small, large], preview=True))
    assert [each["code"] for each in again[:2]] == ["VENDOR_ORDER_OPEN", "APPROVAL_PENDING"]


@pytest.mark.parametrize("act", ["retry", "cancel", "vendor-fulfilment"])
async def test_what_names_no_orders_properly_does_nothing(counter: Counter, act: str) -> None:
    for ids, rule in (
        ([], "required"),
        (list(range(1, 102)), "max"),
        ([1, 1], "unique"),
        ([0], "format"),
        ([2**60], "format"),
    ):
        body = {"order_ids": ids, "reason": "x", "preview": True}
        told = await counter.office.ask("operations", "POST", f"/orders/{act}", body, 400)
        assert told["message"] == f"Invalid OrderIds: {rule}"
    for unsaid in ({"order_ids": [1]}, {"order_ids": [1], "reason": " "}):
        told = await counter.office.ask("operations", "POST", f"/orders/{act}", unsaid, 400)
        assert told["message"] == "Invalid Reason: required"


async def test_the_overview_counts_and_leads_on(counter: Counter) -> None:
    office = counter.office
    assert counter.clock.now() - SystemClock().now() < timedelta(minutes=1)
    served, waits = await counter.waiting(1, stock=1), await counter.waiting(10)
    await counter.approve(waits)
    await counter.unknown()
    told = await office.ask("viewer", "GET", "/overview")
    today = datetime.now(UTC).date().isoformat()
    days = {each["status"]: each for each in told["days"] if each["day"] >= today[:8]}
    assert days["DELIVERED"]["orders"] == 1
    listed = await office.http.get(
        "/admin/api/v1" + days["DELIVERED"]["link"]["route"],
        params=days["DELIVERED"]["link"]["query"],
        headers=office.token("viewer"),
    )
    assert [order["id"] for order in listed.json()] == [served.id]
    assert sum(each["orders"] for each in told["waiting"]) == 2
    assert told["unknown_outcomes"] == 1
    assert [(each["name"], each["cases"]) for each in told["vendors"]] == [("acme", 1)]
    [asked] = told["approvals"]
    assert (asked["kind"], asked["requests"]) == ("VENDOR_FULFILMENT", 1)
    assert {each["kind"] for each in told["money"]} == {"ORDER", "TOPUP"}
    assert [each["depth"] for each in told["cover"]] == [0]
    for link in (told["approvals"][0]["link"], told["vendors"][0]["link"]):
        path = "/admin/api/v1" + link["route"]
        answer = await office.http.get(path, params=link["query"], headers=office.token("admin"))
        assert answer.status_code == 200
    for each in told["money"]:
        path = "/admin/api/v1" + each["link"]["route"]
        params = each["link"]["query"]
        lines = await office.http.get(path, params=params, headers=office.token("viewer"))
        assert len(lines.json()) == each["week_count"]
        # A line says its direction, not its sign.
        assert sum(line["amount"] for line in lines.json()) == abs(each["week"])
