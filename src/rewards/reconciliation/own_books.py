"""Our own books against one another: delivered orders, the day's ledger, units that are sold."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TypeAlias

from rewards.infra.db import Tx
from rewards.inventory import books as stock
from rewards.inventory import service as inventory
from rewards.inventory.model import StoredUnit
from rewards.orders import books as orders
from rewards.orders import recalls
from rewards.orders.model import COMPLETED, Item, ItemStatus, Order, Status
from rewards.reconciliation import sql
from rewards.reconciliation.matching import (
    SOLD_STATES,
    OrderBooks,
    Verdict,
    ledger_without_order,
    match_ledger,
    match_order,
    unit_without_order,
)
from rewards.reconciliation.model import Finding, Gain, Run
from rewards.reconciliation.turns import Turn
from rewards.vendors import books as vendors
from rewards.vendors.model import FOR_ORDERS
from rewards.wallets import books as ledger

# A transaction holds the locks of so many orders at most, with so many items.
ORDERS_A_STEP = 200
ITEMS_A_STEP = 2_000
TRANSFERS_A_STEP = 500
UNITS_A_STEP = 2_000
PURCHASES_A_STEP = 50
# How far one step looks by id where the day has little.
IDS_A_STEP = 20_000

Bounds: TypeAlias = Callable[[Tx], Awaitable[tuple[int, int] | None]]


async def orders_of_day(turn: Turn, run: Run) -> Run:
    """Some of the orders that were delivered on the day, by id."""
    run, begun = await _begun(
        turn, run, lambda tx: orders.delivered_bounds(tx, run.since, run.until)
    )
    if not begun:
        return run
    upto_id = _window(run)

    async def work(tx: Tx) -> tuple[Run, Gain]:
        found = await orders.delivered(
            tx, run.position, upto_id, run.since, run.until, ORDERS_A_STEP
        )
        chunk = _light(found)
        whole = len(found) < ORDERS_A_STEP and len(chunk) == len(found)
        position = upto_id if whole else chunk[-1]
        return replace(run, position=position), await _match(tx, turn, chunk)

    return await turn.step(work)


def _light(found: Sequence[tuple[int, int]]) -> list[int]:
    """As many of these (order, quantity) as one step takes on; one at least."""
    items = 0

    def fits(order: tuple[int, int]) -> bool:
        nonlocal items
        items += order[1]
        return items <= ITEMS_A_STEP

    return [order_id for order_id, _ in takewhile(fits, found)] or [n for n, _ in found[:1]]


async def orders_of_vendor(turn: Turn, run: Run) -> Run:
    """The orders that this run's purchases were made for: whatever of them waited for that."""

    async def work(tx: Tx) -> tuple[Run, Gain]:
        read = await sql.read_by(tx, run.id, run.position, PURCHASES_A_STEP)
        if not read:
            return run.after_phase(turn.clock.now()), Gain()
        bought = await vendors.read(tx, read)
        served = {one.subject_id for one in bought if one.purpose in FOR_ORDERS}
        return replace(run, position=read[-1]), await _match(tx, turn, sorted(served))

    return await turn.step(work)


async def _match(tx: Tx, turn: Turn, order_ids: Sequence[int]) -> Gain:
    """Compare these orders under their lock; those whose books agree become RECONCILED."""
    locked = await orders.lock(tx, order_ids)
    due = [pair for pair in locked.values() if pair[0].status is Status.DELIVERED]
    ids = [order.id for order, _ in due]
    units = await _units(tx, due)
    bookings = await ledger.booked(tx, ids)
    bought = await vendors.fulfilled(tx, ids)
    agreed = await sql.matched(tx, [one.id for each in bought.values() for one in each])
    findings: list[Finding] = []
    reconciled = []
    for order, items in due:
        purchases = [(one, agreed.get(one.id)) for one in bought[order.id]]
        books = OrderBooks(order, items, units, bookings[order.id], purchases)
        verdict, found = match_order(books)
        findings += found
        if verdict is Verdict.MATCHED and order.state == COMPLETED:
            reconciled.append((order, items))
    await orders.reconcile(tx, reconciled, turn.clock.now())
    return Gain(orders=len(due), reconciled=len(reconciled), findings=tuple(findings))


