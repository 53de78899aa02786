"""Random lives of orders: any act, upon an order in any state, by the services that do it."""

import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from rewards.catalog.model import LinkType, Product, ProductType
from rewards.core.errors import Refusal
from rewards.infra.db import Tx
from rewards.inventory import service as inventory
from rewards.orders import books, model, sql_read
from rewards.orders.closing import FailAsk
from rewards.orders.filling import RetryAsk, retry
from rewards.orders.linking import make_links
from rewards.orders.model import STATES, OnPartial, item_id
from rewards.orders.refunds import fail
from rewards.vendors import purchases
from rewards.vendors.model import Purchase
from rewards.vendors.purchases import Verdict
from rewards.vendors.simulators.faults import Fault
from rewards.wallets import service as wallets
from rewards.wallets.model import StatusChange, WalletStatus
from tests.market import MOBILE, WINDOW, Market, add_vendor
from tests.orders.lifecycle import FUNDS_MINOR, Step
from tests.races.link_races import claim_first, claim_item, lapse_all
from tests.races.order_races import ACTS, Act, Scene
from tests.shop import STAFF

# Small tiers, so that every kind of order is common: 1 or 2, 3 or 4, and bulk.
TIERS = {"request_quantity_max": 2, "filled_quantity_max": 4}
ACTS_OF_A_LIFE = 7
# How a life begins, so that what comes late in one is not rare.
BEGINNINGS = (
    (),
    ("freeze",),
    ("cancel",),
    ("fail",),
    ("reconcile",),
    ("reconcile", "freeze"),
    ("freeze", "cancel"),
    ("freeze", "fail"),
    ("buy",),
    ("approve", "call"),
    ("approve", "call", "freeze"),
    ("approve", "a day later"),
    ("approve", "a day later", "freeze"),
    ("approve", "a day later", "judge"),
    ("claim all", "freeze"),
    ("claim all",),
)
# Mostly what was tried least where the order stands, else anything.
CURIOSITY = 0.8
QUIET = 0.5
SELLS = (Fault.OUT_OF_STOCK, Fault.LATE_FAILURE, Fault.EXPIRED_CODE, Fault.PARTIAL)
LOSES = (Fault.DROP_AFTER, Fault.DROP_BEFORE, Fault.THROTTLE)
# All that an act upon an order can change, in one row.
SEEN = """
SELECT o::text AS order_row,
    (SELECT string_agg(i::text, ';' ORDER BY i.position)
     FROM order_items AS i WHERE i.order_id = o.id) AS items,
    (SELECT count(*) FROM order_transitions AS t WHERE t.order_id = o.id) AS acts,
    (SELECT count(*) FROM events AS e WHERE e.order_id = o.id) AS events,
    (SELECT count(*) FROM ledger_transfers AS l WHERE l.client_id = o.client_id) AS transfers,
    (SELECT string_agg(w::text, ';' ORDER BY w.id)
     FROM wallets AS w WHERE w.client_id = o.client_id) AS wallets,
    (SELECT string_agg(u.state, ';' ORDER BY u.id)
     FROM units AS u WHERE u.product_id = o.product_id) AS units,
    (SELECT string_agg(v::text, ';' ORDER BY v.id)
     FROM vendor_orders AS v WHERE v.subject_id = o.id) AS purchases
FROM orders AS o WHERE o.id = $1
"""
PLACE = """
SELECT o.status || o.sub_status || w.status FROM orders AS o
JOIN wallets AS w ON w.id = o.wallet_id WHERE o.id = $1
"""
BOUGHT = """
SELECT EXISTS (
    SELECT FROM vendor_orders
    WHERE purpose IN ('ORDER', 'RECHARGE') AND subject_id = $1 AND state = 'FULFILLED'
)
"""
_BY_NAME = {str(state): state for state in STATES}


async def _fail_item(tx: Tx, scene: Scene) -> object:
    ask = FailAsk(scene.order_id, STAFF, "walk", (item_id(scene.order_id, 2),))
    [answer] = await fail(tx, [ask], scene.shop.now)
    return answer


