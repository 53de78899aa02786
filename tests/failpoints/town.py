"""Where stories happen: a process that is struck, one that goes on, a vendor with its book."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from rewards.catalog import service as catalog
from rewards.catalog.model import Product
from rewards.core.actor import SYSTEM
from rewards.core.errors import Refusal, Unavailable
from rewards.entry import equipment
from rewards.entry.api import build_routes, layered, provided, state_of
from rewards.entry.equipment import Context
from rewards.entry.mailing import mailing
from rewards.entry.purchasing import Purchasing, purchasing
from rewards.entry.wiring import Parts, open_parts
from rewards.infra.settings import Settings
from rewards.infra.worker import Worker
from rewards.notices.tasks import NoticeTasks
from rewards.staff.model import Role
from rewards.vendors import service as vendors
from rewards.vendors.account import NewAccount
from rewards.vendors.simulators.book import Book, SimClock, SimProduct
from rewards.vendors.simulators.sandbox import SandboxSimulator
from tests.failpoints.points import STALL_S, Died, Fuse, Slot, inside
from tests.market import MovedClock
from tests.notices.postoffice import PostOffice, post_office
from tests.pricing.publisher import Publisher, publishing
from tests.shell import Shell
from tests.shop import Shop
from tests.staff.signed_in import bearer, sign_in
from tests.webhooks.receiver import Receiver, receiving

ACT_S = 20.0
REFRESHES_MAX = 10
TURN = timedelta(minutes=20)
SKU = "AMZ"
# What one person may have a vendor deliver for an order.
LIMIT_MINOR = 5_000
# What one person may move on a wallet.
MONEY_LIMIT_MINOR = 20_000
SECRET = "the-key-of-the-vendor-4711"
FIRST_PRODUCT = 1_000
# What a process may be told when it was struck, or when others hold what it wants.
TROUBLE = (Refusal, asyncpg.PostgresError, asyncpg.InterfaceError)

# What jobs and caches write for themselves.
PASSING = [
    *("pgqueuer", "pgqueuer_log", "pgqueuer_statistics", "job_schedules", "changes"),
    *("notice_attempts", "process_beats"),
    # What every request leaves, a second later.
    *("credential_uses", "client_requests", *(f"client_requests_{slot:02}" for slot in range(16))),
    *("vendor_balances", "vendor_offers", "vendor_reads", "vendor_exchanges"),
]
TABLES = """
SELECT tablename::text AS name FROM pg_tables
WHERE schemaname = 'public' AND tablename <> ALL($1::text[])
"""
END_LEASES = """
WITH jobs AS (
    UPDATE pgqueuer SET heartbeat = heartbeat - interval '5 minutes' WHERE status = 'picked'
), retried AS (
    UPDATE pgqueuer SET execute_after = now() WHERE status = 'queued' AND execute_after > now()
), sent AS (
    UPDATE webhook_deliveries SET
        next_at = CASE WHEN attempts > 0 THEN least(next_at, now()) ELSE next_at END,
        leased_until = CASE WHEN lease IS NOT NULL THEN now() - interval '1 s' END
    WHERE status = 'PENDING'
), told AS (
    UPDATE notices SET next_at = now(), leased_until = now() - interval '1 s'
    WHERE state = 'QUEUED' AND lease IS NOT NULL
), later AS (
    UPDATE notices SET next_at = now() WHERE state = 'QUEUED' AND lease IS NULL
), alarmed AS (
    UPDATE alert_tellings SET next_at = now(),
        leased_until = CASE WHEN lease IS NOT NULL THEN now() - interval '1 s' END
    WHERE state = 'QUEUED'
), runs AS (
    UPDATE reconciliation_runs SET leased_until = now() - interval '1 s' WHERE lease IS NOT NULL
)
UPDATE vendor_orders SET leased_until = now() - interval '1 s' WHERE lease IS NOT NULL
"""


class NotServed(Exception):
    """The application answered with an error of its own."""


@dataclass
class Process:
    """One of ours: an API and a worker in one, so that whatever dies, all of it does."""

    parts: Parts
    bought: Purchasing
    notices: NoticeTasks
    worker: Worker
    shell: Shell

    @cached_property
    def shop(self) -> Shop:
        return Shop(self.parts)

    @cached_property
    def http(self) -> httpx.AsyncClient:
        """Its application; pages are the first process's for ever, and no story asks for any."""
        parts = self.parts
        given, state = provided(parts), state_of(parts)
        routes = self.shell.over(lambda: build_routes(parts), given, state)
        transport = httpx.ASGITransport(layered(routes, parts), client=("192.0.2.7", 4711))
        return httpx.AsyncClient(transport=transport, base_url="http://town")


