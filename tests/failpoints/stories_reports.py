"""Stories of reports: written by whoever lives, read, cancelled, and dropped when they are old."""

from collections.abc import Sequence
from datetime import timedelta

from rewards.infra.jobs import JobAsk, enqueue
from rewards.reports.model import LIFETIME
from tests.failpoints.points import Kind
from tests.failpoints.story import MINOR, Step, Story
from tests.failpoints.town import NotServed

# Windows that the writer needs for them: a strike hits it in the middle.
ORDERS = 3


class Written(Story):
    """Asked for, written, downloaded: every order of the client once, whoever died over it."""

    async def begin(self) -> None:
        self.client_id = await self.shop.client(minor=MINOR)
        product = await self.town.product()
        await self.shop.stock(product, ORDERS)
        self.order_ids = [
            (await self.shop.place_one(self.shop.ask(self.client_id, product))).order.id
            for _ in range(ORDERS)
        ]
        # One report is asked for, however often: whose answer was lost looks whether it is there.
        self.day = self.town.clock.now().date()

    def steps(self) -> Sequence[Step]:
        return [self.ask, self.work, self.read]

    async def number(self) -> int | None:
        rows = await self.town.rows(
            "SELECT id FROM reports WHERE (parameters ->> 'client_id')::bigint = $1"
            " AND state NOT IN ('CANCELLED', 'EXPIRED', 'FAILED')",
            self.client_id,
        )
        assert len(rows) <= 1
        return rows[0]["id"] if rows else None

    async def ask(self) -> None:
        if self.again and await self.number() is not None:
            return
        days = {"from": str(self.day - timedelta(days=1)), "to": str(self.day)}
        body = {"kind": "ORDERS", "parameters": days | {"client_id": self.client_id}}
        await self.town.staff("admin", "POST", "/reports", body)

    async def work(self) -> None:
        await self.town.mine.worker.drain()

    async def read(self) -> None:
        number = await self.number()
        if await self.state() == "DONE":
            path = f"/admin/api/v1/reports/{number}/file"
            answer = await self.town.mine.http.get(path, headers=self.town.token("admin"))
            if answer.status_code >= 500:
                raise NotServed(answer.text)
            assert answer.status_code == 200, answer.text

    async def state(self) -> str:
        return str(
            await self.town.value("SELECT state FROM reports WHERE id = $1", await self.number())
        )

    async def settled(self) -> bool:
        if await self.state() == "DONE":
            return True
        if await self.number() is None:
            # What a bug ended is told so, and asked for again.
            assert self.bug
            await self.ask()
        await self.leave()
        return False

    @property
    def bug(self) -> bool:
        return self.strike is not None and self.strike.kind is Kind.RAISE

    async def leave(self) -> None:
        """The lease of whoever died ends, and a sweep finds the report."""
        async with self.town.other.parts.db.transaction() as tx:
            await tx.execute(
                "UPDATE reports SET leased_until = now() - interval '1 s' WHERE lease IS NOT NULL"
            )
            await enqueue(tx, [JobAsk("reports.left")])

    async def check(self) -> None:
        path = f"/admin/api/v1/reports/{await self.number()}/file"
        answer = await self.town.other.http.get(path, headers=self.town.token("admin"))
        lines = answer.text.splitlines()[1:]
        assert [int(line.partition(",")[0]) for line in lines] == self.order_ids


class WrittenNoMore(Written):
    """Cancelled before anybody wrote it, and another one that is old and dropped."""

    def steps(self) -> Sequence[Step]:
        return [self.ask, self.cancel, self.ask_again, self.work, self.grow_old, self.expire]

    async def cancel(self) -> None:
        number = await self.number()
        if number is not None:
            path = f"/reports/{number}/cancel"
            # Another may have written it since it was asked for, where that was struck.
            refused = (409,) if self.again or self.strike else ()
            await self.town.staff("admin", "POST", path, None, refused)

    async def ask_again(self) -> None:
        if await self.number() is None:
            self.again = False
            await self.ask()

    async def grow_old(self) -> None:
        async with self.town.other.parts.db.transaction() as tx:
            await tx.execute(
                "UPDATE reports SET expires_at = $1 WHERE state = 'DONE'"
                " AND (parameters ->> 'client_id')::bigint = $2",
                *(self.town.clock.now() - LIFETIME, self.client_id),
            )
            await enqueue(tx, [JobAsk("reports.forget")])

    async def expire(self) -> None:
        await self.town.mine.worker.drain()

    async def settled(self) -> bool:
        rows = await self.town.rows(
            "SELECT state FROM reports WHERE (parameters ->> 'client_id')::bigint = $1 ORDER BY id",
            self.client_id,
        )
        self.states = [row["state"] for row in rows]
        if {"QUEUED", "RUNNING"} & set(self.states):
            await self.leave()
            return False
        if "DONE" in self.states:
            await self.grow_old()
            return False
        return True

    async def check(self) -> None:
        # Another may have written the first one before it was cancelled.
        ends = [["CANCELLED", "EXPIRED"], ["EXPIRED"]]
        assert self.states in ([*ends, ["CANCELLED", "FAILED"]] if self.bug else ends)
        left = await self.town.value(
            "SELECT count(*) FROM report_chunks AS c JOIN reports AS r ON r.id = c.report_id"
            " WHERE (r.parameters ->> 'client_id')::bigint = $1",
            self.client_id,
        )
        assert left == 0


REPORT_STORIES = (Written, WrittenNoMore)
