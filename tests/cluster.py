"""Real API and worker processes over one database, for tests that race, kill and restart them."""

import asyncio
import itertools
import json
import random
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from rewards.catalog.model import Product
from rewards.clients import service as clients
from rewards.clients.model import NewCredential
from rewards.entry.doctor import all_checks
from rewards.infra import checks
from rewards.wallets import service as wallets
from tests import processes
from tests.processes import Process
from tests.shop import Shop, open_shop

READY_TIMEOUT_S = 30.0
REPLY_TIMEOUT_S = 30.0
POLL_S = 0.01
# One voucher of the usual product: 25.00 less 2 %, and 1.00 for handling.
PRICE_MINOR = 2550
# Below the ephemeral ports: a client that knocks while nobody listens could get the port itself.
PORTS = range(20_000, 32_000)
LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Buyer:
    """A client of the shop with a key to its API."""

    client_id: int
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. The first bytes of a refusal are in the repr, those of an order are not."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def said(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def replayed(self) -> bool:
        return self.headers.get("Idempotent-Replayed") == "true"

    @property
    def retry_after(self) -> bool:
        """Whether it is one of the answers that ask to come back, and says when."""
        return self.status in (409, 503) and self.headers.get("Retry-After", "").isdecimal()


@dataclass(eq=False)
class Api:
    """One `rewards api`, at the same port through all its lives."""

    environment: Mapping[str, str] = field(repr=False)
    port: int
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> float:
        """Seconds from its start until it is ready to take orders."""
        began_s = time.monotonic()
        command = [sys.executable, "-m", "rewards.entry", "api", "--port", str(self.port)]
        self.process = await processes.start(command, self.environment, port=self.port)
        await until_ready(self.url)
        return time.monotonic() - began_s

    @property
    def running(self) -> Process:
        assert self.process is not None
        return self.process

    async def kill(self) -> None:
        await self.running.kill()


