"""Days that are reconciled: what agrees is closed, drift is listed, nothing is repaired."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from rewards.orders.model import Order
from rewards.reconciliation.model import DayNotOver, Kind
from rewards.vendors.simulators.faults import Fault
from tests.reconciliation.bookkeeping import Books
from tests.shop import STAFF

IDLE = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


async def test_a_day_that_agrees_is_reconciled(books: Books) -> None:
    pooled, bought = await books.pooled(3), await books.bought(2)
    before = {
        order.id: await books.market.shop.parts.orders.read(STAFF, order.client_id, order.id)
        for order in (pooled, bought)
    }
    runs = await books.reconcile()
    assert [run.done for run in runs] == [True, True]
    for order in (pooled, bought):
        assert await books.state(order.id) == "DELIVERED·RECONCILED"
        assert set(await books.units(order.id)) == {"COMPLETED"}
        assert (await books.market.shop.path(order.id))[-2:] == [
            "DELIVERED·COMPLETED",
            "DELIVERED·RECONCILED",
        ]
        # The client hears of nothing: for it nothing has changed.
        assert (await books.market.shop.events(order.id))[-1] == "order.delivered"
        shown = await books.market.shop.parts.orders.read(STAFF, order.client_id, order.id)
        assert [voucher.card_number for voucher in shown.vouchers] == [
            voucher.card_number for voucher in before[order.id].vouchers
        ]
    of_vendor, ours = runs
    assert (of_vendor.purchases, of_vendor.reconciled, ours.reconciled) == (1, 1, 1)
    assert await books.drifts() == []
    assert await books.market.shop.broken() == {}


async def test_a_second_round_changes_nothing(books: Books) -> None:
    await books.pooled(), await books.bought()
    sold = next(iter(books.market.book.sales.values()))
    sold.cost_minor += 1
    await books.reconcile()
    before = await books.everything()
    runs = await books.reconcile(again=True)
    assert [run.round for run in runs] == [2, 2]
    assert await books.everything() == before
    assert [run.drifts for run in runs] == [1, 0]


async def test_what_waits_is_left_alone(books: Books) -> None:
    waiting = await books.market.waiting(2)
    partial = await books.market.waiting(5, stock=2)
    before = await books.everything()
    await books.reconcile()
    assert await books.everything() == before
    assert await books.state(waiting.id) == "PENDING·VENDOR_ORDER_PENDING"
    assert await books.state(partial.id) == "PARTIALLY_DELIVERED·PARTIAL"


async def test_a_day_that_is_not_over_is_refused(books: Books) -> None:
    books.clock.ahead = timedelta()
    with pytest.raises(DayNotOver):
        await books.reconcile()


async def test_a_reconciled_order_can_still_be_taken_back(books: Books) -> None:
    order = await books.bought(2)
    await books.reconcile()
    cancelled = await books.market.shop.cancel(order.id)
    assert isinstance(cancelled, Order)
    assert str(cancelled.state) == "CANCELLED·REFUNDED"
    assert cancelled.refunded_minor == order.amount_minor
    assert await books.units(order.id) == ["REVOKED", "REVOKED"]
    assert (await books.market.shop.events(order.id))[-1] == "order.cancelled"
    await books.reconcile(again=True)
    assert await books.kinds() == []
    assert await books.market.shop.broken() == {}


async def test_a_late_cancel_that_races_the_night_leaves_sound_books(books: Books) -> None:
    orders = [await books.pooled(1) for _ in range(6)]
    answers = await asyncio.gather(
        books.reconcile(), *(books.market.shop.cancel(order.id) for order in orders)
    )
    assert all(isinstance(answer, Order) for answer in answers[1:])
    for order in orders:
        assert await books.state(order.id) == "CANCELLED·REFUNDED"
        assert await books.units(order.id) == ["REVOKED"]
    assert await books.drifts() == []
    assert await books.market.shop.broken() == {}


async def _forgotten(books: Books, _order: Order) -> None:
    books.market.book.sales.clear()


async def _dearer(books: Books, _order: Order) -> None:
    next(iter(books.market.book.sales.values())).cost_minor += 1


async def _fewer(books: Books, _order: Order) -> None:
    next(iter(books.market.book.sales.values())).cards.pop()


async def _failed(books: Books, _order: Order) -> None:
    next(iter(books.market.book.sales.values())).fails = True


async def _debited_more(books: Books, order: Order) -> None:
    await books.write(
        "UPDATE ledger_entries SET amount_minor = amount_minor + sign(amount_minor)"
        " WHERE transfer_id = $1",
        order.transaction_id,
    )


async def _other_unit(books: Books, order: Order) -> None:
    await books.write(
        "UPDATE units SET state = 'ALLOCATED' WHERE id ="
        " (SELECT min(unit_id) FROM order_items WHERE order_id = $1)",
        order.id,
    )


async def _lost_item(books: Books, order: Order) -> None:
    await books.write("DELETE FROM order_items WHERE order_id = $1 AND position = 2", order.id)


@pytest.mark.parametrize(
    ("plant", "kinds"),
    [
        (_forgotten, [Kind.MISSING_AT_VENDOR]),
        (_dearer, [Kind.AMOUNT_DIFFERS]),
        (_fewer, [Kind.QUANTITY_DIFFERS]),
        (_failed, [Kind.OUTCOME_DIFFERS]),
        (_debited_more, [Kind.LEDGER_DIFFERS]),
        (_other_unit, [Kind.UNIT_DIFFERS]),
        (_lost_item, [Kind.ITEMS_DIFFER, Kind.UNIT_WITHOUT_ORDER]),
    ],
)
@pytest.mark.parametrize("lists", [True, False])
async def test_each_drift_is_listed_once_with_both_sides_and_not_repaired(
    books: Books,
    plant: Callable[[Books, Order], Awaitable[None]],
    kinds: list[Kind],
    lists: bool,
) -> None:
    order, sound = await books.bought(2), await books.pooled(1)
    books.lists(lists)
    await plant(books, order)
    before = await books.everything()
    runs = await books.reconcile()
    assert all(run.done for run in runs)
    assert await books.kinds() == sorted(kinds)
    for drift in await books.drifts():
        assert drift.finding.ours != drift.finding.theirs
        assert (drift.day, drift.state) == (books.day, "OPEN")
    assert await books.state(order.id) == "DELIVERED·COMPLETED"
    assert await books.state(sound.id) == "DELIVERED·RECONCILED"
    after = await books.everything()
    assert after["vendor_orders"] == before["vendor_orders"]
    assert after["ledger_entries"] == before["ledger_entries"]
    await books.reconcile(again=True)
    assert await books.everything() == after


async def test_a_refused_purchase_that_the_vendor_sold_is_drift(books: Books) -> None:
    order = await books.market.waiting(2)
    books.market.script(Fault.OUT_OF_STOCK)
    await books.market.approve(order.id)
    await books.market.settle(order.id)
    [purchase] = await books.market.bought(order.id)
    books.market.book.sell(purchase.key, "AMZ", 2_500, 2)
    await books.reconcile()
    [drift] = await books.drifts()
    assert (drift.finding.kind, drift.finding.subject) == ("OUTCOME_DIFFERS", str(purchase.id))
    assert (drift.finding.ours["state"], drift.finding.theirs["state"]) == ("REFUSED", "SOLD")


@pytest.mark.usefixtures("buys_by_hand")
async def test_what_the_vendor_sold_under_no_key_of_ours_is_drift(books: Books) -> None:
    await books.bought(1)
    books.sell_unasked("somebody-elses-key")
    await books.reconcile()
    [drift] = await books.drifts()
    assert (drift.finding.kind, drift.finding.subject) == ("UNKNOWN_TO_US", "somebody-elses-key")
    assert (drift.finding.theirs["quantity"], drift.finding.ours) == (1, {})
    assert drift.finding.vendor_id == books.market.vendor_id


@pytest.mark.usefixtures("buys_by_hand")
async def test_a_vendors_nonsense_is_listed_so_that_it_can_be_kept(books: Books) -> None:
    books.sell_unasked("\x00\x1b[31m" + "k" * 5_000)
    runs = await books.reconcile()
    assert all(run.done for run in runs)
    [drift] = await books.drifts()
    assert (drift.finding.kind, len(drift.finding.subject)) == ("UNKNOWN_TO_US", 200)
    assert drift.finding.subject.isprintable()


@pytest.mark.parametrize("lists", [True, False])
async def test_no_transaction_is_open_while_a_vendor_is_asked(books: Books, lists: bool) -> None:
    order = await books.bought(1)
    books.lists(lists)
    books.market.simulator.slow_s = 0.5
    call = "book" if lists else "read"
    books.market.script(Fault.SLOW, call=call)
    asked = books.market.book.calls[call]
    night = asyncio.create_task(books.reconcile())
    async with asyncio.timeout(20), books.market.shop.parts.db.connection() as connection:
        while books.market.book.calls[call] == asked:
            await asyncio.sleep(0.01)
        assert await connection.fetchval(IDLE) == 0
    await night
    assert await books.state(order.id) == "DELIVERED·RECONCILED"


async def test_money_booked_for_an_order_that_is_gone_is_drift(books: Books) -> None:
    order = await books.market.waiting(1)
    await books.write("DELETE FROM orders WHERE id = $1", order.id)
    await books.reconcile()
    [drift] = await books.drifts()
    assert drift.finding.kind == "LEDGER_WITHOUT_ORDER"
    assert drift.finding.theirs == {"order_id": order.id}


async def test_a_recharge_reconciles_against_its_operator_and_the_ledger(books: Books) -> None:
    order = await books.market.recharge(2)
    await books.market.approve(order.id)
    done = await books.market.settle(order.id)
    assert str(done.state) == "DELIVERED·COMPLETED"
    for lists in (True, False):
        books.lists(lists)
        runs = await books.reconcile(again=not lists)
        assert [run.drifts for run in runs] == [0, 0]
        assert await books.state(order.id) == "DELIVERED·RECONCILED"
