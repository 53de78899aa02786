"""Every row of docs/lifecycle.md, walked: a test named after each, by the services that walk it."""

from datetime import timedelta

import pytest

from rewards.orders import model
from rewards.orders.model import NEXT, OnPartial, State, item_id
from rewards.orders.placing import FILL_JOB
from tests.orders import test_orders_lifecycle_links, test_orders_lifecycle_vendors
from tests.orders.lifecycle import ROWS, WALKED, Story, Walk, ends, starts, whole

# Time enough to have a vendor asked before it is over.
SOON = timedelta(hours=1)
# What a look into the pool finds, of three parts, and what the client is told.
OUTCOMES = {
    model.COMPLETED: (3, "delivered"),
    model.PARTIAL: (1, "partially_delivered"),
    model.WAITING: (0, "pending"),
}


def test_every_row_of_the_page_is_a_test_of_its_name() -> None:
    others = (test_orders_lifecycle_links, test_orders_lifecycle_vendors)
    tests = {*globals(), *(name for module in others for name in vars(module))}
    assert {f"test_{row}" for row in ROWS} <= tests


def test_the_page_tells_the_steps_that_the_code_allows() -> None:
    assert {(source, target) for source in NEXT for target in NEXT[source]} == WALKED


async def test_served_at_once(story: Story) -> None:
    [path] = story.row.paths
    for order_id in (await story.place(2, stock=2), await story.place(10, stock=10)):
        quantity = (await story.shop.order(order_id)).quantity
        await story.expect(order_id, path, items={"DELIVERED": quantity}, events=["delivered"])


async def test_served_in_part(story: Story) -> None:
    [path] = story.row.paths
    order_id = await story.place(3, stock=1)
    await story.expect(
        order_id, path, items={"DELIVERED": 1, "PENDING": 2}, events=["partially_delivered"]
    )


@pytest.mark.parametrize(
    ("on_partial", "stock"), [(OnPartial.KEEP, 0), (OnPartial.ALL_OR_NOTHING, 2)]
)
async def test_missed(story: Story, on_partial: OnPartial, stock: int) -> None:
    [path] = story.row.paths
    order_id = await story.place(3, stock=stock, on_partial=on_partial)
    await story.expect(order_id, path, items={"PENDING": 3}, events=["created", "pending"])


@pytest.mark.parametrize("quantity", [11, 50])
async def test_placed_for_the_worker(story: Story, quantity: int) -> None:
    [path] = story.row.paths
    order_id = await story.place(quantity, stock=quantity)
    events = ["created", "processing"]
    await story.expect(order_id, path, items={"PENDING": quantity}, events=events)
    async with story.shop.parts.db.connection() as connection:
        jobs = await connection.fetch("SELECT entrypoint FROM pgqueuer")
    assert [job["entrypoint"] for job in jobs] == [FILL_JOB]


@ends("filled_by_the_worker")
async def test_filled_by_the_worker(story: Story, path: Walk) -> None:
    stock, event = OUTCOMES[path[-1]]
    order_id = await story.place(12, stock=stock * 4)
    await story.shop.tasks.fill([order_id])
    items = {"DELIVERED": stock * 4, "PENDING": 12 - stock * 4}
    await story.expect(order_id, path, items=items, events=[event])


async def test_placed_in_bulk(story: Story) -> None:
    [path] = story.row.paths
    order_id = await story.place(51, stock=51)
    await story.expect(order_id, path, items={}, events=["created", "pending"])


@ends("first_retry_of_bulk")
async def test_first_retry_of_bulk(story: Story, path: Walk) -> None:
    stock, event = OUTCOMES[path[-1]]
    order_id = await story.place(60, stock=stock * 20)
    await story.shop.retry(order_id)
    # Of one that waits already nothing new is told.
    events = [] if path[-1] == model.WAITING else [event]
    items = {"DELIVERED": stock * 20, "PENDING": 60 - stock * 20}
    await story.expect(order_id, path, items=items, events=events)


async def test_bulk_over_the_cap(story: Story) -> None:
    [path] = story.row.paths
    order_id = await story.place(60, stock=60)
    await story.shop.retry(order_id, bulk_units_max=59)
    await story.expect(order_id, path, items={}, events=["cancelled"], returned=60)
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE", cancel="ORDER_NOT_CANCELLABLE")


@pytest.mark.parametrize("asked", ["by staff", "by the worker"])
@whole("retried")
async def test_retried(story: Story, path: Walk, asked: str) -> None:
    order_id, quantity, delivered, gone = await story.idle(path[0])
    acts = await story.acts(order_id)
    await story.shop.retry(order_id)
    assert await story.acts(order_id) == acts, "nothing was there, so nothing is told"
    missing = quantity - delivered - gone
    came = missing if path[-1] == model.COMPLETED else 1
    await story.stock(came, (await story.shop.order(order_id)).product_id)
    if asked == "by staff":
        await story.shop.retry(order_id)
    else:
        assert await story.shop.tasks.retry_waiting() == 0
        assert await story.shop.eager_tasks.retry_waiting() == 1
    _, event = OUTCOMES[path[-1]]
    items = {"DELIVERED": delivered + came, "PENDING": missing - came, "FAILED": gone}
    await story.expect(order_id, path, items=items, events=[event], returned=gone)