async def until_ready(url: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    async with aiohttp.ClientSession(trust_env=False) as session:
        while True:
            with suppress(*LOST):
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            assert time.monotonic() < deadline_s, f"{url} is not ready"
            await asyncio.sleep(POLL_S)


@dataclass
class Cluster:
    """Two APIs, perhaps a worker, and the shop that stocked what they sell."""

    shop: Shop
    apis: Sequence[Api]
    environment: Mapping[str, str] = field(repr=False)
    owner_dsn: str = field(repr=False)
    session: aiohttp.ClientSession
    # On sale before the APIs start: they would notice a later one within a second.
    product: Product
    worker: Process | None = None

    async def start_worker(self) -> None:
        self.worker = await processes.start(
            [sys.executable, "-m", "rewards.entry", "worker"], self.environment
        )
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while "worker_ready" not in self.worker.output():
            late = time.monotonic() > deadline_s or self.worker.returncode is not None
            assert not late, self.worker.output()
            await asyncio.sleep(POLL_S)

    async def kill_worker(self) -> None:
        assert self.worker is not None
        await self.worker.kill()

    async def buyers(self, count: int, minor: int) -> list[Buyer]:
        """Clients with `minor` US cents each, no limits that matter, and an API key."""
        ids = [await self.shop.client(minor=minor, max_quantity=1000) for _ in range(count)]
        parts = self.shop.parts
        async with parts.db.transaction() as tx:
            asks = [NewCredential(client_id) for client_id in ids]
            issued = await clients.issue_credentials(
                tx, parts.vault, parts.settings, asks, self.shop.now
            )
        return [
            Buyer(i.client_id, {"X-API-Key": i.api_key, "X-API-Secret": i.api_secret})
            for i in issued
        ]

    def order(self, quantity: int = 1, **facts: object) -> dict[str, object]:
        """The body of a request for so many vouchers of 25.00."""
        return {"product_id": self.product.id, "denomination": 25, "quantity": quantity, **facts}

    async def post(
        self,
        buyer: Buyer,
        body: Mapping[str, object] | bytes,
        *,
        key: str | None = None,
        url: str | None = None,
    ) -> Reply:
        """`POST /api/v1/orders` at `url`, or at one of the two. Raises LOST when no reply came."""
        headers = {**buyer.headers, "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = url or random.choice(self.apis).url
        async with self.session.post(f"{url}/api/v1/orders", data=raw, headers=headers) as answer:
            return Reply(answer.status, answer.headers.copy(), await answer.read())

    async def post_all(self, buyers: Sequence[Buyer], api: Api) -> list[Reply]:
        """One order for each, at once, through one process."""
        asks = (self.post(buyer, self.order(), url=api.url) for buyer in buyers)
        return await asyncio.gather(*asks)

    async def storm(
        self, buyers: Sequence[Buyer], body: Mapping[str, object], count: int, **facts: Any
    ) -> list[Reply]:
        """The same request so often at once, dealt out to the buyers and over both APIs."""
        turns = zip(itertools.cycle(self.apis), itertools.cycle(buyers), range(count), strict=False)
        return await asyncio.gather(
            *(self.post(buyer, body, url=api.url, **facts) for api, buyer, _ in turns)
        )

    async def insist(
        self, buyer: Buyer, body: Mapping[str, object], key: str, load: "Load | None" = None
    ) -> Reply:
        """Ask with one key until something else than "come back later" is said."""
        deadline_s = time.monotonic() + REPLY_TIMEOUT_S
        while True:
            try:
                reply = await self.post(buyer, body, key=key)
            except LOST:
                if load is not None:
                    load.lost += 1
            else:
                if load is not None:
                    load.seen.append(reply)
                if not reply.retry_after and reply.status != 429:
                    return reply
            assert time.monotonic() < deadline_s, "nobody answers"
            # Sooner than Retry-After says: the harder test.
            await asyncio.sleep(random.uniform(0.01, 0.1))

    @asynccontextmanager
    async def wallets_held(self, buyer: Buyer) -> AsyncIterator[None]:
        """Meanwhile every order of this buyer waits, within the database's patience."""
        async with self.shop.parts.db.transaction() as tx:
            await wallets.lock(tx, [buyer.client_id])
            yield

    async def count(self, query: str, *values: object) -> int:
        async with self.shop.parts.db.connection() as connection:
            number: int = await connection.fetchval(query, *values)
            return number

    async def orders_of(self, buyer: Buyer) -> set[int]:
        async with self.shop.parts.db.connection() as connection:
            rows = await connection.fetch(
                "SELECT id FROM orders WHERE client_id = $1", buyer.client_id
            )
        return {row["id"] for row in rows}

    async def assert_clean(self) -> None:
        """Every check of the doctor ran and found nothing."""
        findings = await checks.run(self.owner_dsn, all_checks())
        bad = [f for f in findings if f.breaches or f.problem]
        assert not bad, bad


@dataclass
class Load:
    """What a buyer's callers heard meanwhile: orders by key, every reply, replies that never came.

    Each caller orders with a new key, asks again until he is served, and then goes on.
    """

    cluster: Cluster
    buyer: Buyer
    placed: dict[str, Reply] = field(default_factory=dict, repr=False)
    seen: list[Reply] = field(default_factory=list, repr=False)
    lost: int = 0
    stopping: bool = False

    async def call(self) -> None:
        while not self.stopping:
            key = secrets.token_hex(8)
            body = self.cluster.order(random.choice([1, 1, 1, 2]), ref=key)
            reply = await self.cluster.insist(self.buyer, body, key, self)
            assert reply.status == 200, (reply, reply.body)
            self.placed[key] = reply

    async def assert_kept(self, minor: int) -> None:
        """Of the `minor` he began with the buyer paid every order once, and all of them are there.

        And each is told again, as at first, to whoever asks with its key.
        """
        orders = {reply.said["id"]: reply.said["quantity"] for reply in self.placed.values()}
        assert len(orders) == len(self.placed)
        assert await self.cluster.orders_of(self.buyer) == orders.keys()
        left = await self.cluster.shop.balance(self.buyer.client_id)
        assert left == minor - PRICE_MINOR * sum(orders.values())
        for key, first in random.sample(sorted(self.placed.items()), min(20, len(orders))):
            body = self.cluster.order(first.said["quantity"], ref=key)
            again = await self.cluster.insist(self.buyer, body, key)
            assert (again.replayed, again.body) == (True, first.body)


@asynccontextmanager
async def loaded(cluster: Cluster, buyer: Buyer, callers: int = 8) -> AsyncIterator[Load]:
    """The buyer's callers order while the block runs; then all of them have been served."""
    load = Load(cluster, buyer)
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(load.call())
        try:
            yield load
        finally:
            load.stopping = True


def free_port() -> int:
    """A port nobody listens on and nobody is given by chance."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@asynccontextmanager
async def open_cluster(
    dsn: str, home: Path, *, owner_dsn: str | None = None, worker: bool = False, **chosen: Any
) -> AsyncIterator[Cluster]:
    """Two APIs over an empty, migrated database; `chosen` settings hold for every process."""
    environment = {
        "REWARDS_DATABASE_URL": dsn,
        "REWARDS_HOME": str(home),
        "REWARDS_ENVIRONMENT": "test",
        **{f"REWARDS_{name.upper()}": str(value) for name, value in chosen.items()},
    }
    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(open_shop(dsn, home, **chosen))
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=REPLY_TIMEOUT_S),
            trust_env=False,
        )
        await stack.enter_async_context(session)
        apis = [Api(environment, free_port()) for _ in range(2)]
        product = await shop.product()
        cluster = Cluster(shop, apis, environment, owner_dsn or dsn, session, product)
        stack.push_async_callback(_end, cluster)
        await asyncio.gather(*(api.start() for api in apis))
        if worker:
            await cluster.start_worker()
        yield cluster


async def _end(cluster: Cluster) -> None:
    for process in [*(api.process for api in cluster.apis), cluster.worker]:
        if process is not None and process.returncode is None:
            await process.stop()