async def _units(tx: Tx, due: Sequence[tuple[Order, Sequence[Item]]]) -> Mapping[int, StoredUnit]:
    ids = [
        item.unit_id
        for _, items in due
        for item in items
        if item.unit_id is not None and item.status is ItemStatus.DELIVERED
    ]
    found = await inventory.read_units(tx, ids)
    return {unit.unit_id: unit for unit in found if unit is not None}


async def ledger_of_day(turn: Turn, run: Run) -> Run:
    """Some of what was booked for orders on the day, whatever became of the orders."""
    run, begun = await _begun(turn, run, lambda tx: ledger.bounds(tx, run.since, run.until))
    if not begun:
        return run
    upto_id = _window(run)

    async def work(tx: Tx) -> tuple[Run, Gain]:
        booked = await ledger.for_orders(
            tx, run.position, upto_id, run.since, run.until, TRANSFERS_A_STEP
        )
        position = upto_id if len(booked) < TRANSFERS_A_STEP else booked[-1][0]
        found = await _match_ledger(tx, {order: transfer for transfer, order in booked})
        return replace(run, position=position), Gain(findings=tuple(found))

    return await turn.step(work)


async def _match_ledger(tx: Tx, transfers: Mapping[int, int]) -> list[Finding]:
    """By order its newest transfer here. What seems to differ is looked at again under the lock."""
    ids = sorted(transfers)
    bookings = await ledger.booked(tx, ids)
    known = await orders.read(tx, ids)
    lost = [order_id for order_id in ids if order_id not in known]
    odd = [order.id for order in known.values() if match_ledger(order, bookings[order.id])]
    found = [ledger_without_order(transfers[order_id], order_id) for order_id in lost]
    if odd:
        locked = await orders.lock(tx, odd)
        bookings = await ledger.booked(tx, odd)
        for order, _ in locked.values():
            found += match_ledger(order, bookings[order.id])
    return found


async def units_of_all(turn: Turn, run: Run) -> Run:
    """Some of all units, by id: one that counts as sold is some order's."""
    run, begun = await _begun(turn, run, stock.bounds)
    if not begun:
        return run
    assert run.upto is not None
    upto_id = min(run.position + UNITS_A_STEP, run.upto)

    async def work(tx: Tx) -> tuple[Run, Gain]:
        sold = await stock.sold(tx, run.position, upto_id)
        alone = await _without_order(tx, sold)
        # A recall may have put another unit in its place between the two looks.
        again = [unit for unit in await inventory.read_units(tx, alone) if unit is not None]
        still = [unit for unit in again if unit.state in SOLD_STATES]
        lost = set(await _without_order(tx, [unit.unit_id for unit in still]))
        found = [unit_without_order(unit) for unit in still if unit.unit_id in lost]
        gain = Gain(units=len(sold), findings=tuple(found))
        return replace(run, position=upto_id), gain

    return await turn.step(work)


async def _without_order(tx: Tx, unit_ids: Sequence[int]) -> list[int]:
    held = {one.unit_id for one in await recalls.holders(tx, unit_ids)} if unit_ids else set()
    return [unit_id for unit_id in unit_ids if unit_id not in held]


async def _begun(turn: Turn, run: Run, bounds: Bounds) -> tuple[Run, bool]:
    """The run with the ends of its phase, and whether there is any of it left."""
    if run.upto is None:
        async with turn.db.connection() as connection:
            found = await bounds(connection)
        if found is None:
            return await turn.move(run.after_phase(turn.clock.now())), False
        run = await turn.move(replace(run, position=found[0] - 1, upto=found[1]))
    assert run.upto is not None
    if run.position >= run.upto:
        return await turn.move(run.after_phase(turn.clock.now())), False
    return run, True


def _window(run: Run) -> int:
    assert run.upto is not None
    return min(run.position + IDS_A_STEP, run.upto)
