"""Ordering stock: who may, from whom, how often, and the second person above a limit."""

import asyncio
from datetime import timedelta

import pytest

from rewards.catalog.model import ShelfKey
from rewards.core.errors import Refusal
from rewards.restocks.model import StockOrder
from rewards.staff import approvals
from rewards.staff.model_approvals import LIFETIME, ApprovalState
from rewards.staff.stock_orders import Answer
from tests.market import OTHER_OFFERS, add_offer, add_vendor
from tests.restocks.stockroom import SHELF, Stockroom


async def waiting(room: Stockroom, quantity: int = 2) -> StockOrder:
    """One that costs more than one person may spend."""
    order = (await room.ask(room.asking(quantity), room.limit(0))).order
    assert order.state == "WAITING"
    return order


async def test_the_cheapest_that_can_is_asked(room: Stockroom) -> None:
    market = room.market
    cheap = await add_vendor(room.shop, "cheap", [6])
    dry = await add_vendor(room.shop, "dry", [6])
    market.adapters.vendors[cheap] = market.adapters.vendors[market.vendor_id]
    market.adapters.vendors[dry] = market.adapters.vendors[market.vendor_id]
    async with room.shop.parts.db.transaction() as tx:
        for vendor_id, percent in ((market.vendor_id, 1), (cheap, 4), (dry, 9)):
            await tx.execute(
                "UPDATE vendor_products SET discount_percent = $2 WHERE vendor_id = $1",
                *(vendor_id, percent),
            )
    await add_offer(room.shop, dry, stock=0)
    placed = await room.order(2)
    assert (placed.vendor_id, placed.cost_minor) == (cheap, 4_800)
    named = await room.order(2, vendor="acme")
    assert (named.vendor_id, named.cost_minor) == (market.vendor_id, 4_950)


async def test_a_fee_for_each_card_makes_a_vendor_dearer(room: Stockroom) -> None:
    market = room.market
    cheap = await add_vendor(room.shop, "cheap", [6])
    market.adapters.vendors[cheap] = market.adapters.vendors[market.vendor_id]
    async with room.shop.parts.db.transaction() as tx:
        for vendor_id, percent, fee_minor in ((market.vendor_id, 1, 0), (cheap, 4, 80)):
            await tx.execute(
                "UPDATE vendor_products SET discount_percent = $2, fee_minor = $3"
                " WHERE vendor_id = $1",
                *(vendor_id, percent, fee_minor),
            )
    # 24.00 and 0.80 are more than 24.75.
    placed = await room.order(2)
    assert (placed.vendor_id, placed.cost_minor) == (market.vendor_id, 4_950)
    assert (await room.order(2, vendor="cheap")).cost_minor == 4_960


@pytest.mark.parametrize("told", OTHER_OFFERS)
async def test_a_vendor_that_does_not_sell_it_is_not_asked(
    room: Stockroom, told: dict[str, object]
) -> None:
    await add_offer(room.shop, room.market.vendor_id, **told)
    assert await room.refused(room.asking(2)) == "VENDOR_NOT_AVAILABLE"


async def test_a_paused_or_unknown_vendor_is_not_asked(room: Stockroom) -> None:
    assert await room.refused(room.asking(2, vendor="nobody")) == "VENDOR_NOT_AVAILABLE"
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE vendors SET status = 'PAUSED'")
    assert await room.refused(room.asking(2)) == "VENDOR_NOT_AVAILABLE"


async def test_the_same_is_on_order_once(room: Stockroom) -> None:
    first = await room.order(2)
    assert await room.refused(room.asking(3)) == "STOCK_ORDER_OPEN"
    other = ShelfKey(6, 5_000, "USD")
    assert (await room.order(1, shelf=other)).state == "ORDERED"
    await room.settle(first.id)
    assert (await room.order(3)).state == "ORDERED"


