"""Random walks over the whole state machine: they take the steps of the page, and no other (T2).

Every day the tests of the rows walk each step of the page, and 40 walks of 50 acts look for any
other. Marked long, 2,000 walks reach each step by themselves.
"""

import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from rewards.orders import model, sql, sql_read
from rewards.orders.model import NEXT, STATES, IllegalStep, Order, State
from rewards.orders.sql import Move
from tests.market import Market, open_market
from tests.orders.lifecycle import ROWS, WALKED, Step
from tests.orders.walker import TIERS, Walker
from tests.shop import STAFF, Shop

ACTS_OF_A_WALK = 50
# One takes two clocks, one a recharge that was lost among others and a code in stock; the tests of
# their rows walk them.
TOO_RARE = {
    (model.REPROCESS_EXPIRED, model.REPROCESS),
    (model.REPROCESS_EXPIRED, model.ON_HAND),
}
ALL_WALKS = 2_000
CHECK_EVERY = 10
ONE_OF_EACH = "SELECT min(id) AS id FROM orders GROUP BY status, sub_status"
# Where an act leaves an order.
RESTS = {path[-1] for row in ROWS.values() for path in row.paths}
LEGAL = sorted((source, target) for source in STATES for target in NEXT[source])
ILLEGAL = sorted({*itertools.product(STATES, repeat=2)} - {*LEGAL})


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(dsn, tmp_path, **TIERS) as opened:
        yield opened


def told(steps: set[Step]) -> list[str]:
    return sorted(f"{source} → {target}" for source, target in steps)


@pytest.mark.parametrize("walks", [40, pytest.param(ALL_WALKS, marks=pytest.mark.long)])
async def test_walks_take_the_steps_of_the_page_and_no_other(market: Market, walks: int) -> None:
    shop, walker = market.shop, Walker(market, random.Random(1))
    for done in range(walks):
        await walker.walk(ACTS_OF_A_WALK)
        if done % CHECK_EVERY == 0:
            assert await shop.broken() == {}
    assert told(walker.steps - WALKED) == []
    if walks == ALL_WALKS:
        assert told(walker.steps | TOO_RARE) == told(WALKED)
    assert await shop.broken() == {}
    await _refuse_from_elsewhere(shop)


async def _refuse_from_elsewhere(shop: Shop) -> None:
    """Wherever an order rests, a legal step that begins in another state changes nothing."""
    async with shop.parts.db.connection() as connection:
        ids = [row["id"] for row in await connection.fetch(ONE_OF_EACH)]
        orders = (await sql_read.read_orders(connection, ids)).values()
    assert {order.state for order in orders} == RESTS
    before = await shop.everything()
    for order, (source, target) in itertools.product(orders, LEGAL):
        if source != order.state:
            move = Move(at(order, source), at(order, target), (source, target), STAFF, None)
            with pytest.raises(IllegalStep):
                async with shop.parts.db.transaction() as tx:
                    await sql.move_orders(tx, [move])
    assert await shop.everything() == before


async def test_no_act_can_be_made_of_a_step_outside_the_page(shop: Shop) -> None:
    assert len(ILLEGAL) + len(LEGAL) == len(STATES) ** 2
    product, client = await shop.product(), await shop.client(minor=100_000)
    order = (await shop.place_one(shop.ask(client, product))).order
    for source, target in ILLEGAL:
        with pytest.raises(IllegalStep):
            Move(at(order, source), at(order, target), (source, target), STAFF, None)
    for source, target in LEGAL:
        Move(at(order, source), at(order, target), (source, target), STAFF, None)
        # Nor may the history tell another act than the one that is done.
        for first, last in ((target, target), (source, source)):
            if (first, last) != (source, target):
                with pytest.raises(IllegalStep):
                    Move(at(order, first), at(order, last), (source, target), STAFF, None)


def at(order: Order, state: State) -> Order:
    return replace(order, status=state.status, sub_status=state.sub_status)