def _retry(bulk_units_max: int) -> Act:
    async def act(tx: Tx, scene: Scene) -> object:
        asks = [RetryAsk(scene.order_id, STAFF)]
        [answer] = await retry(tx, asks, bulk_units_max, scene.shop.now)
        return answer

    return act


async def _reconcile(tx: Tx, scene: Scene) -> object:
    """As the nightly run does; what a vendor sold it would first compare with the vendor's book."""
    held = await books.lock(tx, [scene.order_id])
    bought = await tx.fetchval(BOUGHT, scene.order_id)
    agreed = [pair for pair in held.values() if pair[0].state == model.COMPLETED and not bought]
    await books.reconcile(tx, agreed, scene.shop.now)
    return "reconciled"


async def _thaw(tx: Tx, scene: Scene) -> object:
    await wallets.set_status(tx, [StatusChange(scene.wallet_id, WalletStatus.ACTIVE)])
    return "thawed"


async def _make_links(tx: Tx, scene: Scene) -> object:
    links = scene.shop.parts.links
    [answer] = await make_links(tx, [scene.order_id], links, scene.shop.now)
    return answer


async def _claim_all(tx: Tx, scene: Scene) -> object:
    live = await scene.shop.parts.links.find(tx, [scene.order_id])
    for link in live:
        await claim_item(link.position)(tx, scene)
    return len(live)


# Those of the races, and a few more.
HOUSE_ACTS: dict[str, Act] = ACTS | {
    "retry over the cap": _retry(0),
    "fail item 2": _fail_item,
    "thaw": _thaw,
    "reconcile": _reconcile,
    "make links": _make_links,
    "claim": claim_first,
    "claim all": _claim_all,
    "lapse": lapse_all,
}


