"""docs/lifecycle.md as the tests read it, and orders that walk its rows."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from rewards.catalog.model import LinkType, ProductType
from rewards.core.errors import Refusal
from rewards.orders import model, sql_read
from rewards.orders.closing import TakeBackAsk
from rewards.orders.model import STATES, Order, State, Status
from rewards.orders.recalls import take_back
from rewards.vendors import purchases
from rewards.vendors.model import Purchase
from rewards.vendors.purchases import Verdict
from rewards.vendors.simulators.faults import Fault
from rewards.wallets.model import WalletStatus
from tests.market import MOBILE, WINDOW, Market, add_vendor
from tests.reconciliation.bookkeeping import Books
from tests.shop import STAFF

PAGE = Path(__file__).parents[2] / "docs/lifecycle.md"
_BY_NAME = {str(state): state for state in STATES}

TOLD = """
SELECT e.type FROM events AS e
WHERE e.order_id = $1
    AND e.created_at = (SELECT max(t.at) FROM order_transitions AS t WHERE t.order_id = $1)
ORDER BY e.id
"""
# How an order gets there: its quantity, and how much of it the pool has at once.
OPEN = {
    model.BULK: (60, 0),
    model.PROCESSING: (12, 0),
    model.WAITING: (2, 0),
    model.PARTIAL: (3, 1),
}
# What its vendor does wrong to the call that brings an order there.
AT_VENDOR = {
    model.VENDOR_CREATED: (),
    model.VENDOR_FAILED: (Fault.OUT_OF_STOCK,),
    model.REPROCESS: (Fault.DROP_AFTER,),
    model.REPROCESS_EXPIRED: (Fault.DROP_AFTER,),
}
STOCKED_RECHARGE = 21
LINKED = 30
FUNDS_MINOR = 100_000_000
Walk = tuple[State, ...]
Step = tuple[State, State]


@dataclass(frozen=True)
class Row:
    """A row of the page: every way an order may walk it."""

    name: str
    paths: tuple[Walk, ...]

    @property
    def steps(self) -> set[Step]:
        return {step for path in self.paths for step in itertools.pairwise(path)}

    @property
    def starts(self) -> list[State]:
        return list(dict.fromkeys(path[0] for path in self.paths))


def _read(table: str) -> dict[str, Row]:
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    found = {}
    for cells in (line.strip("| ").split(" | ") for line in rows):
        name = cells[0].strip("`")
        assert name not in found, f"{name} is told twice"
        found[name] = Row(
            name, tuple(path for text in cells[2].split("<br>") for path in _paths(text))
        )
    return found


def _paths(text: str) -> list[Walk]:
    stations = [[_BY_NAME[name] for name in part.split(" / ")] for part in text.split(" → ")]
    return list(itertools.product(*stations))


ROWS = _read(PAGE.read_text())
WALKED = set().union(*(row.steps for row in ROWS.values()))


def starts(row: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("start", ROWS[row].starts, ids=str)


def ends(row: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", ROWS[row].paths, ids=lambda path: str(path[-1]))


def whole(row: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "path", ROWS[row].paths, ids=lambda path: " ".join(map(str, path))
    )


class Story:
    """A market in which one row is walked; whatever an order did must be in that row."""

    def __init__(self, market: Market, row: Row) -> None:
        self.market = market
        self.shop = market.shop
        self.row = row
        self.product_id = 6

    async def place(self, quantity: int, *, stock: int = 0, **facts: object) -> int:
        """A fresh client's order; so much is in the pool before it comes."""
        client = await self.shop.client(minor=FUNDS_MINOR)
        product = self.shop.parts.catalog.product(self.product_id)
        assert product is not None
        await self.stock(stock, self.product_id)
        return (
            await self.shop.place_one(self.shop.ask(client, product, quantity, **facts))
        ).order.id

    async def opened(self, state: State, **facts: object) -> tuple[int, int, int]:
        """An order that rests in this open state: its id, its quantity, and what of it it has.

        At a vendor it has a purchase that is under way, but for VENDOR_ORDER_FAILED.
        """
        quantity, delivered = OPEN.get(state, (2, 0))
        order_id = await self.place(quantity, stock=delivered, **facts)
        if state not in OPEN:
            self.market.book.delay_s = 60
            self.market.script(*AT_VENDOR[state])
            await self.market.approve(order_id)
            await self.market.step(order_id)
        if state == model.REPROCESS_EXPIRED:
            await self.close_window(order_id, (await self.market.bought(order_id))[-1])
        assert (await self.shop.order(order_id)).state == state
        return order_id, quantity, delivered

    async def closed(self, state: State) -> tuple[int, int]:
        """An order of 3 in this state, and how many items it did not get."""
        whole = state in (model.COMPLETED, model.RECONCILED)
        order_id = await self.place(3, stock=3 if whole else 2)
        if state in (model.REFUND_OWED, model.FAILED_OWED):
            await self.freeze(order_id)
        if state.status is Status.CANCELLED:
            await self.shop.cancel(order_id)
        elif state.status is Status.FAILED:
            await self.shop.fail(order_id)
        elif state == model.RECONCILED:
            await Books(self.market).reconcile()
        assert (await self.shop.order(order_id)).state == state
        return order_id, 0 if whole else 1

    async def idle(self, state: State) -> tuple[int, int, int, int]:
        """As `opened`, with nobody at work on it; and how many of its items failed."""
        if state != model.REPROCESS_EXPIRED:
            return *await self.opened(state), 0
        # One of three recharges was lost, which a person said; two were refused for now.
        order_id = await self._stocked_recharge(3)
        await self.market.approve(order_id)
        first, *others = await self.market.bought(order_id)
        self.market.script(Fault.DROP_AFTER, *[Fault.NO_BALANCE] * len(others))
        for purchase in (first, *others):
            await self.market.buying.step(purchase.id)
        await self.close_window(order_id, first)
        await self.judge(first, Verdict.LOST)
        assert (await self.shop.order(order_id)).state == state
        return order_id, 3, 0, 1

    async def _stocked_recharge(self, quantity: int) -> int:
        """An order of what is recharged by a vendor, or with a code that may be in stock."""
        facts = {"type": ProductType.UTILITY, "voucher_fields": ("code",)}
        product = await self.shop.product(STOCKED_RECHARGE, **facts)
        adapter = self.market.adapters.vendors[self.market.vendor_id]
        vendor_id = await add_vendor(self.shop, "grid", [product.id])
        self.market.adapters.vendors[vendor_id] = adapter
        client = await self.shop.client(minor=FUNDS_MINOR)
        ask = self.shop.ask(client, product, quantity, mobile=MOBILE)
        return (await self.shop.place_one(ask)).order.id

    async def close_window(self, order_id: int, purchase: Purchase) -> None:
        """Its vendor cannot be read until a day later."""
        self.market.script(Fault.ERROR_BEFORE, call="read")
        self.market.clock.ahead += WINDOW + timedelta(hours=1)
        await self.market.buying.step(purchase.id)
        assert (await self.shop.order(order_id)).state == model.REPROCESS_EXPIRED

    async def judge(self, purchase: Purchase, verdict: Verdict) -> None:
        async with self.shop.parts.db.transaction() as tx:
            at = self.market.clock.now()
            told = await purchases.judge(
                tx, purchase.id, verdict, "told by phone", self.market.buyers, at
            )
        assert not isinstance(told, Refusal), told

    async def sell_links(self) -> None:
        """From now on what is placed here is claimed by links; the vendor sells it too."""
        product = await self.shop.product(LINKED, link_type=LinkType.PUBLIC)
        own = self.market.adapters.vendors[self.market.vendor_id]
        vendor_id = await add_vendor(self.shop, "linked", [product.id])
        self.market.adapters.vendors[vendor_id] = own
        self.product_id = product.id

    async def linked(self, state: State) -> int:
        """An order of 2 whose links are still to be made, made, or both claimed."""
        at_once = state != model.LINK_PENDING
        order_id = await self.place(2 if at_once else 12, stock=12)
        if not at_once:
            await self.shop.tasks.fill([order_id])
        for position in (1, 2) if state == model.CLAIMED else ():
            await self.shop.claim(order_id, position)
        assert (await self.shop.order(order_id)).state == state
        return order_id

    async def stock(self, units: int, product_id: int = 6) -> None:
        product = self.shop.parts.catalog.product(product_id)
        assert product is not None
        if units:
            await self.shop.stock(product, units)

    async def freeze(self, order_id: int) -> None:
        order = await self.shop.order(order_id)
        await self.shop.set_wallet_status(order.client_id, WalletStatus.FROZEN)

    async def thaw(self, order_id: int) -> None:
        order = await self.shop.order(order_id)
        await self.shop.set_wallet_status(order.client_id, WalletStatus.ACTIVE)

    async def recall(self, order_id: int) -> Order | Refusal:
        """Take back all that the order holds of the batch its first unit came from."""
        async with self.shop.parts.db.transaction() as tx:
            batch_id = await tx.fetchval(
                "SELECT u.batch_id FROM order_items AS i JOIN units AS u ON u.id = i.unit_id"
                " WHERE i.order_id = $1 ORDER BY i.position LIMIT 1",
                order_id,
            )
            ask = TakeBackAsk(order_id, batch_id, STAFF, "bad batch")
            [answer] = await take_back(tx, [ask], self.shop.now)
        return answer

    async def expect(
        self,
        order_id: int,
        path: Walk,
        *,
        items: Mapping[str, int],
        events: Sequence[str],
        returned: int = 0,
        owed: int = 0,
    ) -> None:
        """The order's last act walked this path of the row, and all that goes with it is there.

        `items`: how many there are of each status; `events`: what the client was told of this act;
        `returned` and `owed`: of how many items, in all, the money is back or owed.
        """
        assert path in self.row.paths, "the page tells of another path"
        order = await self.shop.order(order_id)
        acts = await self.acts(order_id)
        assert acts[-1] == path
        assert order.state == path[-1]
        assert Counter(await self.shop.item_states(order_id)) == +Counter(items)
        assert await self.told(order_id) == [f"order.{name}" for name in events]
        assert order.refunded_minor == order.amount_minor * returned // order.quantity
        assert order.refund_owed_minor == order.amount_minor * owed // order.quantity
        held = await self.shop.balance(order.client_id)
        assert held == FUNDS_MINOR - order.amount_minor + order.refunded_minor
        assert await self.shop.broken() == {}

    async def refused(self, order_id: int, **acts: str) -> None:
        """Each act upon the order is refused with this code, and nothing changed."""
        before = await self.shop.everything()
        for act, code in acts.items():
            answer = await getattr(self.shop, act)(order_id)
            assert isinstance(answer, Refusal), act
            assert answer.code == code
        assert await self.shop.everything() == before

    async def told(self, order_id: int) -> list[str]:
        """What the client was told by the last act: events carry the time of theirs."""
        async with self.shop.parts.db.connection() as connection:
            rows = await connection.fetch(TOLD, order_id)
        return [row["type"] for row in rows]

    async def acts(self, order_id: int) -> list[Walk]:
        """The path of each act upon the order, oldest first."""
        async with self.shop.parts.db.connection() as connection:
            steps = await sql_read.read_history(connection, order_id)
        return [tuple(_BY_NAME[name] for name in step.path) for step in steps]