@dataclass
class Town:
    """`mine` is struck; `other` is another process that lives on, and what tests look through."""

    dsn: str
    settings: Settings
    simulator: SandboxSimulator
    publisher: Publisher
    receiver: Receiver
    office: PostOffice
    clock: MovedClock
    stack: AsyncExitStack
    mine: Process = field(init=False)
    other: Process = field(init=False)
    people: dict[str, int] = field(default_factory=dict)
    vendor_id: int = 0
    _mine_shell: Shell = field(default_factory=Shell)
    _mine_stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _slot: Slot = field(default_factory=Slot)
    # Staff who add products draw the numbers between.
    _next_product: Any = field(default_factory=lambda: itertools.count(FIRST_PRODUCT, 1_000))

    @property
    def shop(self) -> Shop:
        return self.other.shop

    @property
    def book(self) -> Book:
        return self.simulator.book

    async def start(self) -> None:
        """Start the process that is to be struck, however slow this machine is now."""
        for _ in range(REFRESHES_MAX):
            self._mine_stack, self._slot = AsyncExitStack(), Slot()
            with suppress(Unavailable), inside(self._slot):
                self.mine = await self._mine_stack.enter_async_context(
                    self._process(self._mine_shell)
                )
                return
        raise AssertionError("it never starts")

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def stop(self) -> None:
        """End it, dead or alive; what a dead one would still do, it does not."""
        with suppress(Died, Exception):
            await self._mine_stack.aclose()

    @asynccontextmanager
    async def _process(self, shell: Shell) -> AsyncIterator[Process]:
        async with open_parts(self.dsn, self.settings, self.clock) as parts:
            # It writes by itself at any time; a story says when.
            await parts.requests.close()
            bought = purchasing(
                *(parts.db, parts.catalog, parts.vault, parts.accounts, parts.prices),
                *(self.clock, self.settings),
            )
            told = mailing(parts.db, parts.vault, self.clock, self.settings, parts.links)
            yield Process(parts, bought, told, self._worker(parts, bought, told), shell)

    def _worker(self, parts: Parts, bought: Purchasing, told: NoticeTasks) -> Worker:
        worker = Worker(self.dsn, self.settings)
        context = Context(self.settings, self.dsn, parts.db, self.clock)
        for equip in (
            equipment.retention,
            equipment.orders,
            equipment.stock(parts.catalog),
            equipment.second_persons(bought.restocks),
            equipment.reports(parts.catalog),
            equipment.rates(parts.catalog),
            equipment.vendors(parts.accounts),
            equipment.purchases(bought),
            equipment.reconciliation(parts.accounts),
            equipment.events,
            equipment.claim_links(parts.links),
            equipment.notices(told),
            equipment.caches,
        ):
            equip(worker, context)
        return worker

    async def act(self, fuse: Fuse, work: Callable[[], Awaitable[None]]) -> BaseException | None:
        """Do it in the struck process; what came of it, None when all went well."""

        async def run() -> None:
            await work()

        self._slot.fuse = fuse
        with inside(self._slot):
            task = asyncio.create_task(run())
        await asyncio.wait({task}, timeout=ACT_S)
        assert task.done(), "it hangs"
        return asyncio.CancelledError() if task.cancelled() else task.exception()

    def pass_time(self, by: timedelta) -> None:
        """For us and for the vendor; the database's clock nobody moves."""
        self.clock.ahead += by
        self.book.clock.advance(by.total_seconds())

    async def meanwhile(self) -> None:
        """What others do in the 30 s that a process stalls; no lease of a purchase ends in them."""
        with inside(None):
            self.pass_time(timedelta(seconds=STALL_S))
            await self.work()

    async def recover(self) -> None:
        """Time passes, leases end, and a worker that lives takes up what is left."""
        self.pass_time(TURN)
        async with self.other.parts.db.transaction() as tx:
            await tx.execute(END_LEASES)
        await self.work()

    async def work(self) -> None:
        """One look of every job and every sweeper of the other process."""
        await self.other.worker.drain()
        tasks = self.shop.tasks
        for sweep in (
            tasks.sweep,
            tasks.deadlines,
            tasks.refunds_owed,
            self.shop.link_tasks.sweep,
            self.shop.link_tasks.lapse,
            self.other.bought.buying.sweep,
            self.other.bought.fulfilment.sweep_flagged,
            self.other.notices.read_causes,
            self.other.notices.send,
        ):
            # A stalled process may hold what they want; the next look gets it.
            with suppress(*TROUBLE):
                await sweep()

    async def product(self, **facts: Any) -> Product:
        """A product that no other story sells, known to both processes."""
        number = next(self._next_product)
        with suppress(Unavailable):
            await self.shop.product(number, **facts)
        for process in (self.mine, self.other):
            await refreshed(process)
        product = self.other.parts.catalog.product(number)
        assert product is not None
        return product

    async def offer(self, product: Product) -> Product:
        """The vendor sells it."""
        async with self.other.parts.db.transaction() as tx:
            await tx.execute(
                "INSERT INTO vendor_products (product_id, vendor_id, sku) VALUES ($1, $2, $3)",
                *(product.id, self.vendor_id, SKU),
            )
        return product

    async def staff(
        self, who: str, method: str, path: str, body: Any = None, again: tuple[int, ...] = ()
    ) -> Any:
        """A person's request to the struck process. `again`: what it may say the second time."""
        answer = await self.mine.http.request(
            method, "/admin/api/v1" + path, json=body, headers=self.token(who)
        )
        return served(answer, again)

    def token(self, who: str | int) -> dict[str, str]:
        """The headers of somebody who is logged in: a role, or the number of a person."""
        number = self.people[who] if isinstance(who, str) else who
        return bearer(self.other.parts.vault, number, self.clock.now())

    async def sign_in(self, staff_id: int) -> None:
        async with self.other.parts.db.connection() as connection:
            await sign_in(connection, staff_id)

    @property
    def struck(self) -> bool:
        return self._slot.fuse.struck

    @property
    def mine_is_dead(self) -> bool:
        return self._slot.fuse.dead

    async def counts(self) -> dict[str, int]:
        """How many rows each table has, but those that time fills by itself."""
        names = [row["name"] for row in await self.rows(TABLES, PASSING)]
        told = ", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name in names)
        [row] = await self.rows(f"SELECT {told}")
        return row

    async def value(self, statement: str, *args: object) -> Any:
        async with self.other.parts.db.connection() as connection:
            return await connection.fetchval(statement, *args)

    async def rows(self, statement: str, *args: object) -> list[dict[str, Any]]:
        async with self.other.parts.db.connection() as connection:
            return [dict(row) for row in await connection.fetch(statement, *args)]


