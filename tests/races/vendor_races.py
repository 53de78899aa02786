"""What may happen to an order while a vendor is asked for it: by its vendor, by staff, by time."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from rewards.core.errors import Refusal
from rewards.infra.db import Database, Tx
from rewards.inventory import service as inventory
from rewards.orders import model
from rewards.orders.fulfilment import ApproveAsk, Choice
from rewards.orders.model import Order
from rewards.vendors import purchases, sql_purchases
from rewards.vendors.buying import Buying
from rewards.vendors.model import (
    FOR_ORDERS,
    Accepted,
    Card,
    Delivered,
    Outcome,
    Purchase,
    PurchaseState,
    Reason,
    Refused,
    Unknown,
)
from rewards.vendors.purchases import Verdict
from tests.market import MOBILE, RECHARGE, Market
from tests.races.order_races import (
    ACTS,
    FUNDS_MINOR,
    NOT_OURS,
    ActUpon,
    Scene,
    Stage,
    cancelling,
)
from tests.shop import STAFF

UNITS = 3
RECHARGES = 2
LEASE_S = 3_600.0
UNITS_IN_ALL = "SELECT state, count(*) FROM units WHERE product_id = $1 GROUP BY state ORDER BY 1"
SOLD_BY = (
    "INSERT INTO vendor_products (product_id, vendor_id, sku, priority) VALUES ($1, $2, 'AMZ', 100)"
)
REFUSED = Refused(Reason.OUT_OF_STOCK, "none left")
NOT_NOW = Refused(Reason.VENDOR_DOWN, "try later")
BAD_NUMBER = Refused(Reason.BAD_RECIPIENT, "no such number")
SILENCE = Unknown("no answer")


@dataclass(frozen=True)
class VendorScene(Scene):
    """An order that lacks something, and what a worker holds of its purchase.

    `leased`: the purchase as a worker called the vendor about it, under `token`.
    """

    market: Market
    product_id: int
    choices: Mapping[int, Sequence[Choice]]
    token: UUID
    leased: Purchase | None = None
    fresh: bool = True

    async def facts(self) -> dict[str, Any]:
        told = await super().facts()
        async with self.shop.parts.db.connection() as connection:
            units = await connection.fetch(UNITS_IN_ALL, self.product_id)
        bought = await self.market.bought(self.order_id)
        order = await self.shop.order(self.order_id)
        recharges = await self.market.recharges(self.order_id) if order.recharge else []
        return told | {
            "bought": [
                (str(one.state), one.line.quantity, one.remaining, one.received, one.quarantined)
                for one in bought
            ],
            "unwanted": [one.id for one in bought if _unwanted(one, order, recharges)],
            "cases": [one.case_at is not None for one in bought],
            "units": [tuple(row) for row in units],
            "recharges": recharges,
        }


def _unwanted(
    purchase: Purchase, order: Order, recharges: Sequence[tuple[str, str | None]]
) -> bool:
    """Whether a worker would now ask a vendor for units that nobody wants any more."""
    if purchase.state is not PurchaseState.READY:
        return False
    if recharges:
        return recharges[purchase.position - 1][0] != "PENDING"
    wanted = order.missing if order.status in model.OPEN_STATUSES else 0
    return purchase.line.quantity + purchase.remaining > wanted


@dataclass(frozen=True)
class Lent:
    """The database for whoever commits by itself, in a transaction that somebody else commits."""

    tx: Tx

    async def run(self, work: Callable[[Tx], Awaitable[Any]]) -> Any:
        return await work(self.tx)


def _worker(market: Market, tx: Tx) -> Buying:
    return replace(market.buying, db=cast(Database, Lent(tx)))


async def lease(tx: Tx, scene: VendorScene) -> str:
    """A worker is about to call the vendor about the newest purchase."""
    last = (await purchases.of_subject(tx, FOR_ORDERS, scene.order_id))[-1]
    at = scene.market.clock.now()
    found = await sql_purchases.lease(tx, last.id, uuid4(), LEASE_S, at)
    return NOT_OURS if found is None else "placing" if found[1] else "reading"


def answer(outcome: Outcome | None = None, *, units: int = 0) -> ActUpon[VendorScene]:
    """The vendor's answer is written down; None: it delivers so many units."""

    async def act(tx: Tx, scene: VendorScene) -> str:
        assert scene.leased is not None
        brought = outcome or Delivered(tuple(_card(scene, n) for n in range(units)))
        vendor = scene.market.adapters.vendors[scene.market.vendor_id]
        after = await _worker(scene.market, tx)._settle(
            scene.leased, scene.token, vendor, brought, scene.fresh
        )
        return "too late" if after is None else str(after.state)

    return act


def _card(scene: VendorScene, number: int) -> Card:
    code = f"CANARY-SOLD-{scene.order_id}-{number}"
    return Card({"card_number": code, "pin_code": f"{number:06d}"}, None, 2_500, "USD")


