"""Applies the numbered SQL files in `rewards/migrations`, forward only, one process at a time."""

import hashlib
from dataclasses import dataclass
from importlib import resources

import asyncpg

# Any number; every starter of this project waits on the same one.
ADVISORY_LOCK = 7_203_114_905
LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
APPEND_ONLY = (
    "audit_chain",
    "audit_entries",
    "audit_seals",
    "fx_rates",
    "ledger_entries",
    "ledger_transfers",
    "order_notes",
    "order_replacements",
    "order_transitions",
)


# What is forgotten a partition at a time.
EMPTIED = tuple(f"client_requests_{slot:02}" for slot in range(16))


class MigrationChanged(Exception):
    """A file that was already applied reads differently now: somebody edited history."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All files in order."""
    folder = resources.files("rewards.migrations")
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return [Migration(file.name, file.read_text()) for file in sorted(files, key=lambda f: f.name)]


async def migrate(dsn: str, *, app_role: str | None = None, cell: int = 0) -> list[str]:
    """Bring the database up to date; return the names applied now.

    Each file runs in its own transaction with its row, so a crash leaves a prefix. `app_role` is
    given what it needs and no right to rewrite append-only tables. Raises MigrationChanged.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", ADVISORY_LOCK)
        await connection.execute(LEDGER)
        rows = await connection.fetch("SELECT name, checksum FROM schema_migrations")
        done: dict[str, str] = {row["name"]: row["checksum"] for row in rows}
        applied = []
        for migration in migrations():
            known = done.get(migration.name)
            if known is None:
                await _apply(connection, migration)
                applied.append(migration.name)
            elif known != migration.checksum:
                raise MigrationChanged(f"{migration.name} was applied with other contents")
        if applied:
            await _start_ids(connection, cell)
        if app_role:
            await _grant(connection, app_role)
        return applied
    finally:
        await connection.close()


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        await connection.execute(migration.text)
        await connection.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)",
            migration.name,
            migration.checksum,
        )


async def _start_ids(connection: asyncpg.Connection, cell: int) -> None:
    """A cell's ids start at cell * 10**12, so that rows of two cells never share one."""
    if cell == 0:
        return
    names = await connection.fetch(
        "SELECT sequencename FROM pg_sequences"
        " WHERE schemaname = current_schema() AND last_value IS NULL"
        " AND data_type = 'bigint'::regtype"
    )
    for (name,) in names:
        await connection.execute("SELECT setval($1::regclass, $2, false)", name, cell * 10**12 + 1)


async def _grant(connection: asyncpg.Connection, role: str) -> None:
    quoted = '"' + role.replace('"', '""') + '"'
    tables = ", ".join(APPEND_ONLY)
    await connection.execute(
        f"GRANT USAGE ON SCHEMA public TO {quoted};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {quoted};"
        f"GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {quoted};"
        f"REVOKE UPDATE, DELETE, TRUNCATE ON {tables} FROM {quoted};"
        f"GRANT TRUNCATE ON {', '.join(EMPTIED)} TO {quoted};"
        f"REVOKE ALL ON schema_migrations FROM {quoted};"
        f"GRANT SELECT ON schema_migrations TO {quoted};"
    )