@dataclass
class Walker:
    """Lives orders one after the other; `steps` are those that stand in their histories."""

    market: Market
    dice: random.Random
    steps: set[Step] = field(default_factory=set)
    _tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    _product_id: int = 1_000

    async def walk(self, acts: int) -> None:
        """So many acts, upon as many orders as it takes."""
        for _ in range(acts // ACTS_OF_A_LIFE):
            await self._live()

    async def _live(self) -> None:
        self._product_id += 1
        product = await self._new_product()
        scene = await self._place(product)
        begun = self.dice.choice(BEGINNINGS)
        for turn in range(ACTS_OF_A_LIFE):
            if self.dice.random() < 0.2:
                await self.market.shop.stock(product, self.dice.randint(1, 3))
            act = begun[turn] if turn < len(begun) else await self._choose(scene)
            await self._act(act, scene)
            # Some are claimed, and nothing is ever heard of them again.
            if act == "claim all" and self.dice.random() < QUIET:
                break
        async with self.market.shop.parts.db.connection() as connection:
            history = await sql_read.read_history(connection, scene.order_id)
        for act in history:
            self.steps |= set(itertools.pairwise(_BY_NAME[name] for name in act.path))

    async def _choose(self, scene: Scene) -> str:
        """An act for where the order stands, and whether its wallet takes money."""
        async with self.market.shop.parts.db.connection() as connection:
            place = str(await connection.fetchval(PLACE, scene.order_id))
        acts = self.dice.sample(ALL_ACTS, len(ALL_ACTS))
        curious = self.dice.random() < CURIOSITY
        name = min(acts, key=lambda act: self._tried[place, act]) if curious else acts[0]
        self._tried[place, name] += 1
        return name

    async def _new_product(self) -> Product:
        """A voucher, one with links, or what is recharged by a vendor or with a code in stock."""
        facts: dict[str, Any] = self.dice.choice(
            (
                *({}, {}),
                *({"type": ProductType.UTILITY, "voucher_fields": ("card_number",)},) * 2,
                {"link_type": LinkType.PUBLIC},
            )
        )
        product = await self.market.shop.product(self._product_id, **facts)
        vendor_id = await add_vendor(self.market.shop, f"vendor {product.id}", [product.id])
        own = self.market.adapters.vendors[self.market.vendor_id]
        self.market.adapters.vendors[vendor_id] = own
        return product

    async def _place(self, product: Product) -> Scene:
        shop = self.market.shop
        client = await shop.client(minor=FUNDS_MINOR)
        quantity = self.dice.choice((1, 2, 2, 2, 3, 5))
        stock = self.dice.choice((0, 0, 0, quantity - 1, quantity - 1, quantity))
        if product.link_type is not None:
            stock = self.dice.choice((stock, quantity))
        unit_ids = await shop.stock(product, stock) if stock else []
        async with shop.parts.db.connection() as connection:
            units = await inventory.read_units(connection, unit_ids[:1])
        facts: dict[str, Any] = {"on_partial": self.dice.choice(list(OnPartial))}
        if product.type is ProductType.UTILITY:
            facts["mobile"] = MOBILE
        order = (await shop.place_one(shop.ask(client, product, quantity, **facts))).order
        batch_id = units[0].batch_id if units and units[0] else 0
        return Scene(shop, order.id, client, order.wallet_id, batch_id)

    async def _act(self, name: str, scene: Scene) -> None:
        """One that is refused changes nothing of the order, its money, stock and purchases."""
        self.market.simulator.script.clear()
        before = await self._seen(scene.order_id)
        if name in VENDOR_ACTS:
            answer = await VENDOR_ACTS[name](self, scene.order_id)
        else:
            async with self.market.shop.parts.db.transaction() as tx:
                answer = await HOUSE_ACTS[name](tx, scene)
        if isinstance(answer, Refusal):
            assert await self._seen(scene.order_id) == before, name

    async def _seen(self, order_id: int) -> dict[str, object]:
        async with self.market.shop.parts.db.connection() as connection:
            return dict(await connection.fetchrow(SEEN, order_id))

    async def _open(self, order_id: int) -> list[Purchase]:
        return [purchase for purchase in await self.market.bought(order_id) if purchase.open]

    async def approve(self, order_id: int) -> object:
        return await self.market.approve(order_id)

    async def call(self, order_id: int) -> object:
        """The worker calls for one of the purchases, and the vendor does as it does."""
        self.market.book.delay_s = self.dice.choice((0, 60))
        self.market.book.clock.advance(self.dice.choice((0, 61)))
        self.market.script(*self.dice.choice(((), (), *((fault,) for fault in SELLS + LOSES))))
        for purchase in self.dice.sample(found := await self._open(order_id), min(1, len(found))):
            await self.market.buying.step(purchase.id)
        return None

    async def buy(self, order_id: int) -> object:
        """Approved, and called for at once."""
        answer = await self.market.approve(order_id)
        return answer if isinstance(answer, Refusal) else await self.call(order_id)

    async def a_day_later(self, order_id: int) -> object:
        """One purchase was sent, and cannot be read until its window is over."""
        self.market.script(*[self.dice.choice(LOSES)] * 2)
        self.market.script(*[Fault.ERROR_BEFORE] * 2, call="read")
        for purchase in self.dice.sample(found := await self._open(order_id), min(1, len(found))):
            await self.market.buying.step(purchase.id)
            self.market.clock.ahead += WINDOW + timedelta(hours=1)
            await self.market.buying.step(purchase.id)
        return None

    async def judge(self, order_id: int) -> object:
        """A person settles what is still unknown."""
        verdict = self.dice.choice((Verdict.LOST, Verdict.NOT_PLACED))
        cases = [one for one in await self._open(order_id) if verdict in purchases.choices(one)]
        for case in cases[:1]:
            async with self.market.shop.parts.db.transaction() as tx:
                at, buyers = self.market.clock.now(), self.market.buyers
                return await purchases.judge(tx, case.id, verdict, "by phone", buyers, at)
        return None


VendorAct: TypeAlias = Callable[[Walker, int], Awaitable[object]]
VENDOR_ACTS: dict[str, VendorAct] = {
    "approve": Walker.approve,
    "buy": Walker.buy,
    "call": Walker.call,
    "a day later": Walker.a_day_later,
    "judge": Walker.judge,
}
ALL_ACTS = [*HOUSE_ACTS, *VENDOR_ACTS]
