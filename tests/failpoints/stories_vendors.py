"""Stories with a vendor in them: approved, bought, fetched, recharged, refused, synchronised."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rewards.catalog.model import Denomination, ProductType
from rewards.orders.decide import PlaceAsk
from rewards.orders.fulfilment import ApproveAsk
from rewards.vendors.simulators.faults import Fault, Scripted
from tests.failpoints.stories_orders import CANCELLED, DELIVERED, WAITING, OrderStory
from tests.failpoints.story import Step, Story, done
from tests.failpoints.town import SECRET, served
from tests.shop import STAFF

OPEN = "SELECT count(*) FROM vendor_orders WHERE subject_id = $1 AND settled_at IS NULL"
# What never reached the vendor, whole or in part: a person asks for it again.
WANTING = ("PENDING·VENDOR_ORDER_FAILED", "PARTIALLY_DELIVERED·PARTIAL")
READINGS = """
SELECT count(*) FROM pgqueuer WHERE entrypoint IN
    ('vendors.balances', 'vendors.catalogues', 'vendors.sync', 'pricing.refresh_rates')
"""
REST_OTHERS = """
UPDATE vendors SET status = 'PAUSED' WHERE id <> $1 AND status = 'ACTIVE' RETURNING id
"""
WAKE = "UPDATE vendors SET status = 'ACTIVE' WHERE id = ANY($1::bigint[]) RETURNING id"
LATER_S = 10.0


class VendorStory(OrderStory):
    """A miss that a person has a vendor deliver."""

    stock = 0
    delay_s = 0.0
    facts: dict[str, Any] = {}
    events = ("order.created", "order.pending", "order.delivered")
    # How many cards the vendor sells for it, over all its orders there.
    cards = 2

    async def begin(self) -> None:
        self.town.book.delay_s = self.delay_s
        self.client_id = await self.shop.client(minor=1_000_000)
        self.product = await self.town.offer(await self.town.product(**self.facts))

    def steps(self) -> Sequence[Step]:
        return [self.place, self.approve, self.work]

    async def approve(self) -> None:
        ask = ApproveAsk((await self.order()).id, STAFF, "asked by the client", agreed=True)
        [answer] = await self.town.mine.bought.fulfilment.approve([ask])
        done(answer, *(("VENDOR_ORDER_OPEN", "ORDER_NOT_APPROVABLE") if self.again else ()))

    async def settled(self) -> bool:
        """Nothing is open, and nothing is wanting."""
        order = await self.order()
        if await self.town.value(OPEN, order.id):
            return False
        if str(order.state) == WAITING:
            # A job of ours was struck; the next look finds it.
            return False
        if str(order.state) in WANTING:
            ask = ApproveAsk(order.id, STAFF, "it never reached them", agreed=True)
            [answer] = await self.town.other.bought.fulfilment.approve([ask])
            done(answer)
            return False
        return True

    async def check(self) -> None:
        await super().check()
        await self.check_book()

    async def check_book(self) -> None:
        """The vendor's own: it sold what was delivered, and nothing twice."""
        assert await self.cards_sold() == self.cards

    async def cards_sold(self) -> int:
        order = await self.order()
        keys = await self.town.rows("SELECT key FROM vendor_orders WHERE subject_id = $1", order.id)
        sales = [self.town.book.sales.get(row["key"]) for row in keys]
        return sum(len(sale.cards) for sale in sales if sale is not None)


class BoughtAtOnce(VendorStory):
    """The vendor answers with the codes."""


class BoughtLater(VendorStory):
    """The vendor takes the order, and is read back for the codes."""

    delay_s = LATER_S

    def steps(self) -> Sequence[Step]:
        return [self.place, self.approve, self.work, self.later, self.sweep]

    async def later(self) -> None:
        self.town.pass_time(timedelta(seconds=LATER_S * 2))

    async def sweep(self) -> None:
        await self.town.mine.bought.buying.sweep()