async def refreshed(process: Process) -> None:
    """Its caches see what was just committed, however slow this machine is now."""
    for _ in range(REFRESHES_MAX):
        with suppress(Unavailable):
            return await process.shop.refresh()
    raise AssertionError("the feed is never fresh")


def served(answer: httpx.Response, again: tuple[int, ...] = ()) -> Any:
    """The body; raises NotServed where the application failed rather than refused."""
    if answer.status_code >= 500:
        raise NotServed(answer.text)
    assert answer.is_success or answer.status_code in again, answer.text
    return answer.json() if answer.content else None


@asynccontextmanager
async def open_town(dsn: str, home: Path) -> AsyncIterator[Town]:
    """Two processes on one database, a vendor, a publisher of rates, a person of every role."""
    products = [SimProduct(SKU, "Amazon", "USD", 2_500, 5_000, (2_500, 5_000))]
    simulator = SandboxSimulator(Book(SimClock(lambda: datetime.now(UTC)), products))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(simulator.serve())
        publisher, rates_url = await stack.enter_async_context(publishing())
        receiver = await stack.enter_async_context(receiving())
        office = await stack.enter_async_context(post_office())
        settings = Settings(
            home=home,
            environment="test",
            lock_timeout_s=0.5,
            vendor_loopback=True,
            vendor_timeout_s=2.0,
            vendor_connect_s=2.0,
            vendor_approval_limit_minor=LIMIT_MINOR,
            money_approval_limit_minor=MONEY_LIMIT_MINOR,
            fx_provider_url=rates_url,  # type: ignore[arg-type]
            pool_size=4,
            mail_host="127.0.0.1",
            mail_port=office.port,
            mail_tls="NONE",
            mail_timeout_s=2.0,
            mail_connections=1,
        )
        clock = MovedClock()
        town = Town(dsn, settings, simulator, publisher, receiver, office, clock, stack)
        town.other = await stack.enter_async_context(town._process(Shell()))
        async with town.other.parts.db.transaction() as tx:
            await catalog.seed_reference(tx)
            account = await vendors.create(
                *(tx, town.other.parts.vault),
                NewAccount("acme", "sandbox", {"base_url": url}, {"api_key": SECRET}),
                *(SYSTEM, town.clock.now()),
                loopback=True,
            )
        town.vendor_id = account.id
        await town.shop.refresh()
        await town.start()
        for role in Role:
            town.people[role] = await town.value(
                "INSERT INTO staff_users (username, role, password_hash, created_at)"
                " VALUES ($1, $1, 'none', now()) RETURNING id",
                str(role),
            )
            await town.sign_in(town.people[role])
        yield town
        await town.stop()
