"""Stories of stock: imported, pumped, blocked, recalled, resealed; and of what comes round."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rewards.catalog.model import Product
from rewards.entry import equipment
from rewards.infra.jobs import JobAsk, enqueue
from rewards.inventory import service as inventory
from rewards.inventory.model import NewUnit, ShelfKey, UnitState
from rewards.orders.model import SubStatus
from rewards.vendors.service import SYNC_JOB
from tests.failpoints.stories_orders import CANCELLED, OrderStory
from tests.failpoints.story import MINOR, Step, Story
from tests.failpoints.town import served

ROWS = 4
LOADED = "SELECT count(*) FROM shelf WHERE product_id = $1 AND loaded"
NIGHTLY = (equipment.RECONCILE_DAILY, equipment.RECONCILE_SWEEP)
HOUSEKEEPING = (
    equipment.RETENTION,
    equipment.FORGET_CHANGES,
    equipment.FORGET_EXCHANGES,
    equipment.FORGET_EVENTS,
    equipment.EXPIRE_APPROVALS,
    equipment.REPORTS_LEFT,
    equipment.FORGET_REPORTS,
    equipment.DEAD_IMPORTS,
    equipment.PUMP,
    equipment.STUCK,
)


class Imported(Story):
    """A file is imported and pumped by a person; imported again, what is there is found."""

    async def begin(self) -> None:
        self.product = await self.town.product(pool_target=100)
        lines = ["product_id,denomination,currency,expires_at,card_number,pin_code"]
        lines += [
            f"{self.product.id},25.00,USD,2090-01-01,CANARY-{self.product.id}-{n},{n:04}"
            for n in range(ROWS)
        ]
        self.file = "\n".join(lines).encode()

    def steps(self) -> Sequence[Step]:
        return [self.load, self.pump]

    async def load(self) -> None:
        batch = await self.send()
        if batch["state"] != "DONE":
            # The request was answered, and tells that the import was struck: once more.
            assert self.town.struck
            assert (await self.send())["state"] == "DONE"

    async def send(self) -> Any:
        answer = await self.town.mine.http.post(
            "/admin/api/v1/inventory/batches?wait=true",
            files={"file": ("stock.csv", self.file)},
            headers=self.town.token("operations"),
        )
        return served(answer)

    async def pump(self) -> None:
        body = {"product_ids": [self.product.id]}
        await self.town.staff("operations", "POST", "/inventory/pump", body)

    async def check(self) -> None:
        units = await self.town.value(
            "SELECT count(*) FROM units WHERE product_id = $1", self.product.id
        )
        assert units == ROWS
        assert await self.town.value(LOADED, self.product.id) == ROWS


class Unblocked(Story):
    """A recall is asked for and rejected; the batch is unblocked and sold on."""

    async def begin(self) -> None:
        self.product = await self.town.product(pool_target=100)
        units = await self.shop.stock(self.product, ROWS)
        self.batch_id = await self.town.value("SELECT batch_id FROM units WHERE id = $1", units[0])

    def steps(self) -> Sequence[Step]:
        return [self.request, self.reject, self.unblock]

    async def request(self) -> None:
        path = f"/inventory/batches/{self.batch_id}/recall"
        await self.town.staff("operations", "POST", path, {"reason": "leaked"}, self.refused())

    def refused(self) -> tuple[int, ...]:
        return (409,) if self.again else ()

    async def reject(self) -> None:
        await self.decide("reject", {"reason": "no leak"})

    async def decide(self, verdict: str, body: dict[str, str]) -> None:
        number = await self.town.value(
            "SELECT max(id) FROM approvals WHERE subject_id = $1", self.batch_id
        )
        path = f"/approvals/{number}/{verdict}"
        await self.town.staff("finance", "POST", path, body, self.refused())

    async def unblock(self) -> None:
        path = f"/inventory/batches/{self.batch_id}/unblock"
        await self.town.staff("operations", "POST", path, {"reason": "no leak"})

    async def check(self) -> None:
        states = await self.town.rows(
            "SELECT state FROM units WHERE product_id = $1", self.product.id
        )
        assert [row["state"] for row in states] == ["AVAILABLE"] * ROWS


class Blocked(Unblocked):
    """A batch is taken out of sale without a recall, and unblocked."""

    def steps(self) -> Sequence[Step]:
        return [self.block, self.unblock]

    async def block(self) -> None:
        path = f"/inventory/batches/{self.batch_id}/block"
        await self.town.staff("operations", "POST", path, {"reason": "it may have leaked"})


class Singled(Story):
    """One unit is blocked and sold again, and another one is taken out of stock for good."""

    async def begin(self) -> None:
        self.product = await self.town.product(pool_target=100)
        self.units = await self.shop.stock(self.product, ROWS)

    def steps(self) -> Sequence[Step]:
        return [self.block, self.unblock, self.revoke]

    async def block(self) -> None:
        await self.act(self.units[0], "block")

    async def unblock(self) -> None:
        await self.act(self.units[0], "unblock")

    async def revoke(self) -> None:
        await self.act(self.units[1], "revoke")

    async def act(self, unit_id: int, act: str) -> None:
        path = f"/inventory/units/{unit_id}/{act}"
        await self.town.staff("operations", "POST", path, {"reason": "used before"})

    async def check(self) -> None:
        states = await self.town.rows(
            "SELECT state FROM units WHERE product_id = $1 ORDER BY id", self.product.id
        )
        expected = ["AVAILABLE", "REVOKED", *["AVAILABLE"] * (ROWS - 2)]
        assert [row["state"] for row in states] == expected


class Recalled(OrderStory):
    """Sold in part; recalled: the rest is blocked, what is sold taken back and paid back.

    One unit is bought for an order that has not got it yet: it is revoked too.
    """

    stock = 4
    ends = CANCELLED
    events = ("order.delivered", "order.cancelled")

    async def begin(self) -> None:
        await super().begin()
        self.batch_id = await self.town.value(
            "SELECT batch_id FROM units WHERE product_id = $1 LIMIT 1", self.product.id
        )
        parts = self.town.other.parts
        shelf = ShelfKey(self.product.id, 2_500, "USD")
        reserved = NewUnit(shelf=shelf, fields={"card_number": "RESERVED", "pin_code": "1"})
        async with parts.db.transaction() as tx:
            await inventory.add_units(
                *(tx, parts.vault, self.batch_id, [reserved]),
                *(UnitState.ALLOCATED, self.town.clock.now()),
            )

    def steps(self) -> Sequence[Step]:
        return [self.place, self.request, self.approve, self.work]

    request = Unblocked.request
    refused = Unblocked.refused
    decide = Unblocked.decide

    async def approve(self) -> None:
        await self.decide("approve", {})

    async def settled(self) -> bool:
        state = await self.town.value(
            "SELECT state FROM approvals WHERE subject_id = $1", self.batch_id
        )
        return bool(state == "CARRIED_OUT")

    async def check(self) -> None:
        await super().check()
        rows = await self.town.rows(
            "SELECT state, count(*) FROM units WHERE product_id = $1 GROUP BY state ORDER BY state",
            self.product.id,
        )
        assert [tuple(row.values()) for row in rows] == [("BLOCKED", 2), ("REVOKED", 3)]


class Resealed(OrderStory):
    """A new data key, and what is sealed under the old one sealed anew; then sold."""

    def steps(self) -> Sequence[Step]:
        return [self.rotate, self.reseal, self.place]

    async def rotate(self) -> None:
        await self.town.mine.parts.vault.rotate_data_key("units")

    async def reseal(self) -> None:
        parts = self.town.mine.parts
        await inventory.reseal(parts.db, parts.vault)

    async def check(self) -> None:
        await super().check()
        order = await self.order()
        orders = self.town.other.parts.orders
        shown = await orders.read(self.ask().actor, self.client_id, order.id)
        assert all(str(one.card_number).startswith("CANARY") for one in shown.vouchers)
        keys = await self.town.value(
            "SELECT count(DISTINCT substring(sealed FOR 5)) FROM units WHERE product_id = $1",
            self.product.id,
        )
        assert keys == 1


class Reconciled(OrderStory):
    """Sold yesterday, and reconciled in the night, with what other stories sold."""

    own = "commit reconciliation."

    def steps(self) -> Sequence[Step]:
        return [self.place, self.wait, self.enqueue, self.work]

    async def wait(self) -> None:
        self.town.pass_time(timedelta(days=1))

    async def enqueue(self) -> None:
        async with self.town.other.parts.db.transaction() as tx:
            await enqueue(tx, [JobAsk(name) for name in NIGHTLY])

    async def settled(self) -> bool:
        if (await self.order()).sub_status is SubStatus.RECONCILED:
            return True
        await self.enqueue()
        return False

    async def check(self) -> None:
        order = await self.order()
        assert await self.shop.balance(self.client_id) == MINOR - order.amount_minor
        states = await self.town.rows(
            "SELECT state FROM units WHERE product_id = $1", self.product.id
        )
        assert [row["state"] for row in states] == ["COMPLETED"] * self.quantity
        assert not await self.town.value(
            "SELECT count(*) FROM drifts WHERE subject = $1", str(order.id)
        )


class Housekeeping(Story):
    """What comes round by itself: pumps, sweeps, what is old is forgotten."""

    # One shelf for all: a pump looks at every one.
    shelf: Product | None = None
    units = 0

    async def begin(self) -> None:
        mine = type(self)
        if mine.shelf is None or self.town.other.parts.catalog.product(mine.shelf.id) is None:
            mine.shelf, mine.units = await self.town.product(pool_target=100_000), 0
        self.product = mine.shelf
        await self.shop.stock(self.product, ROWS, loaded=False)
        mine.units += ROWS
        async with self.town.other.parts.db.transaction() as tx:
            await enqueue(tx, [JobAsk(name) for name in HOUSEKEEPING])

    def steps(self) -> Sequence[Step]:
        return [self.begin_worker, self.work, self.tick]

    async def begin_worker(self) -> None:
        """What a worker does before it takes jobs."""
        async with self.town.mine.worker._database() as db:
            await self.town.mine.worker._begin(db)

    async def work(self) -> None:
        await self.town.mine.worker.drain()

    async def tick(self) -> None:
        await self.town.mine.worker.tick(self.town.mine.parts.db)

    async def settled(self) -> bool:
        left = await self.town.value(
            "SELECT count(*) FROM pgqueuer WHERE entrypoint <> $1 AND status <> 'failed'", SYNC_JOB
        )
        return not left

    async def check(self) -> None:
        assert not await self.town.value("SELECT count(*) FROM pgqueuer WHERE status = 'failed'")
        loaded = await self.town.value(LOADED, self.product.id)
        assert loaded == self.units, (loaded, self.units)


# Housekeeping first: it looks at whatever others leave behind.
STOCK_STORIES = (
    Housekeeping,
    Imported,
    Unblocked,
    Blocked,
    Singled,
    Recalled,
    Resealed,
    Reconciled,
)