@pytest.mark.parametrize("asked", ["by staff", "by its deadline"])
@starts("cancelled")
async def test_cancelled(story: Story, start: State, asked: str) -> None:
    late = asked == "by its deadline"
    deadline = story.shop.now + SOON if late else None
    order_id, quantity, delivered = await story.opened(start, deliver_by=deadline)
    if late:
        story.market.clock.ahead += SOON
        assert await story.shop.tasks.deadlines() == 1
    else:
        await story.shop.cancel(order_id)
    rest = quantity - delivered
    items = {} if start == model.BULK else {"DELIVERED": delivered, "CANCELLED": rest}
    path = (start, model.REFUNDED)
    await story.expect(order_id, path, items=items, events=["cancelled"], returned=rest)
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE", cancel="ORDER_NOT_CANCELLABLE")


@starts("cancelled_late")
async def test_cancelled_late(story: Story, start: State) -> None:
    order_id, gone = await story.closed(start)
    await story.shop.cancel(order_id, item_id(order_id, 1))
    lost = "CANCELLED" if start == model.REFUNDED else "FAILED"
    items = {"REVOKED": 1, "DELIVERED": 2 - gone, lost: gone}
    path = (start, model.REFUNDED)
    await story.expect(order_id, path, items=items, events=["cancelled"], returned=gone + 1)
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE", cancel="ORDER_NOT_CANCELLABLE")
    whole, _ = await story.closed(model.COMPLETED)
    await story.shop.cancel(whole)
    path = (model.COMPLETED, model.REFUNDED)
    await story.expect(whole, path, items={"REVOKED": 3}, events=["cancelled"], returned=3)


async def test_reconciled(story: Story) -> None:
    [path] = story.row.paths
    order_id, _ = await story.closed(path[-1])
    await story.expect(order_id, path, items={"DELIVERED": 3}, events=[])
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE", fail="ORDER_NOT_OPEN")


@starts("failed")
async def test_failed(story: Story, start: State) -> None:
    order_id, quantity, delivered = await story.opened(start)
    await story.shop.fail(order_id)
    rest = quantity - delivered
    items = {} if start == model.BULK else {"DELIVERED": delivered, "FAILED": rest}
    path = (start, model.FAILED)
    await story.expect(order_id, path, items=items, events=["failed"], returned=rest)
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE", fail="ORDER_NOT_OPEN")


@whole("failure_closed")
async def test_failure_closed(story: Story, path: Walk) -> None:
    order_id, gone = await story.closed(path[0])
    await story.thaw(order_id)
    await story.shop.cancel(order_id)
    items = {"DELIVERED": 2, "FAILED": 1}
    await story.expect(order_id, path, items=items, events=["cancelled"], returned=gone)


@starts("cancelled_while_its_wallet_takes_no_money")
async def test_cancelled_while_its_wallet_takes_no_money(story: Story, start: State) -> None:
    path = (start, model.REFUND_OWED)
    late = start.status not in model.OPEN_STATUSES
    if not late:
        order_id, quantity, delivered = await story.opened(start)
        items = {"DELIVERED": delivered, "CANCELLED": quantity - delivered}
        returned, owed = 0, quantity - delivered
    else:
        order_id, gone = await story.closed(start)
        lost = "CANCELLED" if start == model.REFUNDED else "FAILED"
        items = {"REVOKED": 1, "DELIVERED": 2 - gone, lost: gone}
        returned, owed = (0, 2) if start == model.FAILED_OWED else (gone, 1)
    await story.freeze(order_id)
    await story.shop.cancel(order_id, *([item_id(order_id, 1)] if late else []))
    if start == model.BULK:
        items = {}
    await story.expect(
        order_id, path, items=items, events=["cancelled"], returned=returned, owed=owed
    )
    await story.refused(
        order_id,
        retry="ORDER_NOT_RETRYABLE",
        cancel="ORDER_NOT_CANCELLABLE",
        pay_owed="WALLET_FROZEN",
    )


@starts("failed_while_its_wallet_takes_no_money")
async def test_failed_while_its_wallet_takes_no_money(story: Story, start: State) -> None:
    order_id, quantity, delivered = await story.opened(start)
    await story.freeze(order_id)
    await story.shop.fail(order_id)
    rest = quantity - delivered
    items = {} if start == model.BULK else {"DELIVERED": delivered, "FAILED": rest}
    path = (start, model.FAILED_OWED)
    await story.expect(order_id, path, items=items, events=["failed"], owed=rest)
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE", pay_owed="WALLET_FROZEN")


@pytest.mark.parametrize("asked", ["by staff", "by the worker"])
@whole("owed_refund_paid")
async def test_owed_refund_paid(story: Story, path: Walk, asked: str) -> None:
    order_id, gone = await story.closed(path[0])
    await story.shop.tasks.refunds_owed()
    assert (await story.shop.order(order_id)).state == path[0], "it takes no money yet"
    await story.thaw(order_id)
    if asked == "by staff":
        await story.shop.pay_owed(order_id)
    else:
        assert await story.shop.tasks.refunds_owed() == 1
    lost, event = (
        ("FAILED", "failed") if path[0] == model.FAILED_OWED else ("CANCELLED", "cancelled")
    )
    items = {"DELIVERED": 2, lost: gone}
    await story.expect(order_id, path, items=items, events=[event], returned=gone)
    await story.refused(order_id, pay_owed="REFUND_NOT_OWED")


@ends("recalled_while_a_refund_is_owed")
async def test_recalled_while_a_refund_is_owed(story: Story, path: Walk) -> None:
    order_id, gone = await story.closed(path[0])
    paid = path[-1] == model.REFUNDED
    if paid:
        await story.thaw(order_id)
    await story.recall(order_id)
    back = {"returned": 3} if paid else {"owed": 3}
    items = {"REVOKED": 2, "CANCELLED": gone}
    await story.expect(order_id, path, items=items, events=["cancelled"], **back)