def judge(verdict: Verdict) -> ActUpon[VendorScene]:
    """A person's word on an outcome that nobody knows."""

    async def act(tx: Tx, scene: VendorScene) -> object:
        [case] = await purchases.of_subject(tx, FOR_ORDERS, scene.order_id)
        at, buyers = scene.market.clock.now(), scene.market.buyers
        told = await purchases.judge(tx, case.id, verdict, "told by phone", buyers, at)
        return told if isinstance(told, Refusal) else str(told[1].state)

    return act


async def approve(tx: Tx, scene: VendorScene) -> object:
    """Staff have a vendor asked for what is lacking."""
    ask = ApproveAsk(scene.order_id, STAFF, "race")
    [said] = await scene.market.fulfilment.approve_in(tx, [ask], scene.choices)
    return said


# What a vendor, its worker and whoever decides about it do; of each situation, what can happen.
VENDOR_ACTS: Mapping[str, Mapping[str, ActUpon[VendorScene]]] = {
    "lacking": {"approve": approve},
    "ready": {"call": lease, "approve": approve},
    "sent": {
        "delivered": answer(units=UNITS - 1),
        "refused": answer(REFUSED),
        "not now": answer(NOT_NOW),
        "unknown": answer(SILENCE),
    },
    "accepted": {"delivered": answer(units=UNITS - 1), "refused": answer(REFUSED)},
    "unknown": {"delivered in part": answer(units=1), "unknown": answer(SILENCE)},
    "case": {
        "never placed": judge(Verdict.NOT_PLACED),
        "lost": judge(Verdict.LOST),
        "read again": judge(Verdict.READ_AGAIN),
        "call": lease,
    },
    "recharging": {
        "delivered": answer(Delivered(())),
        "refused": answer(BAD_NUMBER),
        "not now": answer(NOT_NOW),
        "call": lease,
    },
}
MORE = {"cancel item 2": cancelling(2)}
OTHERS = ("retry", "cancel", "cancel item 2", "deadline", "fail", "recall and replace", "freeze")


class VendorStage(Stage[VendorScene]):
    """Scenes of a shop that buys; `situation` names those of VENDOR_ACTS."""

    def __init__(self, market: Market, situation: str) -> None:
        super().__init__(market.shop, {**ACTS, **MORE, **VENDOR_ACTS[situation]})
        self.market = market
        self._product_id = 1_000

    async def scene(self, situation: str) -> VendorScene:
        """An order of 3 that has 1, of a bad batch, or of 2 recharges; the pool has come by more.

        `lacking`: no vendor was asked; `ready`: one will be; `sent`: one is being asked; `accepted`
        and `unknown`: it is being read back; `case`: nobody could tell within the window. Of the
        recharges the first is sent.
        """
        scene = await (self._recharge() if situation == "recharging" else self._lacking())
        choices = await self.market.fulfilment.choices([scene.order_id])
        scene = replace(scene, choices=choices)
        if situation == "lacking":
            return scene
        fulfilment = self.market.fulfilment
        if situation == "case":
            fulfilment = replace(fulfilment, window=timedelta())
        [said] = await fulfilment.approve([ApproveAsk(scene.order_id, STAFF, "race")])
        assert isinstance(said, Order), said
        if situation == "ready":
            return scene
        scene = await self._leased(scene)
        first = {"accepted": Accepted(), "unknown": SILENCE, "case": SILENCE}.get(situation)
        if first is None:
            return scene
        async with self.shop.parts.db.transaction() as tx:
            await answer(first)(tx, scene)
        return scene if situation == "case" else await self._leased(scene)

    async def _lacking(self) -> VendorScene:
        shop = self.shop
        self._product_id += 1
        product = await shop.product(self._product_id)
        async with shop.parts.db.transaction() as tx:
            sold = (product.id, self.market.vendor_id)
            await tx.execute(SOLD_BY, *sold)
        client = await shop.client(minor=FUNDS_MINOR)
        unit_ids = await shop.stock(product, 1)
        order = (await shop.place_one(shop.ask(client, product, UNITS))).order
        await shop.stock(product, UNITS)
        async with shop.parts.db.connection() as connection:
            [bad] = await inventory.read_units(connection, unit_ids)
        assert bad is not None
        return self._scene(order, bad.batch_id)

    async def _recharge(self) -> VendorScene:
        shop = self.shop
        product = shop.parts.catalog.product(RECHARGE)
        assert product is not None
        client = await shop.client(minor=FUNDS_MINOR)
        ask = shop.ask(client, product, RECHARGES, mobile=MOBILE)
        return self._scene((await shop.place_one(ask)).order, 0)

    def _scene(self, order: Order, batch_id: int) -> VendorScene:
        facts = (self.shop, order.id, order.client_id, order.wallet_id, batch_id)
        return VendorScene(*facts, self.market, order.product_id, {}, uuid4())

    async def _leased(self, scene: VendorScene) -> VendorScene:
        """A worker is calling the vendor about the order's first purchase."""
        first = (await self.market.bought(scene.order_id))[0]
        at = self.market.clock.now()
        async with self.shop.parts.db.transaction() as tx:
            found = await sql_purchases.lease(tx, first.id, scene.token, LEASE_S, at)
        assert found is not None
        return replace(scene, leased=found[0], fresh=found[1])
