"""Answers no database can hold, and an adapter that went: none keeps a purchase open for ever."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rewards.orders.model import Order
from rewards.vendors import purchases
from rewards.vendors.model import (
    Accepted,
    Card,
    Cost,
    Delivered,
    NotKnown,
    Outcome,
    PurchaseState,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.simulators.faults import Fault
from rewards.vendors.storable import storable
from tests.market import Market, open_market

POISON = ("\x00", "\ud800", "\udfff")


@pytest.fixture
async def market(dsn: str, tmp_path: Path) -> AsyncIterator[Market]:
    async with open_market(dsn, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("poison", POISON)
async def test_a_card_that_cannot_be_kept_holds_no_other_up(market: Market, poison: str) -> None:
    real, left = market.book._card, iter([True])

    def card(*asked: Any) -> Any:
        made = real(*asked)
        return replace(made, code=made.code + poison) if next(left, False) else made

    market.book._card = card  # type: ignore[method-assign]
    order = await market.waiting(4)
    assert isinstance(await market.approve(order.id), Order)
    done = await market.settle(order.id)
    assert done.fulfilled == 3
    [purchase] = await market.bought(order.id)
    assert purchase.state is PurchaseState.FULFILLED
    assert (purchase.received, purchase.quarantined) == (4, 1)
    assert purchase.message == "1 of 4 cards hold what is no text, and were not kept"
    assert await market.codes_in_stock() == 3
    assert await market.shop.broken() == {}


@pytest.mark.parametrize("poison", [*POISON, "x" * 5_000])
async def test_a_name_that_cannot_be_kept_is_not_told(market: Market, poison: str) -> None:
    """The vendor has the order under it while it works, and when it is done."""
    real = market.simulator._shown
    market.simulator._shown = lambda sale: real(sale) | {"ref": poison}  # type: ignore[method-assign]
    market.book.delay_s = 30
    order = await market.waiting(2)
    assert isinstance(await market.approve(order.id), Order)
    accepted = await market.step(order.id)
    assert accepted is not None
    assert accepted.state is PurchaseState.ACCEPTED
    done = await market.settle(order.id)
    assert done.fulfilled == 2
    [purchase] = await market.bought(order.id)
    assert purchase.vendor_ref is None
    assert await market.shop.broken() == {}


CARD = Card({"code": "A"}, None, 2_500, "USD")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (Unknown("a\x00b\ud800"), Unknown("a?b?")),
        (NotKnown("a\x00"), NotKnown("a?")),
        (Refused(Reason.OTHER, "\udfffno"), Refused(Reason.OTHER, "?no")),
        (Accepted("r\x00", Cost(-1, "USD")), Accepted(None, None)),
        (Accepted("r", Cost(10**18, "USD")), Accepted("r", None)),
        (Accepted("r", Cost(1, "a\x00")), Accepted("r", None)),
        (Delivered((CARD,), "r", Cost(5, "USD")), Delivered((CARD,), "r", Cost(5, "USD"))),
        (
            Delivered((replace(CARD, expires_at=datetime(2030, 1, 1)), CARD)),  # noqa: DTZ001
            Delivered((replace(CARD, fields={}, expires_at=datetime(2030, 1, 1)), CARD)),  # noqa: DTZ001
        ),
        (
            Delivered((replace(CARD, expires_at=datetime(2030, 1, 1, tzinfo=UTC)),)),
            Delivered((replace(CARD, expires_at=datetime(2030, 1, 1, tzinfo=UTC)),)),
        ),
    ],
)
def test_what_is_kept_of_an_outcome(told: Outcome, kept: Outcome) -> None:
    assert storable(told) == kept
    assert storable(kept) == kept


async def test_an_adapter_that_went_leaves_a_case(market: Market) -> None:
    market.script(Fault.DROP_AFTER)
    order = await market.waiting(2)
    assert isinstance(await market.approve(order.id), Order)
    await market.step(order.id)
    adapter = market.adapters.vendors.pop(market.vendor_id)
    within = await market.step(order.id)
    assert within is not None
    assert (within.state, within.case_at) == (PurchaseState.UNKNOWN, None)
    market.clock.ahead += timedelta(hours=25)
    await market.buying.sweep()
    async with market.shop.parts.db.connection() as connection:
        [case] = await purchases.cases(connection)
    assert "no adapter" in str(case.message)
    # With the adapter back it is read, and nothing was bought twice.
    market.adapters.vendors[market.vendor_id] = adapter
    await market.step(order.id)
    assert (await market.shop.order(order.id)).fulfilled == 2
    assert market.sold() == [2]
    assert await market.shop.broken() == {}


async def test_without_an_adapter_nothing_is_placed_and_the_window_ends_it(market: Market) -> None:
    order = await market.waiting(2)
    assert isinstance(await market.approve(order.id), Order)
    market.adapters.vendors.clear()
    waiting = await market.step(order.id)
    assert waiting is not None
    assert waiting.state is PurchaseState.READY
    market.clock.ahead += timedelta(hours=25)
    refused = await market.step(order.id)
    assert refused is not None
    assert refused.state is PurchaseState.REFUSED
    assert market.sold() == []
    assert await market.shop.broken() == {}
