"""The yardstick: pgbench's TPC-B-like transactions on the very server that is measured."""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

import asyncpg

# Ten branches for eight clients: not bound by one hot row.
SCALE = 10
CLIENTS = 8
DATABASE = "bench_tpcb"
TIMEOUT_S = 60.0
RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
LATENCY = re.compile(r"^latency average = ([0-9.]+) ms", re.MULTILINE)


class PgbenchFailed(Exception):
    """pgbench did not run; says its last words."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What one run of pgbench measured."""

    per_second: float
    latency_ms: float


def with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def environment(dsn: str) -> dict[str, str]:
    """The DSN as libpq's variables, so that no password is on a command line."""
    parts = urlsplit(dsn)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    found = {
        "PGHOST": parts.hostname or query.get("host"),
        "PGPORT": str(parts.port or query.get("port", 5432)),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.removeprefix("/"),
    }
    return {name: value for name, value in found.items() if value}


async def prepare(programs: Path, owner_dsn: str, scale: int = SCALE) -> str:
    """Make pgbench's database anew; returns its DSN."""
    admin = await asyncpg.connect(owner_dsn)
    await admin.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {DATABASE}")
    await admin.close()
    dsn = with_database(owner_dsn, DATABASE)
    await _pgbench(programs, dsn, "-i", "-q", "-s", str(scale))
    return dsn


async def measure(programs: Path, dsn: str, seconds: float, *, clients: int = CLIENTS) -> Yardstick:
    """One run of prepared TPC-B-like transactions."""
    said = await _pgbench(
        programs, dsn, "-n", "-M", "prepared", "-c", str(clients), "-T", str(max(1, round(seconds)))
    )
    rate, latency = RATE.search(said), LATENCY.search(said)
    if rate is None or latency is None:
        raise PgbenchFailed(said[-500:])
    return Yardstick(float(rate[1]), float(latency[1]))


async def _pgbench(programs: Path, dsn: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(str(programs / "pgbench"), *arguments),
        env={**os.environ, **environment(dsn)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    except TimeoutError:
        process.kill()
        raise
    text = said.decode(errors="replace")
    if process.returncode:
        raise PgbenchFailed(text[-500:])
    return text
