"""The schema comes up on an empty server, once."""

import asyncpg

from rewards.infra.migrate import migrate, migrations


async def test_a_migrated_database_has_nothing_left_to_do(dsn: str) -> None:
    assert await migrate(dsn) == []
    connection = await asyncpg.connect(dsn)
    names = await connection.fetch("SELECT name FROM schema_migrations ORDER BY name")
    await connection.close()
    assert [row["name"] for row in names] == [migration.name for migration in migrations()]
