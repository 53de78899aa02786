"""Processes: how soon they answer, and what they hold in memory."""

import asyncio
import shutil
from pathlib import Path
from tempfile import mkdtemp

from benchmarks import home as homes
from benchmarks.bench import Bench
from benchmarks.report import Figure, middle
from rewards.infra.postgres import stop_server

MEGABYTE = 1024 * 1024
PARENT = "PPid:"
WORKER_SETTLES_S = 2.0


async def start(bench: Bench) -> list[Figure]:
    """From the command to the first answer: the API alone, and the sandbox with everything."""
    api_s = []
    for _ in range(bench.rounds):
        port = homes.free_port()
        began_s = await bench.home.start("second", "api", "--port", str(port))
        await homes.until_ready(port, bench.home.processes["second"])
        api_s.append(homes.perf_counter() - began_s)
        await bench.home.stop("second")
    alone = middle(api_s)
    nothing, existing = await _sandbox(bench)
    of_api = "s, the API alone"
    return [
        Figure("start", "API on a running server", alone, "s"),
        Figure("start", "sandbox, existing data", existing, "s", alone, of_api),
        Figure("start", "sandbox, from nothing", nothing, "s", alone, of_api),
    ]


async def _sandbox(bench: Bench) -> tuple[float, float]:
    """Seconds to the first answer: in an empty folder, and again on what that left."""
    folder = Path(mkdtemp(prefix="rewards-start-", dir=bench.home.path.parent))
    took_s = []
    try:
        for _ in range(2):
            port = homes.free_port()
            began_s = await bench.home.start(
                *("sandbox", "sandbox", "--port", str(port), "--home", str(folder)),
                REWARDS_DATABASE_URL="",
                REWARDS_OWNER_DATABASE_URL="",
            )
            await homes.until_ready(port, bench.home.processes["sandbox"])
            took_s.append(homes.perf_counter() - began_s)
            await bench.home.stop("sandbox")
    finally:
        await stop_server(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return took_s[0], took_s[1]


async def memory(bench: Bench) -> list[Figure]:
    """What each process holds after all that was run before; shared pages by their part."""
    await bench.home.start("worker", "worker")
    async with bench.world.db.connection() as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
    status = Path(f"/proc/{backend}/status").read_text().splitlines()
    postmaster = next(int(line.split()[1]) for line in status if line.startswith(PARENT))
    server = homes.memory_bytes(homes.children_of(postmaster)) / MEGABYTE
    api = homes.memory_bytes([bench.home.processes["api"].pid]) / MEGABYTE
    await asyncio.sleep(WORKER_SETTLES_S)
    worker = homes.memory_bytes([bench.home.processes["worker"].pid]) / MEGABYTE
    await bench.home.stop("worker")
    of_server = "MiB, PostgreSQL"
    return [
        Figure("memory", "PostgreSQL, all its processes", server, "MiB"),
        Figure("memory", "API process", api, "MiB", server, of_server),
        Figure("memory", "worker process", worker, "MiB", server, of_server),
    ]
