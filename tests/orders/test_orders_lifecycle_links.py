"""The rows of docs/lifecycle.md that claim links walk: a test named after each."""

from datetime import timedelta

import pytest

from rewards.orders import model
from rewards.orders.links import MAKE_LINKS_JOB
from rewards.orders.model import State, Status, item_id
from rewards.vendors.simulators.faults import Fault
from tests.orders.lifecycle import Story, Walk, ends, starts, whole
from tests.shop import Shop

LONG_AFTER = timedelta(days=366)


async def jobs_of(shop: Shop) -> list[str]:
    async with shop.parts.db.connection() as connection:
        rows = await connection.fetch("SELECT entrypoint FROM pgqueuer")
    return [row["entrypoint"] for row in rows]


async def test_served_at_once_by_link(story: Story) -> None:
    [path] = story.row.paths
    await story.sell_links()
    order_id = await story.place(2, stock=2)
    await story.expect(order_id, path, items={"DELIVERED": 2}, events=["delivered"])
    assert await jobs_of(story.shop) == []


@whole("filled_for_links")
async def test_filled_for_links(story: Story, path: Walk) -> None:
    await story.sell_links()
    order_id, quantity, delivered = await story.opened(path[0])
    await story.stock(quantity - delivered, story.product_id)
    if path[0] == model.PROCESSING:
        await story.shop.tasks.fill([order_id])
    else:
        await story.shop.retry(order_id)
    await story.expect(order_id, path, items={"DELIVERED": quantity}, events=[])
    assert MAKE_LINKS_JOB in await jobs_of(story.shop)
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE")


@whole("fetched_for_links")
async def test_fetched_for_links(story: Story, path: Walk) -> None:
    await story.sell_links()
    order_id, quantity, _ = await story.opened(path[0])
    story.market.book.delay_s = 0
    story.market.book.clock.advance(60)
    if path[0] not in (model.VENDOR_CREATED, model.REPROCESS):
        await story.market.approve(order_id)
    await story.market.settle(order_id)
    await story.expect(order_id, path, items={"DELIVERED": quantity}, events=[])
    assert MAKE_LINKS_JOB in await jobs_of(story.shop)


async def test_links_made(story: Story) -> None:
    [path] = story.row.paths
    await story.sell_links()
    order_id = await story.linked(path[0])
    await story.shop.link_tasks.make([order_id, order_id])
    await story.expect(order_id, path, items={"DELIVERED": 12}, events=["delivered"])
    before = await story.shop.everything()
    await story.shop.link_tasks.make([order_id])
    assert await story.shop.link_tasks.sweep() == 0
    assert await story.shop.everything() == before, "the job may run twice"


async def test_claimed(story: Story) -> None:
    [path] = story.row.paths
    await story.sell_links()
    order_id = await story.linked(path[0])
    await story.shop.claim(order_id, 2)
    assert (await story.acts(order_id))[-1] == (model.UNCLAIMED,)
    assert await story.told(order_id) == []
    await story.shop.claim(order_id, 1)
    await story.expect(order_id, path, items={"DELIVERED": 2}, events=["delivered"])
    await story.shop.claim(order_id, 1)
    assert (await story.acts(order_id))[-1] == path, "counted once"


@pytest.mark.parametrize("by", ["staff", "deadline"])
@ends("given_up_before_its_links")
async def test_given_up_before_its_links(story: Story, path: Walk, by: str) -> None:
    await story.sell_links()
    failed = path[-1] == model.FAILED
    deadline = story.shop.now + timedelta(hours=1) if by == "deadline" else None
    order_id = await story.place(12, stock=12, deliver_by=deadline)
    await story.shop.tasks.fill([order_id])
    if by == "deadline" and not failed:
        story.market.clock.ahead += timedelta(hours=2)
        assert await story.shop.tasks.deadlines() == 1
    else:
        await (story.shop.fail(order_id) if failed else story.shop.cancel(order_id))
    event = "failed" if failed else "cancelled"
    await story.expect(order_id, path, items={"REVOKED": 12}, events=[event], returned=12)
    before = await story.shop.everything()
    await story.shop.link_tasks.make([order_id])
    assert await story.shop.everything() == before
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE", claim="LINK_GONE")


@starts("link_taken_back")
async def test_link_taken_back(story: Story, start: State) -> None:
    path = (start, model.REFUNDED)
    await story.sell_links()
    order_id = await story.linked(start)
    await story.shop.cancel(order_id)
    await story.expect(order_id, path, items={"REVOKED": 2}, events=["cancelled"], returned=2)
    await story.refused(order_id, claim="LINK_GONE", cancel="ORDER_NOT_CANCELLABLE")
    part = await story.linked(start)
    await story.shop.cancel(part, item_id(part, 2))
    items = {"DELIVERED": 1, "REVOKED": 1}
    await story.expect(part, path, items=items, events=["cancelled"], returned=1)


@pytest.mark.parametrize("claimed", [0, 1])
async def test_not_claimed_in_time(story: Story, claimed: int) -> None:
    [path] = story.row.paths
    await story.sell_links()
    order_id = await story.linked(path[0])
    if claimed:
        await story.shop.claim(order_id, 1)
    story.market.clock.ahead += LONG_AFTER
    assert await story.shop.link_tasks.lapse() == 1
    items = {"DELIVERED": claimed, "REVOKED": 2 - claimed}
    back = 2 - claimed
    await story.expect(order_id, path, items=items, events=["cancelled"], returned=back)
    before = await story.shop.everything()
    assert await story.shop.link_tasks.lapse() == 0
    assert await story.shop.everything() == before, "once"


@whole("links_given_up_while_its_wallet_takes_no_money")
async def test_links_given_up_while_its_wallet_takes_no_money(story: Story, path: Walk) -> None:
    await story.sell_links()
    order_id = await story.linked(path[0])
    quantity = (await story.shop.order(order_id)).quantity
    await story.freeze(order_id)
    failed = path[-1].status is Status.FAILED
    await (story.shop.fail(order_id) if failed else story.shop.cancel(order_id))
    event = "failed" if failed else "cancelled"
    items = {"REVOKED": quantity}
    await story.expect(order_id, path, items=items, events=[event], owed=quantity)
    await story.refused(order_id, pay_owed="WALLET_FROZEN")


async def test_a_part_is_told_of_once_its_links_are_there(story_of_links: Story) -> None:
    story = story_of_links
    await story.sell_links()
    order_id = await story.place(12, stock=5)
    await story.shop.tasks.fill([order_id])
    assert (await story.shop.order(order_id)).state == model.PARTIAL
    assert await story.told(order_id) == []
    assert await story.shop.link_tasks.sweep() == 1
    assert await story.told(order_id) == ["order.partially_delivered"]
    assert await story.shop.broken() == {}
    story.market.script(Fault.OUT_OF_STOCK)
    await story.stock(7, story.product_id)
    await story.shop.claim(order_id, 1)
    await story.shop.retry(order_id)
    assert (await story.shop.order(order_id)).state == model.LINK_PENDING
    await story.shop.link_tasks.make([order_id])
    assert (await story.shop.order(order_id)).state == model.UNCLAIMED
    assert await story.shop.broken() == {}
