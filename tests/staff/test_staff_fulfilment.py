"""Vendor orders as staff meet them: options, approvals, and verdicts on what nobody can tell."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.vendors import service as vendors
from rewards.vendors.model import Balance
from rewards.vendors.simulators.faults import Fault
from tests.staff.counter import ASK, SKU, Counter, judged, open_counter, path_of, say


@pytest.fixture
async def counter(dsn: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(dsn, tmp_path) as opened:
        yield opened


async def test_options_compare_cost_balance_and_record_and_change_nothing(
    counter: Counter,
) -> None:
    shop = counter.office.shop
    await shop.rates(EUR="1.25")
    first = await counter.waiting(1)
    await counter.approve(first)
    await counter.work()
    product = shop.parts.catalog.product(6)
    assert product is not None
    client = await shop.client(minor=1_000_000, currencies=("EUR",))
    order = (await shop.place_one(shop.ask(client, product, 2))).order
    async with shop.parts.db.transaction() as tx:
        held = [Balance("USD", 12_345)]
        await vendors.keep_balances(tx, counter.vendor_id, held, counter.clock.now())
    before = await shop.everything()
    [told] = await counter.office.ask("viewer", "GET", f"/orders/{order.id}/vendor-options")
    assert (told["vendor"], told["sku"], told["available"], told["why_not"]) == (
        *("acme", SKU),
        *(True, None),
    )
    # 50.00 less 3 %, at 0.8 EUR for a dollar.
    assert (told["quantity"], told["cost"], told["currency"]) == (2, 48.5, "USD")
    assert (told["forex_rate"], told["cost_in_order_currency"]) == (0.8, 38.8)
    assert told["order_currency"] == "EUR"
    assert told["margin"] == pytest.approx(order.amount_minor / 100 - 38.8)
    assert told["balance"] == 123.45
    assert (told["orders_settled"], told["orders_fulfilled"]) == (1, 1)
    assert (told["max_quantity"], told["verified"]) == (1_000, True)
    assert told["needs_second_person"] is False
    assert told["fee"] == 0
    assert await shop.everything() == before
    assert counter.book.calls["place"] == 1
    # Their fee for each card counts, and is told.
    async with shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE vendor_products SET fee_minor = 75")
    [told] = await counter.office.ask("viewer", "GET", f"/orders/{order.id}/vendor-options")
    assert (told["fee"], told["cost"], told["cost_in_order_currency"]) == (1.5, 50, 40)


async def test_options_say_why_a_vendor_cannot_be_asked(counter: Counter) -> None:
    order = await counter.waiting()
    delivered = await counter.waiting(1, stock=1)
    [told] = await counter.office.ask("viewer", "GET", f"/orders/{delivered.id}/vendor-options")
    assert (told["available"], told["why_not"]) == (False, "the order is DELIVERED·COMPLETED")
    await counter.pause()
    [told] = await counter.office.ask("viewer", "GET", f"/orders/{order.id}/vendor-options")
    assert (told["available"], "paused" in told["why_not"]) == (False, True)
    missing = "/orders/999999/vendor-options"
    assert await counter.office.refused("viewer", "GET", missing, None, 404) == "ORDER_NOT_FOUND"


async def test_who_approves_and_why_is_in_the_trail_before_anybody_is_asked(
    counter: Counter,
) -> None:
    shop, order = counter.office.shop, await counter.waiting(3)
    told = await counter.approve(order, vendor="acme")
    assert (told["order"]["sub_status"], told["approval"]) == ("VENDOR_ORDER_PENDING", None)
    assert counter.book.calls.total() == 0
    [bought] = await counter.bought(order)
    assert (bought["state"], bought["quantity"]) == ("READY", 3)
    assert bought["approved_by"] == counter.office.people["operations"]
    async with shop.parts.db.connection() as connection:
        row = await connection.fetchrow(
            "SELECT actor_id, reason, facts FROM audit_entries"
            " WHERE action = 'order.vendor_approved'"
        )
    assert row is not None
    assert (row["actor_id"], row["reason"]) == (
        counter.office.people["operations"],
        ASK["reason"],
    )
    assert (row["facts"]["vendor_id"], row["facts"]["asked_quantity"]) == (counter.vendor_id, 3)
    await counter.work()
    assert await counter.state(order) == "DELIVERED·COMPLETED"
    [bought] = await counter.bought(order)
    assert (bought["state"], bought["received"], bought["cost"]) == ("FULFILLED", 3, 75)
    assert bought["next_call_at"] is None
    whole = await counter.office.ask("viewer", "GET", f"/orders/{order.id}")
    assert [act["reason"] for act in whole["history"]].count(ASK["reason"]) == 1
    assert await shop.broken() == {}


async def test_refused_approvals_change_nothing(counter: Counter) -> None:
    office, order = counter.office, await counter.waiting()
    path = path_of(order)
    for body in ({}, {"reason": ""}, {"reason": "  "}, ASK | {"vendor": "x" * 101}):
        assert await office.refused("operations", "POST", path, body, 400) == "INVALID_FIELD"
    for body in (ASK | {"more": 1}, {"reason": 5}, []):
        assert await office.refused("operations", "POST", path, body, 400) == "INVALID_BODY"
    for who in ("viewer", "support", "finance"):
        assert await office.refused(who, "POST", path, ASK, 403) == "FORBIDDEN"
    missing = "/orders/999999/vendor-fulfilment"
    assert await office.refused("operations", "POST", missing, ASK, 404) == "ORDER_NOT_FOUND"
    other = ASK | {"vendor": "nobody"}
    assert await office.refused("operations", "POST", path, other) == "VENDOR_NOT_AVAILABLE"
    delivered = path_of(await counter.waiting(1, stock=1))
    assert await office.refused("operations", "POST", delivered, ASK) == "ORDER_NOT_APPROVABLE"
    await counter.approve(order)
    assert await office.refused("operations", "POST", path, ASK) == "VENDOR_ORDER_OPEN"
    retry = f"/orders/{order.id}/retry"
    assert await office.refused("operations", "POST", retry, ASK) == "VENDOR_ORDER_OPEN"
    later = path_of(await counter.waiting())
    await counter.pause()
    assert await office.refused("operations", "POST", later, ASK) == "VENDOR_NOT_AVAILABLE"
    assert counter.book.calls.total() == 0


async def test_many_are_approved_in_one_act_and_each_answers_for_itself(counter: Counter) -> None:
    office = counter.office
    orders = [await counter.waiting(n) for n in (1, 2, 3)]
    delivered = await counter.waiting(1, stock=1)
    ids = [orders[0].id, delivered.id, orders[1].id, 999_999, orders[2].id]
    path = "/orders/vendor-fulfilment"
    told = await office.ask("operations", "POST", path, ASK | {"order_ids": ids})
    assert [one["order_id"] for one in told] == ids
    assert [one["code"] for one in told] == [
        *(None, "ORDER_NOT_APPROVABLE"),
        *(None, "ORDER_NOT_FOUND", None),
    ]
    assert [one["order"] and one["order"]["id"] for one in told] == [
        *(orders[0].id, None),
        *(orders[1].id, None, orders[2].id),
    ]
    await counter.work()
    assert {await counter.state(order) for order in orders} == {"DELIVERED·COMPLETED"}
    assert await office.shop.broken() == {}


@pytest.mark.parametrize(
    "order_ids", [[], [1, 1], [0], [-1], [2**63], list(range(1, 102))], ids=str
)
async def test_a_list_that_is_none_is_refused(counter: Counter, order_ids: list[int]) -> None:
    await counter.waiting()
    body = ASK | {"order_ids": order_ids}
    path = "/orders/vendor-fulfilment"
    assert await counter.office.refused("operations", "POST", path, body, 400) in (
        "INVALID_FIELD",
        "INVALID_BODY",
    )


async def test_unknown_outcomes_are_listed_a_page_at_a_time_with_what_one_can_decide(
    counter: Counter,
) -> None:
    assert await counter.cases() == []
    lost, _ = await counter.unknown(), await counter.unknown(Fault.NEVER_READY)
    told = await counter.cases()
    assert [case["state"] for case in told] == ["UNKNOWN", "ACCEPTED"]
    assert told[0]["order_id"] == lost[0].id
    assert [case["choices"] for case in told] == [
        ["READ_AGAIN", "NOT_PLACED", "LOST"],
        ["READ_AGAIN", "LOST"],
    ]
    assert all(case["case_since"] for case in told)
    assert await counter.cases("?limit=1") == told[:1]
    assert await counter.cases(f"?limit=1&cursor={told[0]['id']}") == told[1:]
    assert await counter.state(lost[0]) == "PENDING·REPROCESS_EXPIRED"


async def test_reading_again_may_find_what_was_bought(counter: Counter) -> None:
    order, number = await counter.unknown()
    told = await counter.judge(number, "read_again")
    assert (told["state"], told["case_since"] is not None) == ("UNKNOWN", True)
    await counter.work(ahead=timedelta())
    assert await counter.state(order) == "DELIVERED·COMPLETED"
    assert await counter.cases() == []
    assert counter.book.calls["place"] == 1
    assert await counter.office.shop.broken() == {}


@pytest.mark.parametrize(
    ("verdict", "state"), [("NOT_PLACED", "NOT_PLACED"), ("LOST", "FULFILLED")]
)
async def test_a_verdict_settles_it_and_names_who_said_so(
    counter: Counter, verdict: str, state: str
) -> None:
    order, number = await counter.unknown()
    told = await counter.judge(number, verdict)
    assert (told["state"], told["choices"]) == (state, [])
    assert told["message"] == say(verdict)["reason"]
    assert await counter.state(order) == "PENDING·VENDOR_ORDER_FAILED"
    async with counter.office.shop.parts.db.connection() as connection:
        row = await connection.fetchrow(
            "SELECT * FROM audit_entries WHERE action = 'vendor_order.judged'"
        )
    assert row is not None
    assert (row["subject_kind"], row["subject_id"]) == ("vendor_order", number)
    assert (row["actor_id"], row["reason"]) == (
        counter.office.people["operations"],
        say(verdict)["reason"],
    )
    assert row["facts"] == {"verdict": verdict, "from": "UNKNOWN", "to": state}
    assert await counter.cases() == []
    # Somebody decides anew: buy it, or give the money back.
    await counter.approve(order)
    await counter.work()
    assert await counter.state(order) == "DELIVERED·COMPLETED"
    assert await counter.office.shop.broken() == {}


async def test_refused_verdicts_change_nothing(counter: Counter) -> None:
    office = counter.office
    fresh = await counter.waiting()
    await counter.approve(fresh)
    [open_still] = await counter.bought(fresh)
    path = judged(open_still["id"])
    assert await office.refused("operations", "POST", path, say("LOST")) == "VENDOR_ORDER_NO_CASE"
    await counter.work()
    assert await office.refused("operations", "POST", path, say("LOST")) == "VENDOR_ORDER_NO_CASE"
    _, number = await counter.unknown(Fault.NEVER_READY)
    path = judged(number)
    not_placed = say("NOT_PLACED")
    assert await office.refused("operations", "POST", path, not_placed) == "VENDOR_ORDER_NO_CASE"
    for body in ({"verdict": "LOST"}, say("FOUND"), say("LOST") | {"reason": " "}):
        assert await office.refused("operations", "POST", path, body, 400) == "INVALID_FIELD"
    for who in ("viewer", "support", "finance"):
        assert await office.refused(who, "POST", path, say("LOST"), 403) == "FORBIDDEN"
    missing = judged(999_999)
    assert await office.refused("operations", "POST", missing, say("LOST"), 404) == (
        "VENDOR_ORDER_NOT_FOUND"
    )
    missing = "/vendor-orders/unknown?limit=0"
    assert await office.refused("viewer", "GET", missing, None, 400) == "INVALID_FIELD"
