"""Above the limit one person asks and another agrees, before any vendor hears of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rewards.catalog.model import Denomination, Product
from rewards.orders.model import Order
from rewards.staff import fulfilments
from rewards.staff.model import Role
from tests.staff.counter import ASK, Counter, open_counter, path_of

NO = {"reason": "too dear"}
# Of 25.00 each; 100.00 is the limit.
MANY = 5


@pytest.fixture
async def counter(dsn: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(dsn, tmp_path) as opened:
        yield opened


async def asked(counter: Counter, order: Order, who: str = "operations") -> Any:
    """The request that an approval above the limit came to."""
    told = await counter.office.ask(who, "POST", path_of(order), ASK | {"vendor": "acme"})
    assert (told["order_id"], told["order"]) == (order.id, None)
    return told["approval"]


async def agree(counter: Counter, approval: Any, who: str = "finance") -> None:
    await counter.office.ask(who, "POST", f"/approvals/{approval['approval_id']}/approve")


async def request(counter: Counter, approval: Any) -> Any:
    listed = await counter.office.ask("viewer", "GET", "/approvals?kind=vendor_fulfilment")
    [found] = [one for one in listed if one["approval_id"] == approval["approval_id"]]
    return found


async def test_up_to_the_limit_one_person_is_enough(counter: Counter) -> None:
    order = await counter.waiting(MANY - 1)
    told = await counter.approve(order)
    assert (told["order"]["id"], told["approval"]) == (order.id, None)
    assert len(await counter.bought(order)) == 1


async def test_above_it_a_second_person_agrees_and_then_it_is_bought_once(
    counter: Counter,
) -> None:
    office, order = counter.office, await counter.waiting(MANY)
    [option] = await office.ask("viewer", "GET", f"/orders/{order.id}/vendor-options")
    assert option["needs_second_person"] is True
    approval = await asked(counter, order)
    assert (approval["kind"], approval["state"]) == ("VENDOR_FULFILMENT", "REQUESTED")
    assert (approval["subject_kind"], approval["subject_id"]) == ("order", order.id)
    assert (approval["amount"], approval["currency"]) == (125, "USD")
    assert approval["details"] == {"vendor": "acme"}
    await office.work_off()
    assert await counter.bought(order) == [], "nobody agreed yet"
    await agree(counter, approval)
    # A job runs twice, and at two places at once.
    await asyncio.gather(office.work_off(), office.work_off())
    await office.work_off()
    [bought] = await counter.bought(order)
    assert bought["approved_by"] == office.people["finance"]
    done = await request(counter, approval)
    assert (done["state"], done["note"]) == ("CARRIED_OUT", None)
    await counter.work()
    assert await counter.state(order) == "DELIVERED·COMPLETED"
    assert counter.book.calls["place"] == 1
    whole = await office.ask("viewer", "GET", f"/orders/{order.id}")
    [act] = [act for act in whole["history"] if act["reason"] == ASK["reason"]]
    assert act["actor_id"] == office.people["finance"]
    assert await office.shop.broken() == {}


async def test_nobody_agrees_with_themselves_and_nothing_is_asked_for_twice(
    counter: Counter,
) -> None:
    office, order = counter.office, await counter.waiting(MANY)
    approval = await asked(counter, order, "admin")
    path = f"/approvals/{approval['approval_id']}/approve"
    assert await office.refused("admin", "POST", path, None, 403) == "SECOND_PERSON_NEEDED"
    assert await office.refused("operations", "POST", path, None, 403) == "FORBIDDEN"
    again = path_of(order)
    assert await office.refused("operations", "POST", again, ASK) == "APPROVAL_PENDING"
    other = await office.hire(Role.ADMIN, "admin two")
    await agree(counter, approval, other)
    assert await office.refused("operations", "POST", again, ASK) == "APPROVAL_PENDING"
    assert counter.book.calls.total() == 0


async def test_a_no_buys_nothing_and_one_may_ask_again(counter: Counter) -> None:
    office, order = counter.office, await counter.waiting(MANY)
    approval = await asked(counter, order)
    path = f"/approvals/{approval['approval_id']}/reject"
    await office.ask("finance", "POST", path, NO)
    await office.work_off()
    assert await counter.bought(order) == []
    assert await counter.state(order) == "PENDING·VENDOR_ORDER_PENDING"
    second = await asked(counter, order)
    assert second["approval_id"] != approval["approval_id"]


async def test_an_order_that_was_closed_meanwhile_is_left_alone_and_the_request_says_why(
    counter: Counter,
) -> None:
    office, order = counter.office, await counter.waiting(MANY)
    approval = await asked(counter, order)
    await office.shop.cancel(order.id)
    await agree(counter, approval)
    await office.work_off()
    assert await counter.bought(order) == []
    done = await request(counter, approval)
    assert done["state"] == "CARRIED_OUT"
    assert done["note"].startswith("ORDER_NOT_APPROVABLE: ")
    assert await counter.state(order) == "CANCELLED·REFUNDED"
    assert await office.shop.broken() == {}


async def test_of_many_those_above_wait_and_the_others_go(counter: Counter) -> None:
    office = counter.office
    small, large = await counter.waiting(1), await counter.waiting(MANY)
    body = ASK | {"order_ids": [large.id, small.id]}
    path = "/orders/vendor-fulfilment"
    above, below = await office.ask("operations", "POST", path, body)
    assert above["approval"]["subject_id"] == large.id
    assert above["approval"]["details"] == {"vendor": None}
    assert (below["order"]["id"], below["approval"]) == (small.id, None)
    told = await office.ask("operations", "POST", path, body)
    assert [one["code"] for one in told] == ["APPROVAL_PENDING", "VENDOR_ORDER_OPEN"]
    assert await counter.bought(large) == []
    assert len(await counter.bought(small)) == 1


async def test_what_was_approved_alone_today_counts_in_what_is_told_before(
    counter: Counter,
) -> None:
    """Of the same client, within 24 hours: comparison and preview say what asking then does."""
    office, shop = counter.office, counter.office.shop
    client, product = await shop.client(minor=10**7), shop.parts.catalog.product(6)
    assert product is not None
    first, second, third = [
        (await shop.place_one(shop.ask(client, product, MANY - 2))).order for _ in range(3)
    ]

    async def option(order: Order, who: str = "operations") -> bool:
        [told] = await office.ask(who, "GET", f"/orders/{order.id}/vendor-options")
        return bool(told["needs_second_person"])

    async def preview(*orders: Order) -> list[bool]:
        body = ASK | {"order_ids": [order.id for order in orders], "preview": True}
        told = await office.ask("operations", "POST", "/orders/vendor-fulfilment", body)
        return [each["foreseen"]["needs_second_person"] for each in told]

    before = await shop.everything()
    assert await preview(first, second) == [False, True]
    assert not await option(second)
    assert await shop.everything() == before
    await counter.approve(first)
    assert await preview(second, third) == [True, True]
    assert await option(second)
    assert not await option(second, "viewer"), "others have a limit of their own"
    assert (await counter.approve(second))["approval"] is not None


async def test_another_currency_counts_at_its_rate_and_without_one_it_takes_two(
    counter: Counter,
) -> None:
    shop = counter.office.shop
    euros = (Denomination(100, 100_000),)
    product = await shop.product(9, currency="EUR", denominations=euros)
    async with shop.parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO vendor_products (product_id, vendor_id, sku) VALUES (9, $1, 'EUR')",
            counter.vendor_id,
        )
    client = await shop.client(minor=1_000_000, currencies=("EUR",))

    async def needs_two(minor: int) -> bool:
        ask = shop.ask(client, product, 1, denomination_minor=minor)
        order = (await shop.place_one(ask)).order
        path = f"/orders/{order.id}/vendor-options"
        [option] = await counter.office.ask("viewer", "GET", path)
        told = await counter.approve(order)
        assert (told["approval"] is not None) == option["needs_second_person"]
        return bool(option["needs_second_person"])

    assert await needs_two(100), "nobody knows how much a euro is"
    await shop.rates(EUR="1.25")
    assert not await needs_two(8_000)
    assert await needs_two(8_001)


async def flagged(counter: Counter) -> Product:
    """A product that is bought without a person, and sold by the vendor."""
    product = await counter.office.shop.product(9, allow_auto_vendor_fulfill=True)
    async with counter.office.shop.parts.db.transaction() as tx:
        await tx.execute(
            "INSERT INTO vendor_products (product_id, vendor_id, sku) VALUES (9, $1, 'AMZ')",
            counter.vendor_id,
        )
    return product


async def test_a_products_flag_does_not_reach_above_the_limit(counter: Counter) -> None:
    shop = counter.office.shop
    product = await flagged(counter)
    client = await shop.client(minor=1_000_000)
    small, large = [
        (await shop.place_one(shop.ask(client, product, quantity))).order for quantity in (1, MANY)
    ]
    await shop.parts.fulfilment.sweep_flagged()
    assert len(await counter.bought(small)) == 1
    assert await counter.bought(large) == []
    assert await counter.office.ask("viewer", "GET", "/approvals") == [], "nobody asked"


async def test_a_products_flag_and_a_person_have_each_a_days_limit(counter: Counter) -> None:
    """What one bought says nothing of what the other may; a person ends the wait of the rest."""
    office, shop = counter.office, counter.office.shop
    product = await flagged(counter)
    client = await shop.client(minor=1_000_000)
    first, second, third, fourth = [
        (await shop.place_one(shop.ask(client, product, MANY - 1))).order for _ in range(4)
    ]
    assert (await counter.approve(first))["approval"] is None
    await shop.parts.fulfilment.sweep_flagged()
    assert [len(await counter.bought(each)) for each in (second, third, fourth)] == [1, 0, 0]
    whole = await office.ask("viewer", "GET", f"/orders/{third.id}/story")
    assert (whole["next"]["who"], whole["next"]["why"]) == ("STAFF", "POOL_EMPTY")
    approval = await asked(counter, third)
    await agree(counter, approval)
    await office.work_off()
    await shop.parts.fulfilment.sweep_flagged()
    assert [len(await counter.bought(each)) for each in (third, fourth)] == [1, 0]


async def test_what_is_no_approved_request_is_not_carried_out(counter: Counter) -> None:
    order = await counter.waiting(MANY)
    approval = await asked(counter, order)
    parts = counter.office.shop.parts
    before = await counter.office.shop.everything()
    for number in (approval["approval_id"], 999_999):
        await fulfilments.carry_out(parts.db, parts.clock, parts.fulfilment, number)
    assert await counter.office.shop.everything() == before
