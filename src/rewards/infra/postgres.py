"""The embedded PostgreSQL server: started from nothing under a home folder, joined, and stopped."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncpg

from rewards.infra import postgres_files as files
from rewards.infra import postgres_process as process
from rewards.infra.postgres_files import APP_ROLE, OWNER_ROLE, PostgresProblem

__all__ = ["PostgresProblem", "Server", "binaries", "ensure_server", "stop_server"]

DATABASE = "rewards"
CONNECT_TIMEOUT_S = 10.0
CONNECT_TRIES_MAX = 100
POLL_S = 0.1
# What a server that has just come up, or is about to go, answers.
NOT_YET = (
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    ConnectionError,
    FileNotFoundError,
)
# Any number; every starter waits on the same one while it makes roles and database.
ADVISORY_LOCK = 7_203_114_906


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. Both DSNs carry a password: they never belong in a log."""

    # Superuser, owner of the database "rewards": for migrations.
    owner_dsn: str = field(repr=False)
    # May log in and use what migrations grant, nothing else.
    app_dsn: str = field(repr=False)
    # Such as "18.6".
    version: str


async def ensure_server(
    home: Path,
    *,
    programs: Path | None = None,
    settings: Mapping[str, str] | None = None,
) -> Server:
    """The server of `home`: started if need be, else joined; it goes on when the caller dies.

    Makes the database and both roles when they are missing. Callers in several processes may start
    at once: one does it, the others join. `programs` is a bin folder to use instead of the wheel's;
    `settings` are added to those the server is started with (not when it is joined). Raises
    PostgresProblem, which says what to do, and never deletes data (design.md, embedded PostgreSQL).
    """
    run, passwords = await asyncio.to_thread(_start, home, programs, settings or {})
    owner = _dsn(OWNER_ROLE, passwords[OWNER_ROLE], run)
    app = _dsn(APP_ROLE, passwords[APP_ROLE], run)
    try:
        version = await _prepare(owner, app, passwords[APP_ROLE])
    except asyncpg.InvalidPasswordError:
        raise PostgresProblem(
            f"the server in {home} does not accept the passwords in {home / 'postgres.json'}:"
            " put that file back from a backup"
        ) from None
    except (TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as silent:
        raise PostgresProblem(
            f"what listens in {run} does not answer as PostgreSQL ({type(silent).__name__})"
        ) from silent
    return Server(owner, app, version)


def _start(
    home: Path, programs: Path | None, settings: Mapping[str, str]
) -> tuple[Path, Mapping[str, str]]:
    with _plainly(home):
        at = files.place(home)
        with process.only_starter(at):
            passwords = files.passwords(at)
            run = files.socket_folder(at)
            process.start(at, programs or files.bin_folder(at), run, settings)
        return run, passwords


async def stop_server(home: Path) -> None:
    """Stop the server of `home`, if one runs: fast, within half a minute by force. Data stays."""
    await asyncio.to_thread(_stop, home)


def _stop(home: Path) -> None:
    if not home.is_dir():
        return
    with _plainly(home):
        at = files.place(home)
        with process.only_starter(at):
            run = files.socket_folder(at)
            process.stop(at, run)
            files.forget_sockets(run)


@contextlib.contextmanager
def _plainly(home: Path) -> Iterator[None]:
    """Whatever the system refuses on the way becomes a PostgresProblem too."""
    try:
        yield
    except (OSError, subprocess.SubprocessError) as refused:
        raise PostgresProblem(f"cannot work in {home}: {refused}") from refused


def binaries(home: Path) -> Path:
    """The folder with psql, pg_dump and pgbench that belong to `home`'s server."""
    with _plainly(home):
        return files.bin_folder(files.place(home))


def _dsn(role: str, password: str, run: Path) -> str:
    return f"postgresql://{role}:{password}@/{DATABASE}?host={quote(str(run), safe='/')}&port=5432"


async def _prepare(owner: str, app: str, app_password: str) -> str:
    """Make the role and the database where they are missing; return the server's version."""
    connection = await _connect(owner.replace(f"@/{DATABASE}?", "@/postgres?"))
    try:
        # Goes with this connection, which is no pool's.
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        await connection.execute("SET log_min_error_statement = 'panic'")
        known = "SELECT true FROM pg_roles WHERE rolname = $1"
        if not await connection.fetchval(known, APP_ROLE):
            await _set_password(connection, "CREATE ROLE %I LOGIN PASSWORD %L", app_password)
        known = "SELECT true FROM pg_database WHERE datname = $1"
        if not await connection.fetchval(known, DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        await connection.execute(
            f"REVOKE ALL ON DATABASE {DATABASE}, postgres, template1 FROM PUBLIC;"
            f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {APP_ROLE}"
        )
        try:
            await (await _connect(app)).close()
        except asyncpg.InvalidPasswordError:
            await _set_password(connection, "ALTER ROLE %I PASSWORD %L", app_password)
        version: str = await connection.fetchval("SHOW server_version")
        return version.partition(" ")[0]
    finally:
        await connection.close()


async def _set_password(connection: asyncpg.Connection, form: str, password: str) -> None:
    statement = await connection.fetchval(
        "SELECT format($1, $2::text, $3::text)", form, APP_ROLE, password
    )
    await connection.execute(statement)


async def _connect(dsn: str) -> asyncpg.Connection:
    for _ in range(CONNECT_TRIES_MAX):
        try:
            return await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
        except NOT_YET:
            await asyncio.sleep(POLL_S)
    return await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