class HeardOf(BoughtLater):
    """The vendor tells by itself that it is ready; the order is read back for it."""

    def steps(self) -> Sequence[Step]:
        return [self.place, self.approve, self.work, self.later, self.hear, self.work]

    async def hear(self) -> None:
        order = await self.order()
        key = await self.town.value("SELECT key FROM vendor_orders WHERE subject_id = $1", order.id)
        body = json.dumps({"key": key, "ref": "", "message_id": "m1"}).encode()
        signed = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        served(
            await self.town.mine.http.post(
                f"/vendors/{self.town.vendor_id}/callback",
                content=body,
                headers={"X-Signature": signed},
            )
        )


class BoughtByFlag(VendorStory):
    """Its product is flagged: no person need ask."""

    facts = {"allow_auto_vendor_fulfill": True}

    def steps(self) -> Sequence[Step]:
        return [self.place, self.work]


class BoughtByTwo(VendorStory):
    """More than one person may decide: another one agrees, and a worker carries it out."""

    quantity = 4
    cards = 4

    def steps(self) -> Sequence[Step]:
        return [self.place, self.request, self.agree, self.work]

    async def request(self) -> None:
        path = f"/orders/{(await self.order()).id}/vendor-fulfilment"
        again = (409,) if self.again else ()
        await self.town.staff("operations", "POST", path, {"reason": "asked for"}, again)

    async def agree(self) -> None:
        number = await self.town.value(
            "SELECT id FROM approvals WHERE kind = 'VENDOR_FULFILMENT' AND subject_id = $1",
            (await self.order()).id,
        )
        again = (409,) if self.again else ()
        await self.town.staff("finance", "POST", f"/approvals/{number}/approve", {}, again)

    async def check_book(self) -> None:
        await super().check_book()
        states = await self.town.rows(
            "SELECT state FROM approvals WHERE kind = 'VENDOR_FULFILMENT' AND subject_id = $1",
            (await self.order()).id,
        )
        assert [row["state"] for row in states] == ["CARRIED_OUT"]


class CancelledWhileBought(BoughtLater):
    """Cancelled when the vendor had taken it: the codes that come go to stock.

    Where the cancel comes after the codes it is a late one, and they are revoked.
    """

    ends = CANCELLED
    events = ("order.created", "order.pending", "order.cancelled")
    other_events = ("order.created", "order.pending", "order.delivered", "order.cancelled")

    def steps(self) -> Sequence[Step]:
        return [self.place, self.approve, self.work, self.cancel, self.later, self.sweep]

    async def check_book(self) -> None:
        held = await self.town.value(
            "SELECT count(*) FROM units WHERE product_id = $1", self.product.id
        )
        # None, where the cancel came before the vendor had heard of it.
        assert held == await self.cards_sold()
        assert held in (0, self.cards)


class Recharged(VendorStory):
    """A recharge: each item is a purchase of its own."""

    number = "5550100"
    facts = {
        "type": ProductType.MOBILE_TOPUP,
        "voucher_fields": (),
        "denominations": (Denomination(2_500, 5_000),),
    }

    def ask(self) -> PlaceAsk:
        mobile = {"mobile_country_code": "+1", "mobile_number": self.number}
        return self.shop.ask(
            *(self.client_id, self.product, self.quantity), key="one-and-the-same", mobile=mobile
        )

    async def check(self) -> None:
        order = await self.order()
        assert str(order.state) == DELIVERED
        assert await self.shop.item_states(order.id) == ["DELIVERED"] * self.quantity
        assert await self.shop.balance(self.client_id) == 1_000_000 - order.amount_minor
        await self.check_book()


class RechargeRefused(Recharged):
    """The operator refuses the number: failed, and paid back."""

    number = "5550000"
    cards = 0

    async def check(self) -> None:
        order = await self.order()
        assert str(order.state) == "FAILED·REFUNDED"
        assert await self.shop.balance(self.client_id) == 1_000_000
        await self.check_book()


