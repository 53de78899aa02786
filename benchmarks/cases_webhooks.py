"""Webhooks: deliveries a second through a worker, beside a bare loop that posts the same bodies."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, perf_counter, time

import aiohttp

from benchmarks import home as homes
from benchmarks.bench import Bench, WrongAnswers
from benchmarks.report import Figure, middle
from benchmarks.world import now
from rewards.core.actor import SYSTEM
from rewards.infra.targets import Targets
from rewards.webhooks import endpoints, envelope, signing
from rewards.webhooks.model import EventType
from rewards.webhooks.model_endpoints import NewEndpoint

ENDPOINTS = 20
# A run of ours lasts a few seconds at the rate that is promised.
A_SECOND = 3_000
BARE_AT_ONCE = 64
DONE_S = 60.0
POLL_S = 0.1
SEALED_S = 2.0
DATA = '{"number": 4711, "order_id": 1000000001, "status": "DELIVERED"}'
# Events of the endpoints' clients, numbered; and a delivery of each of them, all due at once.
SEAL = """
WITH told AS (
    INSERT INTO events (client_id, type, data, created_at)
    SELECT client_id, 'wallet.credited', $2::jsonb, now()
    FROM webhook_endpoints, generate_series(1, $1::int)
    RETURNING id, client_id
), counters AS (
    INSERT INTO event_counters AS c (client_id, last_sequence)
    SELECT client_id, count(*) FROM told GROUP BY client_id
    ON CONFLICT (client_id) DO UPDATE SET last_sequence = c.last_sequence + excluded.last_sequence
    RETURNING client_id, last_sequence - $1 AS before
)
INSERT INTO event_feed (client_id, sequence, event_id, sealed_at)
SELECT client_id, before + row_number() OVER (PARTITION BY client_id ORDER BY id), id, now()
FROM told JOIN counters USING (client_id)
"""
QUEUE = """
INSERT INTO webhook_deliveries
    (endpoint_id, client_id, event_id, sequence, event_type, next_at, created_at)
SELECT w.id, f.client_id, f.event_id, f.sequence, 'wallet.credited', now(), now()
FROM event_feed AS f JOIN webhook_endpoints AS w USING (client_id)
WHERE f.event_id > $1
ORDER BY f.event_id
"""
LEFT = "SELECT count(*) FROM webhook_deliveries WHERE status = 'PENDING'"
# From the first attempt's beginning until the last one is written down.
RATE = """
SELECT count(*) / extract(epoch FROM max(d.finished_at) - min(a.started_at))::float8
FROM webhook_deliveries AS d JOIN webhook_attempts AS a ON a.delivery_id = d.id
WHERE d.event_id > $1 AND d.status = 'DELIVERED' HAVING count(*) = $2
"""


async def deliveries(bench: Bench) -> list[Figure]:
    """Leases, attempts and outcomes included; signed anew for each attempt, by both."""
    count = int(A_SECOND * bench.seconds)
    async with _receiver() as url:
        await _lay_out(bench, url)
        await bench.home.start("worker", "worker", REWARDS_WEBHOOK_LOCAL="true")
        try:
            ours, bare = [], []
            for _ in range(bench.rounds):
                bare.append(await _bare(url, bench.seconds))
                ours.append(await _ours(bench, count))
        finally:
            await bench.home.stop("worker")
    what = f"deliveries, one worker, {ENDPOINTS} endpoints"
    against = "/s, bare aiohttp loop"
    goal = "≥ 0.3, at best 0.5; ≥ 3,000/s"
    return [Figure("webhooks", what, middle(ours), "/s", middle(bare), against, goal)]


@asynccontextmanager
async def _receiver() -> AsyncIterator[str]:
    port = homes.free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.receiver", str(port))
    )
    try:
        async with asyncio.timeout(homes.READY_TIMEOUT_S):
            while not await _answers(port):
                await asyncio.sleep(homes.POLL_S)
        yield f"http://127.0.0.1:{port}/hook"
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _lay_out(bench: Bench, url: str) -> None:
    world = bench.world
    async with world.db.transaction() as tx:
        for caller in world.callers[:ENDPOINTS]:
            await endpoints.create(
                *(tx, world.vault, Targets(local=True)),
                *(NewEndpoint(caller.client_id, url), SYSTEM, now()),
            )


async def _ours(bench: Bench, count: int) -> float:
    db = bench.world.db
    async with db.transaction() as tx:
        # What earlier cases left behind may still be sealed, and is not counted.
        before = await tx.fetchval("SELECT coalesce(max(id), 0) FROM events")
        await tx.execute(SEAL, count // ENDPOINTS, DATA, timeout=DONE_S)
    # The sealer looks at them, and finds nothing to do.
    await asyncio.sleep(SEALED_S)
    await bench.world.settle()
    async with db.transaction() as tx:
        await tx.execute(QUEUE, before, timeout=DONE_S)
    ends_s = monotonic() + DONE_S
    async with db.connection() as connection:
        while await connection.fetchval(LEFT):
            if monotonic() > ends_s:
                raise WrongAnswers("deliveries are left")
            await asyncio.sleep(POLL_S)
        rate = await connection.fetchval(RATE, before, count)
    if rate is None:
        raise WrongAnswers("not all were delivered")
    return float(rate)


async def _bare(url: str, seconds: float) -> float:
    """What aiohttp alone posts in this process, signed in the same way, kept nowhere."""
    told = envelope.envelope(4_711, EventType.WALLET_CREDITED, now(), 1, DATA)
    key, body = b"k" * 32, envelope.body(told)
    done = 0
    began_s = perf_counter()

    async def loop(session: aiohttp.ClientSession) -> None:
        nonlocal done
        while perf_counter() - began_s < seconds:
            signed = signing.headers((key,), told.id, int(time()), body)
            headers = {"Content-Type": "application/json", **signed}
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
            done += 1

    connector = aiohttp.TCPConnector(limit=BARE_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        await asyncio.gather(*(loop(session) for _ in range(BARE_AT_ONCE)))
    return done / (perf_counter() - began_s)
