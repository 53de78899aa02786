"""Staff who order stock in a market, and a worker's hands for what follows."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from rewards.catalog.model import ShelfKey
from rewards.core.actor import Actor, ActorKind
from rewards.core.errors import Refusal
from rewards.inventory import service as inventory
from rewards.orders.vendor_limit import ApprovalLimit
from rewards.restocks import ordering
from rewards.restocks.model import StockAsk, StockOrder
from rewards.staff import approvals, stock_orders
from rewards.staff.model_approvals import Approval, ApprovalKind, Verdict
from rewards.staff.stock_orders import Answer
from rewards.vendors import purchases
from rewards.vendors.model import Purchase, Purpose
from tests.market import Market
from tests.shop import Shop

SHELF = ShelfKey(6, 2_500, "USD")
UNITS = """
SELECT u.state, u.cost_minor, u.cost_currency, s.loaded
FROM units AS u JOIN vendor_orders AS v ON v.batch_id = u.batch_id
LEFT JOIN shelf AS s ON s.unit_id = u.id
WHERE v.purpose = 'STOCK' AND v.subject_id = $1 ORDER BY u.id
"""


async def hire(shop: Shop, *names: str) -> list[int]:
    async with shop.parts.db.connection() as connection:
        return [
            await connection.fetchval(
                "INSERT INTO staff_users (username, role, password_hash, created_at)"
                " VALUES ($1, 'admin', 'none', now()) RETURNING id",
                name,
            )
            for name in names
        ]


@dataclass
class Stockroom:
    """`olga` orders, `fred` agrees."""

    market: Market
    olga: int
    fred: int

    @property
    def shop(self) -> Shop:
        return self.market.shop

    def asking(self, quantity: int, **facts: Any) -> StockAsk:
        usual: dict[str, Any] = {"shelf": SHELF, "asked_by": self.olga, "reason": "runs out soon"}
        return StockAsk(quantity=quantity, **(usual | facts))

    async def ask(self, asked: StockAsk, limit: ApprovalLimit | None = None) -> Answer:
        """`limit`: another one than the market's."""
        actor = Actor(ActorKind.STAFF, asked.asked_by)
        restocks = self.market.restocks
        return await stock_orders.request(
            replace(restocks, limit=limit or restocks.limit), asked, actor
        )

    def limit(self, amount_minor: int, currency: str = "USD") -> ApprovalLimit:
        return ApprovalLimit(amount_minor, currency, self.shop.parts.prices)

    async def order(self, quantity: int, **facts: Any) -> StockOrder:
        return (await self.ask(self.asking(quantity, **facts))).order

    async def refused(self, asked: StockAsk) -> str:
        """The code of the refusal, which changed nothing."""
        before = await self.shop.everything()
        try:
            answer = await self.ask(asked)
        except Refusal as refusal:
            assert await self.shop.everything() == before
            return refusal.code
        raise AssertionError(answer)

    async def read(self, stock_order_id: int) -> StockOrder:
        async with self.shop.parts.db.connection() as connection:
            order = await ordering.read(connection, stock_order_id)
        assert order is not None
        return order

    async def bought(self, stock_order_id: int) -> list[Purchase]:
        async with self.shop.parts.db.connection() as connection:
            return await purchases.of_subject(connection, [Purpose.STOCK], stock_order_id)

    async def settle(self, stock_order_id: int, *, calls_max: int = 30) -> StockOrder:
        """Calls until nothing is open for the order, each when it is due."""
        market = self.market
        for _ in range(calls_max):
            due = [one for one in await self.bought(stock_order_id) if one.open]
            if not due:
                break
            wait = max(due[-1].next_at - market.clock.now(), timedelta())
            market.clock.ahead += wait
            market.book.clock.advance(wait.total_seconds())
            await market.buying.sweep()
        return await self.read(stock_order_id)

    async def units(self, stock_order_id: int) -> list[tuple[Any, ...]]:
        """State, cost, its currency, and whether it is in the pool (None: not on the shelf)."""
        async with self.shop.parts.db.connection() as connection:
            return [tuple(row) for row in await connection.fetch(UNITS, stock_order_id)]

    async def approval(self, stock_order_id: int) -> Approval | None:
        async with self.shop.parts.db.connection() as connection:
            return await approvals.last_of(
                connection, ApprovalKind.STOCK_ORDER, "stock_order", stock_order_id
            )

    async def decide(self, approval: Approval, *, yes: bool) -> Approval | Refusal:
        """Fred decides; what follows is for `carry_out`."""
        actor = Actor(ActorKind.STAFF, self.fred)
        verdict = Verdict(approval.id, yes, self.fred, "so be it")
        async with self.shop.parts.db.transaction() as tx:
            [answer] = await approvals.settle(tx, [verdict], actor, self.market.clock.now())
        return answer

    async def carry_out(self, approval: Approval) -> None:
        """The job that tells of the decision."""
        await stock_orders.carry_out(self.market.restocks, approval.id)

    async def pump(self) -> None:
        parts = self.shop.parts
        await inventory.pump(parts.db, parts.catalog, parts.clock)

    async def trail(self, stock_order_id: int) -> list[str]:
        async with self.shop.parts.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT action FROM audit_entries WHERE subject_kind = 'stock_order'"
                " AND subject_id = $1 ORDER BY id",
                stock_order_id,
            )
        return [row["action"].removeprefix("stock_order.") for row in rows]
