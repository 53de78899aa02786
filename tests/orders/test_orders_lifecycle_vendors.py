"""The rows of docs/lifecycle.md that a vendor has a part in, walked against its simulator."""

from dataclasses import replace
from datetime import timedelta

from rewards.orders import model
from rewards.orders.model import State
from rewards.vendors.purchases import Verdict
from rewards.vendors.simulators.faults import Fault
from tests.orders.lifecycle import Story, Walk, starts, whole

# Where a vendor may be asked for a voucher; everywhere else one was asked already.
ASKABLE = (model.WAITING, model.VENDOR_FAILED, model.PARTIAL)


async def ask(story: Story, order_id: int, *faults: Fault, delay_s: int = 0) -> None:
    """Approve, and have the worker make the call."""
    story.market.book.delay_s = delay_s
    story.market.script(*faults)
    await story.market.approve(order_id)
    await story.market.step(order_id)


def one_at_a_time(story: Story) -> None:
    adapter = story.market.adapters.vendors[story.market.vendor_id]
    adapter.capabilities = replace(adapter.capabilities, quantity_max=1)


@starts("ordered_at_a_vendor")
async def test_ordered_at_a_vendor(story: Story, start: State) -> None:
    if start == model.REPROCESS:
        order_id, quantity, delivered, gone = *await story.opened(start), 0
        await story.market.step(order_id)
    else:
        order_id, quantity, delivered, gone = await story.idle(start)
        await ask(story, order_id, delay_s=60)
    path = (start, model.VENDOR_CREATED)
    items = {"DELIVERED": delivered, "PENDING": quantity - delivered - gone, "FAILED": gone}
    await story.expect(order_id, path, items=items, events=[], returned=gone)
    if not gone:
        await story.refused(order_id, retry="ORDER_NOT_RETRYABLE")


@whole("fetched_from_a_vendor")
async def test_fetched_from_a_vendor(story: Story, path: Walk) -> None:
    complete = path[-1] == model.COMPLETED
    if not complete:
        one_at_a_time(story)
    order_id, quantity, delivered = await story.opened(path[0])
    if path[0] in ASKABLE:
        await ask(story, order_id)
    else:
        story.market.book.clock.advance(61)
        await story.market.step(order_id)
    came = quantity - delivered if complete else 1
    items = {"DELIVERED": delivered + came, "PENDING": quantity - delivered - came}
    event = "delivered" if complete else "partially_delivered"
    await story.expect(order_id, path, items=items, events=[event])
    assert sum(story.market.sold()) == came
    assert await story.market.codes_in_stock() == delivered + came


@whole("refused_by_a_vendor")
async def test_refused_by_a_vendor(story: Story, path: Walk) -> None:
    start, unusable = path[0], len(path) == 3
    never = {model.VENDOR_CREATED: Fault.LATE_FAILURE, model.REPROCESS: Fault.DROP_BEFORE}
    if start in never:
        story.market.script(never[start])
    order_id, quantity, delivered = await story.opened(start)
    if start in ASKABLE:
        one_at_a_time(story)
        await ask(story, order_id, Fault.EXPIRED_CODE if unusable else Fault.OUT_OF_STOCK)
    elif start == model.REPROCESS_EXPIRED:
        [case] = await story.market.bought(order_id)
        await story.judge(case, Verdict.LOST if unusable else Verdict.NOT_PLACED)
    else:
        story.market.book.clock.advance(61)
        story.market.clock.ahead += timedelta(hours=1)
        await story.market.step(order_id)
    items = {"DELIVERED": delivered, "PENDING": quantity - delivered}
    await story.expect(order_id, path, items=items, events=[])


@starts("vendors_outcome_unknown")
async def test_vendors_outcome_unknown(story: Story, start: State) -> None:
    if start in ASKABLE:
        order_id, quantity, delivered = await story.opened(start)
        await ask(story, order_id, Fault.DROP_AFTER)
    else:
        order_id, quantity, delivered = (await story.market.recharge(2)).id, 2, 0
        await story.market.approve(order_id)
        first, second = await story.market.bought(order_id)
        story.market.book.delay_s = 60
        story.market.script(*([] if start == model.VENDOR_CREATED else [Fault.DROP_AFTER]))
        await story.market.buying.step(first.id)
        if start == model.REPROCESS_EXPIRED:
            await story.close_window(order_id, first)
            # The other call's process looked at its clock just before.
            story.market.clock.ahead = timedelta()
        assert (await story.shop.order(order_id)).state == start
        story.market.script(Fault.DROP_AFTER)
        await story.market.buying.step(second.id)
    path = (start, model.REPROCESS)
    items = {"DELIVERED": delivered, "PENDING": quantity - delivered}
    await story.expect(order_id, path, items=items, events=[])
    await story.refused(order_id, retry="ORDER_NOT_RETRYABLE")


@whole("reprocess_window_over")
async def test_reprocess_window_over(story: Story, path: Walk) -> None:
    order_id, quantity, delivered = await story.opened(path[0])
    if path[0] in ASKABLE:
        # No worker ran for a day; the order was accepted then, and is not delivered.
        story.market.book.delay_s = 60
        await story.market.approve(order_id)
    elif path[0] == model.REPROCESS:
        story.market.script(Fault.ERROR_BEFORE, call="read")
    story.market.clock.ahead += timedelta(hours=25)
    await story.market.step(order_id)
    items = {"DELIVERED": delivered, "PENDING": quantity - delivered}
    await story.expect(order_id, path, items=items, events=[])
    await story.refused(order_id, retry="VENDOR_ORDER_OPEN")