class StockOrdered(Story):
    """Stock ordered ahead, more than one person may: agreed to, bought once, put on the shelf."""

    quantity = 4

    async def begin(self) -> None:
        self.town.book.delay_s = 0
        self.product = await self.town.offer(await self.town.product())

    def steps(self) -> Sequence[Step]:
        return [self.request, self.agree, self.work, self.look]

    async def request(self) -> None:
        body = {
            "product_id": self.product.id,
            "denomination": "25.00",
            "quantity": self.quantity,
            "reason": "for the holidays",
            "reference": f"holidays-{self.product.id}",
        }
        told = await self.town.staff("operations", "POST", "/stock-orders", body)
        self.number: int = told["stock_order_id"]

    async def agree(self) -> None:
        number = await self.town.value(
            "SELECT id FROM approvals WHERE kind = 'STOCK_ORDER' AND subject_id = $1", self.number
        )
        again = (409,) if self.again else ()
        await self.town.staff("finance", "POST", f"/approvals/{number}/approve", {}, again)

    async def work(self) -> None:
        await self.town.mine.worker.drain()

    async def look(self) -> None:
        await self.town.staff("viewer", "GET", f"/stock-orders/{self.number}")

    async def settled(self) -> bool:
        rows = await self.bought()
        return bool(rows) and all(row["settled_at"] for row in rows)

    async def bought(self) -> list[dict[str, Any]]:
        return await self.town.rows(
            "SELECT * FROM vendor_orders WHERE purpose = 'STOCK' AND subject_id = $1", self.number
        )

    async def check(self) -> None:
        """None at all, where the vendor never heard of it."""
        [purchase] = await self.bought()
        sale = self.town.book.sales.get(purchase["key"])
        sold = len(sale.cards) if sale else 0
        held = await self.town.value(
            "SELECT count(*) FROM units WHERE product_id = $1", self.product.id
        )
        assert held == sold
        assert sold == (self.quantity if purchase["state"] == "FULFILLED" else 0)


class Synchronised(Story):
    """Balances and catalogue of the vendor are read; then rates of the publisher."""

    async def begin(self) -> None:
        self.calls = self.town.book.calls["place"]
        # Whom staff of other stories let in would be asked first now and then, and is not there.
        self.away = [row["id"] for row in await self.town.rows(REST_OTHERS, self.town.vendor_id)]

    def steps(self) -> Sequence[Step]:
        return [self.trouble, self.balances, self.catalogues, self.check_account, self.rates]

    async def trouble(self) -> None:
        """The vendor fails first, which is noted."""
        self.town.simulator.script.add([Scripted(Fault.ERROR_BEFORE, "balance")])
        await self._run("vendors.balances")
        self.town.simulator.script.clear()

    async def balances(self) -> None:
        await self._run("vendors.balances")

    async def catalogues(self) -> None:
        await self._run("vendors.catalogues")

    async def check_account(self) -> None:
        checked = await self.town.mine.parts.accounts.check(self.town.vendor_id)
        # Our own limit may hold back what is asked again.
        assert checked.balances or self.town.struck

    async def rates(self) -> None:
        await self._run("pricing.refresh_rates")

    async def _run(self, job: str) -> None:
        await self.town.value(
            "INSERT INTO pgqueuer (priority, entrypoint, status) VALUES (0, $1, 'queued')", job
        )
        await self.town.mine.worker.drain()

    async def settled(self) -> bool:
        """No reading that failed waits for its next try: who asks meanwhile would add none."""
        return not await self.town.value(READINGS)

    async def check(self) -> None:
        await self.town.rows(WAKE, self.away)
        assert await self.town.value("SELECT count(*) FROM vendor_balances") == 1
        assert await self.town.value("SELECT count(*) FROM vendor_offers") == 1
        assert await self.town.value("SELECT count(*) FROM fx_rates WHERE source = 'USD'") > 0
        assert self.town.book.calls["place"] == self.calls, "looking buys nothing"


VENDOR_STORIES = (
    BoughtAtOnce,
    BoughtLater,
    HeardOf,
    BoughtByFlag,
    BoughtByTwo,
    CancelledWhileBought,
    Recharged,
    RechargeRefused,
    StockOrdered,
    Synchronised,
)