async def test_of_many_at_once_one_is_ordered(room: Stockroom) -> None:
    asked = [room.ask(room.asking(2)) for _ in range(6)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    [placed] = [one.order for one in answers if isinstance(one, Answer)]
    refused = [one for one in answers if isinstance(one, Refusal)]
    assert {one.code for one in refused} == {"STOCK_ORDER_OPEN"}
    assert len(refused) == 5
    await room.settle(placed.id)
    assert room.market.sold() == [2]
    assert await room.shop.broken() == {}


async def test_a_reference_is_ordered_once(room: Stockroom) -> None:
    asked = room.asking(2, reference="PO-17")
    first = await room.ask(asked)
    assert not first.repeated
    before = await room.shop.everything()
    again = await room.ask(asked)
    assert (again.repeated, again.order) == (True, first.order)
    assert await room.shop.everything() == before
    done = await room.settle(first.order.id)
    later = await room.ask(asked)
    assert (later.repeated, later.order) == (True, done)
    other = room.asking(3, reference="PO-17")
    assert await room.refused(other) == "STOCK_REFERENCE_REUSED"
    assert room.market.sold() == [2]


async def test_of_one_reference_many_times_at_once_one_is_ordered(room: Stockroom) -> None:
    asked = [room.ask(room.asking(2, reference="PO-18")) for _ in range(6)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    told = [one for one in answers if isinstance(one, Answer)]
    assert [one.repeated for one in told].count(False) == 1
    assert len({one.order.id for one in told}) == 1
    assert {one.code for one in answers if isinstance(one, Refusal)} <= {"UNAVAILABLE"}
    await room.settle(told[0].order.id)
    assert room.market.sold() == [2]


@pytest.mark.parametrize(("quantity", "second"), [(40, False), (41, True)])
async def test_above_a_limit_somebody_else_must_agree(
    room: Stockroom, quantity: int, second: bool
) -> None:
    placed = await room.order(quantity)
    assert placed.second_person is second
    assert placed.state == ("WAITING" if second else "ORDERED")
    approval = await room.approval(placed.id)
    assert (approval is not None) is second
    if approval is not None:
        assert (approval.amount_minor, approval.currency) == (102_500, "USD")
    assert len(await room.bought(placed.id)) == (0 if second else 1)
    assert await room.shop.broken() == {}


async def test_the_limit_is_in_one_currency_and_never_guessed(room: Stockroom) -> None:
    euros = room.limit(10_000, "EUR")
    unknown = await room.ask(room.asking(1), euros)
    assert unknown.order.second_person, "no rate says how much it is"
    await room.shop.rates(EUR="1.25")
    other = ShelfKey(6, 5_000, "USD")
    within = await room.ask(room.asking(2, shelf=other), euros)
    assert not within.order.second_person
    await room.settle(within.order.id)
    above = await room.ask(room.asking(3, shelf=other), euros)
    assert above.order.second_person


async def test_a_yes_buys_it(room: Stockroom) -> None:
    placed = await waiting(room)
    approval = await room.approval(placed.id)
    assert approval is not None
    await room.carry_out(approval)
    assert (await room.read(placed.id)).state == "WAITING"
    assert not isinstance(await room.decide(approval, yes=True), Refusal)
    await room.carry_out(approval)
    await room.carry_out(approval)
    assert (await room.read(placed.id)).state == "ORDERED"
    assert room.market.book.calls.total() == 0
    done = await room.settle(placed.id)
    assert done.state == "RECEIVED"
    assert room.market.sold() == [2]
    last = await room.approval(placed.id)
    assert last is not None
    assert last.state is ApprovalState.CARRIED_OUT
    assert await room.trail(placed.id) == ["asked", "agreed", "vendor_answered"]
    assert await room.shop.broken() == {}


async def test_a_no_calls_it_off(room: Stockroom) -> None:
    placed = await waiting(room)
    approval = await room.approval(placed.id)
    assert approval is not None
    await room.decide(approval, yes=False)
    await room.carry_out(approval)
    after = await room.read(placed.id)
    assert (after.state, after.missing) == ("CALLED_OFF", 0)
    assert await room.bought(placed.id) == []
    assert await room.trail(placed.id) == ["asked", "called_off"]
    assert (await waiting(room)).id != placed.id
    assert await room.shop.broken() == {}


async def test_nobody_agrees_to_what_they_asked_for(room: Stockroom) -> None:
    placed = await waiting(room)
    approval = await room.approval(placed.id)
    assert approval is not None
    room.fred = room.olga
    refused = await room.decide(approval, yes=True)
    assert isinstance(refused, Refusal)
    assert refused.code == "SECOND_PERSON_NEEDED"


async def test_what_nobody_looked_at_is_called_off(room: Stockroom) -> None:
    placed = await waiting(room)
    approval = await room.approval(placed.id)
    assert approval is not None
    room.market.clock.ahead += LIFETIME + timedelta(seconds=1)
    async with room.shop.parts.db.transaction() as tx:
        assert await approvals.expire(tx, room.market.clock.now()) == 1
        queued = await tx.fetchval(
            "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'staff.stock_order'"
        )
    assert queued == 1
    await room.carry_out(approval)
    assert (await room.read(placed.id)).state == "CALLED_OFF"
    assert await room.shop.broken() == {}


async def test_a_yes_to_what_cannot_be_bought_any_more_fails(room: Stockroom) -> None:
    placed = await waiting(room)
    approval = await room.approval(placed.id)
    assert approval is not None
    async with room.shop.parts.db.transaction() as tx:
        await tx.execute("UPDATE vendor_products SET active = false")
    await room.decide(approval, yes=True)
    await room.carry_out(approval)
    after = await room.read(placed.id)
    assert (after.state, after.message) == (
        "FAILED",
        "the vendor cannot be asked for it any more",
    )
    assert await room.shop.broken() == {}


async def test_two_jobs_at_once_send_it_once(room: Stockroom) -> None:
    placed = await waiting(room)
    approval = await room.approval(placed.id)
    assert approval is not None
    await room.decide(approval, yes=True)
    await asyncio.gather(*(room.carry_out(approval) for _ in range(4)))
    assert len(await room.bought(placed.id)) == 1
    assert (await room.settle(placed.id)).state == "RECEIVED"
    assert room.market.sold() == [2]
    assert placed.shelf == SHELF
